/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "agent/edge_discovery.h"

/* 10.0.0.@host:7844 */
static struct edge_address address(uint8_t host)
{
	return (struct edge_address){
		.ep = {.ip = {.family = AF_INET, .bytes = {10, 0, 0, host}}, .port = 7844},
		.server_name = "edge.example.com",
	};
}

static struct edge_pool pool_of(size_t n)
{
	struct edge_pool p = {.n = 0};
	struct edge_address addrs[EDGE_ADDRESSES_MAX];

	for (size_t i = 0; i < n; i++)
		addrs[i] = address((uint8_t)i);
	edge_pool_set(&p, addrs, n);
	return p;
}

static void test_empty(void **state)
{
	struct edge_pool p = {.n = 0};
	struct edge_address a = address(1);

	(void)state;
	assert_int_equal(edge_pool_take(&p, NULL, 7), -1);
	edge_pool_release(&p, &a);
	edge_pool_mark_failed(&p, &a, 1);
}

static void test_one_address_gets_all_four(void **state)
{
	struct edge_pool p = pool_of(1);

	(void)state;
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(edge_pool_take(&p, &p.addrs[0], i * 77), 0);
	assert_int_equal(p.n_users[0], 4);
}

static void test_spread(void **state)
{
	(void)state;
	for (size_t n = 2; n <= 6; n++) {
		struct edge_pool p = pool_of(n);
		unsigned int most = 0;

		for (uint32_t i = 0; i < 4; i++)
			assert_true(edge_pool_take(&p, NULL, i * 2654435761u) >= 0);
		for (size_t i = 0; i < n; i++)
			most = p.n_users[i] > most ? p.n_users[i] : most;
		assert_int_equal(most, n >= 4 ? 1 : (4 + n - 1) / n);
	}
}

static void test_random_decides_among_equals(void **state)
{
	struct edge_pool p = pool_of(3);

	(void)state;
	assert_int_equal(edge_pool_take(&p, NULL, 1), 1);
	assert_int_equal(edge_pool_take(&p, NULL, 1), 2);
	assert_int_equal(edge_pool_take(&p, NULL, 1), 0);
}

static void test_failed_ones_last(void **state)
{
	struct edge_pool p = pool_of(3);

	(void)state;
	edge_pool_mark_failed(&p, &p.addrs[0], 2000);
	edge_pool_mark_failed(&p, &p.addrs[1], 1000);
	assert_int_equal(edge_pool_take(&p, NULL, 0), 2);
	assert_int_equal(edge_pool_take(&p, NULL, 0), 1);
	assert_int_equal(edge_pool_take(&p, NULL, 0), 0);
	/* All have one user now: the same order again. */
	assert_int_equal(edge_pool_take(&p, NULL, 0), 2);
}

static void test_avoid(void **state)
{
	struct edge_pool p = pool_of(2);

	(void)state;
	p.n_users[1] = 9;
	assert_int_equal(edge_pool_take(&p, &p.addrs[0], 0), 1);
	assert_int_equal(edge_pool_take(&p, NULL, 0), 0);
}

static void test_release(void **state)
{
	struct edge_pool p = pool_of(2);

	(void)state;
	assert_int_equal(edge_pool_take(&p, NULL, 0), 0);
	assert_int_equal(edge_pool_take(&p, NULL, 0), 1);
	edge_pool_release(&p, &p.addrs[1]);
	assert_int_equal(edge_pool_take(&p, NULL, 0), 1);
	edge_pool_release(&p, &p.addrs[0]);
	edge_pool_release(&p, &p.addrs[0]);
	assert_int_equal(p.n_users[0], 0);
}

static void test_set_keeps_what_stays(void **state)
{
	struct edge_pool p = pool_of(3);
	struct edge_address next[] = {address(9), address(2), address(1)};

	(void)state;
	p.n_users[1] = 2;
	edge_pool_mark_failed(&p, &p.addrs[2], 500);
	edge_pool_set(&p, next, 3);
	assert_int_equal(p.n, 3);
	assert_int_equal(p.n_users[0], 0);
	assert_int_equal(p.failed_ms[0], 0);
	assert_int_equal(p.failed_ms[1], 500);
	assert_int_equal(p.n_users[2], 2);
}

static void test_set_is_bounded(void **state)
{
	struct edge_pool p = {.n = 0};
	struct edge_address many[EDGE_ADDRESSES_MAX + 1];

	(void)state;
	for (size_t i = 0; i < EDGE_ADDRESSES_MAX + 1; i++)
		many[i] = address((uint8_t)i);
	edge_pool_set(&p, many, EDGE_ADDRESSES_MAX + 1);
	assert_int_equal(p.n, EDGE_ADDRESSES_MAX);
	edge_pool_set(&p, many, 0);
	assert_int_equal(edge_pool_take(&p, NULL, 0), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_one_address_gets_all_four),
		cmocka_unit_test(test_spread),
		cmocka_unit_test(test_random_decides_among_equals),
		cmocka_unit_test(test_failed_ones_last),
		cmocka_unit_test(test_avoid),
		cmocka_unit_test(test_release),
		cmocka_unit_test(test_set_keeps_what_stays),
		cmocka_unit_test(test_set_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
