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
#define SOFT	 1000

struct holder {
	struct list node;
	size_t held;
	uint64_t taken;
	uint64_t marked;
	bool is_marked;
	unsigned int cut_as; /* 0: wasn't */
};

static struct {
	struct list holders;
	struct pressure pressure;
	struct budget budget;
	uint64_t now_ms;
	unsigned int n_cuts;
	size_t n_visits;
} w;

static int set_up(void **state)
{
	(void)state;
	w.pressure = (struct pressure){0};
	w.now_ms = BEGAN_MS;
	w.n_cuts = 0;
	w.n_visits = 0;
	budget_init(&w.budget, SOFT, 0);
	list_init(&w.holders);
	return 0;
}

static void add(struct holder *h, size_t held)
{
	*h = (struct holder){.held = held};
	list_append(&w.holders, &h->node);
	budget_add(&w.budget, held);
}

/* @n bytes go out and as many come in. */
static void move(struct holder *h, size_t n)
{
	if (!h->cut_as)
		h->taken += n;
}

static void mark(struct list *node)
{
	struct holder *h = list_entry(node, struct holder, node);

	h->is_marked = true;
	h->marked = h->taken;
	w.n_visits++;
}

static size_t stalled(struct list *node, uint64_t elapsed_ms)
{
	struct holder *h = list_entry(node, struct holder, node);

	w.n_visits++;
	return h->is_marked && pressure_is_stalled(h->held, h->taken - h->marked, elapsed_ms)
		       ? h->held
		       : 0;
}

static void cut(struct list *node)
{
	struct holder *h = list_entry(node, struct holder, node);

	budget_sub(&w.budget, h->held);
	h->held = 0;
	h->cut_as = ++w.n_cuts;
	list_remove(node);
}

static unsigned int look(void)
{
	static const struct pressure_ops ops = {.mark = mark, .stalled = stalled, .cut = cut};

	return pressure_relieve(&w.pressure, &w.budget, &w.holders, &ops, w.now_ms);
}

/* @n looks, one a second. */
static unsigned int look_for(unsigned int n)
{
	unsigned int n_cut = 0;

	for (unsigned int i = 0; i < n; i++) {
		w.now_ms += 1000;
		n_cut += look();
	}
	return n_cut;
}

static void test_only_after_a_while(void **state)
{
	struct holder h[2];

	(void)state;
	add(&h[0], SOFT);
	assert_int_equal(look_for(100), 0);
	add(&h[1], 300);
	/* The first look that finds it over begins to measure. */
	assert_int_equal(look_for(PRESSURE_MS / 1000), 0);
	assert_int_equal(look_for(1), 1);
	assert_int_equal(h[0].cut_as, 1);
	assert_int_equal(h[1].cut_as, 0);
	assert_int_equal(look_for(100), 0);
}

/* A process that was stopped has seen nothing of that time. */
static void test_a_stop_counts_little(void **state)
{
	struct holder h;

	(void)state;
	add(&h, 2 * SOFT);
	assert_int_equal(look(), 0);
	w.now_ms += 100 * PRESSURE_MS;
	assert_int_equal(look(), 0);
	w.now_ms += PRESSURE_LOOK_MS;
	assert_int_equal(look(), 1);
}

/* Every 15 s a little is read of each, and for that moment the budget is under its limit. */
static void test_trickle(void **state)
{
	struct holder h[10];
	unsigned int n_cut = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(h); i++)
		add(&h[i], SOFT / 8);
	for (unsigned int second = 1; second <= 30; second++) {
		size_t n = second % 15 == 0 ? w.budget.used_bytes - SOFT : 0;

		budget_sub(&w.budget, n);
		for (size_t i = 0; n > 0 && i < ARRAY_SIZE(h); i++)
			move(&h[i], 2);
		n_cut += look_for(1);
		budget_add(&w.budget, n);
	}
	assert_true(n_cut > 0);
	assert_true(w.budget.used_bytes <= SOFT / 2);
}

