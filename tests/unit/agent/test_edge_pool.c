/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "agent/edge_discovery.h"

#define NOW 1000000u /* where the time doesn't matter */

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
	assert_int_equal(edge_pool_take(&p, NULL, 7, NOW), -1);
	edge_pool_release(&p, &a);
	edge_pool_mark_failed(&p, &a, 1);
}

static void test_one_address_gets_all_four(void **state)
{
	struct edge_pool p = pool_of(1);

	(void)state;
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(edge_pool_take(&p, &p.addrs[0], i * 77, NOW), 0);
	assert_int_equal(p.n_users[0], 4);
}

static void test_spread(void **state)
{
	(void)state;
	for (size_t n = 2; n <= 6; n++) {
		struct edge_pool p = pool_of(n);
		unsigned int most = 0;

		for (uint32_t i = 0; i < 4; i++)
			assert_true(edge_pool_take(&p, NULL, i * 2654435761u, NOW) >= 0);
		for (size_t i = 0; i < n; i++)
			most = p.n_users[i] > most ? p.n_users[i] : most;
		assert_int_equal(most, n >= 4 ? 1 : (4 + n - 1) / n);
	}
}

static void test_random_decides_among_equals(void **state)
{
	struct edge_pool p = pool_of(3);

	(void)state;
	assert_int_equal(edge_pool_take(&p, NULL, 1, NOW), 1);
	assert_int_equal(edge_pool_take(&p, NULL, 1, NOW), 2);
	assert_int_equal(edge_pool_take(&p, NULL, 1, NOW), 0);
}

/* fd00::@host, port 7844 */
static struct edge_address address6(uint8_t host)
{
	struct edge_address a = address(0);

	a.ep.ip = (struct ip_addr){.family = AF_INET6, .bytes = {[0] = 0xfd, [15] = host}};
	return a;
}

/* Also with fewer users, and for so long only. */
static void test_failed_ones_last(void **state)
{
	struct edge_pool p = pool_of(3);
	uint64_t end_ms = 1000 + EDGE_FAILURE_MS;

	(void)state;
	edge_pool_mark_failed(&p, &p.addrs[0], 2000);
	edge_pool_mark_failed(&p, &p.addrs[1], 1000);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(edge_pool_take(&p, NULL, 0, end_ms - 1), 2);
	assert_int_equal(edge_pool_take(&p, NULL, 0, end_ms), 1);
	assert_int_equal(edge_pool_take(&p, NULL, 0, end_ms + 999), 1);
	assert_int_equal(edge_pool_take(&p, NULL, 0, end_ms + 1000), 0);
	/* Of old failures the longest ago, among as many users. */
	p.n_users[0] = p.n_users[1] = p.n_users[2] = 9;
	assert_int_equal(edge_pool_take(&p, NULL, 0, end_ms + 1000), 2);
	assert_int_equal(edge_pool_take(&p, NULL, 0, end_ms + 1000), 1);
	assert_int_equal(edge_pool_take(&p, NULL, 0, end_ms + 1000), 0);
}

/* All failed: the usual order, none is left out. */
static void test_all_failed(void **state)
{
	struct edge_pool p = pool_of(2);

	(void)state;
	edge_pool_mark_failed(&p, &p.addrs[0], NOW - 1);
	edge_pool_mark_failed(&p, &p.addrs[1], NOW - 2);
	assert_int_equal(edge_pool_take(&p, NULL, 0, NOW), 1);
	assert_int_equal(edge_pool_take(&p, NULL, 0, NOW), 0);
	assert_int_equal(edge_pool_take(&p, &p.addrs[1], 0, NOW), 0);
}

static void test_working_again(void **state)
{
	struct edge_pool p = pool_of(2);

	(void)state;
	edge_pool_mark_failed(&p, &p.addrs[0], NOW - 1);
	p.n_users[1] = 1;
	assert_int_equal(edge_pool_take(&p, NULL, 0, NOW), 1);
	edge_pool_mark_worked(&p, &p.addrs[0], NOW);
	assert_int_equal(edge_pool_take(&p, NULL, 0, NOW), 0);
	edge_pool_mark_failed(&p, &p.addrs[0], NOW + 1);
	p.n_users[1] = 9;
	assert_int_equal(edge_pool_take(&p, NULL, 0, NOW + 1), 1);
	edge_pool_forgive(&p);
	assert_int_equal(edge_pool_take(&p, NULL, 0, NOW + 1), 0);
}

