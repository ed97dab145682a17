/* SPDX-License-Identifier: Apache-2.0 */

/* What was taken back is cut: connections of a secret, streams of a token or of a grant. */

#include <string.h>

#include "edge/connection.h"
#include "edge/decide.h"
#include "edge/edge_private.h"
#include "edge/flow.h"
#include "edge/ingress.h"

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
}

/* A route that is gone, or has nobody behind it now, doesn't end what runs. */
static bool may_go_on(enum stream_error now)
{
	return now == STREAM_ERROR_NONE || now == STREAM_ERROR_NO_ROUTE ||
	       now == STREAM_ERROR_CONNECTOR_DOWN;
}

static void on_access_changed(void *ctx, const struct uuid *client_id)
{
	struct edge *e = ctx;
	const struct edge_client *client = edge_model_client_by_id(e->model, client_id);
	struct list *pos;
	struct list *next;

	list_for_each_safe (pos, next, &e->flows) {
		struct flow *f = list_entry(pos, struct flow, node);
		char network[UUID_TEXT_MAX];
		struct decision now;
		enum stream_error error = STREAM_ERROR_NOT_GRANTED;

		if (!uuid_equal(&f->client, client_id))
			continue;
		if (client)
			error = decide(e->model, client, uuid_format(&f->decision.vnet, network),
				       &f->decision.destination, f->decision.transport, &now);
		if (!may_go_on(error))
			flow_cut(f, error, "no longer granted");
	}
}

const struct edge_model_events edge_access_events = {
	.on_secret_gone = on_secret_gone,
	.on_tunnel_gone = on_tunnel_gone,
	.on_token_gone = on_token_gone,
	.on_access_changed = on_access_changed,
};
