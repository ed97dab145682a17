/* SPDX-License-Identifier: Apache-2.0 */
/*
 * May a tunnel advertise this? The verdicts, and the route table that follows from them.
 *
 * Settling goes in three steps, so that what is in force stays in force: accepted entries
 * keep their place as long as they are granted and nobody (the operator) took the very same
 * prefix; then the table is made of them; then refused ones are asked again.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "edge/model_private.h"
#include "edge/names.h"
#include "routing/forbidden.h"

static void refuse(struct advert_entry *e, const char *fmt, ...) PRINTF(2, 3);

static void refuse(struct advert_entry *e, const char *fmt, ...)
{
	char text[ROUTE_REASON_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	free(e->reason);
	e->reason = xstrdup(text);
}

void advert_read_network(struct advert_entry *e, const char *text)
{
	char meant[PREFIX_TEXT_MAX];

	switch (prefix_parse(text, &e->prefix)) {
	case 0:
		return;
	case PREFIX_E_HOST_BITS:
		refuse(e, "has host bits set: %s is meant", prefix_format(&e->prefix, meant));
		break;
	default:
		refuse(e, "not ADDRESS/BITS, as in 10.0.0.0/8");
	}
	e->prefix = (struct prefix){0};
}

/* ---- grants ---- */

/* What the grants of a tunnel say about one prefix. */
struct permission {
	bool is_granted;
	bool is_exact; /* this very prefix is granted */
	bool is_override;
};

static struct permission permission_of(const struct edge_tunnel *t, const struct uuid *vnet,
				       const struct prefix *prefix)
{
	struct permission p = {0};

	for (size_t i = 0; i < t->n_grants; i++) {
		const struct tunnel_grant *g = &t->grants[i];

		if (!uuid_equal(&g->vnet, vnet) || !prefix_contains(&g->prefix, prefix))
			continue;
		p.is_granted = true;
		p.is_override |= g->override;
		p.is_exact |= prefix_equal(&g->prefix, prefix);
	}
	return p;
}

static bool may_use_network(const struct edge_tunnel *t, const char *name)
{
	for (size_t i = 0; i < t->n_networks; i++)
		if (strcmp(t->networks[i], name) == 0)
			return true;
	return false;
}

static bool has_grant_in(const struct edge_tunnel *t, const struct uuid *vnet)
{
	for (size_t i = 0; i < t->n_grants; i++)
		if (uuid_equal(&t->grants[i].vnet, vnet))
			return true;
	return false;
}

/* ---- networks ---- */

static void save_network(struct edge_model *m, const struct vnet *v)
{
	struct store_batch *batch = model_batch(m);
	char id[UUID_TEXT_MAX];
	const struct store_value values[] = {
		store_text(uuid_format(&v->id, id)),
		store_text(v->name),
		store_text(v->comment),
		store_int(v->is_default),
	};

	store_batch_put(batch, STORE_VNET, values);
	model_write_behind(m, batch);
}

static void create_network(struct edge_model *m, const struct edge_tunnel *t,
			   struct advert_entry *e)
{
	const char *problem = edge_name_problem(e->vnet_name);
	struct vnet v = {.id = uuid_random()};
	int r;

	if (problem) {
		refuse(e, "bad name: %s", problem);
		return;
	}
	snprintf(v.name, sizeof(v.name), "%s", e->vnet_name);
	snprintf(v.comment, sizeof(v.comment), "%s", e->comment ? e->comment : "");
	r = vnet_table_put(&m->vnets, &v);
	if (r < 0) {
		refuse(e, "the edge has no room for another virtual network");
		return;
	}
	log_info("virtual network created by its tunnel", log_text("virtual_network", v.name),
		 log_text("tunnel", t->name));
	save_network(m, &v);
	e->vnet = v.id;
}

static void check_network(struct edge_model *m, const struct edge_tunnel *t, struct advert_entry *e)
{
	const struct vnet *v = vnet_table_resolve(&m->vnets, e->vnet_name);

	if (v && (v->is_default || may_use_network(t, v->name) || has_grant_in(t, &v->id)))
		e->vnet = v->id;
	else if (!v && e->vnet_name && may_use_network(t, e->vnet_name))
		create_network(m, t, e);
	else
		refuse(e, "not granted: adit-edge grant add %s --network-name %.63s", t->name,
		       v	      ? v->name
		       : e->vnet_name ? e->vnet_name
				      : "default");
}

/* ---- routes ---- */

