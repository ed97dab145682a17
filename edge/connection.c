/* SPDX-License-Identifier: Apache-2.0 */

#include "edge/connection.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "edge/edge.h"
#include "edge/flow.h"
#include "wire/control_server.h"
#include "wire/h2_stream.h"
#include "wire/io_loop.h"
#include "wire/link.h"
#include "wire/proto.h"
#include "wire/tls_crypto.h"

#define EDGE_ANNOUNCEMENT_MAX 32

/* What a stock agent keeps. */
#define STOCK_CONNECTIONS 4

static const char *const state_names[CONNECTION_STATE_N] = {
	[CONNECTION_STATE_OPENING] = "opening",
	[CONNECTION_STATE_REGISTERING] = "registering",
	[CONNECTION_STATE_REGISTERED] = "registered",
	[CONNECTION_STATE_DRAINING] = "draining",
	[CONNECTION_STATE_CLOSED] = "closed",
};

static void set_state(struct connection *c, enum connection_state state, uint64_t deadline_ms)
{
	log_debug("connection state", log_text("connection", c->id_text),
		  log_text("from", state_names[c->state]), log_text("to", state_names[state]));
	c->state = state;
	c->deadline_ms = deadline_ms;
	c->entry.accepts = state == CONNECTION_STATE_REGISTERED;
}

static const char *tunnel_name(const struct connection *c)
{
	const struct edge_tunnel *t = edge_model_tunnel_by_id(c->edge->model, &c->entry.tunnel);

	return t ? t->name : NULL;
}

static void log_end(const struct connection *c, const char *why)
{
	char peer[ENDPOINT_TEXT_MAX];

	endpoint_format(link_peer(c->link), peer);
	if (c->state == CONNECTION_STATE_OPENING)
		log_debug("handshake without registration", log_text("peer", peer),
			  log_text("reason", why));
	else
		log_info("connection closed", log_text("connection", c->id_text),
			 log_text("tunnel", tunnel_name(c)), log_int("index", c->entry.index),
			 log_text("peer", peer), log_text("reason", why));
}

void connection_close(struct connection *c, const char *why)
{
	if (c->state == CONNECTION_STATE_CLOSED)
		return;
	log_end(c, why);
	set_state(c, CONNECTION_STATE_CLOSED, UINT64_MAX);
	link_close(c->link, LINK_END_LOCAL);
}

static void close_if_idle(struct connection *c)
{
	if (c->state == CONNECTION_STATE_DRAINING && list_is_empty(&c->flows))
		connection_close(c, c->was_replaced ? "replaced" : "unregistered");
}

void connection_drain(struct connection *c, uint64_t deadline_ms)
{
	struct h2_session *session = link_session(c->link);

	if (c->state == CONNECTION_STATE_CLOSED)
		return;
	set_state(c, CONNECTION_STATE_DRAINING, deadline_ms);
	if (session)
		h2_session_drain(session);
	close_if_idle(c);
}

void connection_flow_ended(struct connection *c)
{
	close_if_idle(c);
}

void connection_tick(struct connection *c, uint64_t now_ms)
{
	if (now_ms < c->deadline_ms)
		return;
	connection_close(c, c->state == CONNECTION_STATE_DRAINING ? "drain-timeout is over"
								  : "no registration in time");
}

/* ---- registration ---- */

static void refuse(struct connection *c, uint32_t answer, const char *cause, bool should_retry,
		   int64_t retry_after_ms)
{
	struct registration_error error = {
		.should_retry = should_retry,
		.retry_after_ns = retry_after_ms * 1000000,
	};
	char peer[ENDPOINT_TEXT_MAX];

	snprintf(error.cause, sizeof(error.cause), "%s", cause);
	log_warn("registration refused",
		 log_text("peer", endpoint_format(link_peer(c->link), peer)),
		 log_text("reason", cause));
	(void)control_server_refused(c->rpc, answer, &error);
	connection_close(c, cause);
}

/* The hold that closes this place, or NULL. */
static const struct edge_hold *find_hold(const struct connection *c,
					 const struct registration_request *req)
{
	uint64_t now_ms = clock_boot_ms();
	struct list *pos;

	list_for_each (pos, &c->edge->holds) {
		const struct edge_hold *h = list_entry(pos, struct edge_hold, node);

		if (h->until_ms > now_ms && h->index == req->conn_index &&
		    uuid_equal(&h->tunnel, &req->tunnel_id) &&
		    uuid_equal(&h->connector, &req->client_id))
			return h;
	}
	return NULL;
}

