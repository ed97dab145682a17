/* SPDX-License-Identifier: Apache-2.0 */
#include "ctrl/ctrl_log_level.h"
#include "edge/admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/nearest.h"
#include "base/utf8.h"
#include "edge/admin_private.h"
#include "edge/names.h"
#include "routing/forbidden.h"
#include "wire/tls_crypto.h"

static const struct ctrl_command commands[] = {
	{"client.add", true, admin_client_add, "a user and the first token"},
	{"client.delete", true, admin_client_delete, "forget a user"},
	{"client.grant.add", true, admin_client_grant_add, "let a user reach a network"},
	{"client.grant.delete", true, admin_client_grant_delete, "take a grant back"},
	{"client.grant.list", false, admin_client_grant_list, "what users may reach"},
	{"client.list", false, admin_client_list, "users"},
	{"client.revoke", true, admin_client_revoke, "make tokens of a user invalid"},
	{"client.token", true, admin_client_token, "mint one more token"},
	{"connection.close", true, admin_connection_close, "cut a connection"},
	{"connections", false, admin_connections, "connections of agents and clients"},
	{"grant.add", true, admin_grant_add, "let a tunnel advertise"},
	{"grant.delete", true, admin_grant_delete, "take a grant back"},
	{"grant.list", false, admin_grant_list, "what tunnels may advertise"},
	{CTRL_LOG_LEVEL, false, admin_log_level, "shown, or set until the next reload"},
	{"policy.add", true, admin_policy_add, "a network policy"},
	{"policy.add-catch-all", true, admin_policy_add_catch_all, "block what no policy allows"},
	{"policy.delete", true, admin_policy_delete, "remove a network policy"},
	{"policy.list", false, admin_policy_list, "network policies in their order"},
	{"policy.move", true, admin_policy_move, "give a network policy another place"},
	{"policy.test", false, admin_policy_test, "what a user would be answered, and why"},
	{"reload", true, admin_reload, "read edge.yml again"},
	{"route.add", true, admin_route_add, "set a route by hand"},
	{"route.delete", true, admin_route_delete, "remove a route set by hand"},
	{"route.get", false, admin_route_get, "where an address goes"},
	{"route.list", false, admin_route_list, "all routes in force"},
	{"status", false, admin_status, "the edge at a glance"},
	{"tunnel.create", true, admin_tunnel_create, "a tunnel and its first secret"},
	{"tunnel.delete", true, admin_tunnel_delete, "remove a tunnel and all it has"},
	{"tunnel.info", false, admin_tunnel_info, "all about one tunnel"},
	{"tunnel.list", false, admin_tunnel_list, "tunnels and their health"},
	{"tunnel.rotate", true, admin_tunnel_rotate, "a new secret; the others end"},
	{"tunnel.secret.list", false, admin_tunnel_secret_list, "a tunnel's secrets"},
	{"tunnel.secret.revoke", true, admin_tunnel_secret_revoke, "make a secret invalid"},
	{"tunnel.token", true, admin_tunnel_token, "mint one more secret"},
	{"vnet.add", true, admin_vnet_add, "a virtual network"},
	{"vnet.delete", true, admin_vnet_delete, "remove a virtual network"},
	{"vnet.list", false, admin_vnet_list, "virtual networks"},
	{"vnet.update", true, admin_vnet_update, "rename a network, or make it the default"},
};

const struct ctrl_command *edge_admin_commands(size_t *n_commandsp)
{
	*n_commandsp = ARRAY_SIZE(commands);
	return commands;
}

/* ---- changes ---- */

static int run_plan(void *ctx, const struct edge_model *m, struct store_batch *batch,
		    struct edge_failure *failp)
{
	struct admin_change *c = ctx;

	return c->plan(c, m, batch, failp);
}

void admin_refuse(struct ctrl_request *req, const struct edge_failure *fail)
{
	ctrl_reply_error(req, fail->code, "%s", fail->text);
}

void admin_reply_list(struct ctrl_request *req, const char *key, struct json_t *rows)
{
	ctrl_reply_ok(req, json_pack("{s:o}", key, rows));
}

static void answer_change(void *ctx, const struct edge_model *m, const struct edge_failure *fail)
{
	struct admin_change *c = ctx;

	(void)m;
	if (fail)
		admin_refuse(c->req, fail);
	else
		ctrl_reply_ok(c->req, json_incref(c->result));
	json_decref(c->result);
	json_decref(c->args);
	free(c);
}

