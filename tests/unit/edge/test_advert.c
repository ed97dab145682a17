/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of connectors against each other: what was judged before others came, what overlaps when
 * grants or the default network change, and how a route stands when its processes are gone.
 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "edge/model.h"
#include "model_world.h"

#define ENTRIES_MAX 4

static void add_lab(struct fixture *f, bool is_default)
{
	PUT(f, STORE_VNET, store_text(id_text(99)), store_text("lab"), store_text(""),
	    store_int(is_default));
}

static int set_up(void **state)
{
	struct fixture *f = fixture_new(NULL);

	add_tunnel(f, 1, "one");
	add_tunnel(f, 2, "two");
	*state = f;
	return 0;
}

/* ---- advertising ---- */

/* A process of a tunnel; its instance has the same number unless a test says otherwise. */
struct process {
	uint8_t tunnel;
	uint8_t connector;
	uint8_t instance;
	uint64_t carrier;
	const char *vnet;
	const char *comment;
};

/* One call with @networks, ended by NULL. The reply is valid until the next one. */
static struct route_reply call(struct fixture *f, const struct process *p, bool last,
			       const char *const *networks)
{
	struct uuid t = id_of(p->tunnel);
	struct uuid c = id_of(p->connector);
	struct route_entry routes[ENTRIES_MAX] = {0};
	struct route_call call = {.instance_id = id_of(p->instance), .generation = 1, .last = last};
	struct route_reply reply = {0};
	size_t n = 0;

	for (; networks[n]; n++) {
		snprintf(routes[n].network, sizeof(routes[n].network), "%s", networks[n]);
		snprintf(routes[n].virtual_network, sizeof(routes[n].virtual_network), "%s",
			 p->vnet ? p->vnet : "");
		snprintf(routes[n].comment, sizeof(routes[n].comment), "%s",
			 p->comment ? p->comment : "");
	}
	call.part = (struct route_set){.routes = routes, .n_routes = n};
	assert_int_equal(edge_connector_up(f->m, &t, &c, f->now_ms), 0);
	assert_int_equal(edge_advertise(f->m, &t, &c, p->carrier, &call, &reply), 0);
	assert_int_equal(reply.n_verdicts, n);
	return reply;
}

/* A whole set of one network: "" or why it was refused. */
static const char *send_one(struct fixture *f, const struct process *p, const char *network)
{
	static char reason[ROUTE_REASON_MAX];
	struct route_reply reply = call(f, p, true, (const char *const[]){network, NULL});

	snprintf(reason, sizeof(reason), "%s", reply.verdicts[0].reason);
	return reason;
}

static void down(struct fixture *f, const struct process *p)
{
	struct uuid t = id_of(p->tunnel);
	struct uuid c = id_of(p->connector);

	edge_connector_down(f->m, &t, &c, f->now_ms);
}

static void remember_reason(void *ctx, const struct advert_view *view)
{
	snprintf(ctx, ROUTE_REASON_MAX, "%s", view->reason);
}

/* Why the last entry of @tunnel is refused now; "": it isn't. */
static const char *reason_now(struct fixture *f, uint8_t tunnel)
{
	static char reason[ROUTE_REASON_MAX];
	struct uuid t = id_of(tunnel);

	snprintf(reason, sizeof(reason), "?");
	edge_advert_each(f->m, &t, remember_reason, reason);
	return reason;
}

static const struct route *route_to(struct fixture *f, const char *address)
{
	const struct vnet *v = vnet_table_default(edge_model_vnets(f->m));
	struct ip_addr ip;

	assert_int_equal(ip_parse(address, &ip), 0);
	return edge_model_route_to(f->m, &v->id, &ip);
}

static uint8_t owner(struct fixture *f, const char *address)
{
	const struct route *r = route_to(f, address);

	return r ? r->tunnel.bytes[0] : 0;
}

static struct route_standing standing(struct fixture *f, const char *address)
{
	struct route_standing s;

	assert_non_null(route_to(f, address));
	edge_route_standing(f->m, route_to(f, address), &s);
	return s;
}

static const struct process first = {.tunnel = 1, .connector = 11, .instance = 11, .carrier = 1};
static const struct process second = {.tunnel = 2, .connector = 21, .instance = 21, .carrier = 2};

/* ---- verdicts and time ---- */

