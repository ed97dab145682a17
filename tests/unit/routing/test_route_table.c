/* SPDX-License-Identifier: Apache-2.0 */
/* Longest match and conflicts, by hand and against a plain search over random tables. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "routing/route_table.h"

static struct uuid id_of(uint8_t n)
{
	return (struct uuid){.bytes = {n}};
}

static struct prefix prefix_of(const char *text)
{
	struct prefix p;

	assert_int_equal(prefix_parse(text, &p), 0);
	return p;
}

static struct route route_of(uint8_t vnet, const char *prefix, uint8_t tunnel)
{
	return (struct route){
		.vnet = id_of(vnet),
		.prefix = prefix_of(prefix),
		.tunnel = id_of(tunnel),
		.is_advertised = true,
	};
}

static struct route_table *table_of(const struct route *routes, size_t n)
{
	struct route_table *t = NULL;

	assert_int_equal(route_table_new(&t, routes, n), 0);
	return t;
}

static struct route_table *sample(void)
{
	struct route routes[] = {
		route_of(1, "10.0.0.0/8", 1),	   route_of(1, "10.116.0.0/16", 2),
		route_of(1, "10.116.0.3/32", 3),   route_of(2, "10.0.0.0/8", 4),
		route_of(1, "2001:db8::/32", 1),   route_of(1, "192.168.0.0/16", 2),
		route_of(1, "2001:db8:1::/48", 2),
	};

	return table_of(routes, ARRAY_SIZE(routes));
}

/* The owner of the longest match; 0: none. */
static uint8_t owner_of(const struct route_table *t, uint8_t vnet, const char *address)
{
	struct uuid v = id_of(vnet);
	struct ip_addr ip;
	const struct route *r;

	assert_int_equal(ip_parse(address, &ip), 0);
	r = route_table_match(t, &v, &ip);
	return r ? r->tunnel.bytes[0] : 0;
}

static void longest_match_wins(void **state)
{
	static const struct {
		uint8_t vnet;
		const char *address;
		uint8_t owner;
	} cases[] = {
		{1, "10.0.0.1", 1},	 {1, "10.116.0.2", 2},	    {1, "10.116.0.3", 3},
		{1, "10.116.0.4", 2},	 {1, "10.117.0.0", 1},	    {1, "10.255.255.255", 1},
		{1, "11.0.0.0", 0},	 {1, "9.255.255.255", 0},   {2, "10.116.0.3", 4},
		{3, "10.116.0.3", 0},	 {1, "2001:db8::1", 1},	    {1, "2001:db8:1::1", 2},
		{1, "2001:db8:2::1", 1}, {1, "2001:db9::", 0},	    {2, "2001:db8::1", 0},
		{1, "192.168.7.7", 2},	 {1, "::ffff:10.0.0.1", 1},
	};
	CLEANUP(route_table_free) struct route_table *t = sample();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(owner_of(t, cases[i].vnet, cases[i].address), cases[i].owner);
	assert_int_equal(owner_of(NULL, 1, "10.0.0.1"), 0);
}

static void conflicts_name_the_other(void **state)
{
	static const struct {
		const char *prefix;
		uint8_t tunnel;
		enum route_conflict conflict;
		const char *other;
	} cases[] = {
		{"10.0.0.0/8", 9, ROUTE_CONFLICT_OWNED, "10.0.0.0/8"},
		{"10.0.0.0/8", 1, ROUTE_CONFLICT_AROUND, "10.116.0.0/16"},
		{"10.1.0.0/16", 9, ROUTE_CONFLICT_INSIDE, "10.0.0.0/8"},
		{"10.1.0.0/16", 1, ROUTE_CONFLICT_NONE, NULL},
		{"10.116.5.0/24", 1, ROUTE_CONFLICT_INSIDE, "10.116.0.0/16"},
		{"10.116.5.0/24", 2, ROUTE_CONFLICT_INSIDE, "10.0.0.0/8"},
		{"10.116.0.3/32", 3, ROUTE_CONFLICT_INSIDE, "10.116.0.0/16"},
		{"172.16.0.0/12", 9, ROUTE_CONFLICT_NONE, NULL},
		{"0.0.0.0/0", 9, ROUTE_CONFLICT_AROUND, "10.0.0.0/8"},
		{"192.168.0.0/15", 2, ROUTE_CONFLICT_NONE, NULL},
		{"::/0", 1, ROUTE_CONFLICT_AROUND, "2001:db8:1::/48"},
	};
	CLEANUP(route_table_free) struct route_table *t = sample();
	struct uuid vnet = id_of(1);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct prefix p = prefix_of(cases[i].prefix);
		struct uuid tunnel = id_of(cases[i].tunnel);
		const struct route *other = NULL;
		char text[PREFIX_TEXT_MAX];

		assert_int_equal(route_table_conflict(t, &vnet, &p, &tunnel, &other),
				 cases[i].conflict);
		if (cases[i].other)
			assert_string_equal(prefix_format(&other->prefix, text), cases[i].other);
		else
			assert_null(other);
	}
}

