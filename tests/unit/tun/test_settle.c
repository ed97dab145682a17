/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tun/settle.h"

#define T0 1000000u

static void test_quiet(void **state)
{
	struct settle s = {0};

	(void)state;
	assert_true(settle_deadline_ms(&s) == UINT64_MAX);
	assert_false(settle_take(&s, 0));
	assert_false(settle_take(&s, UINT64_MAX - 1));
}

static void test_one_change(void **state)
{
	struct settle s = {0};

	(void)state;
	settle_note(&s, T0);
	assert_int_equal(settle_deadline_ms(&s), T0 + SETTLE_QUIET_MS);
	assert_false(settle_take(&s, T0 + SETTLE_QUIET_MS - 1));
	assert_true(settle_take(&s, T0 + SETTLE_QUIET_MS));
	assert_false(settle_take(&s, T0 + SETTLE_QUIET_MS));
	assert_true(settle_deadline_ms(&s) == UINT64_MAX);
}

static void test_each_change_waits_anew(void **state)
{
	struct settle s = {0};

	(void)state;
	settle_note(&s, T0);
	settle_note(&s, T0 + 150);
	assert_false(settle_take(&s, T0 + SETTLE_QUIET_MS));
	assert_int_equal(settle_deadline_ms(&s), T0 + 150 + SETTLE_QUIET_MS);
	assert_true(settle_take(&s, T0 + 150 + SETTLE_QUIET_MS));
}

/* Endless change: looked at once per cap, and the next round begins with the next change. */
static void test_cap(void **state)
{
	struct settle s = {0};
	unsigned int n_looks = 0;
	uint64_t first_look = 0;

	(void)state;
	for (uint64_t t = T0; t < T0 + 5 * SETTLE_CAP_MS; t++) {
		if (settle_take(&s, t)) {
			n_looks++;
			first_look = first_look ? first_look : t;
		}
		settle_note(&s, t);
	}
	assert_int_equal(first_look, T0 + SETTLE_CAP_MS);
	assert_int_equal(n_looks, 4);
}

static void test_starts_anew(void **state)
{
	struct settle s = {0};

	(void)state;
	settle_note(&s, T0);
	assert_true(settle_take(&s, T0 + SETTLE_CAP_MS));
	settle_note(&s, T0 + 5000);
	assert_int_equal(settle_deadline_ms(&s), T0 + 5000 + SETTLE_QUIET_MS);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quiet),
		cmocka_unit_test(test_one_change),
		cmocka_unit_test(test_each_change_waits_anew),
		cmocka_unit_test(test_cap),
		cmocka_unit_test(test_starts_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
