/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands about network policies. Positions are 1 to n without a gap: a change writes each
 * policy whose position is another one afterwards.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/nearest.h"
#include "edge/admin_private.h"
#include "edge/decide.h"
#include "edge/names.h"

#define CATCH_ALL_NAME "catch-all"

/* ---- order ---- */

/* All policies in the order that a change gives them. */
struct order {
	const struct policy *items[EDGE_POLICIES_MAX + 1];
	size_t n;
};

static void read_order(const struct edge_model *m, const struct policy *without,
		       struct order *orderp)
{
	orderp->n = 0;
	for (size_t i = 0; i < edge_model_n_policies(m); i++)
		if (edge_model_policy_at(m, i) != without)
			orderp->items[orderp->n++] = edge_model_policy_at(m, i);
}

/* @position: 1 to n + 1. */
static void insert(struct order *order, const struct policy *p, size_t position)
{
	size_t i = position - 1;

	memmove(&order->items[i + 1], &order->items[i], (order->n - i) * sizeof(struct policy *));
	order->items[i] = p;
	order->n++;
}

/* The last place, before a catch-all that ends the list. */
static size_t last_position(const struct order *order)
{
	bool has_end = order->n > 0 && policy_is_catch_all(order->items[order->n - 1]);

	return has_end ? order->n : order->n + 1;
}

static void put_policy(struct store_batch *batch, const struct policy *p, size_t position)
{
	char id[UUID_TEXT_MAX], vnet[UUID_TEXT_MAX], prefix[PREFIX_TEXT_MAX];
	char ports[PORTS_TEXT_MAX], protocols[TRANSPORTS_TEXT_MAX];
	const struct store_value values[] = {
		store_text(uuid_format(&p->id, id)),
		store_int((int64_t)position),
		store_text(p->name),
		store_text(policy_action_name(p->action)),
		store_text(p->client),
		store_text(p->email),
		store_text(uuid_is_nil(&p->vnet) ? "" : uuid_format(&p->vnet, vnet)),
		store_text(p->prefix.ip.family ? prefix_format(&p->prefix, prefix) : ""),
		store_text(ports_format(&p->ports, ports)),
		store_text(transports_format(p->transports, protocols)),
		store_int(p->created_ms),
	};

	store_batch_put(batch, STORE_POLICY, values);
}

static void put_order(struct store_batch *batch, const struct order *order)
{
	for (size_t i = 0; i < order->n; i++)
		if (order->items[i]->position != i + 1)
			put_policy(batch, order->items[i], i + 1);
}

/* ---- arguments ---- */

static int arg_policy(const struct edge_model *m, const struct json_t *args,
		      const struct policy **policyp, struct edge_failure *failp)
{
	const char *text = arg_need_text(args, "policy", failp);
	struct nearest near = {.wanted = text};

	if (!text)
		return -1;
	*policyp = edge_model_policy_find(m, text);
	if (*policyp)
		return 0;
	for (size_t i = 0; i < edge_model_n_policies(m); i++)
		nearest_offer(&near, edge_model_policy_at(m, i)->name);
	if (near.best)
		return edge_fail(failp, "not-found", "no policy %.80s: did you mean %s?", text,
				 near.best);
	return edge_fail(failp, "not-found", "no policy %.80s: see adit-edge policy list", text);
}

/* 1 to @max; @fallback when not there. */
static int arg_position(const struct json_t *args, size_t max, size_t fallback, size_t *positionp,
			struct edge_failure *failp)
{
	const char *text = arg_text(args, "position");
	unsigned long long position;
	char *end;

	*positionp = fallback;
	if (!text)
		return 0;
	errno = 0;
	position = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || position < 1 || position > max)
		return edge_fail(failp, "invalid", "position \"%.40s\": write 1 to %zu", text, max);
	*positionp = (size_t)position;
	return 0;
}

/* A policy for a user whom nobody knows would quietly do nothing. */
static int arg_whom(const struct edge_model *m, const struct json_t *args, struct policy *p,
		    struct edge_failure *failp)
{
	const struct edge_client *client;
	const char *problem;
	const char *email;

	if (arg_comment(args, "email", EDGE_EMAIL_MAX, &email, failp) < 0)
		return -1;
	problem = *email ? policy_email_problem(email) : NULL;
	if (problem)
		return edge_fail(failp, "invalid", "email \"%s\": %s", email, problem);
	snprintf(p->email, sizeof(p->email), "%s", email);
	if (!arg_text(args, "client"))
		return 0;
	if (arg_client(m, args, &client, failp) < 0)
		return -1;
	snprintf(p->client, sizeof(p->client), "%s", client->name);
	return 0;
}

static int arg_what(const struct edge_model *m, const struct json_t *args, struct policy *p,
		    struct edge_failure *failp)
{
	const struct vnet *v;