/* True when the newcomer may go on: its place is free, or was taken from the old connection. */
static bool take_place(struct connection *c, uint32_t answer,
		       const struct registration_request *req)
{
	struct registry_entry *old =
		registry_find(c->edge->registry, &req->tunnel_id, &req->client_id, req->conn_index);

	if (!old)
		return true;
	if (c->edge->settings->duplicates == EDGE_DUPLICATES_REJECT) {
		refuse(c, answer, REG_CAUSE_DUPLICATE, false, 0);
		return false;
	}
	connection_of_entry(old)->was_replaced = true;
	connection_drain(connection_of_entry(old), UINT64_MAX);
	return true;
}

static bool may_register(struct connection *c, uint32_t answer,
			 const struct registration_request *req)
{
	const struct edge_hold *hold;
	const struct edge_tunnel *tunnel;

	if (edge_auth_tunnel(c->edge->model, req->account_tag, &req->tunnel_id, req->secret,
			     req->n_secret, clock_wall_ms(), &tunnel, c->key_id) != 0) {
		refuse(c, answer, "Unauthorized: tunnel unknown or secret not valid", false, 0);
		return false;
	}
	if (c->edge->drain_until_ms != 0) {
		refuse(c, answer, "edge is shutting down", true, 1000);
		return false;
	}
	hold = find_hold(c, req);
	if (hold) {
		refuse(c, answer, "held by the operator", true,
		       (int64_t)(hold->until_ms - clock_boot_ms()));
		return false;
	}
	return take_place(c, answer, req);
}

static void fill_entry(struct connection *c, const struct registration_request *req)
{
	c->entry.tunnel = req->tunnel_id;
	c->entry.connector = req->client_id;
	c->entry.index = req->conn_index;
	c->is_adit = registration_is_adit(req);
	c->n_expected = registration_expected_connections(req, STOCK_CONNECTIONS);
	snprintf(c->version, sizeof(c->version), "%s", req->version ? req->version : "");
	c->since_ms = clock_wall_ms();
	registry_add(c->edge->registry, &c->entry);
}

static void accept_registration(struct connection *c, uint32_t answer,
				const struct registration_request *req)
{
	struct registration_details details = {.connection_id = c->id};
	char connector[UUID_TEXT_MAX];
	char peer[ENDPOINT_TEXT_MAX];

	if (edge_connector_up(c->edge->model, &req->tunnel_id, &req->client_id, clock_wall_ms())) {
		refuse(c, answer, "too many connectors for this tunnel", true, 30000);
		return;
	}
	fill_entry(c, req);
	snprintf(details.location, sizeof(details.location), "%s", c->edge->settings->location);
	(void)control_server_registered(c->rpc, answer, &details);
	set_state(c, CONNECTION_STATE_REGISTERED, UINT64_MAX);
	/* An adit agent PINGs on its own; two are not needed. */
	if (c->is_adit)
		link_set_liveness(c->link, LIVENESS_LISTENS);
	log_info("connection registered", log_text("connection", c->id_text),
		 log_text("tunnel", tunnel_name(c)),
		 log_text("connector", uuid_format(&req->client_id, connector)),
		 log_int("index", c->entry.index),
		 log_text("peer", endpoint_format(link_peer(c->link), peer)),
		 log_text("version", c->version));
}

static void rpc_on_register(void *ctx, uint32_t answer, const struct registration_request *req)
{
	struct connection *c = ctx;

	if (c->state != CONNECTION_STATE_REGISTERING) {
		(void)control_server_exception(c->rpc, answer, "already registered");
		return;
	}
	if (may_register(c, answer, req))
		accept_registration(c, answer, req);
}

static void rpc_on_unregister(void *ctx, uint32_t answer)
{
	struct connection *c = ctx;
	uint64_t until_ms = clock_boot_ms() + c->edge->settings->drain_timeout_ms;

	(void)control_server_unregistered(c->rpc, answer);
	if (c->state != CONNECTION_STATE_REGISTERED)
		return;
	set_state(c, CONNECTION_STATE_DRAINING, until_ms);
	close_if_idle(c);
}

