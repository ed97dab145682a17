/* SPDX-License-Identifier: Apache-2.0 */

/* Random schedules of two sessions; the seed of one that fails is the last that was printed. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "schedule.h"

#define N_SCHEDULES 200
#define N_SCRIPT    1500

static void every_schedule_keeps_every_byte(void **state UNUSED)
{
	static uint8_t script[N_SCRIPT];

	for (unsigned int seed = 1; seed <= N_SCHEDULES; seed++) {
		unsigned int random = seed;

		for (size_t i = 0; i < sizeof(script); i++)
			script[i] = (uint8_t)(rand_r(&random) >> 7);
		printf("seed %u\n", seed);
		fflush(stdout);
		schedule_run(script, sizeof(script));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_schedule_keeps_every_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
