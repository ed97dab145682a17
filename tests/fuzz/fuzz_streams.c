/* SPDX-License-Identifier: Apache-2.0 */

/* The input is a schedule of two sessions back to back: see schedule.h for what must hold. */

#include "tests/unit/wire/schedule.h"

#define SCRIPT_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	schedule_run(data, n < SCRIPT_MAX ? n : SCRIPT_MAX);
	return 0;
}