static void parts_are_judged_again_at_the_end(void **state)
{
	struct fixture *f = *state;
	struct route_reply reply;

	grant(f, 1, "10.1.0.0/16", false);
	grant(f, 2, "10.0.0.0/8", false);
	reply = call(f, &first, false, (const char *const[]){"10.1.0.0/16", NULL});
	assert_true(reply.verdicts[0].accepted);
	assert_string_equal(send_one(f, &second, "10.0.0.0/8"), "");
	(void)call(f, &first, true, (const char *const[]){NULL});
	assert_int_equal(owner(f, "10.1.0.1"), 2);
	assert_string_equal(reason_now(f, 1), "inside tunnel two's 10.0.0.0/8: adit-edge grant add "
					      "one 10.1.0.0/16 --override");
}

/* What is in force keeps its place while its next set comes in. */
static void renewal_keeps_what_is_in_force(void **state)
{
	struct fixture *f = *state;

	grant(f, 1, "10.1.0.0/16", false);
	grant(f, 2, "10.0.0.0/8", false);
	assert_string_equal(send_one(f, &first, "10.1.0.0/16"), "");
	(void)call(f, &first, false, (const char *const[]){"10.1.0.0/16", NULL});
	assert_string_equal(send_one(f, &second, "10.0.0.0/8"), "");
	(void)call(f, &first, true, (const char *const[]){NULL});
	assert_int_equal(owner(f, "10.1.0.1"), 1);
	assert_int_equal(owner(f, "10.2.0.1"), 2);
}

static void count_view(void *ctx, const struct advert_view *view)
{
	(void)view;
	(*(unsigned int *)ctx)++;
}

static void a_lost_connection_starts_over(void **state)
{
	struct fixture *f = *state;
	struct process again = first;
	struct uuid t = id_of(1);
	unsigned int n = 0;

	grant(f, 1, "10.0.0.0/8", false);
	(void)call(f, &first, false, (const char *const[]){"10.1.0.0/16", "10.2.0.0/16", NULL});
	again.carrier = 7;
	(void)call(f, &again, false, (const char *const[]){"10.1.0.0/16", "10.2.0.0/16", NULL});
	(void)call(f, &again, true, (const char *const[]){"10.3.0.0/16", NULL});
	edge_advert_each(f->m, &t, count_view, &n);
	assert_int_equal(n, 3);
}

/* ---- overlap ---- */

static void an_overlap_ends_with_the_grant_that_allowed_it(void **state)
{
	struct fixture *f = *state;

	grant(f, 1, "10.0.0.0/8", false);
	grant(f, 2, "10.1.0.0/16", true);
	assert_string_equal(send_one(f, &first, "10.0.0.0/8"), "");
	assert_string_equal(send_one(f, &second, "10.1.0.0/16"), "");
	grant(f, 2, "10.1.0.0/16", false);
	assert_int_equal(owner(f, "10.1.0.1"), 1);
	assert_string_equal(reason_now(f, 2), "inside tunnel one's 10.0.0.0/8: adit-edge grant add "
					      "two 10.1.0.0/16 --override");
	grant(f, 2, "10.1.0.0/16", true);
	assert_int_equal(owner(f, "10.1.0.1"), 2);
}

static void who_came_first_needs_no_grant_for_the_overlap(void **state)
{
	struct fixture *f = *state;

	grant(f, 2, "10.1.0.0/16", false);
	assert_string_equal(send_one(f, &second, "10.1.0.0/16"), "");
	grant(f, 1, "0.0.0.0/0", false);
	assert_string_equal(send_one(f, &first, "10.0.0.0/8"),
			    "around tunnel two's 10.1.0.0/16: adit-edge grant add one 10.0.0.0/8");
	grant(f, 1, "10.0.0.0/8", false);
	assert_string_equal(reason_now(f, 1), "");
	/* Any change of the first one's grants, and a restart, leave both. */
	grant(f, 2, "10.9.0.0/16", false);
	assert_int_equal(owner(f, "10.1.0.1"), 2);
	restart(f);
	assert_int_equal(owner(f, "10.1.0.1"), 2);
	assert_int_equal(owner(f, "10.2.0.1"), 1);
	/* The exact grant goes, the wide one stays: the route around is over, the inner one is not.
	 */
	ungrant(f, 1, "10.0.0.0/8");
	assert_int_equal(owner(f, "10.1.0.1"), 2);
	assert_int_equal(owner(f, "10.2.0.1"), 0);
	assert_string_equal(reason_now(f, 1),
			    "around tunnel two's 10.1.0.0/16: adit-edge grant add one 10.0.0.0/8");
}

