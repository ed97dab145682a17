/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What connectors advertise, per live process. A set is collected in parts and replaces the
 * former one as a whole. When the process goes its set is held: routes stay, their streams get
 * "connector down". A held set ends when its time is over, when the process comes back with
 * another, or when another process of the same instance (a restart) has sent its first
 * whole set; a process that lives keeps its own, whoever shares its instance.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "edge/model_private.h"
#include "wire/proto.h"

/* ---- sets ---- */

void advert_set_clear(struct advert_set *set)
{
	for (size_t i = 0; i < set->n; i++) {
		free(set->items[i].vnet_name);
		free(set->items[i].comment);
		free(set->items[i].reason);
	}
	free(set->items);
	*set = (struct advert_set){0};
}

struct advert_entry *advert_set_append(struct advert_set *set)
{
	struct advert_entry *items = array_grow(set->items, set->n, sizeof(*items));

	if (!items)
		return NULL;
	set->items = items;
	items[set->n] = (struct advert_entry){0};
	return &items[set->n++];
}

/* ---- connectors ---- */

struct advert *advert_find(const struct edge_tunnel *t, const struct uuid *connector)
{
	for (size_t i = 0; i < t->n_adverts; i++)
		if (uuid_equal(&t->adverts[i]->connector, connector))
			return t->adverts[i];
	return NULL;
}

struct advert *advert_add(struct edge_tunnel *t, const struct uuid *connector)
{
	struct advert **adverts = array_grow(t->adverts, t->n_adverts, sizeof(struct advert *));
	struct advert *a;

	if (!adverts)
		return NULL;
	t->adverts = adverts;
	a = xnew(struct advert);
	a->connector = *connector;
	a->n_saved = SAVED_UNKNOWN;
	adverts[t->n_adverts++] = a;
	return a;
}

void advert_free(struct advert *a)
{
	advert_set_clear(&a->set);
	advert_set_clear(&a->collecting);
	free(a->accepted);
	free(a);
}

static void remove_advert(struct edge_model *m, struct edge_tunnel *t, size_t i)
{
	struct advert *a = t->adverts[i];

	array_cut(t->adverts, t->n_adverts--, i, sizeof(struct advert *));
	if (a->is_complete) {
		advert_save_removal(m, t, a);
		m->is_stale = true;
	}
	advert_free(a);
}

static size_t count(const struct edge_tunnel *t, bool is_live)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n_adverts; i++)
		n += t->adverts[i]->is_live == is_live;
	return n;
}

/* A row of its own: were it the tunnel's, it could bring back one that is being deleted. */
static void save_seen(struct edge_model *m, struct edge_tunnel *t, int64_t now_ms)
{
	struct store_batch *batch = model_batch(m);
	char id[UUID_TEXT_MAX];
	const struct store_value values[] = {
		store_text(uuid_format(&t->id, id)),
		store_int(now_ms),
	};

	t->seen_ms = now_ms;
	store_batch_put(batch, STORE_TUNNEL_SEEN, values);
	model_write_behind(m, batch);
}

int edge_connector_up(struct edge_model *m, const struct uuid *tunnel, const struct uuid *connector,
		      int64_t now_ms)
{
	struct edge_tunnel *t = model_tunnel(m, tunnel);
	struct advert *a = t ? advert_find(t, connector) : NULL;

	if (!t)
		return EDGE_CONNECTOR_E_LIMIT;
	if (a && a->is_live)
		return 0;
	if (count(t, true) >= EDGE_CONNECTORS_MAX)
		return EDGE_CONNECTOR_E_LIMIT;
	if (!a)
		a = advert_add(t, connector);
	if (!a)
		return EDGE_CONNECTOR_E_LIMIT;
	a->is_live = true;
	a->held_until_ms = 0;
	save_seen(m, t, now_ms);
	if (a->is_complete)
		advert_save_hold(m, t, a);
	model_tell_routes(m);
	return 0;
}

/* The held set whose time ends first makes room for another. */
static void drop_oldest_held(struct edge_model *m, struct edge_tunnel *t)
{
	size_t oldest = t->n_adverts;

	for (size_t i = 0; i < t->n_adverts; i++)
		if (!t->adverts[i]->is_live &&
		    (oldest == t->n_adverts ||
		     t->adverts[i]->held_until_ms < t->adverts[oldest]->held_until_ms))
			oldest = i;
	if (oldest < t->n_adverts)
		remove_advert(m, t, oldest);
}

