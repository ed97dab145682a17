/* SPDX-License-Identifier: Apache-2.0 */
/* What a client is told that it can reach, over routes, grants and policies. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "access_world.h"
#include "edge/decide.h"
#include "edge/reachable.h"

/* The set of alice as text. */
static void check(struct world *w, const char *expected)
{
	struct reachable_set set = {0};
	char prefix[PREFIX_TEXT_MAX];
	char text[1024] = "";
	size_t used = 0;

	assert_int_equal(reachable_find(&w->m, &w->alice, NULL, &set), 0);
	for (size_t i = 0; i < set.n; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s%s", i ? " " : "",
					 prefix_format(&set.items[i].prefix, prefix),
					 set.items[i].is_up ? "" : "(down)");
	assert_string_equal(text, expected);
	reachable_set_deinit(&set);
}

static void the_narrower_of_route_and_grant(void **state)
{
	struct world *w = *state;

	check(w, "10.0.0.0/8");
	world_set_routes(w, 4, "10.1.0.0/16", "10.1.1.0/24", "11.0.0.0/8", "fd00::/8");
	check(w, "10.1.0.0/16 10.1.1.0/24");
	w->grant.prefix = prefix_of("10.1.1.128/25");
	check(w, "10.1.1.128/25");
	world_set_routes(w, 3, "0.0.0.0/0", "10.0.0.0/8", "10.1.1.200/32");
	check(w, "10.1.1.128/25 10.1.1.200/32");
	w->grant.prefix = prefix_of("10.0.0.0/8");
	check(w, "10.0.0.0/8 10.1.1.200/32");
	w->advert.is_live = false;
	check(w, "10.0.0.0/8(down) 10.1.1.200/32(down)");
	w->grant.vnet = uuid_random();
	check(w, "");
}

static void overlapping_grants_show_once(void **state)
{
	struct world *w = *state;
	struct client_grant grants[] = {w->grant, w->grant, w->grant};

	grants[1].prefix = prefix_of("10.1.0.0/16");
	grants[2].prefix = prefix_of("0.0.0.0/0");
	w->alice.grants = grants;
	w->alice.n_grants = ARRAY_SIZE(grants);
	world_set_routes(w, 2, "10.1.0.0/16", "10.1.2.0/24");
	check(w, "10.1.0.0/16 10.1.2.0/24");
	w->alice.revoked_ms = 1;
	check(w, "");
}

static void forbidden_ranges_need_single_addresses(void **state)
{
	struct world *w = *state;

	w->grant.prefix = prefix_of("127.0.0.1/32");
	check(w, "");
	world_set_routes(w, 1, "127.0.0.1/32");
	check(w, "127.0.0.1/32");
	w->grant.prefix = prefix_of("0.0.0.0/0");
	check(w, "");
	/* An allow with a wide prefix doesn't speak of them; the catch-all does. */
	w->grant.prefix = prefix_of("127.0.0.1/32");
	world_add_policy(w, "wide", POLICY_ACTION_ALLOW, "127.0.0.0/8");
	world_add_policy(w, "end", POLICY_ACTION_BLOCK, NULL);
	check(w, "");
	w->policies[0].prefix = prefix_of("127.0.0.1/32");
	check(w, "127.0.0.1/32");
	world_set_routes(w, 1, "0.0.0.0/0");
	w->grant.prefix = prefix_of("0.0.0.0/0");
	check(w, "");
}

static void blocks_remove_what_they_cover(void **state)
{
	struct world *w = *state;
	struct policy *p = world_add_policy(w, "p", POLICY_ACTION_BLOCK, "10.1.0.0/16");

	world_set_routes(w, 3, "10.0.0.0/16", "10.1.0.0/16", "10.1.1.0/24");
	check(w, "10.0.0.0/16");
	snprintf(p->client, sizeof(p->client), "bob");
	check(w, "10.0.0.0/16 10.1.0.0/16 10.1.1.0/24");
	p->client[0] = '\0';
	p->ports = ports_of("22");
	check(w, "10.0.0.0/16 10.1.0.0/16 10.1.1.0/24");
	w->grant.ports = ports_of("22");
	check(w, "10.0.0.0/16");
	w->grant.ports = ports_of("22,23");
	check(w, "10.0.0.0/16 10.1.0.0/16 10.1.1.0/24");
	w->grant.ports = ports_of("22");
	w->grant.transports = transports_of("tcp,icmp");
	check(w, "10.0.0.0/16 10.1.0.0/16 10.1.1.0/24");
	p->transports = transports_of("tcp,icmp");
	check(w, "10.0.0.0/16");
	p->prefix = prefix_of("10.1.1.0/25");
	check(w, "10.0.0.0/16 10.1.0.0/16 10.1.1.0/24");
}