/* Its next set, or that of its next process, is no newcomer's either. */
static void who_came_first_stays_so(void **state)
{
	struct fixture *f = *state;
	struct process successor = second;

	grant(f, 1, "10.0.0.0/8", false);
	grant(f, 2, "10.1.0.0/16", false);
	assert_string_equal(send_one(f, &second, "10.1.0.0/16"), "");
	assert_string_equal(send_one(f, &first, "10.0.0.0/8"), "");
	(void)call(f, &second, true, (const char *const[]){"10.1.0.0/16", "10.1.7.0/24", NULL});
	assert_int_equal(owner(f, "10.1.0.1"), 2);
	assert_string_equal(reason_now(f, 2), "inside tunnel one's 10.0.0.0/8: adit-edge grant add "
					      "two 10.1.7.0/24 --override");
	down(f, &second);
	successor.connector = 22;
	assert_string_equal(send_one(f, &successor, "10.1.0.0/16"), "");
	assert_int_equal(owner(f, "10.1.0.1"), 2);
	/* And who came second, by a grant, stays second. */
	(void)call(f, &first, true, (const char *const[]){"10.0.0.0/8", NULL});
	grant(f, 1, "0.0.0.0/0", false);
	ungrant(f, 1, "10.0.0.0/8");
	assert_int_equal(owner(f, "10.2.0.1"), 0);
	assert_int_equal(owner(f, "10.1.0.1"), 2);
}

/* The operator may overlap anybody; what was there before stays, whatever its grants become. */
static void an_operators_route_ends_no_overlap(void **state)
{
	struct fixture *f = *state;

	grant(f, 2, "10.1.0.0/16", false);
	assert_string_equal(send_one(f, &second, "10.1.0.0/16"), "");
	PUT(f, STORE_ROUTE, store_text(vnet_id(f, "")), store_text("10.0.0.0/8"),
	    store_text(id_text(1)), store_text("by hand"), store_int(NOW_MS));
	grant(f, 2, "10.9.0.0/16", false);
	assert_int_equal(owner(f, "10.1.0.1"), 2);
	assert_int_equal(owner(f, "10.2.0.1"), 1);
	assert_string_equal(standing(f, "10.2.0.1").comment, "by hand");
	/* A new one inside it needs its grant, as inside anybody's. */
	assert_string_equal(send_one(f, &second, "10.9.0.0/16"),
			    "inside tunnel one's 10.0.0.0/8: adit-edge grant add two 10.9.0.0/16 "
			    "--override");
}

static void the_remedy_names_the_network(void **state)
{
	struct fixture *f = *state;
	struct process p = first, q = second;

	add_lab(f, false);
	p.vnet = q.vnet = "lab";
	assert_string_equal(
		send_one(f, &p, "10.0.0.0/8"),
		"not granted: adit-edge grant add one 10.0.0.0/8 --virtual-network lab");
	grant_in(f, 1, "lab", "10.0.0.0/8", false);
	grant_in(f, 2, "lab", "0.0.0.0/0", false);
	assert_string_equal(send_one(f, &p, "10.0.0.0/8"), "");
	assert_string_equal(send_one(f, &q, "10.1.0.0/16"),
			    "inside tunnel one's 10.0.0.0/8: adit-edge grant add two 10.1.0.0/16 "
			    "--virtual-network lab --override");
	assert_string_equal(send_one(f, &q, "8.0.0.0/5"),
			    "around tunnel one's 10.0.0.0/8: adit-edge grant add two 8.0.0.0/5 "
			    "--virtual-network lab");
}

/* Routes that name no network go where the default goes, and are new there. */
static void routes_follow_the_default_network(void **state)
{
	struct fixture *f = *state;
	struct process q = second;

	add_lab(f, false);
	q.vnet = "lab";
	grant(f, 1, "10.1.0.0/16", false);
	grant_in(f, 1, "lab", "10.1.0.0/16", false);
	grant_in(f, 2, "lab", "10.0.0.0/8", false);
	assert_string_equal(send_one(f, &first, "10.1.0.0/16"), "");
	assert_string_equal(send_one(f, &q, "10.0.0.0/8"), "");
	add_lab(f, true);
	assert_int_equal(owner(f, "10.1.0.1"), 2);
	assert_string_equal(reason_now(f, 1), "inside tunnel two's 10.0.0.0/8: adit-edge grant add "
					      "one 10.1.0.0/16 --override");
}

/* ---- holds ---- */

