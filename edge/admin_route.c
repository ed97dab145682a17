/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands about routes: the operator's, lists of all, and where an address goes and why. The last
 * asks the very functions that streams are led by.
 */
#include <string.h>

#include <jansson.h>

#include "edge/admin_private.h"
#include "routing/forbidden.h"

static int check_owner(const struct edge_model *m, const struct edge_tunnel *t,
		       const struct vnet *v, const struct prefix *prefix,
		       struct edge_failure *failp)
{
	const struct route *r = route_table_find(edge_model_routes(m), &v->id, prefix);
	char text[PREFIX_TEXT_MAX];

	if (!r || uuid_equal(&r->tunnel, &t->id))
		return 0;
	return edge_fail(failp, "conflict", "%s in %s is owned by tunnel %s",
			 prefix_format(prefix, text), v->name, admin_tunnel_name(m, &r->tunnel));
}

ADMIN_CHANGE(route_add)
{
	const struct edge_tunnel *t;
	const struct vnet *v;
	const char *comment;
	struct prefix prefix;
	char vnet[UUID_TEXT_MAX], network[PREFIX_TEXT_MAX], tunnel[UUID_TEXT_MAX];

	if (arg_prefix(c->args, &prefix, failp) < 0 || arg_tunnel(m, c->args, &t, failp) < 0 ||
	    arg_vnet(m, c->args, &v, failp) < 0 ||
	    arg_comment(c->args, "comment", ROUTE_COMMENT_MAX, &comment, failp) < 0 ||
	    check_owner(m, t, v, &prefix, failp) < 0)
		return -1;
	store_batch_put(batch, STORE_ROUTE,
			(const struct store_value[]){
				store_text(uuid_format(&v->id, vnet)),
				store_text(prefix_format(&prefix, network)),
				store_text(uuid_format(&t->id, tunnel)),
				store_text(comment),
				store_int(c->now_ms),
			});
	return 0;
}

ADMIN_CHANGE(route_delete)
{
	const struct route *r;
	const struct vnet *v;
	struct prefix prefix;
	char vnet[UUID_TEXT_MAX], network[PREFIX_TEXT_MAX];

	if (arg_prefix(c->args, &prefix, failp) < 0 || arg_vnet(m, c->args, &v, failp) < 0)
		return -1;
	prefix_format(&prefix, network);
	r = route_table_find(edge_model_routes(m), &v->id, &prefix);
	if (!edge_model_operator_route_find(m, &v->id, &prefix))
		return r ? edge_fail(failp, "conflict",
				     "%s in %s was not set by hand: tunnel %s advertises it, "
				     "adit-edge grant delete stops that",
				     network, v->name, admin_tunnel_name(m, &r->tunnel))
			 : edge_fail(failp, "not-found", "no route %s in %s", network, v->name);
	store_batch_delete(batch, STORE_ROUTE,
			   (const struct store_value[]){
				   store_text(uuid_format(&v->id, vnet)),
				   store_text(network),
			   },
			   2);
	return 0;
}

/* ---- rows ---- */

static const char *origin_of(const struct route *r)
{
	if (!r->by_operator)
		return "advertised";
	return r->is_advertised ? "operator, advertised" : "operator";
}

/* The operator's routes are there for good, whoever is gone. */
static const char *state_of(const struct route *r, const struct route_standing *s)
{
	if (s->n_connectors > 0)
		return "up";
	return r->by_operator ? "connector down" : "held";
}

static json_t *pack_standing(const struct edge_model *m, const struct route *r,
			     const struct route_standing *s)
{
	bool is_held = s->n_connectors == 0 && !r->by_operator;

	return json_pack("{s:o, s:s, s:s, s:s, s:i, s:s, s:o, s:s}", "network",
			 admin_prefix(&r->prefix), "virtual_network", admin_vnet_name(m, &r->vnet),
			 "tunnel", admin_tunnel_name(m, &r->tunnel), "origin", origin_of(r),
			 "connectors", (int)s->n_connectors, "state", state_of(r, s), "held_until",
			 admin_time(is_held ? s->held_until_ms : 0), "comment", s->comment);
}

