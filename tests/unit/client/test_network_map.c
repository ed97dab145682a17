/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "client/network_map.h"

#define MANY 16384 /* an edge may show that many */

static struct feed_route route(const char *network, const char *prefix)
{
	struct feed_route r = {.up = true};

	assert_int_equal(prefix_parse(prefix, &r.prefix), 0);
	snprintf(r.network, sizeof(r.network), "%s", network);
	return r;
}

static struct ip_addr ip(const char *text)
{
	struct ip_addr addr;

	assert_int_equal(ip_parse(text, &addr), 0);
	return addr;
}

static void assert_found(const struct network_map *m, const char *address, const char *name)
{
	struct ip_addr addr = ip(address);
	const char *found = network_map_find(m, &addr);

	if (name)
		assert_string_equal(found, name);
	else
		assert_null(found);
}

/* Overlaps as "prefix name other;" */
struct told {
	char text[512];
};

static void tell(void *ctx, const struct prefix *p, const char *name, const char *other)
{
	struct told *t = ctx;
	char text[PREFIX_TEXT_MAX];
	size_t n = strlen(t->text);

	snprintf(t->text + n, sizeof(t->text) - n, "%s %s %s;", prefix_format(p, text), name,
		 other);
}

static void test_an_absent_map_is_empty(void **state UNUSED)
{
	assert_found(NULL, "10.0.0.1", NULL);
	assert_int_equal(network_map_size(NULL), 0);
	assert_int_equal(network_map_routes(NULL)->n, 0);
	assert_null(network_map_free(NULL));
}

static void test_each_address_has_its_network(void **state UNUSED)
{
	const struct feed_route routes[] = {
		route("lab", "10.1.0.0/16"),
		route("lab", "10.1.2.0/24"),
		route("lab", "fd00:1::/64"),
		route("office", "10.2.0.0/16"),
	};
	CLEANUP(network_map_free) struct network_map *m = NULL;
	struct told told = {0};

	assert_int_equal(network_map_new(&m, routes, ARRAY_SIZE(routes), NULL, 0, tell, &told), 0);
	assert_string_equal(told.text, "");
	assert_int_equal(network_map_size(m), 2);
	assert_string_equal(network_map_name(m, 0), "lab");
	assert_int_equal(network_map_of(m, 0)->n, 2);
	assert_int_equal(network_map_routes(m)->n, 4);
	assert_found(m, "10.1.2.3", "lab");
	assert_found(m, "10.2.0.1", "office");
	assert_found(m, "fd00:1::9", "lab");
	assert_found(m, "fd00:2::9", NULL);
	assert_found(m, "10.3.0.1", NULL);
}

static void test_overlaps_name_both_and_are_left_out(void **state UNUSED)
{
	const struct feed_route routes[] = {
		route("prod", "10.0.0.0/24"),
		route("staging", "10.0.0.0/16"),
		route("staging", "10.0.0.7/32"),
		route("staging", "10.9.0.0/16"),
	};
	CLEANUP(network_map_free) struct network_map *m = NULL;
	struct told told = {0};

	assert_int_equal(network_map_new(&m, routes, ARRAY_SIZE(routes), NULL, 0, tell, &told), 0);
	assert_string_equal(told.text, "10.0.0.0/16 staging prod;10.0.0.7/32 staging prod;");
	assert_found(m, "10.0.0.7", "prod");
	assert_found(m, "10.0.1.7", NULL);
	assert_found(m, "10.9.1.7", "staging");
}

static void test_selection_decides_which_and_in_which_order(void **state UNUSED)
{
	const struct feed_route routes[] = {
		route("prod", "10.0.0.0/24"),
		route("staging", "10.0.0.0/24"),
		route("third", "10.3.0.0/24"),
	};
	char staging[] = "staging", nowhere[] = "nowhere", prod[] = "prod";
	char *staging_first[] = {staging, nowhere, prod, staging};
	CLEANUP(network_map_free) struct network_map *m = NULL;
	struct told told = {0};

	assert_int_equal(
		network_map_new(&m, routes, ARRAY_SIZE(routes), staging_first, 1, tell, &told), 0);
	assert_string_equal(told.text, "");
	assert_found(m, "10.0.0.1", "staging");
	assert_found(m, "10.3.0.1", NULL);
	m = network_map_free(m);
	assert_int_equal(network_map_new(&m, routes, ARRAY_SIZE(routes), staging_first,
					 ARRAY_SIZE(staging_first), tell, &told),
			 0);
	assert_string_equal(told.text, "10.0.0.0/24 prod staging;");
	assert_found(m, "10.0.0.1", "staging");
}

static void test_many_networks(void **state UNUSED)
{
	static struct feed_route routes[MANY];
	CLEANUP(network_map_free) struct network_map *m = NULL;
	char name[16], prefix[32];

	for (unsigned int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "net%05u", i);
		/* Not in the order of their names. */
		snprintf(prefix, sizeof(prefix), "10.%u.%u.0/24", i % 256, i / 256);
		routes[i] = route(name, prefix);
	}
	assert_int_equal(network_map_new(&m, routes, MANY, NULL, 0, NULL, NULL), 0);
	assert_int_equal(network_map_size(m), MANY);
	assert_found(m, "10.183.11.1", "net02999");
	assert_found(m, "10.183.64.1", NULL);
	assert_found(m, "9.255.255.255", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_absent_map_is_empty),
		cmocka_unit_test(test_each_address_has_its_network),
		cmocka_unit_test(test_overlaps_name_both_and_are_left_out),
		cmocka_unit_test(test_selection_decides_which_and_in_which_order),
		cmocka_unit_test(test_many_networks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