/* Two of IPv6, one of IPv4. */
static struct edge_pool mixed_pool(void)
{
	struct edge_address addrs[] = {address6(1), address6(2), address(1)};
	struct edge_pool p = {.n = 0};

	edge_pool_set(&p, addrs, 3);
	return p;
}

/* One address of a family that the network swallows speaks for the others. */
static void test_family_is_swallowed(void **state)
{
	struct edge_pool p = mixed_pool();

	(void)state;
	edge_pool_mark_failed(&p, &p.addrs[0], NOW);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(edge_pool_take(&p, NULL, i, NOW + 1), 2);
	/* When the other family fails, too, the untried address is the best there is. */
	edge_pool_mark_failed(&p, &p.addrs[2], NOW + 1);
	assert_int_equal(edge_pool_take(&p, NULL, 0, NOW + 1), 1);
	edge_pool_mark_worked(&p, &p.addrs[2], NOW + 2);
	assert_int_equal(edge_pool_take(&p, NULL, 0, NOW + 2), 2);
	/* It is forgotten, and when one works. */
	assert_int_equal(edge_pool_take(&p, NULL, 0, NOW + EDGE_FAILURE_MS - 1), 2);
	assert_int_equal(edge_pool_take(&p, NULL, 0, NOW + EDGE_FAILURE_MS), 0);
	edge_pool_mark_failed(&p, &p.addrs[0], 2 * NOW);
	edge_pool_mark_worked(&p, &p.addrs[1], 2 * NOW);
	assert_int_equal(edge_pool_take(&p, NULL, 0, 2 * NOW), 1);
}

static void test_hasty_connects(void **state)
{
	struct edge_pool p = mixed_pool();
	struct edge_pool v4 = pool_of(2);

	(void)state;
	for (size_t i = 0; i < p.n; i++)
		assert_int_equal(edge_pool_connect_ms(&p, i, NOW), EDGE_HASTY_CONNECT_MS);
	edge_pool_mark_failed(&p, &p.addrs[0], NOW);
	/* The second time it has as long as it needs; the others are still untried. */
	assert_int_equal(edge_pool_connect_ms(&p, 0, NOW), 0);
	assert_int_equal(edge_pool_connect_ms(&p, 1, NOW), EDGE_HASTY_CONNECT_MS);
	assert_int_equal(edge_pool_connect_ms(&p, 2, NOW), EDGE_HASTY_CONNECT_MS);
	assert_int_equal(edge_pool_connect_ms(&p, 0, NOW + EDGE_FAILURE_MS), EDGE_HASTY_CONNECT_MS);
	/* Unless the other family is known to work: a dead one never costs more. */
	edge_pool_mark_worked(&p, &p.addrs[2], NOW);
	assert_int_equal(edge_pool_connect_ms(&p, 0, NOW), EDGE_HASTY_CONNECT_MS);
	edge_pool_mark_worked(&p, &p.addrs[1], NOW);
	assert_int_equal(edge_pool_connect_ms(&p, 0, NOW), 0);
	/* One family only: nothing is gained by haste. */
	assert_int_equal(edge_pool_connect_ms(&v4, 0, NOW), 0);
	/* A proxy dials itself. */
	p.addrs[2].proxy = p.addrs[2].ep;
	assert_int_equal(edge_pool_connect_ms(&p, 2, NOW), 0);
}