void edge_connector_down(struct edge_model *m, const struct uuid *tunnel,
			 const struct uuid *connector, int64_t now_ms)
{
	struct edge_tunnel *t = model_tunnel(m, tunnel);
	struct advert *a = t ? advert_find(t, connector) : NULL;
	size_t i = 0;

	if (!a || !a->is_live)
		return;
	if (count(t, false) >= EDGE_HELD_MAX)
		drop_oldest_held(m, t);
	a->is_live = false;
	a->held_until_ms = now_ms + m->route_hold_ms;
	advert_set_clear(&a->collecting);
	if (a->is_complete && a->set.n > 0) {
		advert_save_hold(m, t, a);
	} else {
		while (t->adverts[i] != a)
			i++;
		remove_advert(m, t, i);
	}
	if (m->is_stale)
		model_settle_routes(m);
	else
		model_tell_routes(m);
}

void adverts_mark_unsaved(struct edge_model *m)
{
	for (size_t i = 0; i < m->n_tunnels; i++)
		for (size_t k = 0; k < m->tunnels[i]->n_adverts; k++) {
			struct advert *a = m->tunnels[i]->adverts[k];

			a->n_saved = SAVED_UNKNOWN;
			for (size_t e = 0; e < a->set.n; e++)
				a->set.items[e].is_saved = false;
		}
}

void adverts_expire(struct edge_model *m, int64_t now_ms)
{
	for (size_t i = 0; i < m->n_tunnels; i++) {
		struct edge_tunnel *t = m->tunnels[i];

		for (size_t k = t->n_adverts; k-- > 0;) {
			if (t->adverts[k]->is_live || t->adverts[k]->held_until_ms > now_ms)
				continue;
			log_info("routes of a gone connector end", log_text("tunnel", t->name));
			remove_advert(m, t, k);
		}
	}
	if (m->is_stale)
		model_settle_routes(m);
}

/* ---- receiving a set ---- */

static int collect(struct edge_model *m, const struct edge_tunnel *t, struct advert *a,
		   enum advert_kind kind, const char *network, const char *vnet,
		   const char *comment)
{
	struct advert_entry *e = advert_set_append(&a->collecting);

	if (!e)
		return EDGE_ADVERT_E_TOO_MANY;
	e->kind = kind;
	e->vnet_name = *vnet ? xstrdup(vnet) : NULL;
	e->comment = *comment ? xstrdup(comment) : NULL;
	if (kind == ADVERT_ROUTE)
		advert_read_network(e, network);
	if (kind == ADVERT_NETWORK || e->prefix.ip.family)
		advert_check_entry(m, t, e);
	return 0;
}

static int collect_part(struct edge_model *m, const struct edge_tunnel *t, struct advert *a,
			const struct route_call *call)
{
	const struct route_set *part = &call->part;
	int r = 0;

	if (part->n_vnets > ROUTES_MAX || part->n_routes > ROUTES_MAX ||
	    a->collecting.n + part->n_vnets + part->n_routes > ROUTES_MAX)
		return EDGE_ADVERT_E_TOO_MANY;
	for (size_t i = 0; i < part->n_vnets && r == 0; i++)
		r = collect(m, t, a, ADVERT_NETWORK, "", part->vnets[i].name,
			    part->vnets[i].comment);
	for (size_t i = 0; i < part->n_routes && r == 0; i++)
		r = collect(m, t, a, ADVERT_ROUTE, part->routes[i].network,
			    part->routes[i].virtual_network, part->routes[i].comment);
	return r;
}

/* A set that was begun otherwise, or over a connection that is lost by now, starts over. */
static void begin_or_go_on(struct edge_model *m, struct advert *a, const struct route_call *call,
			   uint64_t carrier)
{
	if (a->generation != call->generation || a->carrier != carrier)
		advert_set_clear(&a->collecting);
	if (a->collecting.n == 0)
		a->checked_with = route_table_version(m->routes);
	a->generation = call->generation;
	a->carrier = carrier;
}

/* A restarted process replaces what its former self left behind. */
static void drop_predecessors(struct edge_model *m, struct edge_tunnel *t, const struct advert *a)
{
	if (uuid_is_nil(&a->instance))
		return;
	for (size_t i = t->n_adverts; i-- > 0;)
		if (t->adverts[i] != a && !t->adverts[i]->is_live &&
		    uuid_equal(&t->adverts[i]->instance, &a->instance))
			remove_advert(m, t, i);
}

