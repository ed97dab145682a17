/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Grants meet routes in the table's order: what lies inside a grant follows its place without a
 * gap, and of what lies around it only the nearest counts. Each meeting is a candidate, which
 * the policies may refuse or make narrower. Candidates are collected, then sorted and made unique.
 */
#include "edge/reachable.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "edge/model.h"
#include "routing/forbidden.h"

/* Candidates at one time; each meeting adds at most one per policy and one more. */
#define CANDIDATES_MAX (4 * REACHABLE_MAX)
#define MEETING_MAX    (EDGE_POLICIES_MAX + 1)

struct search {
	const struct edge_model *m;
	const struct edge_client *client;
	const struct policy *policies[EDGE_POLICIES_MAX]; /* that speak of client and grant */
	size_t n_policies;
	struct reachable_set set;
};

int reachable_compare(const struct reachable *a, const struct reachable *b)
{
	int d = memcmp(a->vnet.bytes, b->vnet.bytes, sizeof(a->vnet.bytes));

	return d ? d : prefix_compare(&a->prefix, &b->prefix);
}

void reachable_set_deinit(struct reachable_set *s)
{
	free(s->items);
	*s = (struct reachable_set){0};
}

/* ---- the set ---- */

static int compare_items(const void *a, const void *b)
{
	return reachable_compare(a, b);
}

static void sort_unique(struct reachable_set *s)
{
	size_t n = 0;

	if (s->n == 0)
		return;
	qsort(s->items, s->n, sizeof(*s->items), compare_items);
	for (size_t i = 1; i < s->n; i++)
		if (reachable_compare(&s->items[n], &s->items[i]) != 0)
			s->items[++n] = s->items[i];
	s->n = n + 1;
}

/* Room for the candidates of one meeting: 0, -ENOSPC or -ENOMEM. */
static int make_room(struct reachable_set *s)
{
	struct reachable *items;
	size_t cap;

	if (s->n + MEETING_MAX > CANDIDATES_MAX)
		sort_unique(s);
	if (s->n + MEETING_MAX > CANDIDATES_MAX)
		return -ENOSPC;
	if (s->n + MEETING_MAX <= s->cap)
		return 0;
	cap = s->cap ? 2 * s->cap : 2 * MEETING_MAX;
	if (cap > CANDIDATES_MAX)
		cap = CANDIDATES_MAX;
	items = reallocarray(s->items, cap, sizeof(*items));
	if (!items)
		return -ENOMEM;
	s->items = items;
	s->cap = cap;
	return 0;
}

static void append(struct reachable_set *s, const struct uuid *vnet, const struct prefix *prefix)
{
	s->items[s->n++] = (struct reachable){.vnet = *vnet, .prefix = *prefix};
}

/* ---- ports and protocols of rules ---- */

struct scope {
	const struct ports *ports;
	struct transports transports;
};

static struct scope scope_of_policy(const struct policy *p)
{
	return (struct scope){&p->ports, p->transports};
}

static struct scope scope_of_grant(const struct client_grant *g)
{
	return (struct scope){&g->ports, g->transports};
}

static bool has_icmp(const struct scope *s)
{
	return rule_covers_port(s->ports, s->transports, TRANSPORT_ICMP, 0);
}

static bool ports_include(const struct ports *outer, const struct ports *inner)
{
	static const struct port_range all = {0, UINT16_MAX};
	const struct port_range *ranges = inner->n ? inner->ranges : &all;
	size_t n = inner->n ? inner->n : 1;

	for (size_t i = 0; i < n && outer->n > 0; i++) {
		bool found = false;

		for (size_t k = 0; k < outer->n && !found; k++)
			found = outer->ranges[k].first <= ranges[i].first &&
				ranges[i].last <= outer->ranges[k].last;
		if (!found)
			return false;
	}
	return true;
}

static bool ports_meet(const struct ports *a, const struct ports *b)
{
	if (a->n == 0 || b->n == 0)
		return true;
	for (size_t i = 0; i < a->n; i++)
		for (size_t k = 0; k < b->n; k++)
			if (a->ranges[i].first <= b->ranges[k].last &&
			    b->ranges[k].first <= a->ranges[i].last)
				return true;
	return false;
}