static void a_held_route_says_until_when(void **state)
{
	struct fixture *f = *state;
	struct process replica = first;
	struct route_standing s;

	grant(f, 1, "10.0.0.0/8", false);
	replica.connector = replica.instance = 12;
	replica.comment = "rack 7";
	assert_string_equal(send_one(f, &first, "10.1.0.0/16"), "");
	assert_string_equal(send_one(f, &replica, "10.1.0.0/16"), "");
	s = standing(f, "10.1.0.1");
	assert_int_equal(s.n_connectors, 2);
	assert_int_equal(s.n_held, 0);
	assert_string_equal(s.comment, "rack 7");
	down(f, &first);
	f->now_ms += 5000;
	s = standing(f, "10.1.0.1");
	assert_int_equal(s.n_connectors, 1);
	assert_int_equal(s.n_held, 1);
	assert_true(s.held_until_ms == NOW_MS + EDGE_ROUTE_HOLD_MS);
	down(f, &replica);
	restart(f);
	s = standing(f, "10.1.0.1");
	assert_int_equal(s.n_connectors, 0);
	assert_int_equal(s.n_held, 2);
	assert_true(s.held_until_ms == NOW_MS + 5000 + EDGE_ROUTE_HOLD_MS);
	/* Held routes keep others out. */
	grant(f, 2, "10.1.0.0/16", true);
	assert_string_equal(send_one(f, &second, "10.1.0.0/16"), "owned by tunnel one");
	edge_model_tick(f->m, NOW_MS + EDGE_ROUTE_HOLD_MS);
	assert_int_equal(standing(f, "10.1.0.1").n_held, 1);
	edge_model_tick(f->m, NOW_MS + 5000 + EDGE_ROUTE_HOLD_MS);
	assert_int_equal(owner(f, "10.1.0.1"), 2);
}

static void a_restart_without_routes_is_exact_too(void **state)
{
	struct fixture *f = *state;
	struct process successor = first;

	grant(f, 1, "10.0.0.0/8", false);
	assert_string_equal(send_one(f, &first, "10.1.0.0/16"), "");
	down(f, &first);
	successor.connector = 12;
	/* Being there isn't enough, nor is a part of a set. */
	(void)call(f, &successor, false, (const char *const[]){NULL});
	assert_int_equal(owner(f, "10.1.0.1"), 1);
	(void)call(f, &successor, true, (const char *const[]){NULL});
	assert_int_equal(owner(f, "10.1.0.1"), 0);
	restart(f);
	assert_int_equal(owner(f, "10.1.0.1"), 0);
}

static void the_oldest_held_set_gives_way(void **state)
{
	struct fixture *f = *state;
	char network[PREFIX_TEXT_MAX];

	grant(f, 1, "10.0.0.0/8", false);
	for (uint8_t i = 1; i <= EDGE_HELD_MAX + 1; i++) {
		struct process p = {.tunnel = 1, .connector = i, .instance = i, .carrier = i};

		snprintf(network, sizeof(network), "10.%u.0.0/16", i);
		assert_string_equal(send_one(f, &p, network), "");
		f->now_ms += 1000;
		down(f, &p);
	}
	assert_int_equal(owner(f, "10.1.0.1"), 0);
	assert_int_equal(owner(f, "10.2.0.1"), 1);
	assert_int_equal(owner(f, "10.33.0.1"), 1);
}

struct networks {
	char text[256];
};

static void append_network(void *ctx, const struct advert_view *view)
{
	struct networks *all = ctx;
	size_t n = strlen(all->text);

	snprintf(all->text + n, sizeof(all->text) - n, "%s%s%s ", view->network,
		 *view->comment ? "=" : "", view->comment);
}

