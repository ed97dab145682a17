/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "agent/advertise.h"
#include "base/compiler.h"

#define L0 1001u
#define L1 1002u
#define L2 1003u
#define L3 1004u

static const struct advertise_link one_edge[] = {
	{.link = L0, .edge = "a", .is_adit = true},
	{.link = L1, .edge = "a", .is_adit = true},
	{.link = L2, .edge = "a", .is_adit = true},
	{.link = L3, .edge = "a", .is_adit = true},
};

static struct advertise *make(size_t n_vnets, size_t n_routes)
{
	struct advertise *a = advertise_new();
	struct route_set set = {
		.vnets = calloc(n_vnets + 1, sizeof(*set.vnets)),
		.n_vnets = n_vnets,
		.routes = calloc(n_routes + 1, sizeof(*set.routes)),
		.n_routes = n_routes,
	};

	advertise_set_routes(a, &set);
	assert_null(set.routes);
	return a;
}

static void set_routes(struct advertise *a, size_t n_routes)
{
	struct route_set set = {
		.routes = calloc(n_routes + 1, sizeof(*set.routes)),
		.n_routes = n_routes,
	};

	advertise_set_routes(a, &set);
}

static void answer(struct advertise *a, const struct advertise_call *call, size_t n_refused,
		   uint64_t now_ms)
{
	const struct route_set *set = advertise_routes(a);
	struct route_verdict verdicts[8] = {0};
	size_t n = set->n_vnets + set->n_routes;

	for (size_t i = 0; i < n; i++) {
		verdicts[i].accepted = i >= n_refused;
		strcpy(verdicts[i].reason, i >= n_refused ? "" : "owned by other");
	}
	advertise_on_answer(a, call->link, call->generation, verdicts, n, false, NULL, 0, now_ms);
}

static enum advertise_state state_of(const struct advertise *a, size_t i)
{
	const char *reason;
	enum advertise_state s = advertise_entry_state(a, i, &reason);

	assert_int_equal(*reason != '\0', s == ADVERTISE_STATE_REFUSED);
	return s;
}

static void test_once_on_lowest(void **state)
{
	struct advertise *a = make(1, 2);
	struct advertise_call call;

	(void)state;
	assert_false(advertise_next(a, NULL, 0, 0, &call));
	assert_true(advertise_next(a, one_edge + 1, 3, 0, &call));
	assert_int_equal(call.link, L1);
	assert_false(call.hash_only);
	assert_ptr_equal(call.set, advertise_routes(a));
	assert_int_equal(state_of(a, 0), ADVERTISE_STATE_PENDING);
	assert_false(advertise_next(a, one_edge, 4, 0, &call));
	answer(a, &call, 1, 0);
	assert_int_equal(state_of(a, 0), ADVERTISE_STATE_REFUSED);
	assert_int_equal(state_of(a, 1), ADVERTISE_STATE_ACCEPTED);
	assert_int_equal(state_of(a, 2), ADVERTISE_STATE_ACCEPTED);
	/* A lower index that comes later changes nothing. */
	assert_false(advertise_next(a, one_edge, 4, 0, &call));
	assert_true(advertise_deadline_ms(a) == UINT64_MAX);
	advertise_free(a);
}

/* Whoever waits for the last word on a set. */
static void test_settled(void **state)
{
	static const struct advertise_link both[] = {
		{.link = L0, .edge = "a", .is_adit = true},
		{.link = L1, .edge = "b", .is_adit = true},
	};
	static const struct advertise_link stock[] = {{.link = L2, .edge = "s"}};
	struct advertise *a = make(0, 2);
	struct advertise_call first, second;

	(void)state;
	assert_false(advertise_is_settled(a));
	assert_true(advertise_next(a, both, 2, 0, &first));
	assert_true(advertise_next(a, both, 2, 0, &second));
	answer(a, &first, 0, 0);
	assert_false(advertise_is_settled(a));
	answer(a, &second, 1, 0);
	assert_true(advertise_is_settled(a));
	/* Nothing at all is a set, too: this is how an agent withdraws. */
	set_routes(a, 0);
	assert_false(advertise_is_settled(a));
	assert_true(advertise_next(a, both, 1, 0, &first));
	assert_int_equal(first.set->n_routes, 0);
	assert_false(advertise_is_settled(a));
	/* A set that waits for the answer to the one before. */
	set_routes(a, 1);
	answer(a, &first, 0, 0);
	assert_false(advertise_is_settled(a));
	assert_true(advertise_next(a, both, 1, 0, &first));
	answer(a, &first, 0, 0);
	assert_true(advertise_is_settled(a));
	/* A stock edge owes no answer; no edge isn't settled. */
	assert_false(advertise_next(a, stock, 1, 0, &first));
	assert_true(advertise_is_settled(a));
	assert_false(advertise_next(a, NULL, 0, 0, &first));
	assert_false(advertise_is_settled(a));
	advertise_free(a);
}