/* Is all of @inner in @outer? */
static bool scope_includes(struct scope outer, struct scope inner)
{
	static const enum transport with_ports[] = {TRANSPORT_TCP, TRANSPORT_UDP};

	if (has_icmp(&inner) && !has_icmp(&outer))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(with_ports); i++)
		if (transports_contain(inner.transports, with_ports[i]) &&
		    !(transports_contain(outer.transports, with_ports[i]) &&
		      ports_include(outer.ports, inner.ports)))
			return false;
	return true;
}

static bool scopes_meet(struct scope a, struct scope b)
{
	bool share_tcp = transports_contain(a.transports, TRANSPORT_TCP) &&
			 transports_contain(b.transports, TRANSPORT_TCP);
	bool share_udp = transports_contain(a.transports, TRANSPORT_UDP) &&
			 transports_contain(b.transports, TRANSPORT_UDP);

	return (has_icmp(&a) && has_icmp(&b)) ||
	       ((share_tcp || share_udp) && ports_meet(a.ports, b.ports));
}

/* ---- policies ---- */

static bool speaks_of_all(const struct policy *p, const struct uuid *vnet,
			  const struct prefix *prefix)
{
	return (uuid_is_nil(&p->vnet) || uuid_equal(&p->vnet, vnet)) &&
	       (!p->prefix.ip.family || prefix_contains(&p->prefix, prefix));
}

static bool speaks_of_part(const struct policy *p, const struct uuid *vnet,
			   const struct prefix *prefix)
{
	return (uuid_is_nil(&p->vnet) || uuid_equal(&p->vnet, vnet)) && p->prefix.ip.family &&
	       prefix_contains(prefix, &p->prefix);
}

/* Does a policy before number @i block all of @prefix that policy @i would allow? */
static bool is_blocked_before(const struct search *s, size_t i, const struct client_grant *g,
			      const struct prefix *prefix)
{
	for (size_t k = 0; k < i; k++) {
		const struct policy *p = s->policies[k];
		struct scope scope = scope_of_policy(p);

		if (p->action == POLICY_ACTION_BLOCK && speaks_of_all(p, &g->vnet, prefix) &&
		    (scope_includes(scope, scope_of_policy(s->policies[i])) ||
		     scope_includes(scope, scope_of_grant(g))))
			return true;
	}
	return false;
}

/* As in policy_matches(): an allow that isn't for a single address skips the forbidden ranges. */
static bool may_allow(const struct search *s, size_t i, const struct client_grant *g,
		      const struct prefix *prefix)
{
	const struct policy *p = s->policies[i];

	if (!scopes_meet(scope_of_policy(p), scope_of_grant(g)))
		return false;
	if (forbidden_prefix(prefix) && !(p->prefix.ip.family && prefix_is_single(&p->prefix)))
		return false;
	return !is_blocked_before(s, i, g, prefix);
}

/*
 * Appends what the policies leave of @prefix, which @g covers. A forbidden address inside a wider
 * prefix isn't covered, so no policy can leave it.
 */
static void pass_policies(struct search *s, const struct client_grant *g,
			  const struct prefix *prefix)
{
	size_t start = s->set.n;

	for (size_t i = 0; i < s->n_policies; i++) {
		const struct policy *p = s->policies[i];
		bool all = speaks_of_all(p, &g->vnet, prefix);

		if (p->action == POLICY_ACTION_BLOCK) {
			if (all && scope_includes(scope_of_policy(p), scope_of_grant(g)))
				return;
		} else if (all && may_allow(s, i, g, prefix)) {
			break;
		} else if (!all && speaks_of_part(p, &g->vnet, prefix) &&
			   !forbidden_prefix(&p->prefix) && may_allow(s, i, g, &p->prefix)) {
			append(&s->set, &g->vnet, &p->prefix);
		}
	}
	s->set.n = start;
	append(&s->set, &g->vnet, prefix);
}

/* ---- grants and routes ---- */

static int meet(struct search *s, const struct client_grant *g, const struct route *r)
{
	bool is_inside = prefix_contains(&g->prefix, &r->prefix);
	const struct prefix *narrower = is_inside ? &r->prefix : &g->prefix;
	int room = make_room(&s->set);

	if (room == -ENOSPC)
		s->set.n_left_out++;
	if (room < 0)
		return room == -ENOSPC ? 0 : room;
	if (forbidden_prefix(narrower) &&
	    !(prefix_is_single(&g->prefix) && prefix_is_single(&r->prefix)))
		return 0;
	pass_policies(s, g, narrower);
	return 0;
}