static json_t *pack_route(const struct edge_model *m, const struct route *r)
{
	struct route_standing s;

	edge_route_standing(m, r, &s);
	return pack_standing(m, r, &s);
}

/* ---- lists ---- */

/* Each is NULL or unset when not asked for. */
struct route_filter {
	const struct edge_tunnel *tunnel;
	const struct vnet *vnet;
	const char *comment;
	struct prefix subset_of; /* family 0: unset */
	struct prefix superset_of;
};

static int get_filter_prefix(const struct json_t *args, const char *key, struct prefix *prefixp,
			     struct edge_failure *failp)
{
	const char *text = arg_text(args, key);

	return text ? arg_prefix_text(text, prefixp, failp) : 0;
}

static int get_filter(const struct edge_model *m, const struct json_t *args,
		      struct route_filter *filter, struct edge_failure *failp)
{
	*filter = (struct route_filter){.comment = arg_text(args, "comment")};
	if (arg_text(args, "tunnel") && arg_tunnel(m, args, &filter->tunnel, failp) < 0)
		return -1;
	if (arg_text(args, "virtual_network") && arg_vnet(m, args, &filter->vnet, failp) < 0)
		return -1;
	if (get_filter_prefix(args, "subset_of", &filter->subset_of, failp) < 0)
		return -1;
	return get_filter_prefix(args, "superset_of", &filter->superset_of, failp);
}

static bool passes(const struct route_filter *f, const struct route *r)
{
	return (!f->tunnel || uuid_equal(&f->tunnel->id, &r->tunnel)) &&
	       (!f->vnet || uuid_equal(&f->vnet->id, &r->vnet)) &&
	       (!f->subset_of.ip.family || prefix_contains(&f->subset_of, &r->prefix)) &&
	       (!f->superset_of.ip.family || prefix_contains(&r->prefix, &f->superset_of));
}

void admin_route_list(void *ctx, struct ctrl_request *req, const struct json_t *args)
{
	const struct edge_admin *a = ctx;
	const struct route_table *table = edge_model_routes(a->model);
	struct route_filter filter;
	struct route_standing s;
	struct edge_failure fail;
	json_t *rows;

	if (get_filter(a->model, args, &filter, &fail) < 0) {
		admin_refuse(req, &fail);
		return;
	}
	rows = json_array();
	for (size_t i = 0; i < route_table_size(table); i++) {
		const struct route *r = route_table_at(table, i);

		if (!passes(&filter, r))
			continue;
		edge_route_standing(a->model, r, &s);
		if (!filter.comment || strcmp(filter.comment, s.comment) == 0)
			json_array_append_new(rows, pack_standing(a->model, r, &s));
	}
	admin_reply_list(req, "routes", rows);
}

/* ---- where an address goes ---- */

#define NARROWER_LISTED_MAX 16

/* A question and what the table says to it. */
struct way {
	struct ip_addr ip;
	const struct vnet *vnet;
	const struct route *route;
	size_t n_covering;
	size_t n_narrower;
	json_t *others; /* that lost */
};

/* Another network that could be meant, or NULL. */
static const struct vnet *find_elsewhere(const struct edge_model *m, const struct ip_addr *ip)
{
	const struct vnet_table *vnets = edge_model_vnets(m);

	for (size_t i = 0; i < vnets->n; i++)
		if (edge_model_route_to(m, &vnets->items[i].id, ip))
			return &vnets->items[i];
	return NULL;
}

static int fail_no_route(const struct edge_model *m, const struct way *w, const char *text,
			 struct edge_failure *failp)
{
	const struct route *wide = route_table_match(edge_model_routes(m), &w->vnet->id, &w->ip);
	const struct vnet *elsewhere = find_elsewhere(m, &w->ip);
	char network[PREFIX_TEXT_MAX];

	if (wide)
		return edge_fail(failp, "not-found",
				 "no route to %.60s in %s: %s doesn't count, that range (%s) is "
				 "reached by routes of single addresses only",
				 text, w->vnet->name, prefix_format(&wide->prefix, network),
				 forbidden_range(&w->ip));
	if (elsewhere)
		return edge_fail(failp, "not-found",
				 "no route to %.60s in %s; there is one in %s: add "
				 "--virtual-network %s",
				 text, w->vnet->name, elsewhere->name, elsewhere->name);
	return edge_fail(failp, "not-found", "no route to %.60s in %s", text, w->vnet->name);
}