/*
 * Verdicts on parts are as old as the parts. What was accepted and isn't in force yet is judged
 * again when the table is another by now.
 */
static void check_collected(struct edge_model *m, const struct edge_tunnel *t, struct advert *a)
{
	for (size_t i = 0; i < a->collecting.n && a->checked_with != route_table_version(m->routes);
	     i++) {
		struct advert_entry *e = &a->collecting.items[i];
		const struct route *r;

		if (e->kind != ADVERT_ROUTE || e->reason)
			continue;
		r = route_table_find(m->routes, &e->vnet, &e->prefix);
		if (!r || !uuid_equal(&r->tunnel, &t->id))
			advert_check_entry(m, t, e);
	}
}

static bool is_same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is_same_entry(const struct advert_entry *a, const struct advert_entry *b)
{
	return a->kind == b->kind && prefix_equal(&a->prefix, &b->prefix) &&
	       is_same_text(a->vnet_name, b->vnet_name) && is_same_text(a->comment, b->comment) &&
	       is_same_text(a->reason, b->reason);
}

/* Most of a new set is the old one: only the rest has to be written. */
static void find_saved(const struct advert_set *old, struct advert_set *set)
{
	for (size_t i = 0; i < set->n && i < old->n; i++)
		set->items[i].is_saved =
			old->items[i].is_saved && is_same_entry(&old->items[i], &set->items[i]);
}

static void install(struct edge_model *m, struct edge_tunnel *t, struct advert *a,
		    const struct route_call *call)
{
	bool is_first = !a->is_complete;
	size_t n_refused = 0;

	check_collected(m, t, a);
	find_saved(&a->set, &a->collecting);
	advert_set_clear(&a->set);
	a->set = a->collecting;
	a->collecting = (struct advert_set){0};
	a->is_indexed = false;
	a->n_accepted = 0;
	a->instance = call->instance_id;
	memcpy(a->hash, call->hash, sizeof(a->hash));
	a->is_complete = true;
	a->is_changed = true;
	if (is_first)
		drop_predecessors(m, t, a);
	model_settle_routes(m);
	for (size_t i = 0; i < a->set.n; i++)
		n_refused += a->set.items[i].reason != NULL;
	log_info("routes advertised", log_text("tunnel", t->name),
		 log_int("entries", (int64_t)a->set.n), log_int("refused", (int64_t)n_refused));
}

/* ---- answering ---- */

static size_t write_verdicts(struct edge_model *m, const struct advert_set *set, size_t from,
			     enum advert_kind kind, size_t n)
{
	for (size_t i = from; i < set->n; i++) {
		const struct advert_entry *e = &set->items[i];
		struct route_verdict *v = &m->verdicts[n];

		if (e->kind != kind)
			continue;
		v->accepted = !e->reason;
		snprintf(v->reason, sizeof(v->reason), "%s", e->reason ? e->reason : "");
		n++;
	}
	return n;
}

/* The verdicts of @set from entry @from on: networks, then routes, as the agent lists them. */
static int answer(struct edge_model *m, const struct advert_set *set, size_t from,
		  struct route_reply *replyp)
{
	struct route_verdict *verdicts =
		reallocarray(m->verdicts, set->n - from + 1, sizeof(*verdicts));
	size_t n;

	if (!verdicts)
		return EDGE_ADVERT_E_TOO_MANY;
	m->verdicts = verdicts;
	n = write_verdicts(m, set, from, ADVERT_NETWORK, 0);
	n = write_verdicts(m, set, from, ADVERT_ROUTE, n);
	*replyp = (struct route_reply){.verdicts = verdicts, .n_verdicts = n};
	return 0;
}

/* A known hash: the verdicts as they are now, if they fit one message. */
static int confirm(struct edge_model *m, const struct advert_set *set, struct route_reply *replyp)
{
	if (set->n <= ROUTES_PER_CALL)
		return answer(m, set, 0, replyp);
	*replyp = (struct route_reply){0};
	return 0;
}