/* A failure from before the host slept says nothing any more. */
static void test_clock_jumps(void **state)
{
	struct edge_pool p = mixed_pool();
	uint64_t later_ms = NOW + 24 * 3600 * 1000;

	(void)state;
	for (size_t i = 0; i < p.n; i++)
		edge_pool_mark_failed(&p, &p.addrs[i], NOW + i);
	for (size_t i = 0; i < p.n; i++)
		assert_int_equal(edge_pool_connect_ms(&p, i, later_ms), EDGE_HASTY_CONNECT_MS);
	p.n_users[0] = p.n_users[1] = 1;
	assert_int_equal(edge_pool_take(&p, NULL, 0, later_ms), 2);
	/* One from before and one from after it. */
	p.n_users[0] = p.n_users[1] = p.n_users[2] = 0;
	edge_pool_mark_failed(&p, &p.addrs[2], later_ms);
	assert_int_equal(edge_pool_take(&p, NULL, 0, later_ms), 0);
	assert_int_equal(edge_pool_take(&p, NULL, 0, later_ms), 1);
	assert_int_equal(edge_pool_take(&p, NULL, 0, later_ms), 0);
}

static void test_find_better(void **state)
{
	struct edge_pool p = pool_of(2);
	struct edge_address other = address(9);

	(void)state;
	edge_pool_mark_failed(&p, &p.addrs[1], NOW);
	edge_pool_mark_worked(&p, &p.addrs[0], NOW);
	for (int i = 0; i < 4; i++)
		assert_int_equal(edge_pool_take_this(&p, &p.addrs[0]), 0);
	edge_pool_mark_worked(&p, &p.addrs[0], NOW + EDGE_MOVE_MS);
	assert_null(edge_pool_find_better(&p, &p.addrs[0], NOW + EDGE_MOVE_MS - 1));
	assert_ptr_equal(edge_pool_find_better(&p, &p.addrs[0], NOW + EDGE_MOVE_MS), &p.addrs[1]);
	assert_null(edge_pool_find_better(&p, &p.addrs[1], NOW + EDGE_MOVE_MS));
	/* Three to one is worth a move, two to one isn't. */
	edge_pool_release(&p, &p.addrs[0]);
	assert_int_equal(edge_pool_take_this(&p, &p.addrs[1]), 1);
	assert_non_null(edge_pool_find_better(&p, &p.addrs[0], NOW + EDGE_MOVE_MS));
	edge_pool_release(&p, &p.addrs[0]);
	assert_null(edge_pool_find_better(&p, &p.addrs[0], NOW + EDGE_MOVE_MS));
	/* One that discovery doesn't find any more. */
	assert_null(edge_pool_find_better(&p, &other, NOW + EDGE_MOVE_MS));
	assert_int_equal(edge_pool_take_this(&p, &other), -1);
}

static void test_avoid(void **state)
{
	struct edge_pool p = pool_of(2);

	(void)state;
	p.n_users[1] = 9;
	assert_int_equal(edge_pool_take(&p, &p.addrs[0], 0, NOW), 1);
	assert_int_equal(edge_pool_take(&p, NULL, 0, NOW), 0);
}

static void test_release(void **state)
{
	struct edge_pool p = pool_of(2);

	(void)state;
	assert_int_equal(edge_pool_take(&p, NULL, 0, NOW), 0);
	assert_int_equal(edge_pool_take(&p, NULL, 0, NOW), 1);
	edge_pool_release(&p, &p.addrs[1]);
	assert_int_equal(edge_pool_take(&p, NULL, 0, NOW), 1);
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
	edge_pool_mark_worked(&p, &p.addrs[1], 600);
	edge_pool_set(&p, next, 3);
	assert_int_equal(p.n, 3);
	assert_int_equal(p.worked_ms[0], 0);
	assert_int_equal(p.worked_ms[2], 600);
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
	assert_int_equal(edge_pool_take(&p, NULL, 0, NOW), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_one_address_gets_all_four),
		cmocka_unit_test(test_spread),
		cmocka_unit_test(test_random_decides_among_equals),
		cmocka_unit_test(test_failed_ones_last),
		cmocka_unit_test(test_all_failed),
		cmocka_unit_test(test_working_again),
		cmocka_unit_test(test_family_is_swallowed),
		cmocka_unit_test(test_hasty_connects),
		cmocka_unit_test(test_clock_jumps),
		cmocka_unit_test(test_find_better),
		cmocka_unit_test(test_avoid),
		cmocka_unit_test(test_release),
		cmocka_unit_test(test_set_keeps_what_stays),
		cmocka_unit_test(test_set_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
