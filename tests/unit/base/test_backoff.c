/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/backoff.h"

static const struct backoff_policy uplink = {.min_ms = 200, .max_ms = 30000};

/* The whole span of each attempt: the least and the greatest random value. */
static void test_bounds(void **state)
{
	static const uint32_t ceilings[] = {200,  400,	 800,	1600,  3200,
					    6400, 12800, 25600, 30000, 30000};

	(void)state;
	for (uint32_t n = 0; n < 10; n++) {
		struct backoff b = {.attempts = n};

		assert_int_equal(backoff_next_ms(&b, &uplink, 0), 100);
		assert_int_equal(b.attempts, n + 1);
		b.attempts = n;
		assert_int_equal(backoff_next_ms(&b, &uplink, UINT32_MAX), ceilings[n]);
	}
}

static void test_middle_is_in_the_middle(void **state)
{
	struct backoff b = {.attempts = 9};

	(void)state;
	assert_int_equal(backoff_next_ms(&b, &uplink, UINT32_MAX / 2), 100 + (30000 - 100) / 2);
}

static void test_for_ever(void **state)
{
	struct backoff b = {.attempts = UINT32_MAX};

	(void)state;
	assert_int_equal(backoff_next_ms(&b, &uplink, UINT32_MAX), 30000);
	assert_int_equal(b.attempts, UINT32_MAX);
	backoff_reset(&b);
	assert_int_equal(backoff_next_ms(&b, &uplink, UINT32_MAX), 200);
}

static void test_odd_policies(void **state)
{
	static const struct backoff_policy zero = {0, 0}, swapped = {500, 100};
	static const struct backoff_policy widest = {UINT32_MAX, UINT32_MAX};
	struct backoff b = {0};

	(void)state;
	assert_int_equal(backoff_next_ms(&b, &zero, UINT32_MAX), 0);
	assert_int_equal(backoff_next_ms(&b, &swapped, UINT32_MAX), 500);
	assert_int_equal(backoff_next_ms(&b, &widest, UINT32_MAX), UINT32_MAX);
	assert_int_equal(backoff_next_ms(&b, &widest, 0), UINT32_MAX / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_middle_is_in_the_middle),
		cmocka_unit_test(test_for_ever),
		cmocka_unit_test(test_odd_policies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
