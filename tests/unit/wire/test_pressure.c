/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "wire/budget.h"
#include "wire/pressure.h"

#define BEGAN_MS 5000

static void test_only_after_a_while(void **state)
{
	struct pressure p = {0};
	struct budget b;

	(void)state;
	budget_init(&b, 1000, 0);
	budget_add(&b, 1000);
	assert_int_equal(pressure_excess(&p, &b, BEGAN_MS), 0);
	assert_int_equal(pressure_excess(&p, &b, BEGAN_MS + 10 * PRESSURE_MS), 0);
	budget_add(&b, 300);
	assert_int_equal(pressure_excess(&p, &b, BEGAN_MS), 0);
	assert_int_equal(pressure_excess(&p, &b, BEGAN_MS + PRESSURE_MS - 1), 0);
	assert_int_equal(pressure_excess(&p, &b, BEGAN_MS + PRESSURE_MS), 800);
	budget_sub(&b, 100);
	assert_int_equal(pressure_excess(&p, &b, BEGAN_MS + PRESSURE_MS + 1), 700);
	budget_sub(&b, 200);
	assert_int_equal(pressure_excess(&p, &b, BEGAN_MS + PRESSURE_MS + 2), 0);
}

/* What moves is under the limit now and then, even if nobody looks just then. */
static void test_a_moment_of_relief(void **state)
{
	struct pressure p = {0};
	struct budget b;

	(void)state;
	budget_init(&b, 1000, 0);
	budget_add(&b, 1500);
	for (uint64_t i = 0; i < 100; i++) {
		assert_int_equal(pressure_excess(&p, &b, BEGAN_MS + i * (PRESSURE_MS - 1)), 0);
		budget_sub(&b, 600);
		budget_add(&b, 600);
	}
	assert_int_equal(pressure_excess(&p, &b, BEGAN_MS + 100 * PRESSURE_MS), 0);
	assert_int_equal(pressure_excess(&p, &b, BEGAN_MS + 101 * PRESSURE_MS), 1000);
}

/* Who fills it again right after that has less time, until it was calm for a while. */
static void test_again(void **state)
{
	uint64_t now_ms = BEGAN_MS;
	struct pressure p = {0};
	struct budget b;

	(void)state;
	budget_init(&b, 1000, 0);
	budget_add(&b, 1500);
	assert_int_equal(pressure_excess(&p, &b, now_ms), 0);
	now_ms += PRESSURE_MS;
	assert_int_equal(pressure_excess(&p, &b, now_ms), 1000);
	budget_sub(&b, 1000);
	budget_add(&b, 700);
	assert_int_equal(pressure_excess(&p, &b, ++now_ms), 0);
	assert_int_equal(pressure_excess(&p, &b, now_ms + PRESSURE_AGAIN_MS - 1), 0);
	now_ms += PRESSURE_AGAIN_MS;
	assert_int_equal(pressure_excess(&p, &b, now_ms), 700);
	budget_sub(&b, 700);
	now_ms += PRESSURE_CALM_MS;
	assert_int_equal(pressure_excess(&p, &b, now_ms), 0);
	budget_add(&b, 700);
	assert_int_equal(pressure_excess(&p, &b, now_ms), 0);
	assert_int_equal(pressure_excess(&p, &b, now_ms + PRESSURE_AGAIN_MS), 0);
	assert_int_equal(pressure_excess(&p, &b, now_ms + PRESSURE_MS), 700);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_after_a_while),
		cmocka_unit_test(test_a_moment_of_relief),
		cmocka_unit_test(test_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