/* The first route at or behind the place of @g. */
static size_t place_of(const struct route_table *t, const struct client_grant *g)
{
	const struct reachable wanted = {.vnet = g->vnet, .prefix = g->prefix};
	size_t low = 0;
	size_t high = route_table_size(t);

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct route *r = route_table_at(t, mid);
		const struct reachable there = {.vnet = r->vnet, .prefix = r->prefix};

		if (reachable_compare(&there, &wanted) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* The longest route that holds @prefix, or NULL. */
static const struct route *nearest_around(const struct route_table *t, const struct uuid *vnet,
					  const struct prefix *prefix)
{
	const struct route *r = route_table_match(t, vnet, &prefix->ip);

	if (!r || prefix_contains(&r->prefix, prefix))
		return r;
	for (unsigned int bits = prefix->bits + 1u; bits-- > 0;) {
		struct prefix around = prefix_around(&prefix->ip, (uint8_t)bits);

		r = route_table_find(t, vnet, &around);
		if (r)
			return r;
	}
	return NULL;
}

static int meet_routes(struct search *s, const struct client_grant *g)
{
	const struct route_table *t = edge_model_routes(s->m);
	const struct route *around = nearest_around(t, &g->vnet, &g->prefix);
	size_t i = place_of(t, g);
	int r = 0;

	/* Equal ones are met below. */
	if (around && !prefix_equal(&around->prefix, &g->prefix))
		r = meet(s, g, around);
	for (; r == 0 && i < route_table_size(t); i++) {
		const struct route *route = route_table_at(t, i);

		if (!uuid_equal(&route->vnet, &g->vnet) ||
		    !prefix_contains(&g->prefix, &route->prefix))
			break;
		r = meet(s, g, route);
	}
	return r;
}

/* ---- all of it ---- */

static void find_policies(struct search *s, const struct client_grant *g)
{
	s->n_policies = 0;
	for (size_t i = 0; i < edge_model_n_policies(s->m); i++) {
		const struct policy *p = edge_model_policy_at(s->m, i);

		if (policy_speaks_of(p, s->client->name, s->client->email) &&
		    (speaks_of_all(p, &g->vnet, &g->prefix) ||
		     speaks_of_part(p, &g->vnet, &g->prefix)))
			s->policies[s->n_policies++] = p;
	}
}

static int meet_grant(struct search *s, const struct client_grant *g)
{
	find_policies(s, g);
	return meet_routes(s, g);
}

static void see_who_is_up(const struct edge_model *m, struct reachable_set *s)
{
	struct uuid connectors[EDGE_CONNECTORS_MAX];

	for (size_t i = 0; i < s->n; i++) {
		const struct route *r = nearest_around(edge_model_routes(m), &s->items[i].vnet,
						       &s->items[i].prefix);

		s->items[i].is_up = r && edge_route_connectors(m, r, connectors) > 0;
	}
}

static void cut(struct reachable_set *s)
{
	if (s->n > REACHABLE_MAX) {
		s->n_left_out += s->n - REACHABLE_MAX;
		s->n = REACHABLE_MAX;
	}
}

/* Feeds keep their sets. */
static void trim(struct reachable_set *s)
{
	struct reachable *items = reallocarray(s->items, s->n ? s->n : 1, sizeof(*items));

	if (!items)
		return;
	s->items = items;
	s->cap = s->n ? s->n : 1;
}

int reachable_find(const struct edge_model *m, const struct edge_client *client,
		   const struct uuid *vnet, struct reachable_set *setp)
{
	struct search s = {.m = m, .client = client};
	int r = 0;

	for (size_t i = 0; r == 0 && i < client->n_grants; i++)
		if (client->revoked_ms == 0 && (!vnet || uuid_equal(&client->grants[i].vnet, vnet)))
			r = meet_grant(&s, &client->grants[i]);
	if (r < 0) {
		reachable_set_deinit(&s.set);
		return err_trace(r);
	}
	sort_unique(&s.set);
	cut(&s.set);
	trim(&s.set);
	see_who_is_up(m, &s.set);
	*setp = s.set;
	return 0;
}
