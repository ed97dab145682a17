/* SPDX-License-Identifier: Apache-2.0 */
/* What a policy matches, and decide() over both layers, on a model made by hand. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "access_world.h"
#include "edge/decide.h"

/* ---- one policy ---- */

static void email_patterns(void **state)
{
	static const struct {
		const char *pattern, *email;
		bool matches;
	} rows[] = {
		{"", "", true},
		{"", "a@b.c", true},
		{"alice@example.com", "alice@example.com", true},
		{"Alice@Example.com", "alice@example.COM", true},
		{"alice@example.com", "malice@example.com", false},
		{"alice@example.com", "", false},
		{"*@example.com", "alice@example.com", true},
		{"*@example.com", "alice@EXAMPLE.com", true},
		{"*@example.com", "alice@sub.example.com", false},
		{"*@example.com", "alice@notexample.com", false},
		{"*@example.com", "alice@example.com.evil", false},
		{"*@example.com", "@example.com", false},
		{"*@example.com", "x@evil@example.com", true},
		{"*@example.com", "x@example.com@evil", false},
		{"*@example.com", "", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct policy p = {0};

		snprintf(p.email, sizeof(p.email), "%s", rows[i].pattern);
		if (policy_speaks_of(&p, "x", rows[i].email) != rows[i].matches)
			fail_msg("%s against %s", rows[i].pattern, rows[i].email);
	}
}

static void email_syntax(void **state)
{
	static const char *const bad[] = {
		"alice", "@example.com", "alice@",  "a@b@c", "al*ce@example.com",
		"**@b",	 "*@*",		 "a@*.com",
	};

	(void)state;
	assert_null(policy_email_problem("alice@example.com"));
	assert_null(policy_email_problem("*@example.com"));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (!policy_email_problem(bad[i]))
			fail_msg("%s was taken", bad[i]);
}

static void ports_and_protocols(void **state)
{
	static const struct {
		const char *ports, *transports;
		enum transport transport;
		uint16_t port;
		bool covers;
	} rows[] = {
		{"", "", TRANSPORT_TCP, 22, true},	     {"", "", TRANSPORT_ICMP, 0, true},
		{"22", "", TRANSPORT_TCP, 22, true},	     {"22", "", TRANSPORT_TCP, 23, false},
		{"22", "", TRANSPORT_UDP, 22, true},	     {"22", "", TRANSPORT_ICMP, 0, false},
		{"22", "tcp,icmp", TRANSPORT_ICMP, 0, true}, {"", "tcp", TRANSPORT_ICMP, 0, false},
		{"22", "tcp", TRANSPORT_UDP, 22, false},     {"", "udp", TRANSPORT_UDP, 53, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ports ports = ports_of(rows[i].ports);

		if (rule_covers_port(&ports, transports_of(rows[i].transports), rows[i].transport,
				     rows[i].port) != rows[i].covers)
			fail_msg("row %zu", i);
	}
}

static void forbidden_ranges(void **state)
{
	const struct endpoint loopback = endpoint_of("127.0.0.1", 22);
	const struct endpoint plain = endpoint_of("10.0.0.1", 22);
	struct policy p = {.action = POLICY_ACTION_BLOCK};
	struct uuid vnet = uuid_random();

	(void)state;
	assert_true(policy_matches(&p, "a", "", &vnet, &loopback, TRANSPORT_TCP));
	p.prefix = prefix_of("0.0.0.0/0");
	assert_true(policy_matches(&p, "a", "", &vnet, &loopback, TRANSPORT_TCP));
	p.action = POLICY_ACTION_ALLOW;
	assert_false(policy_matches(&p, "a", "", &vnet, &loopback, TRANSPORT_TCP));
	assert_true(policy_matches(&p, "a", "", &vnet, &plain, TRANSPORT_TCP));
	p.prefix = (struct prefix){0};
	assert_false(policy_matches(&p, "a", "", &vnet, &loopback, TRANSPORT_TCP));
	p.prefix = prefix_of("127.0.0.1/32");
	assert_true(policy_matches(&p, "a", "", &vnet, &loopback, TRANSPORT_TCP));
}

/* ---- both layers ---- */

static struct decision ask(struct world *w, const char *ip, uint16_t port, enum transport t)
{
	struct endpoint ep = endpoint_of(ip, port);
	struct decision d;

	(void)decide(&w->m, &w->alice, NULL, &ep, t, &d);
	return d;
}

static void check(const struct decision *d, enum stream_error reason, enum decision_layer layer,
		  const char *rule)
{
	char text[DECISION_RULE_MAX];

	assert_int_equal(d->reason, reason);
	assert_int_equal(d->layer, layer);
	assert_string_equal(decision_rule(d, text), rule);
	assert_true((d->reason == STREAM_ERROR_NONE) == (d->n_connectors > 0));
}

static void no_policy_passes(void **state)
{
	struct decision d = ask(*state, "10.0.0.1", 22, TRANSPORT_TCP);

	check(&d, STREAM_ERROR_NONE, DECISION_LAYER_GRANT, "10.0.0.0/8");
	assert_string_equal(d.policy, "");
	d = ask(*state, "::ffff:10.0.0.1", 22, TRANSPORT_TCP);
	check(&d, STREAM_ERROR_NONE, DECISION_LAYER_GRANT, "10.0.0.0/8");
	d = ask(*state, "11.0.0.1", 22, TRANSPORT_TCP);
	check(&d, STREAM_ERROR_NOT_GRANTED, DECISION_LAYER_GRANT, "");
}

static void first_match_decides(void **state)
{
	struct world *w = *state;
	struct decision d;

	world_add_policy(w, "ssh", POLICY_ACTION_ALLOW, "10.1.0.0/16")->ports = ports_of("22");
	world_add_policy(w, "all", POLICY_ACTION_BLOCK, NULL);
	d = ask(w, "10.1.0.1", 22, TRANSPORT_TCP);
	check(&d, STREAM_ERROR_NONE, DECISION_LAYER_GRANT, "10.0.0.0/8");
	assert_string_equal(d.policy, "ssh");
	assert_int_equal(d.policy_position, 1);
	d = ask(w, "10.1.0.1", 23, TRANSPORT_TCP);
	check(&d, STREAM_ERROR_NOT_GRANTED, DECISION_LAYER_POLICY, "all");
	d = ask(w, "10.1.0.1", 0, TRANSPORT_ICMP);
	check(&d, STREAM_ERROR_NOT_GRANTED, DECISION_LAYER_POLICY, "all");
	w->policies[0].transports = transports_of("tcp,icmp");
	d = ask(w, "10.1.0.1", 0, TRANSPORT_ICMP);
	check(&d, STREAM_ERROR_NONE, DECISION_LAYER_GRANT, "10.0.0.0/8");
}

static void allow_does_not_widen(void **state)
{
	struct world *w = *state;
	struct decision d;

	world_add_policy(w, "everything", POLICY_ACTION_ALLOW, NULL);
	d = ask(w, "11.0.0.1", 22, TRANSPORT_TCP);
	check(&d, STREAM_ERROR_NOT_GRANTED, DECISION_LAYER_GRANT, "");
	assert_string_equal(d.policy, "everything");
	w->grant.ports = ports_of("22");
	d = ask(w, "10.0.0.1", 23, TRANSPORT_TCP);
	check(&d, STREAM_ERROR_NOT_GRANTED, DECISION_LAYER_GRANT, "");
	d = ask(w, "10.0.0.1", 0, TRANSPORT_ICMP);
	check(&d, STREAM_ERROR_NOT_GRANTED, DECISION_LAYER_GRANT, "");
	w->grant.transports = transports_of("tcp,icmp");
	d = ask(w, "10.0.0.1", 0, TRANSPORT_ICMP);
	check(&d, STREAM_ERROR_NONE, DECISION_LAYER_GRANT, "10.0.0.0/8");
	d = ask(w, "10.0.0.1", 22, TRANSPORT_UDP);
	check(&d, STREAM_ERROR_NOT_GRANTED, DECISION_LAYER_GRANT, "");
}

static void each_restriction_counts(void **state)
{
	struct world *w = *state;
	struct policy *p = world_add_policy(w, "p", POLICY_ACTION_BLOCK, NULL);
	struct decision d = ask(w, "10.0.0.1", 22, TRANSPORT_TCP);

	assert_true(policy_is_catch_all(p));
	check(&d, STREAM_ERROR_NOT_GRANTED, DECISION_LAYER_POLICY, "p");
	snprintf(p->client, sizeof(p->client), "bob");
	assert_false(policy_is_catch_all(p));
	d = ask(w, "10.0.0.1", 22, TRANSPORT_TCP);
	assert_int_equal(d.reason, STREAM_ERROR_NONE);
	snprintf(p->client, sizeof(p->client), "alice");
	snprintf(p->email, sizeof(p->email), "*@example.org");
	d = ask(w, "10.0.0.1", 22, TRANSPORT_TCP);
	assert_int_equal(d.reason, STREAM_ERROR_NONE);
	snprintf(p->email, sizeof(p->email), "*@example.com");
	p->vnet = uuid_random();
	d = ask(w, "10.0.0.1", 22, TRANSPORT_TCP);
	assert_int_equal(d.reason, STREAM_ERROR_NONE);
	p->vnet = w->vnet;
	p->prefix = prefix_of("10.0.0.0/31");
	d = ask(w, "10.0.0.2", 22, TRANSPORT_TCP);
	assert_int_equal(d.reason, STREAM_ERROR_NONE);
	d = ask(w, "10.0.0.1", 22, TRANSPORT_TCP);
	check(&d, STREAM_ERROR_NOT_GRANTED, DECISION_LAYER_POLICY, "p");
}

static void ways_that_are_missing(void **state)
{
	struct world *w = *state;
	struct endpoint ep = endpoint_of("10.0.0.1", 22);
	struct decision d;

	w->advert.is_live = false;
	d = ask(w, "10.0.0.1", 22, TRANSPORT_TCP);
	check(&d, STREAM_ERROR_CONNECTOR_DOWN, DECISION_LAYER_ROUTE, "0.0.0.0/0");
	w->m.routes = route_table_free(w->m.routes);
	d = ask(w, "10.0.0.1", 22, TRANSPORT_TCP);
	check(&d, STREAM_ERROR_NO_ROUTE, DECISION_LAYER_ROUTE, "");
	(void)decide(&w->m, &w->alice, "nowhere", &ep, TRANSPORT_TCP, &d);
	check(&d, STREAM_ERROR_NO_NETWORK, DECISION_LAYER_NETWORK, "");
	w->alice.n_grants = 0;
	(void)decide(&w->m, &w->alice, "nowhere", &ep, TRANSPORT_TCP, &d);
	check(&d, STREAM_ERROR_NOT_GRANTED, DECISION_LAYER_GRANT, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(email_patterns),
		cmocka_unit_test(email_syntax),
		cmocka_unit_test(ports_and_protocols),
		cmocka_unit_test(forbidden_ranges),
		cmocka_unit_test_setup_teardown(no_policy_passes, world_set_up, world_tear_down),
		cmocka_unit_test_setup_teardown(first_match_decides, world_set_up, world_tear_down),
		cmocka_unit_test_setup_teardown(allow_does_not_widen, world_set_up,
						world_tear_down),
		cmocka_unit_test_setup_teardown(each_restriction_counts, world_set_up,
						world_tear_down),
		cmocka_unit_test_setup_teardown(ways_that_are_missing, world_set_up,
						world_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
