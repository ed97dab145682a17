/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The route table that follows from all sets and the operator's routes.
 *
 * Settling goes in steps, so that what is in force stays in force: accepted entries keep their
 * place as long as they are granted, nobody (the operator) took the very same prefix, and no
 * grant is gone that let them overlap; the table is made of them; then refused ones are asked
 * again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "edge/model_private.h"

/* Stands for a verdict between two steps. */
#define ASK_AGAIN "to be asked again"

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

/* ---- the index of a set: what is in force, by network and prefix ---- */

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

static void index_set(struct edge_model *m UNUSED, struct edge_tunnel *t, struct advert *a)
{
	uint32_t *accepted;

	if (a->is_indexed)
		return;
	a->n_accepted = 0;
	accepted = reallocarray(a->accepted, a->set.n + 1, sizeof(*accepted));
	if (!accepted) {
		log_error("no memory for the routes of a connector", log_text("tunnel", t->name));
		return;
	}
	a->accepted = accepted;
	for (uint32_t i = 0; i < a->set.n; i++)
		if (is_in_force(&a->set.items[i]))
			accepted[a->n_accepted++] = i;
	qsort_r(accepted, a->n_accepted, sizeof(*accepted), compare_indexes, a->set.items);
	a->is_indexed = true;
}

/* ---- the table ---- */

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
	for (size_t i = 0; i < a->n_accepted; i++) {
		const struct advert_entry *e = &a->set.items[a->accepted[i]];

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
			.vnet = m->operator_routes[i]->vnet,
			.tunnel = m->operator_routes[i]->tunnel,
			.prefix = m->operator_routes[i]->prefix,
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

/* Its name means another network than before: there it is new. */
static bool has_moved(const struct advert_entry *e, const struct uuid *before)
{
	return !uuid_is_nil(before) && !uuid_equal(&e->vnet, before);
}

/* A verdict is another than the one that is saved and in the index. */
static void note_change(struct advert *a, bool is_changed)
{
	a->is_changed |= is_changed;
	a->is_indexed &= !is_changed;
}

static void keep_permitted(struct edge_model *m, struct edge_tunnel *t, struct advert *a)
{
	for (size_t i = 0; i < a->set.n; i++) {
		struct advert_entry *e = &a->set.items[i];
		struct uuid before = e->vnet;

		if (e->reason)
			continue;
		if (e->kind == ADVERT_NETWORK)
			advert_check_network(m, t, e);
		else
			advert_check_permission(m, t, e);
		if (is_in_force(e) && has_moved(e, &before)) {
			e->reason = xstrdup(ASK_AGAIN);
			e->is_saved = false;
		}
		note_change(a, e->reason != NULL);
	}
}

/*
 * The table took another owner for the same prefix: the operator's, or one loaded before. Both are
 * in the same order.
 */
static void yield_to_owner(struct edge_model *m, struct edge_tunnel *t, struct advert *a)
{
	size_t n = route_table_size(m->routes);
	size_t place = 0;

	for (size_t i = 0; i < a->n_accepted; i++) {
		struct advert_entry *e = &a->set.items[a->accepted[i]];
		const struct route *r = NULL;

		while (place < n) {
			r = route_table_at(m->routes, place);
			if (compare_entries(e, &r->vnet, &r->prefix) <= 0)
				break;
			place++;
		}
		if (place < n && is_in_force(e) && compare_entries(e, &r->vnet, &r->prefix) == 0 &&
		    !uuid_equal(&r->tunnel, &t->id)) {
			advert_check_owner(m, t, e);
			note_change(a, true);
		}
	}
}

static void guess_overlaps(struct edge_model *m, struct edge_tunnel *t, struct advert *a)
{
	for (size_t i = 0; i < a->set.n && a->is_loaded; i++)
		if (is_in_force(&a->set.items[i]))
			advert_guess_overlap(m, t, &a->set.items[i]);
}

/* A grant that let it overlap with others may be gone. */
static void end_overlaps(struct edge_model *m, struct edge_tunnel *t, struct advert *a)
{
	bool has_fewer = false;

	for (size_t i = 0; i < a->set.n && t->has_other_grants && !a->is_loaded; i++) {
		struct advert_entry *e = &a->set.items[i];

		if (!is_in_force(e))
			continue;
		advert_check_overlap(m, t, e);
		has_fewer |= e->reason != NULL;
	}
	note_change(a, has_fewer);
	if (has_fewer)
		rebuild_table(m);
}

static void ask_again(struct edge_model *m, struct edge_tunnel *t, struct advert *a)
{
	bool has_new_routes = false;

	for (size_t i = 0; i < a->set.n; i++) {
		struct advert_entry *e = &a->set.items[i];

		if (!e->reason || (e->kind == ADVERT_ROUTE && !e->prefix.ip.family))
			continue;
		advert_check_entry(m, t, e);
		note_change(a, !e->reason);
		has_new_routes |= is_in_force(e);
	}
	if (!has_new_routes)
		return;
	index_set(m, t, a);
	rebuild_table(m);
}

static void save_changes(struct edge_model *m, struct edge_tunnel *t, struct advert *a)
{
	a->is_loaded = false;
	if (a->is_changed)
		advert_save(m, t, a);
	a->is_changed = false;
}

void adverts_settle(struct edge_model *m)
{
	each_set(m, keep_permitted);
	each_set(m, index_set);
	rebuild_table(m);
	each_set(m, yield_to_owner);
	each_set(m, guess_overlaps);
	each_set(m, end_overlaps);
	each_set(m, ask_again);
	each_set(m, index_set);
	each_set(m, save_changes);
	for (size_t i = 0; i < m->n_tunnels; i++)
		m->tunnels[i]->has_other_grants = false;
	m->is_stale = false;
}

const struct advert_entry *advert_find_route(const struct advert *a, const struct uuid *vnet,
					     const struct prefix *prefix)
{
	size_t low = 0;
	size_t high = a->n_accepted;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct advert_entry *e = &a->set.items[a->accepted[mid]];
		int d = compare_entries(e, vnet, prefix);

		if (d == 0)
			return is_in_force(e) ? e : NULL;
		if (d < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}
