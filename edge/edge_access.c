/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What was taken back is cut: connections of a secret, streams of a token, of a grant, or that a
 * policy blocks now. And the access log.
 */

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "edge/access_log.h"
#include "edge/connection.h"
#include "edge/decide.h"
#include "edge/edge_private.h"
#include "edge/flow.h"
#include "edge/ingress.h"
#include "edge/ingress_routes.h"

static void on_secret_gone(void *ctx, const struct uuid *tunnel, const char *secret_id)
{
	struct edge *e = ctx;
	struct list *pos;

	list_for_each (pos, &e->connections) {
		struct connection *c = list_entry(pos, struct connection, node);

		if (uuid_equal(&c->entry.tunnel, tunnel) &&
		    (!secret_id || strcmp(c->key_id, secret_id) == 0))
			connection_close(c, secret_id ? "its secret was revoked"
						      : "its tunnel was deleted");
	}
}

static void on_tunnel_gone(void *ctx, const struct uuid *tunnel)
{
	on_secret_gone(ctx, tunnel, NULL);
}

static void on_token_gone(void *ctx, const struct uuid *client, const char *token_id)
{
	struct edge *e = ctx;
	struct list *pos;
	struct list *next;

	list_for_each_safe (pos, next, &e->flows) {
		struct flow *f = list_entry(pos, struct flow, node);

		if (uuid_equal(&f->client, client) && strcmp(f->token_id, token_id) == 0)
			flow_cut(f, STREAM_ERROR_UNAUTHENTICATED, "token revoked");
	}
	list_for_each (pos, &e->clients) {
		struct ingress *in = list_entry(pos, struct ingress, node);

		if (uuid_equal(&in->client, client) && strcmp(in->token_id, token_id) == 0)
			ingress_close(in, "token revoked");
	}
	ingress_routes_revoke(e, client, token_id);
}

/* A route that is gone, or has nobody behind it now, doesn't end what runs. */
static bool may_go_on(enum stream_error now)
{
	return now == STREAM_ERROR_NONE || now == STREAM_ERROR_NO_ROUTE ||
	       now == STREAM_ERROR_CONNECTOR_DOWN;
}

/* The flow keeps the new verdict: its last line in the access log says what ended it. */
static void cut_denied(struct flow *f, const struct decision *now)
{
	char why[FLOW_WHY_MAX] = "no longer granted";

	if (now->layer == DECISION_LAYER_POLICY)
		snprintf(why, sizeof(why), "blocked by policy %s", now->policy);
	f->decision.layer = now->layer;
	f->decision.grant = now->grant;
	f->decision.policy_id = now->policy_id;
	f->decision.policy_position = now->policy_position;
	memcpy(f->decision.policy, now->policy, sizeof(now->policy));
	flow_cut(f, now->reason, why);
}

static void check_again(struct flow *f)
{
	const struct edge_client *client = edge_model_client_by_id(f->edge->model, &f->client);
	struct decision now = {
		.reason = STREAM_ERROR_NOT_GRANTED,
		.layer = DECISION_LAYER_GRANT,
	};
	char network[UUID_TEXT_MAX];

	uuid_format(&f->decision.vnet, network);
	if (client)
		(void)decide(f->edge->model, client, network, &f->decision.destination,
			     f->decision.transport, &now);
	if (!may_go_on(now.reason))
		cut_denied(f, &now);
}

/* @client NULL: of all. */
static void check_flows(struct edge *e, const struct uuid *client)
{
	struct list *pos;
	struct list *next;

	list_for_each_safe (pos, next, &e->flows) {
		struct flow *f = list_entry(pos, struct flow, node);

		if (!client || uuid_equal(&f->client, client))
			check_again(f);
	}
}

static void on_access_changed(void *ctx, const struct uuid *client)
{
	check_flows(ctx, client);
	ingress_routes_changed(ctx, client);
}

static void on_policies_changed(void *ctx)
{
	check_flows(ctx, NULL);
	ingress_routes_changed(ctx, NULL);
}

static void on_routes_changed(void *ctx)
{
	ingress_routes_changed(ctx, NULL);
}

static void on_network_renamed(void *ctx)
{
	ingress_routes_renamed(ctx);
}

/* ---- the access log ---- */

int edge_access_log_open(const struct edge_settings *settings, struct access_log **logp,
			 struct diag *diag)
{
	*logp = NULL;
	if (strcmp(settings->access_log, EDGE_ACCESS_LOG_OFF) == 0)
		return 0;
	return access_log_open(logp, settings->access_log, diag);
}

static const char *network_name(const struct edge *e, const struct edge_access *a)
{
	const struct vnet *v = vnet_table_by_id(edge_model_vnets(e->model), &a->decision->vnet);

	return v ? v->name : a->network;
}

void edge_note_access(const struct edge *e, const struct edge_access *a)
{
	const struct decision *d = a->decision;
	const struct edge_tunnel *tunnel;
	char target[ENDPOINT_TEXT_MAX];
	char rule[DECISION_RULE_MAX];

	if (!e->access_log)
		return;
	tunnel = edge_model_tunnel_by_id(e->model, &d->route.tunnel);
	decision_rule(d, rule);
	access_log_write(
		e->access_log,
		&(const struct access_line){
			.time_ms = clock_wall_ms(),
			.is_end = a->is_end,
			.client = a->client,
			.target = a->target ? a->target : decision_destination(d, target),
			.protocol = a->protocol ? a->protocol : transport_name(d->transport),
			.network = network_name(e, a),
			.tunnel = tunnel ? tunnel->name : NULL,
			.layer = decision_layer_name(d->layer),
			.rule = *rule ? rule : NULL,
			.policy = *d->policy ? d->policy : NULL,
			.up_bytes = a->up_bytes,
			.down_bytes = a->down_bytes,
			.duration_ms = a->duration_ms,
			.result = a->result,
		});
}

const struct edge_model_events edge_access_events = {
	.on_secret_gone = on_secret_gone,
	.on_tunnel_gone = on_tunnel_gone,
	.on_token_gone = on_token_gone,
	.on_access_changed = on_access_changed,
	.on_policies_changed = on_policies_changed,
	.on_routes_changed = on_routes_changed,
	.on_network_renamed = on_network_renamed,
};