	if (arg_text(args, "virtual_network")) {
		if (arg_vnet(m, args, &v, failp) < 0)
			return -1;
		p->vnet = v->id;
	}
	if (arg_text(args, "prefix") && arg_prefix(args, &p->prefix, failp) < 0)
		return -1;
	return arg_ports(args, &p->ports, &p->transports, failp);
}

static int arg_new_policy(const struct edge_model *m, const struct json_t *args, struct policy *p,
			  struct edge_failure *failp)
{
	const char *name, *action;

	if (arg_new_name(args, &name, failp) < 0)
		return -1;
	action = arg_need_text(args, "action", failp);
	if (!action)
		return -1;
	if (policy_action_parse(action, &p->action) < 0)
		return edge_fail(failp, "invalid", "action \"%.40s\": write allow or block",
				 action);
	snprintf(p->name, sizeof(p->name), "%s", name);
	if (arg_whom(m, args, p, failp) < 0)
		return -1;
	return arg_what(m, args, p, failp);
}

/* ---- changes ---- */

static int check_new(const struct edge_model *m, const char *name, struct edge_failure *failp)
{
	if (edge_model_policy_find(m, name))
		return edge_fail(failp, "conflict", "there is a policy %s already", name);
	if (edge_model_n_policies(m) >= EDGE_POLICIES_MAX)
		return edge_fail(failp, "conflict", "there are %d policies, the most there can be",
				 EDGE_POLICIES_MAX);
	return 0;
}

static void add_policy(struct admin_change *c, struct store_batch *batch, const struct policy *p,
		       struct order *order, size_t position)
{
	insert(order, p, position);
	put_order(batch, order);
	c->result = json_pack("{s:s, s:o, s:i}", "name", p->name, "id", admin_uuid(&p->id),
			      "position", (int)position);
}

ADMIN_CHANGE(policy_add)
{
	struct policy p = {.id = uuid_random(), .created_ms = c->now_ms};
	struct order order;
	size_t position;

	if (arg_new_policy(m, c->args, &p, failp) < 0 || check_new(m, p.name, failp) < 0)
		return -1;
	read_order(m, NULL, &order);
	if (arg_position(c->args, order.n + 1, last_position(&order), &position, failp) < 0)
		return -1;
	add_policy(c, batch, &p, &order, position);
	return 0;
}

ADMIN_CHANGE(policy_add_catch_all)
{
	struct policy p = {
		.id = uuid_random(),
		.name = CATCH_ALL_NAME,
		.action = POLICY_ACTION_BLOCK,
		.created_ms = c->now_ms,
	};
	struct order order;

	read_order(m, NULL, &order);
	if (last_position(&order) <= order.n)
		return edge_fail(failp, "conflict", "policy %s blocks everything already",
				 order.items[order.n - 1]->name);
	if (check_new(m, p.name, failp) < 0)
		return -1;
	add_policy(c, batch, &p, &order, order.n + 1);
	return 0;
}

ADMIN_CHANGE(policy_move)
{
	const struct policy *p;
	struct order order;
	size_t position;

	if (arg_policy(m, c->args, &p, failp) < 0 || !arg_need_text(c->args, "position", failp) ||
	    arg_position(c->args, edge_model_n_policies(m), 1, &position, failp) < 0)
		return -1;
	read_order(m, p, &order);
	insert(&order, p, position);
	put_order(batch, &order);
	c->result = json_pack("{s:s, s:i}", "name", p->name, "position", (int)position);
	return 0;
}

ADMIN_CHANGE(policy_delete)
{
	const struct policy *p;
	struct order order;
	char id[UUID_TEXT_MAX];

	if (arg_policy(m, c->args, &p, failp) < 0)
		return -1;
	store_batch_delete(batch, STORE_POLICY,
			   (const struct store_value[]){store_text(uuid_format(&p->id, id))}, 1);
	read_order(m, p, &order);
	put_order(batch, &order);
	c->result = json_pack("{s:s}", "name", p->name);
	return 0;
}

/* ---- reading ---- */

static json_t *pack_policy(const struct edge_model *m, const struct policy *p)
{
	return json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:b, s:o, s:o}", "position",
			 (int)p->position, "name", p->name, "action", policy_action_name(p->action),
			 "client", p->client[0] ? p->client : "all", "email",
			 p->email[0] ? p->email : "all", "virtual_network",
			 uuid_is_nil(&p->vnet) ? "all" : admin_vnet_name(m, &p->vnet), "prefix",
			 p->prefix.ip.family ? admin_prefix(&p->prefix) : json_string("all"),
			 "ports", admin_ports(&p->ports), "protocols",
			 admin_transports(p->transports), "catch_all", policy_is_catch_all(p), "id",
			 admin_uuid(&p->id), "created", admin_time(p->created_ms));
}

void admin_policy_list(void *ctx, struct ctrl_request *req, const struct json_t *args)
{
	const struct edge_admin *a = ctx;
	json_t *rows = json_array();

	(void)args;
	for (size_t i = 0; i < edge_model_n_policies(a->model); i++)
		json_array_append_new(rows,
				      pack_policy(a->model, edge_model_policy_at(a->model, i)));
	admin_reply_list(req, "policies", rows);
}

