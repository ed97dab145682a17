/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about what clients may reach. */
#include <jansson.h>

#include "edge/admin_private.h"

static bool has_client_grant(const struct edge_client *c, const struct uuid *vnet,
			     const struct prefix *prefix)
{
	for (size_t i = 0; i < c->n_grants; i++)
		if (uuid_equal(&c->grants[i].vnet, vnet) &&
		    prefix_equal(&c->grants[i].prefix, prefix))
			return true;
	return false;
}

ADMIN_CHANGE(client_grant_add)
{
	const struct edge_client *client;
	const struct vnet *v;
	struct prefix prefix;
	struct ports ports;
	struct transports transports;
	char canonical[PORTS_TEXT_MAX], protocols[TRANSPORTS_TEXT_MAX];
	struct admin_grant_key key;

	if (arg_client(m, c->args, &client, failp) < 0 || arg_prefix(c->args, &prefix, failp) < 0 ||
	    arg_vnet(m, c->args, &v, failp) < 0 ||
	    arg_ports(c->args, &ports, &transports, failp) < 0)
		return -1;
	if (client->n_grants >= EDGE_GRANTS_MAX && !has_client_grant(client, &v->id, &prefix))
		return edge_fail(failp, "conflict", "client %s has %d grants, the most",
				 client->name, EDGE_GRANTS_MAX);
	admin_grant_key(&client->id, &v->id, &prefix, &key);
	key.values[3] = store_text(ports_format(&ports, canonical));
	key.values[4] = store_text(transports_format(transports, protocols));
	store_batch_put(batch, STORE_CLIENT_GRANT, key.values);
	return 0;
}

ADMIN_CHANGE(client_grant_delete)
{
	const struct edge_client *client;
	const struct vnet *v;
	struct prefix prefix;
	struct admin_grant_key key;

	if (arg_client(m, c->args, &client, failp) < 0 || arg_prefix(c->args, &prefix, failp) < 0 ||
	    arg_vnet(m, c->args, &v, failp) < 0)
		return -1;
	admin_grant_key(&client->id, &v->id, &prefix, &key);
	if (!has_client_grant(client, &v->id, &prefix))
		return edge_fail(failp, "not-found",
				 "client %s has no grant of %s in %s: see adit-edge client grant "
				 "list",
				 client->name, key.prefix, v->name);
	store_batch_delete(batch, STORE_CLIENT_GRANT, key.values, 3);
	return 0;
}

static void append_client_grants(const struct edge_model *m, const struct edge_client *c,
				 json_t *rows)
{
	for (size_t i = 0; i < c->n_grants; i++) {
		const struct client_grant *g = &c->grants[i];

		json_array_append_new(rows,
				      json_pack("{s:s, s:o, s:s, s:o, s:o}", "client", c->name,
						"prefix", admin_prefix(&g->prefix),
						"virtual_network", admin_vnet_name(m, &g->vnet),
						"ports", admin_ports(&g->ports), "protocols",
						admin_transports(g->transports)));
	}
}

void admin_client_grant_list(void *ctx, struct ctrl_request *req, const struct json_t *args)
{
	const struct edge_admin *a = ctx;
	const struct edge_client *c = NULL;
	struct edge_failure fail;
	json_t *rows;

	if (arg_text(args, "client") && arg_client(a->model, args, &c, &fail) < 0) {
		admin_refuse(req, &fail);
		return;
	}
	rows = json_array();
	for (size_t i = 0; i < edge_model_n_clients(a->model); i++)
		if (!c || c == edge_model_client_at(a->model, i))
			append_client_grants(a->model, edge_model_client_at(a->model, i), rows);
	admin_reply_list(req, "grants", rows);
}