/* Only what differs from the former set is written: the store must come out the same. */
static void any_change_of_a_set_survives_a_restart(void **state)
{
	static const struct {
		const char *networks[ENTRIES_MAX + 1];
		const char *comment;
		const char *loaded;
	} cases[] = {
		{{"10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"},
		 "",
		 "10.1.0.0/16 10.2.0.0/16 10.3.0.0/16 "},
		{{"10.2.0.0/16", "10.3.0.0/16"}, "", "10.2.0.0/16 10.3.0.0/16 "},
		{{"10.2.0.0/16", "172.16.0.0/12", "10.3.0.0/16"},
		 "",
		 "10.2.0.0/16 172.16.0.0/12 10.3.0.0/16 "},
		{{"10.2.0.0/16", "10.4.0.0/16"}, "x", "10.2.0.0/16=x 10.4.0.0/16=x "},
		{{NULL}, "", ""},
		{{"10.4.0.0/16"}, "y", "10.4.0.0/16=y "},
	};
	struct fixture *f = *state;
	struct process p = first;
	struct uuid t = id_of(1);

	grant(f, 1, "10.0.0.0/8", false);
	for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		size_t k = i % ARRAY_SIZE(cases);
		struct networks all = {0};

		p.comment = cases[k].comment;
		(void)call(f, &p, true, cases[k].networks);
		/* The first round without restarts between the sets. */
		if (i >= ARRAY_SIZE(cases))
			restart(f);
		edge_advert_each(f->m, &t, append_network, &all);
		assert_string_equal(all.text, cases[k].loaded);
	}
	(void)call(f, &p, true, cases[0].networks);
	(void)call(f, &p, true, cases[1].networks);
	/* A verdict that changes is written, too. */
	ungrant(f, 1, "10.0.0.0/8");
	restart(f);
	assert_string_equal(reason_now(f, 1), "not granted: adit-edge grant add one 10.3.0.0/16");
	assert_int_equal(owner(f, "10.2.0.1"), 0);
}

/* ---- looking ---- */

static void wide_routes_lead_to_no_forbidden_range(void **state)
{
	struct fixture *f = *state;

	grant(f, 1, "0.0.0.0/0", false);
	(void)call(f, &first, true, (const char *const[]){"0.0.0.0/0", "127.0.0.1/32", NULL});
	assert_int_equal(owner(f, "192.0.2.1"), 1);
	assert_int_equal(owner(f, "127.0.0.1"), 1);
	assert_int_equal(owner(f, "127.0.0.2"), 0);
	assert_int_equal(owner(f, "169.254.169.254"), 0);
}

static void operators_routes_are_found_and_sorted(void **state)
{
	static const char *const networks[] = {"10.3.0.0/16", "10.1.0.0/16", "10.2.0.0/16",
					       "10.1.0.0/24"};
	struct fixture *f = *state;
	struct uuid vnet = vnet_table_default(edge_model_vnets(f->m))->id;
	struct prefix p;

	for (size_t i = 0; i < ARRAY_SIZE(networks); i++)
		PUT(f, STORE_ROUTE, store_text(vnet_id(f, "")), store_text(networks[i]),
		    store_text(id_text((uint8_t)(1 + i % 2))), store_text(networks[i]),
		    store_int(NOW_MS));
	assert_int_equal(edge_model_n_operator_routes(f->m), 4);
	for (size_t i = 1; i < 4; i++)
		assert_true(prefix_compare(&edge_model_operator_route_at(f->m, i - 1)->prefix,
					   &edge_model_operator_route_at(f->m, i)->prefix) < 0);
	assert_int_equal(prefix_parse("10.2.0.0/16", &p), 0);
	assert_string_equal(edge_model_operator_route_find(f->m, &vnet, &p)->comment, networks[2]);
	DELETE(f, STORE_TUNNEL, 1, store_text(id_text(1)));
	assert_null(edge_model_operator_route_find(f->m, &vnet, &p));
	assert_int_equal(edge_model_n_operator_routes(f->m), 2);
	DELETE(f, STORE_ROUTE, 2, store_text(vnet_id(f, "")), store_text("10.1.0.0/16"));
	assert_int_equal(edge_model_n_operator_routes(f->m), 1);
	assert_int_equal(owner(f, "10.1.0.1"), 2);
	assert_int_equal(owner(f, "10.1.1.1"), 0);
}

#define ADVERT_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ADVERT_TEST(parts_are_judged_again_at_the_end),
		ADVERT_TEST(renewal_keeps_what_is_in_force),
		ADVERT_TEST(a_lost_connection_starts_over),
		ADVERT_TEST(an_overlap_ends_with_the_grant_that_allowed_it),
		ADVERT_TEST(who_came_first_needs_no_grant_for_the_overlap),
		ADVERT_TEST(who_came_first_stays_so),
		ADVERT_TEST(an_operators_route_ends_no_overlap),
		ADVERT_TEST(the_remedy_names_the_network),
		ADVERT_TEST(routes_follow_the_default_network),
		ADVERT_TEST(a_held_route_says_until_when),
		ADVERT_TEST(a_restart_without_routes_is_exact_too),
		ADVERT_TEST(the_oldest_held_set_gives_way),
		ADVERT_TEST(any_change_of_a_set_survives_a_restart),
		ADVERT_TEST(wide_routes_lead_to_no_forbidden_range),
		ADVERT_TEST(operators_routes_are_found_and_sorted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