static void test_lost_carrier_repeats_by_hash(void **state)
{
	struct advertise *a = make(0, 2);
	struct advertise_call call;

	(void)state;
	assert_true(advertise_next(a, one_edge, 4, 0, &call));
	answer(a, &call, 0, 0);
	assert_true(advertise_next(a, one_edge + 1, 3, 0, &call));
	assert_int_equal(call.link, L1);
	assert_true(call.hash_only);
	advertise_on_answer(a, L1, call.generation, NULL, 0, false, NULL, 0, 0);
	assert_int_equal(state_of(a, 1), ADVERTISE_STATE_ACCEPTED);
	assert_false(advertise_next(a, one_edge + 1, 3, 0, &call));

	/* The edge was restarted: it knows no hash. */
	assert_true(advertise_next(a, one_edge + 2, 2, 0, &call));
	assert_true(call.hash_only);
	advertise_on_answer(a, L2, call.generation, NULL, 0, true, NULL, 0, 0);
	assert_true(advertise_next(a, one_edge + 2, 2, 0, &call));
	assert_int_equal(call.link, L2);
	assert_false(call.hash_only);
	answer(a, &call, 2, 0);
	assert_int_equal(state_of(a, 1), ADVERTISE_STATE_REFUSED);
	advertise_free(a);
}

static void test_carrier_lost_before_answer(void **state)
{
	struct advertise *a = make(0, 2);
	struct advertise_call call, stale;

	(void)state;
	assert_true(advertise_next(a, one_edge, 4, 0, &stale));
	assert_true(advertise_next(a, one_edge + 1, 3, 0, &call));
	assert_int_equal(call.link, L1);
	assert_false(call.hash_only);
	answer(a, &stale, 2, 0);
	assert_int_equal(state_of(a, 0), ADVERTISE_STATE_PENDING);
	answer(a, &call, 0, 0);
	assert_int_equal(state_of(a, 0), ADVERTISE_STATE_ACCEPTED);
	advertise_free(a);
}

static void test_reload(void **state)
{
	struct advertise *a = make(0, 2);
	struct advertise_call call;
	uint64_t first = advertise_generation(a);

	(void)state;
	assert_true(advertise_next(a, one_edge, 4, 0, &call));
	/* The call borrows the old set: the new one has to wait. */
	set_routes(a, 3);
	set_routes(a, 4);
	assert_int_equal(advertise_routes(a)->n_routes, 2);
	answer(a, &call, 0, 0);
	assert_int_equal(advertise_routes(a)->n_routes, 4);
	assert_int_equal(advertise_generation(a), first + 1);
	assert_int_equal(state_of(a, 0), ADVERTISE_STATE_PENDING);
	assert_true(advertise_next(a, one_edge, 4, 0, &call));
	assert_int_equal(call.link, L0);
	assert_false(call.hash_only);
	assert_int_equal(call.generation, first + 1);
	answer(a, &call, 0, 0);
	set_routes(a, 0);
	assert_int_equal(advertise_routes(a)->n_routes, 0);
	assert_true(advertise_next(a, one_edge, 4, 0, &call));
	answer(a, &call, 0, 0);
	assert_false(advertise_next(a, one_edge, 4, 0, &call));
	advertise_free(a);
}

static void test_reload_while_carrier_is_lost(void **state)
{
	struct advertise *a = make(0, 2);
	struct advertise_call call;

	(void)state;
	assert_true(advertise_next(a, one_edge, 4, 0, &call));
	set_routes(a, 3);
	assert_false(advertise_next(a, NULL, 0, 0, &call));
	assert_int_equal(advertise_routes(a)->n_routes, 3);
	assert_true(advertise_next(a, one_edge + 3, 1, 0, &call));
	assert_int_equal(call.set->n_routes, 3);
	advertise_free(a);
}