int edge_advertise(struct edge_model *m, const struct uuid *tunnel, const struct uuid *connector,
		   uint64_t carrier, const struct route_call *call, struct route_reply *replyp)
{
	struct edge_tunnel *t = model_tunnel(m, tunnel);
	struct advert *a = t ? advert_find(t, connector) : NULL;
	size_t from;
	int r;

	if (!a || !a->is_live)
		return EDGE_ADVERT_E_UNKNOWN;
	if (call->hash_only) {
		if (a->is_complete && memcmp(a->hash, call->hash, sizeof(a->hash)) == 0)
			return confirm(m, &a->set, replyp);
		*replyp = (struct route_reply){.send_all = true};
		return 0;
	}
	begin_or_go_on(m, a, call, carrier);
	from = a->collecting.n;
	r = collect_part(m, t, a, call);
	if (r != 0) {
		advert_set_clear(&a->collecting);
		return r;
	}
	if (!call->last)
		return answer(m, &a->collecting, from, replyp);
	install(m, t, a, call);
	return answer(m, &a->set, from, replyp);
}

/* ---- looking ---- */

static void view_entry(const struct advert *a, const struct advert_entry *e, advert_view_cb cb,
		       void *ctx)
{
	char network[PREFIX_TEXT_MAX] = "";
	struct advert_view view = {
		.connector = a->connector,
		.is_live = a->is_live,
		.held_until_ms = a->held_until_ms,
		.network = network,
		.virtual_network = e->vnet_name ? e->vnet_name : "",
		.comment = e->comment ? e->comment : "",
		.reason = e->reason ? e->reason : "",
	};

	if (e->prefix.ip.family)
		prefix_format(&e->prefix, network);
	cb(ctx, &view);
}

void edge_advert_each(const struct edge_model *m, const struct uuid *tunnel, advert_view_cb cb,
		      void *ctx)
{
	const struct edge_tunnel *t = model_tunnel(m, tunnel);

	for (size_t i = 0; t && i < t->n_adverts; i++)
		for (size_t k = 0; k < t->adverts[i]->set.n; k++)
			if (t->adverts[i]->set.items[k].kind == ADVERT_ROUTE)
				view_entry(t->adverts[i], &t->adverts[i]->set.items[k], cb, ctx);
}

size_t edge_route_connectors(const struct edge_model *m, const struct route *route,
			     struct uuid connectors[EDGE_CONNECTORS_MAX])
{
	const struct edge_tunnel *t = model_tunnel(m, &route->tunnel);
	size_t n = 0;

	for (size_t i = 0; t && i < t->n_adverts && n < EDGE_CONNECTORS_MAX; i++) {
		const struct advert *a = t->adverts[i];

		if (a->is_live &&
		    (route->by_operator || advert_find_route(a, &route->vnet, &route->prefix)))
			connectors[n++] = a->connector;
	}
	return n;
}

/* One process that advertises the route. */
static void add_standing(const struct advert *a, const struct advert_entry *e,
			 struct route_standing *s)
{
	if (!*s->comment && e->comment)
		s->comment = e->comment;
	if (a->is_live)
		return;
	s->n_held++;
	if (s->held_until_ms < a->held_until_ms)
		s->held_until_ms = a->held_until_ms;
}

void edge_route_standing(const struct edge_model *m, const struct route *route,
			 struct route_standing *standingp)
{
	const struct edge_tunnel *t = model_tunnel(m, &route->tunnel);
	const struct operator_route *by_hand =
		route->by_operator ? edge_model_operator_route_find(m, &route->vnet, &route->prefix)
				   : NULL;

	*standingp = (struct route_standing){.comment = by_hand ? by_hand->comment : ""};
	standingp->n_connectors = edge_route_connectors(m, route, standingp->connectors);
	for (size_t i = 0; t && route->is_advertised && i < t->n_adverts; i++) {
		const struct advert_entry *e =
			advert_find_route(t->adverts[i], &route->vnet, &route->prefix);

		if (e)
			add_standing(t->adverts[i], e, standingp);
	}
}

void edge_route_each_advertiser(const struct edge_model *m, const struct route *route,
				advertiser_cb cb, void *ctx)
{
	const struct edge_tunnel *t = model_tunnel(m, &route->tunnel);

	for (size_t i = 0; t && i < t->n_adverts; i++) {
		const struct advert *a = t->adverts[i];

		if (advert_find_route(a, &route->vnet, &route->prefix))
			cb(ctx, &a->connector, a->is_live ? 0 : a->held_until_ms);
	}
}