static void rpc_on_local_config(void *ctx, const uint8_t *json UNUSED, size_t n)
{
	struct connection *c = ctx;

	log_debug("local configuration received", log_text("connection", c->id_text),
		  log_int("bytes", (int64_t)n));
}

static void rpc_on_advertise(void *ctx, uint32_t answer, const struct route_call *call)
{
	struct connection *c = ctx;
	struct route_reply reply;
	int r;

	if (c->state != CONNECTION_STATE_REGISTERED) {
		(void)control_server_exception(c->rpc, answer, "not registered");
		return;
	}
	r = edge_advertise(c->edge->model, &c->entry.tunnel, &c->entry.connector, call,
			   clock_wall_ms(), &reply);
	if (r == 0)
		(void)control_server_advertised(c->rpc, answer, &reply);
	else
		(void)control_server_exception(c->rpc, answer,
					       r == EDGE_ADVERT_E_TOO_MANY ? "too many routes"
									   : "connector unknown");
}

static void rpc_on_send(void *ctx, const uint8_t *data, size_t n)
{
	struct connection *c = ctx;

	if (c->control && h2_queue_write(&c->out, data, n) < 0)
		connection_close(c, "agent does not read its control stream");
}

static void rpc_on_end(void *ctx, bool protocol_error, const char *text)
{
	struct connection *c = ctx;

	/* After unregister the goodbye is expected; streams go on. */
	if (protocol_error || c->state != CONNECTION_STATE_DRAINING)
		connection_close(c, text);
}

static const struct control_server_events rpc_events = {
	.on_send = rpc_on_send,
	.on_register = rpc_on_register,
	.on_unregister = rpc_on_unregister,
	.on_local_config = rpc_on_local_config,
	.on_advertise = rpc_on_advertise,
	.on_end = rpc_on_end,
};

/* ---- control stream ---- */

static void control_on_data(void *ctx, struct h2_stream *stream, const uint8_t *data, size_t n)
{
	struct connection *c = ctx;

	h2_stream_credit(stream, n);
	if (c->state != CONNECTION_STATE_CLOSED)
		control_server_feed(c->rpc, data, n);
}

static void control_on_eof(void *ctx, struct h2_stream *stream UNUSED)
{
	struct connection *c = ctx;

	h2_queue_end(&c->out);
	if (c->state != CONNECTION_STATE_DRAINING)
		connection_close(c, "control stream ended");
}

static void control_on_closed(void *ctx, struct h2_stream *stream UNUSED, uint32_t h2_code UNUSED)
{
	struct connection *c = ctx;

	h2_queue_deinit(&c->out);
	c->control = NULL;
	if (c->state != CONNECTION_STATE_DRAINING)
		connection_close(c, "control stream ended");
}

static const struct h2_stream_events control_events = {
	.on_data = control_on_data,
	.on_eof = control_on_eof,
	.on_closed = control_on_closed,
};

/*
 * "1;id=...": agents advertise once per edge, however many addresses lead to it. The id is a
 * digest, because strangers see it, too.
 */
static const char *announce_edge(const struct connection *c, char out[EDGE_ANNOUNCEMENT_MAX])
{
	const char *tag = edge_model_account_tag(c->edge->model);
	char id[SHA256_HEX_MAX];

	sha256_hex(tag, strlen(tag), id);
	snprintf(out, EDGE_ANNOUNCEMENT_MAX, "%s;id=%.16s", ADIT_EDGE_VERSION, id);
	return out;
}

static int open_control_stream(struct connection *c)
{
	char announcement[EDGE_ANNOUNCEMENT_MAX];
	const struct h2_header request[] = {
		{.name = ":method", .value = "GET"},
		{.name = ":scheme", .value = "https"},
		{.name = ":authority", .value = "edge"},
		{.name = ":path", .value = "/"},
		{.name = HDR_UPGRADE, .value = UPGRADE_CONTROL},
		{.name = HDR_ADIT_EDGE, .value = announce_edge(c, announcement)},
	};
	int r = control_server_new(&c->rpc, &rpc_events, c);

	if (r == 0)
		r = h2_stream_open(link_session(c->link), &c->control, request, ARRAY_SIZE(request),
				   false, &control_events, c);
	if (r == 0)
		h2_queue_init(&c->out, c->control, 2 * RPC_MESSAGE_MAX);
	return r;
}

