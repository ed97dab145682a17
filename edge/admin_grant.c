/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about what tunnels may advertise. */
#include <string.h>

#include <jansson.h>

#include "edge/admin_private.h"
#include "edge/names.h"

/* ---- tunnels: networks by name ---- */

static int plan_network(const struct edge_tunnel *t, const char *name, bool is_delete,
			struct store_batch *batch, struct edge_failure *failp)
{
	const char *problem = edge_name_problem(name);
	char id[UUID_TEXT_MAX];
	const struct store_value values[] = {
		store_text(uuid_format(&t->id, id)),
		store_text(name),
	};

	if (problem)
		return edge_fail(failp, "invalid", "network name \"%.80s\": %s", name, problem);
	if (is_delete && !edge_tunnel_has_network(t, name))
		return edge_fail(failp, "not-found", "tunnel %s has no grant of network name %s",
				 t->name, name);
	if (!is_delete && t->n_networks >= EDGE_GRANTS_MAX && !edge_tunnel_has_network(t, name))
		return edge_fail(failp, "conflict", "tunnel %s has %d of them, the most", t->name,
				 EDGE_GRANTS_MAX);
	if (is_delete)
		store_batch_delete(batch, STORE_TUNNEL_NETWORK, values, 2);
	else
		store_batch_put(batch, STORE_TUNNEL_NETWORK, values);
	return 0;
}

/* ---- tunnels: prefixes ---- */

static bool has_tunnel_grant(const struct edge_tunnel *t, const struct uuid *vnet,
			     const struct prefix *prefix)
{
	for (size_t i = 0; i < t->n_grants; i++)
		if (uuid_equal(&t->grants[i].vnet, vnet) &&
		    prefix_equal(&t->grants[i].prefix, prefix))
			return true;
	return false;
}

/* A network's name stands alone: it has no prefix, and it is no network yet. */
static int check_alone(const struct json_t *args, struct edge_failure *failp)
{
	static const char *const others[] = {"prefix", "virtual_network", "override"};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (json_object_get(args, others[i]))
			return edge_fail(failp, "invalid", "network_name and %s don't go together",
					 others[i]);
	return 0;
}

ADMIN_CHANGE(grant_add)
{
	const char *name = arg_text(c->args, "network_name");
	const struct edge_tunnel *t;
	const struct vnet *v;
	struct prefix prefix;
	struct admin_grant_key key;

	if (arg_tunnel(m, c->args, &t, failp) < 0)
		return -1;
	if (name)
		return check_alone(c->args, failp) < 0 ? -1
						       : plan_network(t, name, false, batch, failp);
	if (arg_prefix(c->args, &prefix, failp) < 0 || arg_vnet(m, c->args, &v, failp) < 0)
		return -1;
	if (t->n_grants >= EDGE_GRANTS_MAX && !has_tunnel_grant(t, &v->id, &prefix))
		return edge_fail(failp, "conflict", "tunnel %s has %d grants, the most", t->name,
				 EDGE_GRANTS_MAX);
	admin_grant_key(&t->id, &v->id, &prefix, &key);
	key.values[3] = store_int(arg_flag(c->args, "override"));
	store_batch_put(batch, STORE_TUNNEL_GRANT, key.values);
	return 0;
}

ADMIN_CHANGE(grant_delete)
{
	const char *name = arg_text(c->args, "network_name");
	const struct edge_tunnel *t;
	const struct vnet *v;
	struct prefix prefix;
	struct admin_grant_key key;

	if (arg_tunnel(m, c->args, &t, failp) < 0)
		return -1;
	if (name)
		return check_alone(c->args, failp) < 0 ? -1
						       : plan_network(t, name, true, batch, failp);
	if (arg_prefix(c->args, &prefix, failp) < 0 || arg_vnet(m, c->args, &v, failp) < 0)
		return -1;
	admin_grant_key(&t->id, &v->id, &prefix, &key);
	if (!has_tunnel_grant(t, &v->id, &prefix))
		return edge_fail(failp, "not-found",
				 "tunnel %s has no grant of %s in %s: see adit-edge grant list",
				 t->name, key.prefix, v->name);
	store_batch_delete(batch, STORE_TUNNEL_GRANT, key.values, 3);
	return 0;
}

static json_t *pack_grant(const struct edge_model *m, const struct edge_tunnel *t,
			  const struct tunnel_grant *g)
{
	return json_pack("{s:s, s:o, s:s, s:b}", "tunnel", t->name, "prefix",
			 admin_prefix(&g->prefix), "virtual_network", admin_vnet_name(m, &g->vnet),
			 "override", (int)g->override);
}

/* @v: only grants in it, and of its name; NULL: all. */
static void append_tunnel_grants(const struct edge_model *m, const struct edge_tunnel *t,
				 const struct vnet *v, json_t *rows)
{
	for (size_t i = 0; i < t->n_grants; i++)
		if (!v || uuid_equal(&t->grants[i].vnet, &v->id))
			json_array_append_new(rows, pack_grant(m, t, &t->grants[i]));
	for (size_t i = 0; i < t->n_networks; i++)
		if (!v || strcmp(t->networks[i], v->name) == 0)
			json_array_append_new(rows, json_pack("{s:s, s:s}", "tunnel", t->name,
							      "network_name", t->networks[i]));
}

void admin_grant_list(void *ctx, struct ctrl_request *req, const struct json_t *args)
{
	const struct edge_admin *a = ctx;
	const struct edge_tunnel *t = NULL;
	const struct vnet *v = NULL;
	struct edge_failure fail;
	json_t *rows;

	if ((arg_text(args, "tunnel") && arg_tunnel(a->model, args, &t, &fail) < 0) ||
	    (arg_text(args, "virtual_network") && arg_vnet(a->model, args, &v, &fail) < 0)) {
		admin_refuse(req, &fail);
		return;
	}
	rows = json_array();
	for (size_t i = 0; i < edge_model_n_tunnels(a->model); i++)
		if (!t || t == edge_model_tunnel_at(a->model, i))
			append_tunnel_grants(a->model, edge_model_tunnel_at(a->model, i), v, rows);
	admin_reply_list(req, "grants", rows);
}
