/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands about virtual networks. Routes and grants know a network by its id, so that they
 * follow it to another name; what agents and users say is names.
 */
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "edge/admin_private.h"

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

static json_t *pack_vnet(const struct vnet *v)
{
	return json_pack("{s:s, s:o, s:b, s:s}", "name", v->name, "id", admin_uuid(&v->id),
			 "default", (int)v->is_default, "comment", v->comment);
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

/* ---- another name, comment, default ---- */

/* Grants by name mean the network, too; else the old name would soon be a network again. */
static void rename_grants(const struct edge_model *m, const char *old_name, const char *name,
			  struct store_batch *batch)
{
	for (size_t i = 0; i < edge_model_n_tunnels(m); i++) {
		const struct edge_tunnel *t = edge_model_tunnel_at(m, i);
		char id[UUID_TEXT_MAX];
		struct store_value values[2] = {
			store_text(uuid_format(&t->id, id)),
			store_text(old_name),
		};

		if (!edge_tunnel_has_network(t, old_name))
			continue;
		store_batch_delete(batch, STORE_TUNNEL_NETWORK, values, 2);
		values[1] = store_text(name);
		store_batch_put(batch, STORE_TUNNEL_NETWORK, values);
	}
}

static int take_name(const struct edge_model *m, const struct json_t *args, struct vnet *v,
		     struct edge_failure *failp)
{
	const char *name;
	const struct vnet *same;

	if (!json_object_get(args, "name"))
		return 0;
	if (arg_new_name(args, &name, failp) < 0)
		return -1;
	same = vnet_table_by_name(edge_model_vnets(m), name);
	if (same && !uuid_equal(&same->id, &v->id))
		return edge_fail(failp, "conflict", "there is a virtual network %s already", name);
	snprintf(v->name, sizeof(v->name), "%s", name);
	return 0;
}

/* An empty comment takes the old one away. */
static int take_comment(const struct json_t *args, struct vnet *v, struct edge_failure *failp)
{
	const char *comment;

	if (!json_object_get(args, "comment"))
		return 0;
	if (arg_comment(args, "comment", VNET_COMMENT_MAX, &comment, failp) < 0)
		return -1;
	snprintf(v->comment, sizeof(v->comment), "%s", comment);
	return 0;
}

ADMIN_CHANGE(vnet_update)
{
	const struct vnet_table *vnets = edge_model_vnets(m);
	bool makes_default = arg_flag(c->args, "default");
	const struct vnet *old;
	struct vnet v;

	if (!arg_need_text(c->args, "virtual_network", failp) ||
	    arg_vnet(m, c->args, &old, failp) < 0)
		return -1;
	if (!json_object_get(c->args, "name") && !json_object_get(c->args, "comment") &&
	    !makes_default)
		return edge_fail(failp, "invalid",
				 "nothing to change: give a name, a comment or default");
	v = *old;
	v.is_default |= makes_default;
	if (take_name(m, c->args, &v, failp) < 0 || take_comment(c->args, &v, failp) < 0)
		return -1;
	put_vnet(batch, &v, v.is_default);
	if (v.is_default && !old->is_default)
		put_vnet(batch, vnet_table_default(vnets), false);
	if (strcmp(v.name, old->name) != 0)
		rename_grants(m, old->name, v.name, batch);
	c->result = pack_vnet(&v);
	return 0;
}

/* ---- deletion ---- */

/* What refers to a network. */
struct references {
	const struct edge_model *m;
	const struct vnet *vnet;
	struct store_batch *batch; /* NULL: only count */
	size_t n_routes;
	size_t n_grants;
	char first[EDGE_NAME_MAX + 40]; /* the first of them, for people */
};

static void note(struct references *refs, size_t *np, const char *what, const char *owner)
{
	(*np)++;
	if (!refs->first[0])
		snprintf(refs->first, sizeof(refs->first), "%s %s", what, owner);
}

static void end_row(struct references *refs, enum store_table_id table, const struct uuid *owner,
		    const struct prefix *prefix)
{
	char id[UUID_TEXT_MAX], vnet[UUID_TEXT_MAX], network[PREFIX_TEXT_MAX];
	struct store_value values[3];
	unsigned int n = 0;

	if (!refs->batch)
		return;
	if (owner)
		values[n++] = store_text(uuid_format(owner, id));
	values[n++] = store_text(uuid_format(&refs->vnet->id, vnet));
	values[n++] = store_text(prefix_format(prefix, network));
	store_batch_delete(refs->batch, table, values, n);
}

static void find_routes(struct references *refs)
{
	for (size_t i = 0; i < edge_model_n_operator_routes(refs->m); i++) {
		const struct operator_route *r = edge_model_operator_route_at(refs->m, i);

		if (!uuid_equal(&r->vnet, &refs->vnet->id))
			continue;
		note(refs, &refs->n_routes, "routes of tunnel",
		     admin_tunnel_name(refs->m, &r->tunnel));
		end_row(refs, STORE_ROUTE, NULL, &r->prefix);
	}
}

static void find_tunnel_grants(struct references *refs, const struct edge_tunnel *t)
{
	char id[UUID_TEXT_MAX];
	const struct store_value by_name[] = {
		store_text(uuid_format(&t->id, id)),
		store_text(refs->vnet->name),
	};

	for (size_t i = 0; i < t->n_grants; i++) {
		if (!uuid_equal(&t->grants[i].vnet, &refs->vnet->id))
			continue;
		note(refs, &refs->n_grants, "grants of tunnel", t->name);
		end_row(refs, STORE_TUNNEL_GRANT, &t->id, &t->grants[i].prefix);
	}
	if (!edge_tunnel_has_network(t, refs->vnet->name))
		return;
	note(refs, &refs->n_grants, "a grant by name of tunnel", t->name);
	if (refs->batch)
		store_batch_delete(refs->batch, STORE_TUNNEL_NETWORK, by_name, 2);
}

static void find_client_grants(struct references *refs, const struct edge_client *c)
{
	for (size_t i = 0; i < c->n_grants; i++) {
		if (!uuid_equal(&c->grants[i].vnet, &refs->vnet->id))
			continue;
		note(refs, &refs->n_grants, "grants of client", c->name);
		end_row(refs, STORE_CLIENT_GRANT, &c->id, &c->grants[i].prefix);
	}
}

static void find_references(struct references *refs)
{
	find_routes(refs);
	for (size_t i = 0; i < edge_model_n_tunnels(refs->m); i++)
		find_tunnel_grants(refs, edge_model_tunnel_at(refs->m, i));
	for (size_t i = 0; i < edge_model_n_clients(refs->m); i++)
		find_client_grants(refs, edge_model_client_at(refs->m, i));
}

/* Not even by force: without its network a policy would speak of all of them. */
static int check_policies(const struct edge_model *m, const struct vnet *v,
			  struct edge_failure *failp)
{
	for (size_t i = 0; i < edge_model_n_policies(m); i++) {
		const struct policy *p = edge_model_policy_at(m, i);

		if (uuid_equal(&p->vnet, &v->id))
			return edge_fail(failp, "conflict",
					 "policy %s speaks of %s: adit-edge policy delete it first",
					 p->name, v->name);
	}
	return 0;
}

ADMIN_CHANGE(vnet_delete)
{
	struct references refs = {.m = m};
	char id[UUID_TEXT_MAX];

	if (!arg_need_text(c->args, "virtual_network", failp) ||
	    arg_vnet(m, c->args, &refs.vnet, failp) < 0)
		return -1;
	if (refs.vnet->is_default)
		return edge_fail(failp, "conflict",
				 "%s is the default: adit-edge vnet update --default makes another "
				 "one that first",
				 refs.vnet->name);
	if (check_policies(m, refs.vnet, failp) < 0)
		return -1;
	refs.batch = arg_flag(c->args, "force") ? batch : NULL;
	find_references(&refs);
	if (!refs.batch && refs.n_routes + refs.n_grants > 0)
		return edge_fail(
			failp, "conflict",
			"%s still has %s (routes: %zu, grants: %zu): --force deletes them, "
			"too",
			refs.vnet->name, refs.first, refs.n_routes, refs.n_grants);
	store_batch_delete(batch, STORE_VNET,
			   (const struct store_value[]){
				   store_text(uuid_format(&refs.vnet->id, id)),
			   },
			   1);
	c->result = json_pack("{s:s, s:I, s:I}", "virtual_network", refs.vnet->name, "routes",
			      (json_int_t)refs.n_routes, "grants", (json_int_t)refs.n_grants);
	return 0;
}

/* ---- lists ---- */

static bool is_wanted(const struct vnet *v, const struct json_t *args)
{
	const json_t *is_default = json_object_get(args, "is_default");
	const char *name = arg_text(args, "name");
	const char *id = arg_text(args, "id");
	struct uuid wanted;

	return (!name || strcmp(name, v->name) == 0) &&
	       (!id || (uuid_parse(id, &wanted) == 0 && uuid_equal(&wanted, &v->id))) &&
	       (!is_default || json_is_true(is_default) == v->is_default);
}

static int check_filter(const struct json_t *args, struct edge_failure *failp)
{
	const json_t *is_default = json_object_get(args, "is_default");
	const char *id = arg_text(args, "id");
	struct uuid wanted;

	if (id && uuid_parse(id, &wanted) < 0)
		return edge_fail(failp, "invalid", "\"%.60s\" is not an id of a network", id);
	if (is_default && !json_is_boolean(is_default))
		return edge_fail(failp, "invalid", "is_default must be true or false");
	return 0;
}

void admin_vnet_list(void *ctx, struct ctrl_request *req, const struct json_t *args)
{
	const struct edge_admin *a = ctx;
	const struct vnet_table *vnets = edge_model_vnets(a->model);
	struct edge_failure fail;
	json_t *rows;

	if (check_filter(args, &fail) < 0) {
		admin_refuse(req, &fail);
		return;
	}
	rows = json_array();
	for (size_t i = 0; i < vnets->n; i++)
		if (is_wanted(&vnets->items[i], args))
			json_array_append_new(rows, pack_vnet(&vnets->items[i]));
	admin_reply_list(req, "virtual_networks", rows);
}