/* " --virtual-network NAME" where a command needs it. */
static const char *vnet_option(const struct vnet *v, char out[VNET_NAME_MAX + 20])
{
	out[0] = '\0';
	if (!v->is_default)
		snprintf(out, VNET_NAME_MAX + 20, " --virtual-network %s", v->name);
	return out;
}

/* Network and grant only: what an accepted entry must go on to satisfy. Sets e->vnet. */
static bool is_permitted(struct edge_model *m, const struct edge_tunnel *t, struct advert_entry *e)
{
	const struct vnet *v = vnet_table_resolve(&m->vnets, e->vnet_name);
	const char *range = prefix_is_single(&e->prefix) ? NULL : forbidden_prefix(&e->prefix);
	char network[PREFIX_TEXT_MAX];
	char option[VNET_NAME_MAX + 20];

	if (!v) {
		refuse(e, "no virtual network %.63s: adit-edge vnet add %.63s", e->vnet_name,
		       e->vnet_name);
		return false;
	}
	e->vnet = v->id;
	if (range) {
		refuse(e, "%s: only single addresses of that range can be advertised", range);
		return false;
	}
	if (!permission_of(t, &v->id, &e->prefix).is_granted) {
		refuse(e, "not granted: adit-edge grant add %s %s%s", t->name,
		       prefix_format(&e->prefix, network), vnet_option(v, option));
		return false;
	}
	return true;
}

static const char *tunnel_name(const struct edge_model *m, const struct uuid *id)
{
	const struct edge_tunnel *t = model_tunnel(m, id);

	return t ? t->name : "?";
}

static void refuse_conflict(struct edge_model *m, const struct edge_tunnel *t,
			    struct advert_entry *e, enum route_conflict conflict,
			    const struct route *other)
{
	const struct permission p = permission_of(t, &e->vnet, &e->prefix);
	const char *owner = tunnel_name(m, &other->tunnel);
	char mine[PREFIX_TEXT_MAX];
	char theirs[PREFIX_TEXT_MAX];

	prefix_format(&e->prefix, mine);
	prefix_format(&other->prefix, theirs);
	if (conflict == ROUTE_CONFLICT_OWNED)
		refuse(e, "owned by tunnel %s", owner);
	else if (conflict == ROUTE_CONFLICT_INSIDE && !p.is_override)
		refuse(e, "inside tunnel %s's %s: adit-edge grant add %s %s --override", owner,
		       theirs, t->name, mine);
	else if (conflict == ROUTE_CONFLICT_AROUND && !p.is_override && !p.is_exact)
		refuse(e, "around tunnel %s's %s: adit-edge grant add %s %s", owner, theirs,
		       t->name, mine);
}

static void check_route(struct edge_model *m, const struct edge_tunnel *t, struct advert_entry *e)
{
	const struct route *other = NULL;
	enum route_conflict conflict;

	if (!is_permitted(m, t, e))
		return;
	conflict = route_table_conflict(m->routes, &e->vnet, &e->prefix, &t->id, &other);
	if (conflict != ROUTE_CONFLICT_NONE)
		refuse_conflict(m, t, e, conflict, other);
}

void advert_check_entry(struct edge_model *m, const struct edge_tunnel *t, struct advert_entry *e)
{
	free(e->reason);
	e->reason = NULL;
	if (e->kind == ADVERT_NETWORK)
		check_network(m, t, e);
	else
		check_route(m, t, e);
}

/* ---- the table ---- */

static bool is_in_force(const struct advert_entry *e)
{
	return e->kind == ADVERT_ROUTE && !e->reason;
}

typedef void (*set_visitor)(struct edge_model *m, struct edge_tunnel *t, struct advert *a);

static void each_set(struct edge_model *m, set_visitor visit)
{
	for (size_t i = 0; i < m->n_tunnels; i++)
		for (size_t k = 0; k < m->tunnels[i]->n_adverts; k++)
			visit(m, m->tunnels[i], m->tunnels[i]->adverts[k]);
}

static size_t count_routes(const struct edge_model *m)
{
	size_t n = m->n_operator_routes;

	for (size_t i = 0; i < m->n_tunnels; i++)
		for (size_t k = 0; k < m->tunnels[i]->n_adverts; k++)
			n += m->tunnels[i]->adverts[k]->set.n;
	return n;
}

static size_t gather_set(const struct edge_tunnel *t, const struct advert *a, struct route *routes,
			 size_t n)
{
	for (size_t i = 0; i < a->set.n; i++) {
		const struct advert_entry *e = &a->set.items[i];

		if (is_in_force(e))
			routes[n++] = (struct route){
				.vnet = e->vnet,
				.tunnel = t->id,
				.prefix = e->prefix,
				.is_advertised = true,
			};
	}
	return n;
}

