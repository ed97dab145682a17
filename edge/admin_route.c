/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about routes and virtual networks. */
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "edge/admin_private.h"

/* ---- routes ---- */

static const struct operator_route *find_operator_route(const struct edge_model *m,
							const struct uuid *vnet,
							const struct prefix *prefix)
{
	for (size_t i = 0; i < edge_model_n_operator_routes(m); i++) {
		const struct operator_route *r = edge_model_operator_route_at(m, i);

		if (uuid_equal(&r->vnet, vnet) && prefix_equal(&r->prefix, prefix))
			return r;
	}
	return NULL;
}

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
	if (!find_operator_route(m, &v->id, &prefix) && r)
		return edge_fail(failp, "conflict",
				 "%s in %s was not set by hand: tunnel %s advertises it, adit-edge "
				 "grant delete stops that",
				 network, v->name, admin_tunnel_name(m, &r->tunnel));
	if (!find_operator_route(m, &v->id, &prefix))
		return edge_fail(failp, "not-found", "no route %s in %s", network, v->name);
	store_batch_delete(batch, STORE_ROUTE,
			   (const struct store_value[]){
				   store_text(uuid_format(&v->id, vnet)),
				   store_text(network),
			   },
			   2);
	return 0;
}

static const char *origin_of(const struct route *r)
{
	if (!r->by_operator)
		return "advertised";
	return r->is_advertised ? "operator, advertised" : "operator";
}

static json_t *pack_route(const struct edge_model *m, const struct route *r)
{
	const struct operator_route *by_hand = find_operator_route(m, &r->vnet, &r->prefix);
	struct uuid connectors[EDGE_CONNECTORS_MAX];
	size_t n = edge_route_connectors(m, r, connectors);

	return json_pack("{s:o, s:s, s:s, s:s, s:i, s:s, s:s}", "network", admin_prefix(&r->prefix),
			 "virtual_network", admin_vnet_name(m, &r->vnet), "tunnel",
			 admin_tunnel_name(m, &r->tunnel), "origin", origin_of(r), "connectors",
			 (int)n, "state", n ? "up" : "connector down", "comment",
			 by_hand ? by_hand->comment : "");
}

void admin_route_list(void *ctx, struct ctrl_request *req, const struct json_t *args)
{
	const struct edge_admin *a = ctx;
	const struct route_table *table = edge_model_routes(a->model);
	const struct edge_tunnel *t = NULL;
	struct edge_failure fail;
	json_t *rows;

	if (arg_text(args, "tunnel") && arg_tunnel(a->model, args, &t, &fail) < 0) {
		admin_refuse(req, &fail);
		return;
	}
	rows = json_array();
	for (size_t i = 0; i < route_table_size(table); i++) {
		const struct route *r = route_table_at(table, i);

		if (!t || uuid_equal(&r->tunnel, &t->id))
			json_array_append_new(rows, pack_route(a->model, r));
	}
	admin_reply_list(req, "routes", rows);
}

static int find_route(const struct edge_model *m, const struct json_t *args,
		      const struct route **routep, struct edge_failure *failp)
{
	const struct route *r;
	const struct vnet *v;
	const char *text = arg_need_text(args, "address", failp);
	struct ip_addr ip;

	if (!text || arg_vnet(m, args, &v, failp) < 0)
		return -1;
	if (ip_parse(text, &ip) < 0)
		return edge_fail(failp, "invalid", "\"%.60s\" is not an IP address", text);
	ip = ip_canonical(&ip);
	r = route_table_match(edge_model_routes(m), &v->id, &ip);
	if (!r)
		return edge_fail(failp, "not-found", "no route to %s in %s", text, v->name);
	*routep = r;
	return 0;
}

void admin_route_get(void *ctx, struct ctrl_request *req, const struct json_t *args)
{
	const struct edge_admin *a = ctx;
	const struct route *r = NULL;
	struct edge_failure fail;

	if (find_route(a->model, args, &r, &fail) < 0)
		admin_refuse(req, &fail);
	else
		ctrl_reply_ok(req, pack_route(a->model, r));
}

