/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* require - what must hold for any input, also where NDEBUG is set */

#include <stdbool.h>
#include <stdlib.h>

static inline void require(bool condition)
{
	if (!condition)
		abort();
}