static int find_way(const struct edge_model *m, const struct json_t *args, struct way *w,
		    struct edge_failure *failp)
{
	const char *text = arg_need_text(args, "address", failp);

	*w = (struct way){0};
	if (!text || arg_vnet(m, args, &w->vnet, failp) < 0)
		return -1;
	if (ip_parse(text, &w->ip) < 0)
		return edge_fail(failp, "invalid", "\"%.60s\" is not an IP address", text);
	w->ip = ip_canonical(&w->ip);
	w->route = edge_model_route_to(m, &w->vnet->id, &w->ip);
	return w->route ? 0 : fail_no_route(m, w, text, failp);
}

static void append_other(const struct edge_model *m, struct way *w, const struct route *r,
			 const char *relation)
{
	json_t *row = pack_route(m, r);

	json_object_set_new(row, "relation", json_string(relation));
	json_array_append_new(w->others, row);
}

/* Wider routes hold the address too; narrower ones, inside the matched one, don't. */
static void find_others(const struct edge_model *m, struct way *w)
{
	const struct route_table *table = edge_model_routes(m);

	w->others = json_array();
	for (size_t i = 0; i < route_table_size(table); i++) {
		const struct route *r = route_table_at(table, i);
		bool covers = prefix_contains_ip(&r->prefix, &w->ip);

		if (!uuid_equal(&r->vnet, &w->vnet->id))
			continue;
		w->n_covering += covers;
		if (covers && r != w->route)
			append_other(m, w, r, "wider");
		else if (!covers && prefix_contains(&w->route->prefix, &r->prefix) &&
			 w->n_narrower++ < NARROWER_LISTED_MAX)
			append_other(m, w, r, "narrower");
	}
}

static json_t *explain_match(const struct way *w)
{
	char network[PREFIX_TEXT_MAX];

	prefix_format(&w->route->prefix, network);
	if (w->n_covering == 1)
		return json_sprintf("%s is the only route that covers it", network);
	return json_sprintf("longest match %s of %zu routes that cover it", network, w->n_covering);
}

static void append_advertiser(void *ctx, const struct uuid *connector, int64_t held_until_ms)
{
	json_array_append_new(ctx, json_pack("{s:o, s:s, s:o}", "connector", admin_uuid(connector),
					     "state", held_until_ms ? "held" : "live", "held_until",
					     admin_time(held_until_ms)));
}

static json_t *list_advertisers(const struct edge_model *m, const struct route *r)
{
	json_t *rows = json_array();

	edge_route_each_advertiser(m, r, append_advertiser, rows);
	return rows;
}

static json_t *explain(const struct edge_admin *a, struct way *w)
{
	char address[IP_TEXT_MAX];
	struct route_standing s;
	const char *choice;
	json_t *answer, *candidates;

	edge_route_standing(a->model, w->route, &s);
	answer = pack_standing(a->model, w->route, &s);
	find_others(a->model, w);
	candidates = a->ops->candidates(a->runtime, &w->route->tunnel, s.connectors, s.n_connectors,
					&choice);
	json_object_set_new(answer, "address", json_string(ip_format(&w->ip, address)));
	json_object_set_new(answer, "tunnel_id", admin_uuid(&w->route->tunnel));
	json_object_set_new(answer, "reason", explain_match(w));
	json_object_set_new(answer, "advertised_by", list_advertisers(a->model, w->route));
	json_object_set_new(answer, "candidates", candidates);
	json_object_set_new(answer, "choice", json_string(choice));
	json_object_set_new(answer, "others", w->others);
	json_object_set_new(answer, "narrower", json_integer((json_int_t)w->n_narrower));
	return answer;
}

void admin_route_get(void *ctx, struct ctrl_request *req, const struct json_t *args)
{
	const struct edge_admin *a = ctx;
	struct edge_failure fail;
	struct way way;

	if (find_way(a->model, args, &way, &fail) < 0)
		admin_refuse(req, &fail);
	else
		ctrl_reply_ok(req, explain(a, &way));
}