static void one_owner_and_joined_origins(void **state)
{
	struct route routes[] = {
		route_of(1, "10.0.0.0/8", 1),  route_of(1, "10.0.0.0/8", 2),
		route_of(1, "10.0.0.0/8", 1),  route_of(1, "10.1.0.0/16", 1),
		route_of(1, "10.1.0.0/16", 2),
	};
	CLEANUP(route_table_free) struct route_table *t = NULL;

	(void)state;
	routes[2].by_operator = true;
	routes[2].is_advertised = false;
	t = table_of(routes, ARRAY_SIZE(routes));
	assert_int_equal(route_table_size(t), 2);
	assert_true(route_table_at(t, 0)->by_operator);
	assert_true(route_table_at(t, 0)->is_advertised);
	assert_int_equal(owner_of(t, 1, "10.9.0.1"), 1);
	assert_int_equal(owner_of(t, 1, "10.1.0.1"), 1);
}

static void versions_grow(void **state)
{
	struct route first = route_of(1, "10.0.0.0/8", 1);
	struct route second = route_of(1, "10.0.0.0/8", 2);
	CLEANUP(route_table_free) struct route_table *t = NULL;

	(void)state;
	assert_int_equal(route_table_version(NULL), 0);
	assert_int_equal(route_table_replace(&t, &first, 1), 0);
	assert_int_equal(route_table_version(t), 1);
	assert_int_equal(owner_of(t, 1, "10.0.0.1"), 1);
	assert_int_equal(route_table_replace(&t, &second, 1), 0);
	assert_int_equal(route_table_version(t), 2);
	assert_int_equal(owner_of(t, 1, "10.0.0.1"), 2);
	/* What fails changes nothing. */
	assert_int_equal(route_table_replace(&t, &first, UINT32_MAX), -E2BIG);
	assert_int_equal(route_table_version(t), 2);
	assert_int_equal(route_table_replace(&t, NULL, 0), 0);
	assert_int_equal(route_table_version(t), 3);
	assert_int_equal(route_table_size(t), 0);
}

#define N_MANY		10000
#define ROUTE_BYTES_MAX 200

/* 10,000 routes take no more than 200 bytes each, and no more than the table says. */
static void memory_is_bounded(void **state)
{
	CLEANUP(free) struct route *routes = calloc(N_MANY, sizeof(*routes));
	CLEANUP(route_table_free) struct route_table *t = NULL;
	size_t before, after;

	(void)state;
	assert_non_null(routes);
	for (unsigned int i = 0; i < N_MANY; i++) {
		routes[i] = route_of(1, "10.0.0.0/32", 1);
		routes[i].prefix.ip.bytes[2] = (uint8_t)(i >> 8);
		routes[i].prefix.ip.bytes[3] = (uint8_t)i;
	}
	before = mallinfo2().uordblks + mallinfo2().hblkhd;
	t = table_of(routes, N_MANY);
	after = mallinfo2().uordblks + mallinfo2().hblkhd;
	assert_int_equal(route_table_size(t), N_MANY);
	assert_in_range(route_table_bytes(t), N_MANY, N_MANY * ROUTE_BYTES_MAX);
	/* Pages are counted whole. ASan's allocator isn't seen here. */
	assert_true(after - before <= route_table_bytes(t) + 16384);
	assert_int_equal(route_table_bytes(NULL), 0);
}

#define N_RANDOM 300

/* Few distinct addresses in 10.0.0.0/24, so that prefixes nest and collide. */
static struct route random_route(uint32_t *seed)
{
	struct route r = {0};
	uint8_t bits;

	*seed = *seed * 1664525u + 1013904223u;
	bits = (uint8_t)(20 + (*seed >> 8) % 13);
	r.vnet = id_of((uint8_t)(1 + (*seed >> 28) % 2));
	r.tunnel = id_of((uint8_t)(1 + (*seed >> 24) % 5));
	r.prefix.ip.family = AF_INET;
	r.prefix.bits = bits;
	r.prefix.ip.bytes[0] = 10;
	if (bits > 24)
		r.prefix.ip.bytes[3] = (uint8_t)(*seed >> 16 & 0xff00u >> (bits - 24));
	return r;
}

static const struct route *slow_match(const struct route_table *t, const struct uuid *vnet,
				      const struct ip_addr *ip)
{
	const struct route *best = NULL;

	for (size_t i = 0; i < route_table_size(t); i++) {
		const struct route *r = route_table_at(t, i);

		if (uuid_equal(&r->vnet, vnet) && prefix_contains_ip(&r->prefix, ip) &&
		    (!best || r->prefix.bits > best->prefix.bits))
			best = r;
	}
	return best;
}

static void agrees_with_a_plain_search(void **state)
{
	struct route routes[N_RANDOM];
	uint32_t seed = 1;

	(void)state;
	for (unsigned int round = 0; round < 20; round++) {
		CLEANUP(route_table_free) struct route_table *t = NULL;

		for (size_t i = 0; i < N_RANDOM; i++)
			routes[i] = random_route(&seed);
		t = table_of(routes, 10 + round * 14);
		for (unsigned int a = 0; a < 512; a++) {
			struct ip_addr ip = {AF_INET, {10, 0, 0, (uint8_t)a}};
			struct uuid vnet = id_of((uint8_t)(1 + a / 256));

			assert_ptr_equal(route_table_match(t, &vnet, &ip),
					 slow_match(t, &vnet, &ip));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(longest_match_wins),
		cmocka_unit_test(conflicts_name_the_other),
		cmocka_unit_test(one_owner_and_joined_origins),
		cmocka_unit_test(versions_grow),
		cmocka_unit_test(memory_is_bounded),
		cmocka_unit_test(agrees_with_a_plain_search),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