static size_t gather_routes(const struct edge_model *m, struct route *routes)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_operator_routes; i++)
		routes[n++] = (struct route){
			.vnet = m->operator_routes[i].vnet,
			.tunnel = m->operator_routes[i].tunnel,
			.prefix = m->operator_routes[i].prefix,
			.by_operator = true,
		};
	for (size_t i = 0; i < m->n_tunnels; i++)
		for (size_t k = 0; k < m->tunnels[i]->n_adverts; k++)
			n = gather_set(m->tunnels[i], m->tunnels[i]->adverts[k], routes, n);
	return n;
}

static void rebuild_table(struct edge_model *m)
{
	CLEANUP(free) struct route *routes = calloc(count_routes(m) + 1, sizeof(*routes));

	if (!routes || route_table_replace(&m->routes, routes, gather_routes(m, routes)) < 0)
		log_error("no memory for the route table, the former one stays");
}

static void keep_permitted(struct edge_model *m, struct edge_tunnel *t, struct advert *a)
{
	for (size_t i = 0; i < a->set.n; i++) {
		struct advert_entry *e = &a->set.items[i];

		if (e->reason)
			continue;
		if (e->kind == ADVERT_NETWORK)
			check_network(m, t, e);
		else
			is_permitted(m, t, e);
		a->is_changed |= e->reason != NULL;
	}
}

/* The table took another owner for the same prefix: the operator's, or one loaded before. */
static void yield_to_owner(struct edge_model *m, struct edge_tunnel *t, struct advert *a)
{
	for (size_t i = 0; i < a->set.n; i++) {
		struct advert_entry *e = &a->set.items[i];
		const struct route *r;

		if (!is_in_force(e))
			continue;
		r = route_table_find(m->routes, &e->vnet, &e->prefix);
		if (r && !uuid_equal(&r->tunnel, &t->id)) {
			refuse(e, "owned by tunnel %s", tunnel_name(m, &r->tunnel));
			a->is_changed = true;
		}
	}
}

static void ask_again(struct edge_model *m, struct edge_tunnel *t, struct advert *a)
{
	bool has_new_routes = false;

	for (size_t i = 0; i < a->set.n; i++) {
		struct advert_entry *e = &a->set.items[i];

		if (!e->reason || (e->kind == ADVERT_ROUTE && !e->prefix.ip.family))
			continue;
		advert_check_entry(m, t, e);
		a->is_changed |= !e->reason;
		has_new_routes |= is_in_force(e);
	}
	if (has_new_routes)
		rebuild_table(m);
}

static int compare_entries(const struct advert_entry *e, const struct uuid *vnet,
			   const struct prefix *prefix)
{
	int d = memcmp(e->vnet.bytes, vnet->bytes, sizeof(vnet->bytes));

	return d ? d : prefix_compare(&e->prefix, prefix);
}

static int compare_indexes(const void *a, const void *b, void *items)
{
	const struct advert_entry *left = (const struct advert_entry *)items + *(const uint32_t *)a;
	const struct advert_entry *right =
		(const struct advert_entry *)items + *(const uint32_t *)b;

	return compare_entries(left, &right->vnet, &right->prefix);
}

static void index_and_save(struct edge_model *m, struct edge_tunnel *t, struct advert *a)
{
	uint32_t *accepted;

	if (a->accepted && !a->is_changed)
		return;
	accepted = reallocarray(a->accepted, a->set.n + 1, sizeof(*accepted));
	if (!accepted)
		return;
	a->accepted = accepted;
	a->n_accepted = 0;
	for (uint32_t i = 0; i < a->set.n; i++)
		if (is_in_force(&a->set.items[i]))
			accepted[a->n_accepted++] = i;
	qsort_r(accepted, a->n_accepted, sizeof(*accepted), compare_indexes, a->set.items);
	if (a->is_changed)
		advert_save(m, t, a);
	a->is_changed = false;
}

void adverts_settle(struct edge_model *m)
{
	each_set(m, keep_permitted);
	rebuild_table(m);
	each_set(m, yield_to_owner);
	each_set(m, ask_again);
	each_set(m, index_and_save);
	m->is_stale = false;
}

bool advert_has_route(const struct advert *a, const struct uuid *vnet, const struct prefix *prefix)
{
	size_t low = 0;
	size_t high = a->n_accepted;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int d = compare_entries(&a->set.items[a->accepted[mid]], vnet, prefix);

		if (d == 0)
			return true;
		if (d < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return false;
}