static void allows_make_holes_in_a_catch_all(void **state)
{
	struct world *w = *state;
	struct policy *allow = world_add_policy(w, "a", POLICY_ACTION_ALLOW, "10.1.0.5/32");
	struct policy *end = world_add_policy(w, "end", POLICY_ACTION_BLOCK, NULL);

	world_set_routes(w, 2, "10.0.0.0/16", "10.1.0.0/16");
	check(w, "10.1.0.5/32");
	allow->ports = ports_of("22");
	check(w, "10.1.0.5/32");
	w->grant.ports = ports_of("80");
	check(w, "");
	w->grant.ports = ports_of("1-100");
	allow->prefix = prefix_of("10.0.0.0/15");
	check(w, "10.0.0.0/16 10.1.0.0/16");
	/* What an earlier block takes, an allow doesn't bring back. */
	*end = *allow;
	*allow = (struct policy){.action = POLICY_ACTION_BLOCK, .prefix = prefix_of("10.1.0.0/16")};
	world_add_policy(w, "end", POLICY_ACTION_BLOCK, NULL);
	check(w, "10.0.0.0/16");
	end->prefix = prefix_of("10.1.0.5/32");
	check(w, "");
}

static void a_passed_prefix_shows_without_its_parts(void **state)
{
	struct world *w = *state;

	world_add_policy(w, "a", POLICY_ACTION_ALLOW, "10.1.0.5/32");
	world_set_routes(w, 1, "10.1.0.0/16");
	check(w, "10.1.0.0/16");
	world_add_policy(w, "b", POLICY_ACTION_ALLOW, "10.0.0.0/8");
	world_add_policy(w, "end", POLICY_ACTION_BLOCK, NULL);
	check(w, "10.1.0.0/16");
}

/* More than a client takes. */
static void many_are_cut(void **state)
{
	struct world *w = *state;
	size_t n = REACHABLE_MAX + 10;
	struct route *routes = calloc(n, sizeof(*routes));
	struct reachable_set set = {0};

	for (size_t i = 0; i < n; i++) {
		routes[i] = (struct route){.vnet = w->vnet,
					   .tunnel = w->tunnel.id,
					   .prefix = prefix_of("10.0.0.0/32"),
					   .by_operator = true};
		routes[i].prefix.ip.bytes[2] = (uint8_t)(i >> 8);
		routes[i].prefix.ip.bytes[3] = (uint8_t)i;
	}
	w->m.routes = route_table_free(w->m.routes);
	assert_int_equal(route_table_new(&w->m.routes, routes, n), 0);
	assert_int_equal(reachable_find(&w->m, &w->alice, NULL, &set), 0);
	assert_int_equal(set.n, REACHABLE_MAX);
	assert_int_equal(set.n_left_out, 10);
	reachable_set_deinit(&set);
	free(routes);
}

/* Whatever decide() lets pass lies in a prefix that is shown. */
static void agrees_with_decide(void **state)
{
	static const char *const prefixes[] = {"10.0.0.0/30", "10.0.0.0/31", "10.0.0.2/31",
					       "10.0.0.0/32", "10.0.0.1/32", "10.0.0.2/32",
					       "10.0.0.3/32", "0.0.0.0/0"};
	static const char *const ports[] = {"", "22", "80", "22,80"};
	struct world *w = *state;
	unsigned int seed = 42;

	for (int round = 0; round < 3000; round++) {
		struct reachable_set set = {0};

		w->m.n_policies = 0;
		world_set_routes(w, 2, prefixes[rand_r(&seed) % 8], prefixes[rand_r(&seed) % 8]);
		w->grant.prefix = prefix_of(prefixes[rand_r(&seed) % 8]);
		w->grant.ports = ports_of(ports[rand_r(&seed) % 4]);
		for (int i = rand_r(&seed) % 5; i > 0; i--)
			world_add_policy(w, "p", (enum policy_action)(rand_r(&seed) % 2),
					 prefixes[rand_r(&seed) % 8])
				->ports = ports_of(ports[rand_r(&seed) % 4]);
		assert_int_equal(reachable_find(&w->m, &w->alice, NULL, &set), 0);
		for (int k = 0; k < 8; k++) {
			struct endpoint ep = endpoint_of("10.0.0.0", k & 1 ? 22 : 80);
			bool is_shown = false;
			struct decision d;

			ep.ip.bytes[3] = (uint8_t)(k >> 1);
			(void)decide(&w->m, &w->alice, NULL, &ep, TRANSPORT_TCP, &d);
			for (size_t i = 0; i < set.n; i++)
				is_shown |= prefix_contains_ip(&set.items[i].prefix, &ep.ip);
			if (d.reason == STREAM_ERROR_NONE && !is_shown)
				fail_msg("round %d: what may be reached isn't shown", round);
		}
		reachable_set_deinit(&set);
	}
}

#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(the_narrower_of_route_and_grant),
		WORLD_TEST(overlapping_grants_show_once),
		WORLD_TEST(forbidden_ranges_need_single_addresses),
		WORLD_TEST(blocks_remove_what_they_cover),
		WORLD_TEST(allows_make_holes_in_a_catch_all),
		WORLD_TEST(a_passed_prefix_shows_without_its_parts),
		WORLD_TEST(many_are_cut),
		WORLD_TEST(agrees_with_decide),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