/* ---- virtual networks ---- */

static void put_vnet(struct store_batch *batch, const struct vnet *v, bool is_default)
{
	char id[UUID_TEXT_MAX];
	const struct store_value values[] = {
		store_text(uuid_format(&v->id, id)),
		store_text(v->name),
		store_text(v->comment),
		store_int(is_default),
	};

	store_batch_put(batch, STORE_VNET, values);
}

ADMIN_CHANGE(vnet_add)
{
	const struct vnet_table *vnets = edge_model_vnets(m);
	struct vnet v = {.id = uuid_random()};
	const char *name, *comment;

	if (arg_new_name(c->args, &name, failp) < 0 ||
	    arg_comment(c->args, "comment", VNET_COMMENT_MAX, &comment, failp) < 0)
		return -1;
	if (vnet_table_by_name(vnets, name))
		return edge_fail(failp, "conflict", "there is a virtual network %s already", name);
	if (vnets->n >= VNETS_MAX)
		return edge_fail(failp, "conflict", "there are %d virtual networks, the most",
				 VNETS_MAX);
	snprintf(v.name, sizeof(v.name), "%s", name);
	snprintf(v.comment, sizeof(v.comment), "%s", comment);
	put_vnet(batch, &v, arg_flag(c->args, "default"));
	if (arg_flag(c->args, "default"))
		put_vnet(batch, vnet_table_default(vnets), false);
	c->result = json_pack("{s:s, s:o}", "name", name, "id", admin_uuid(&v.id));
	return 0;
}

/* What still refers to @vnet, as text in @failp; 0: nothing. */
static int check_unused(const struct edge_model *m, const struct vnet *v,
			struct edge_failure *failp)
{
	for (size_t i = 0; i < edge_model_n_operator_routes(m); i++)
		if (uuid_equal(&edge_model_operator_route_at(m, i)->vnet, &v->id))
			return edge_fail(failp, "conflict", "%s still has routes", v->name);
	for (size_t i = 0; i < edge_model_n_tunnels(m); i++) {
		const struct edge_tunnel *t = edge_model_tunnel_at(m, i);

		for (size_t k = 0; k < t->n_grants; k++)
			if (uuid_equal(&t->grants[k].vnet, &v->id))
				return edge_fail(failp, "conflict", "tunnel %s has grants in %s",
						 t->name, v->name);
	}
	for (size_t i = 0; i < edge_model_n_clients(m); i++) {
		const struct edge_client *c = edge_model_client_at(m, i);

		for (size_t k = 0; k < c->n_grants; k++)
			if (uuid_equal(&c->grants[k].vnet, &v->id))
				return edge_fail(failp, "conflict", "client %s has grants in %s",
						 c->name, v->name);
	}
	return 0;
}

ADMIN_CHANGE(vnet_delete)
{
	const struct vnet *v;
	char id[UUID_TEXT_MAX];

	if (!arg_need_text(c->args, "virtual_network", failp) ||
	    arg_vnet(m, c->args, &v, failp) < 0 || check_unused(m, v, failp) < 0)
		return -1;
	if (v->is_default)
		return edge_fail(failp, "conflict",
				 "%s is the default: add another with --default first", v->name);
	store_batch_delete(batch, STORE_VNET,
			   (const struct store_value[]){store_text(uuid_format(&v->id, id))}, 1);
	return 0;
}

void admin_vnet_list(void *ctx, struct ctrl_request *req, const struct json_t *args)
{
	const struct edge_admin *a = ctx;
	const struct vnet_table *vnets = edge_model_vnets(a->model);
	json_t *rows = json_array();

	(void)args;
	for (size_t i = 0; i < vnets->n; i++)
		json_array_append_new(rows, json_pack("{s:s, s:o, s:b, s:s}", "name",
						      vnets->items[i].name, "id",
						      admin_uuid(&vnets->items[i].id), "default",
						      (int)vnets->items[i].is_default, "comment",
						      vnets->items[i].comment));
	admin_reply_list(req, "virtual_networks", rows);
}