static void test_failures_back_off(void **state)
{
	struct advertise *a = make(0, 1);
	struct advertise_call call;
	uint64_t now_ms = 5000;

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		assert_true(advertise_next(a, one_edge, 4, now_ms, &call));
		advertise_on_answer(a, L0, call.generation, NULL, 0, false, "no answer", UINT32_MAX,
				    now_ms);
		assert_int_equal(advertise_deadline_ms(a), now_ms + (1000u << i));
		assert_false(advertise_next(a, one_edge, 4, now_ms + (1000u << i) - 1, &call));
		now_ms += 1000u << i;
	}
	/* Verdicts that don't fit the set, and "send all" to all, are failures too. */
	assert_true(advertise_next(a, one_edge, 4, now_ms, &call));
	advertise_on_answer(a, L0, call.generation, NULL, 0, false, NULL, UINT32_MAX, now_ms);
	assert_int_equal(advertise_deadline_ms(a), now_ms + 8000);
	now_ms += 8000;
	assert_true(advertise_next(a, one_edge, 4, now_ms, &call));
	advertise_on_answer(a, L0, call.generation, NULL, 0, true, NULL, UINT32_MAX, now_ms);
	assert_int_equal(advertise_deadline_ms(a), now_ms + 16000);
	/* Another connection needn't wait. */
	assert_true(advertise_next(a, one_edge + 1, 3, now_ms, &call));
	assert_int_equal(state_of(a, 0), ADVERTISE_STATE_PENDING);
	advertise_free(a);
}

static void test_two_edges(void **state)
{
	static const struct advertise_link links[] = {
		{.link = L0, .edge = "a", .is_adit = true},
		{.link = L1, .edge = "b", .is_adit = true},
		{.link = L2, .edge = "a", .is_adit = true},
		{.link = L3, .edge = "stock", .is_adit = false},
	};
	struct advertise *a = make(0, 2);
	struct advertise_call first, second;

	(void)state;
	assert_true(advertise_next(a, links, 4, 0, &first));
	assert_true(advertise_next(a, links, 4, 0, &second));
	assert_int_equal(first.link, L0);
	assert_int_equal(second.link, L1);
	assert_false(advertise_next(a, links, 4, 0, &first));
	answer(a, &(struct advertise_call){.link = L0, .generation = second.generation}, 0, 0);
	assert_int_equal(state_of(a, 0), ADVERTISE_STATE_ACCEPTED);
	answer(a, &second, 1, 0);
	assert_int_equal(state_of(a, 0), ADVERTISE_STATE_REFUSED);
	assert_int_equal(state_of(a, 1), ADVERTISE_STATE_ACCEPTED);
	/* Without b its word doesn't count any more. */
	assert_false(advertise_next(a, links, 1, 0, &first));
	assert_int_equal(state_of(a, 0), ADVERTISE_STATE_ACCEPTED);
	advertise_free(a);
}

static void test_stock_edge(void **state)
{
	static const struct advertise_link stock = {.link = L0, .edge = "s", .is_adit = false};
	struct advertise *a = make(0, 1);
	struct advertise_call call;

	(void)state;
	assert_false(advertise_next(a, &stock, 1, 0, &call));
	assert_int_equal(state_of(a, 0), ADVERTISE_STATE_OPERATOR);
	assert_false(advertise_next(a, NULL, 0, 0, &call));
	assert_int_equal(state_of(a, 0), ADVERTISE_STATE_PENDING);
	advertise_free(a);
}

static void test_many_edges(void **state)
{
	struct advertise *a = make(0, 1);
	struct advertise_call call;

	(void)state;
	for (uint64_t i = 1; i < 40; i++) {
		char name[8] = {'e', (char)('0' + i / 10), (char)('0' + i % 10)};
		struct advertise_link link = {.link = i, .edge = name, .is_adit = true};

		assert_true(advertise_next(a, &link, 1, 0, &call));
		assert_int_equal(call.link, i);
		answer(a, &call, 0, 0);
	}
	advertise_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_once_on_lowest),
		cmocka_unit_test(test_settled),
		cmocka_unit_test(test_lost_carrier_repeats_by_hash),
		cmocka_unit_test(test_carrier_lost_before_answer),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_reload_while_carrier_is_lost),
		cmocka_unit_test(test_failures_back_off),
		cmocka_unit_test(test_two_edges),
		cmocka_unit_test(test_stock_edge),
		cmocka_unit_test(test_many_edges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