/* Over the limit for an hour: who takes what it holds in PRESSURE_MS stays, who stands goes. */
static void test_busy_but_moving(void **state)
{
	struct holder h[8], standing;
	unsigned int n_cut = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(h); i++)
		add(&h[i], SOFT / 4);
	for (unsigned int second = 0; second < 3600; second++) {
		for (size_t i = 0; i < ARRAY_SIZE(h); i++)
			move(&h[i], SOFT / 4 / (PRESSURE_MS / 1000) + 1);
		if (second == 1800)
			add(&standing, 10);
		n_cut += look_for(1);
	}
	assert_int_equal(n_cut, 1);
	assert_int_equal(standing.cut_as, 1);
}

/* Nobody is judged by a time that he wasn't there for. */
static void test_a_new_one(void **state)
{
	struct holder h, late;

	(void)state;
	add(&h, SOFT + 1);
	assert_int_equal(look_for(PRESSURE_MS / 1000), 0);
	add(&late, 4 * SOFT);
	assert_int_equal(look_for(1), 1);
	assert_int_equal(late.cut_as, 0);
	assert_int_equal(look_for(PRESSURE_AGAIN_MS / 1000), 1);
	assert_int_equal(late.cut_as, 2);
}

/* Who fills it again right after that has less time, until it was calm for a while. */
static void test_again(void **state)
{
	struct holder h[3];

	(void)state;
	add(&h[0], 2 * SOFT);
	assert_int_equal(look_for(1 + PRESSURE_MS / 1000), 1);
	add(&h[1], 2 * SOFT);
	assert_int_equal(look_for(2 * PRESSURE_AGAIN_MS / 1000), 1);
	assert_int_equal(look_for(PRESSURE_CALM_MS / 1000), 0);
	add(&h[2], 2 * SOFT);
	assert_int_equal(look_for(PRESSURE_MS / 1000), 0);
	assert_int_equal(look_for(1), 1);
}

static void test_the_largest_go(void **state)
{
	static const size_t sizes[] = {5, 0, 700, 200, 400};
	struct holder h[ARRAY_SIZE(sizes)];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(h); i++)
		add(&h[i], sizes[i]);
	assert_int_equal(look_for(1 + PRESSURE_MS / 1000), 2);
	assert_int_equal(h[2].cut_as, 1);
	assert_int_equal(h[4].cut_as, 2);
	/* Who holds nothing is left alone. */
	budget_add(&w.budget, SOFT);
	assert_int_equal(look_for(2 * PRESSURE_AGAIN_MS / 1000), 2);
	assert_true(h[3].cut_as && h[0].cut_as);
	assert_int_equal(h[1].cut_as, 0);
}

/* Many that hold little: each is looked at a few times, however many go. */
static void test_many_small_ones(void **state)
{
	static struct holder h[65536];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(h); i++)
		add(&h[i], i == ARRAY_SIZE(h) - 1 ? 2 : 1);
	assert_int_equal(look_for(PRESSURE_MS / 1000), 0);
	w.n_visits = 0;
	assert_int_equal(look_for(1), PRESSURE_CUT_MAX);
	assert_int_equal(h[ARRAY_SIZE(h) - 1].cut_as, 1);
	assert_true(w.n_visits <= 4 * ARRAY_SIZE(h));
	assert_int_equal(look_for(PRESSURE_AGAIN_MS / 1000), PRESSURE_CUT_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_only_after_a_while, set_up),
		cmocka_unit_test_setup(test_a_stop_counts_little, set_up),
		cmocka_unit_test_setup(test_trickle, set_up),
		cmocka_unit_test_setup(test_busy_but_moving, set_up),
		cmocka_unit_test_setup(test_a_new_one, set_up),
		cmocka_unit_test_setup(test_again, set_up),
		cmocka_unit_test_setup(test_the_largest_go, set_up),
		cmocka_unit_test_setup(test_many_small_ones, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