void admin_run(void *ctx, struct ctrl_request *req, const struct json_t *args, admin_plan plan)
{
	const struct edge_admin *admin = ctx;
	struct admin_change *c = xnew(struct admin_change);

	c->admin = admin;
	c->req = req;
	c->args = json_deep_copy(args);
	c->plan = plan;
	c->now_ms = clock_wall_ms();
	edge_model_change(admin->model, run_plan, answer_change, c);
}

/* ---- arguments ---- */

const char *arg_text(const struct json_t *args, const char *key)
{
	const char *text = json_string_value(json_object_get(args, key));

	return text && *text ? text : NULL;
}

bool arg_flag(const struct json_t *args, const char *key)
{
	return json_is_true(json_object_get(args, key));
}

const char *arg_need_text(const struct json_t *args, const char *key, struct edge_failure *failp)
{
	const char *text = arg_text(args, key);

	if (!text)
		edge_fail(failp, "invalid", "%s is missing", key);
	return text;
}

int arg_new_name(const struct json_t *args, const char **namep, struct edge_failure *failp)
{
	const char *name = arg_need_text(args, "name", failp);
	const char *problem;

	if (!name)
		return -1;
	problem = edge_name_problem(name);
	if (problem)
		return edge_fail(failp, "invalid", "name \"%.80s\": %s", name, problem);
	*namep = name;
	return 0;
}

static bool is_printable(const char *text)
{
	size_t left = strlen(text);

	while (left > 0) {
		uint32_t rune;
		size_t n = utf8_next(text, left, &rune);

		if (!utf8_is_printable(rune))
			return false;
		text += n;
		left -= n;
	}
	return true;
}

int arg_comment(const struct json_t *args, const char *key, size_t max, const char **textp,
		struct edge_failure *failp)
{
	const char *text = arg_text(args, key);

	if (!text)
		text = "";
	if (strlen(text) >= max)
		return edge_fail(failp, "invalid", "%s has more than %zu bytes", key, max - 1);
	if (!is_printable(text))
		return edge_fail(failp, "invalid", "%s has characters that can't be shown", key);
	*textp = text;
	return 0;
}

int arg_prefix_text(const char *text, struct prefix *prefixp, struct edge_failure *failp)
{
	char meant[PREFIX_TEXT_MAX];

	switch (prefix_parse(text, prefixp)) {
	case 0:
		return 0;
	case PREFIX_E_HOST_BITS:
		return edge_fail(failp, "invalid", "%.60s has host bits set: %s is meant", text,
				 prefix_format(prefixp, meant));
	default:
		return edge_fail(failp, "invalid",
				 "\"%.60s\" is not a prefix: write ADDRESS/BITS, as in 10.0.0.0/8",
				 text);
	}
}

int arg_prefix(const struct json_t *args, struct prefix *prefixp, struct edge_failure *failp)
{
	const char *text = arg_need_text(args, "prefix", failp);
	const char *range;

	if (!text || arg_prefix_text(text, prefixp, failp) < 0)
		return -1;
	range = prefix_is_single(prefixp) ? NULL : forbidden_prefix(prefixp);
	if (range)
		return edge_fail(failp, "invalid",
				 "%.60s lies in a range (%s) that only single addresses can name",
				 text, range);
	return 0;
}

static int fail_unknown(struct edge_failure *failp, const char *what, const char *text,
			const struct nearest *near)
{
	if (near->best)
		return edge_fail(failp, "not-found", "no %s %.80s: did you mean %s?", what, text,
				 near->best);
	return edge_fail(failp, "not-found", "no %s %.80s: the list command shows what there is",
			 what, text);
}

int arg_tunnel(const struct edge_model *m, const struct json_t *args,
	       const struct edge_tunnel **tunnelp, struct edge_failure *failp)
{
	const char *text = arg_need_text(args, "tunnel", failp);
	const struct edge_tunnel *t;
	struct nearest near = {0};

	if (!text)
		return -1;
	t = edge_model_tunnel_find(m, text);
	near.wanted = text;
	for (size_t i = 0; !t && i < edge_model_n_tunnels(m); i++)
		nearest_offer(&near, edge_model_tunnel_at(m, i)->name);
	if (!t)
		return fail_unknown(failp, "tunnel", text, &near);
	*tunnelp = t;
	return 0;
}

