/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/compiler.h"
#include "base/list.h"
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

struct holder {
	struct list node;
	size_t n_bytes;
	unsigned int cut_as; /* 0: wasn't */
};

static unsigned int n_cuts;

static size_t holds(struct list *node)
{
	return list_entry(node, struct holder, node)->n_bytes;
}

static void cut(struct list *node)
{
	struct holder *h = list_entry(node, struct holder, node);

	h->n_bytes = 0;
	h->cut_as = ++n_cuts;
	list_remove(node);
}

static void test_the_largest_go(void **state)
{
	static const struct pressure_ops ops = {.buffered = holds, .cut = cut};
	struct holder h[] = {{.n_bytes = 5}, {.n_bytes = 0}, {.n_bytes = 70}, {.n_bytes = 20}};
	struct list holders;

	(void)state;
	n_cuts = 0;
	list_init(&holders);
	assert_int_equal(pressure_cut(&holders, &ops, 10), 0);
	for (size_t i = 0; i < ARRAY_SIZE(h); i++)
		list_append(&holders, &h[i].node);
	assert_int_equal(pressure_cut(&holders, &ops, 0), 0);
	assert_int_equal(pressure_cut(&holders, &ops, 75), 2);
	assert_int_equal(h[2].cut_as, 1);
	assert_int_equal(h[3].cut_as, 2);
	/* Who holds nothing is left alone. */
	assert_int_equal(pressure_cut(&holders, &ops, 1000), 1);
	assert_int_equal(h[0].cut_as, 3);
	assert_int_equal(h[1].cut_as, 0);
	list_remove(&h[1].node);
}

static void test_not_too_many_at_once(void **state)
{
	static const struct pressure_ops ops = {.buffered = holds, .cut = cut};
	static struct holder h[PRESSURE_CUT_MAX + 1];
	struct list holders;

	(void)state;
	list_init(&holders);
	for (size_t i = 0; i < ARRAY_SIZE(h); i++) {
		h[i].n_bytes = 1;
		list_append(&holders, &h[i].node);
	}
	assert_int_equal(pressure_cut(&holders, &ops, 1000), PRESSURE_CUT_MAX);
	assert_int_equal(pressure_cut(&holders, &ops, 1000), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_after_a_while),
		cmocka_unit_test(test_a_moment_of_relief),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_the_largest_go),
		cmocka_unit_test(test_not_too_many_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