/* ---- link ---- */

static void link_on_ready(void *ctx, struct link *link UNUSED)
{
	struct connection *c = ctx;

	set_state(c, CONNECTION_STATE_REGISTERING, clock_boot_ms() + CONTROL_STREAM_MS);
	if (open_control_stream(c) != 0)
		connection_close(c, "control stream can't be opened");
}

static void link_on_goaway(void *ctx, struct link *link UNUSED, uint32_t h2_code UNUSED)
{
	struct connection *c = ctx;

	if (c->state == CONNECTION_STATE_REGISTERED) {
		set_state(c, CONNECTION_STATE_DRAINING, UINT64_MAX);
		close_if_idle(c);
	}
}

static void link_on_suspect(void *ctx, struct link *link UNUSED, bool suspect)
{
	struct connection *c = ctx;

	c->entry.suspect = suspect;
	log_info(suspect ? "connection suspect" : "connection answers again",
		 log_text("connection", c->id_text), log_text("tunnel", tunnel_name(c)));
}

static void connection_free(struct connection *c)
{
	struct edge *e = c->edge;
	struct list *pos;
	struct list *next;

	list_for_each_safe (pos, next, &c->flows)
		flow_lose_connection(list_entry(pos, struct flow, by_connection));
	registry_remove(&c->entry);
	if (c->since_ms != 0 &&
	    registry_count(e->registry, &c->entry.tunnel, &c->entry.connector) == 0)
		edge_connector_down(e->model, &c->entry.tunnel, &c->entry.connector,
				    clock_wall_ms());
	list_remove(&c->node);
	e->n_connections--;
	control_server_free(c->rpc);
	link_free(c->link);
	free(c);
}

static void link_on_closed(void *ctx, struct link *link, enum link_end why UNUSED)
{
	struct connection *c = ctx;

	if (c->state != CONNECTION_STATE_CLOSED) {
		log_end(c, link_error_text(link));
		set_state(c, CONNECTION_STATE_CLOSED, UINT64_MAX);
	}
	connection_free(c);
}

static const struct link_events link_events = {
	.on_ready = link_on_ready,
	.on_goaway = link_on_goaway,
	.on_suspect = link_on_suspect,
	.on_closed = link_on_closed,
};

void connection_new(struct edge *e, struct link *link)
{
	struct connection *c = xnew(struct connection);

	c->edge = e;
	c->link = link;
	c->state = CONNECTION_STATE_OPENING;
	c->deadline_ms = UINT64_MAX;
	c->id = uuid_random();
	uuid_format(&c->id, c->id_text);
	list_init(&c->flows);
	list_init(&c->entry.node);
	list_append(&e->connections, &c->node);
	e->n_connections++;
	link_set_owner(link, &link_events, c);
	/* Until the agent has said what it is, it may be a stock one that never PINGs. */
	(void)link_start(link, H2_ROLE_OPENER, &edge_agent_limits, LIVENESS_PINGS);
}

static json_t *uuid_json(const struct uuid *u)
{
	char text[UUID_TEXT_MAX];

	return json_string(uuid_format(u, text));
}

struct json_t *connection_json(const struct connection *c)
{
	char peer[ENDPOINT_TEXT_MAX];
	struct link_stats stats;

	link_get_stats(c->link, &stats);
	return json_pack(
		"{s:s, s:s, s:s, s:s?, s:o, s:o, s:i, s:s, s:s, s:b, s:i, s:I, s:I, s:I, s:I}",
		"id", c->id_text, "kind", c->is_adit ? "agent" : "stock agent", "state",
		state_names[c->state], "tunnel", tunnel_name(c), "tunnel_id",
		uuid_json(&c->entry.tunnel), "connector", uuid_json(&c->entry.connector), "index",
		(int)c->entry.index, "peer", endpoint_format(link_peer(c->link), peer), "version",
		c->version, "suspect", (int)c->entry.suspect, "streams", (int)c->entry.n_streams,
		"since_s", (json_int_t)((clock_wall_ms() - c->since_ms) / 1000), "rtt_us",
		(json_int_t)stats.rtt_us, "bytes_in", (json_int_t)stats.bytes_in, "bytes_out",
		(json_int_t)stats.bytes_out);
}