int arg_client(const struct edge_model *m, const struct json_t *args,
	       const struct edge_client **clientp, struct edge_failure *failp)
{
	const char *text = arg_need_text(args, "client", failp);
	const struct edge_client *c;
	struct nearest near = {0};

	if (!text)
		return -1;
	c = edge_model_client_find(m, text);
	near.wanted = text;
	for (size_t i = 0; !c && i < edge_model_n_clients(m); i++)
		nearest_offer(&near, edge_model_client_at(m, i)->name);
	if (!c)
		return fail_unknown(failp, "client", text, &near);
	*clientp = c;
	return 0;
}

int arg_vnet(const struct edge_model *m, const struct json_t *args, const struct vnet **vnetp,
	     struct edge_failure *failp)
{
	const struct vnet_table *vnets = edge_model_vnets(m);
	const char *text = arg_text(args, "virtual_network");
	const struct vnet *v = vnet_table_resolve(vnets, text);
	struct nearest near = {.wanted = text};

	for (size_t i = 0; !v && i < vnets->n; i++)
		nearest_offer(&near, vnets->items[i].name);
	if (!v)
		return fail_unknown(failp, "virtual network", text ? text : "", &near);
	*vnetp = v;
	return 0;
}

int arg_ports(const struct json_t *args, struct ports *portsp, struct transports *transportsp,
	      struct edge_failure *failp)
{
	const char *ports = arg_text(args, "ports");
	const char *protocols = arg_text(args, "protocols");

	if (ports_parse(ports ? ports : "", portsp) < 0)
		return edge_fail(failp, "invalid",
				 "ports \"%.80s\": write 22,80 or 8000-8100, at most %d of them",
				 ports, PORTS_RANGES_MAX);
	if (transports_parse(protocols ? protocols : "", transportsp) < 0)
		return edge_fail(failp, "invalid",
				 "protocols \"%.80s\": write tcp, udp, icmp, or several as in "
				 "tcp,udp",
				 protocols);
	if (portsp->n > 0 && transportsp->bits == 1u << TRANSPORT_ICMP)
		return edge_fail(failp, "invalid",
				 "ports %.80s: icmp has none: leave them out, or name tcp or udp",
				 ports);
	return 0;
}

/* ---- texts ---- */

const char *admin_vnet_name(const struct edge_model *m, const struct uuid *id)
{
	const struct vnet *v = vnet_table_by_id(edge_model_vnets(m), id);

	return v ? v->name : "?";
}

const char *admin_tunnel_name(const struct edge_model *m, const struct uuid *id)
{
	const struct edge_tunnel *t = edge_model_tunnel_by_id(m, id);

	return t ? t->name : "?";
}

struct json_t *admin_time(int64_t wall_ms)
{
	char text[CLOCK_TEXT_MAX];

	return wall_ms ? json_string(clock_format_wall(wall_ms, text)) : json_null();
}

struct json_t *admin_prefix(const struct prefix *p)
{
	char text[PREFIX_TEXT_MAX];

	return json_string(prefix_format(p, text));
}

struct json_t *admin_uuid(const struct uuid *id)
{
	char text[UUID_TEXT_MAX];

	return json_string(uuid_format(id, text));
}

struct json_t *admin_ports(const struct ports *p)
{
	char text[PORTS_TEXT_MAX];

	return json_string(p->n ? ports_format(p, text) : "all");
}

struct json_t *admin_transports(struct transports t)
{
	char text[TRANSPORTS_TEXT_MAX];

	return json_string(t.bits ? transports_format(t, text) : "all");
}

void admin_grant_key(const struct uuid *owner, const struct uuid *vnet, const struct prefix *prefix,
		     struct admin_grant_key *key)
{
	key->values[0] = store_text(uuid_format(owner, key->owner));
	key->values[1] = store_text(uuid_format(vnet, key->vnet));
	key->values[2] = store_text(prefix_format(prefix, key->prefix));
}

void admin_key_id(size_t n_bytes, char out[EDGE_KEY_ID_MAX])
{
	uint8_t bytes[8];

	random_bytes(bytes, sizeof(bytes));
	for (size_t i = 0; i < n_bytes && i < sizeof(bytes); i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}