/* ---- test ---- */

struct question {
	const struct edge_client *client;
	const struct vnet *vnet;
	struct endpoint destination;
	enum transport transport;
};

static int arg_transport(const struct json_t *args, enum transport *transportp,
			 struct edge_failure *failp)
{
	const char *text = arg_text(args, "protocol");

	*transportp = TRANSPORT_TCP;
	if (!text)
		return 0;
	for (unsigned int t = 0; t < TRANSPORT_N; t++) {
		if (strcmp(text, transport_name((enum transport)t)) == 0) {
			*transportp = (enum transport)t;
			return 0;
		}
	}
	return edge_fail(failp, "invalid", "protocol \"%.40s\": write tcp, udp or icmp", text);
}

static int arg_port(const struct json_t *args, enum transport transport, uint16_t *portp,
		    struct edge_failure *failp)
{
	const char *text = arg_text(args, "port");
	struct ports one;

	if (transport == TRANSPORT_ICMP) {
		*portp = 0;
		return text ? edge_fail(failp, "invalid", "icmp has no port: leave %.40s out", text)
			    : 0;
	}
	if (!text)
		return edge_fail(failp, "invalid", "port is missing");
	if (ports_parse(text, &one) < 0 || one.n != 1 || one.ranges[0].first != one.ranges[0].last)
		return edge_fail(failp, "invalid", "port \"%.40s\": write a number from 1 to 65535",
				 text);
	*portp = one.ranges[0].first;
	return 0;
}

static int arg_question(const struct edge_model *m, const struct json_t *args, struct question *q,
			struct edge_failure *failp)
{
	const char *text;

	if (arg_client(m, args, &q->client, failp) < 0 || arg_vnet(m, args, &q->vnet, failp) < 0 ||
	    arg_transport(args, &q->transport, failp) < 0 ||
	    arg_port(args, q->transport, &q->destination.port, failp) < 0)
		return -1;
	text = arg_need_text(args, "address", failp);
	if (!text)
		return -1;
	if (ip_parse(text, &q->destination.ip) < 0)
		return edge_fail(failp, "invalid", "\"%.60s\" is not an IP address", text);
	return 0;
}

static json_t *explain(const struct edge_model *m, const struct question *q,
		       const struct decision *d)
{
	char rule[DECISION_RULE_MAX];

	decision_rule(d, rule);
	switch (d->layer) {
	case DECISION_LAYER_POLICY:
		return json_sprintf("policy %s (position %u) blocks it", rule, d->policy_position);
	case DECISION_LAYER_GRANT:
		if (q->client->revoked_ms != 0)
			return json_sprintf("client %s is revoked", q->client->name);
		if (!rule[0])
			return json_sprintf("no grant of %s covers it", q->client->name);
		return json_sprintf("grant %s of %s covers it", rule, q->client->name);
	case DECISION_LAYER_ROUTE:
		if (d->reason == STREAM_ERROR_CONNECTOR_DOWN)
			return json_sprintf("no connector of tunnel %s is up for route %s",
					    admin_tunnel_name(m, &d->route.tunnel), rule);
		return json_string("policies and grants let it pass, but no route covers it");
	case DECISION_LAYER_NONE:
	case DECISION_LAYER_NETWORK:
	case DECISION_LAYER_N:
		break;
	}
	return json_string(stream_error_info(d->reason)->text);
}

static json_t *pack_decision(const struct edge_model *m, const struct question *q,
			     const struct decision *d)
{
	bool has_route = d->route.prefix.ip.family != 0;
	char rule[DECISION_RULE_MAX];

	decision_rule(d, rule);
	return json_pack(
		"{s:b, s:s, s:s, s:o, s:o, s:s, s:o, s:o, s:o}", "allowed",
		d->reason == STREAM_ERROR_NONE, "result",
		d->reason == STREAM_ERROR_NONE ? "allowed" : stream_error_info(d->reason)->name,
		"layer", decision_layer_name(d->layer), "rule",
		*rule ? json_string(rule) : json_null(), "policy",
		*d->policy ? json_string(d->policy) : json_null(), "virtual_network", q->vnet->name,
		"route", has_route ? admin_prefix(&d->route.prefix) : json_null(), "tunnel",
		has_route ? json_string(admin_tunnel_name(m, &d->route.tunnel)) : json_null(),
		"reason", explain(m, q, d));
}

/* What the edge would say to that request now: asks the function that says it. */
void admin_policy_test(void *ctx, struct ctrl_request *req, const struct json_t *args)
{
	const struct edge_admin *a = ctx;
	struct edge_failure fail;
	struct question q = {0};
	struct decision d;

	if (arg_question(a->model, args, &q, &fail) < 0) {
		admin_refuse(req, &fail);
		return;
	}
	(void)decide(a->model, q.client, q.vnet->name, &q.destination, q.transport, &d);
	ctrl_reply_ok(req, pack_decision(a->model, &q, &d));
}
