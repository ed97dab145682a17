/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Life of a connection: opening, its place in the registry, draining, the end.
 *
 * A place (tunnel, connector, index) belongs to at most one connection that takes streams. One
 * that was replaced or has unregistered keeps its flows, never its place. link_close() ends a
 * connection; its memory goes in the link's on_closed and nowhere else.
 */

#include "edge/connection.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "edge/connection_private.h"
#include "edge/edge.h"
#include "edge/flow.h"
#include "wire/h2_stream.h"
#include "wire/link.h"
#include "wire/proto.h"
#include "wire/tls_crypto.h"

#define EDGE_ANNOUNCEMENT_MAX 32

#define MAY(state) (1u << CONNECTION_STATE_##state)

static const struct {
	const char *name;
	unsigned int next; /* states that may follow */
} states[CONNECTION_STATE_N] = {
	[CONNECTION_STATE_OPENING] = {"opening", MAY(REGISTERING) | MAY(DRAINING) | MAY(CLOSED)},
	[CONNECTION_STATE_REGISTERING] = {"registering",
					  MAY(REGISTERED) | MAY(DRAINING) | MAY(CLOSED)},
	[CONNECTION_STATE_REGISTERED] = {"registered", MAY(DRAINING) | MAY(CLOSED)},
	/* Again, with an earlier deadline. */
	[CONNECTION_STATE_DRAINING] = {"draining", MAY(DRAINING) | MAY(CLOSED)},
	[CONNECTION_STATE_CLOSED] = {"closed", 0},
};

void connection_set_state(struct connection *c, enum connection_state state, uint64_t deadline_ms)
{
	assert(states[c->state].next & (1u << state));
	log_debug("connection state", log_text("connection", c->id_text),
		  log_text("from", states[c->state].name), log_text("to", states[state].name));
	c->state = state;
	c->deadline_ms = deadline_ms;
	c->entry.accepts = state == CONNECTION_STATE_REGISTERED;
}

const char *connection_tunnel_name(const struct connection *c)
{
	const struct edge_tunnel *t = edge_model_tunnel_by_id(c->edge->model, &c->entry.tunnel);

	return t ? t->name : NULL;
}

/* Checks by stock agents end here every few minutes: they are no event. */
static void log_handshake(const struct connection *c, const char *why)
{
	char peer[ENDPOINT_TEXT_MAX];

	log_debug("handshake without registration",
		  log_text("peer", endpoint_format(link_peer(c->link), peer)),
		  log_text("reason", why));
}

static void log_end(const struct connection *c, const char *why)
{
	bool had_place = c->since_ms != 0;
	char peer[ENDPOINT_TEXT_MAX];
	char connector[UUID_TEXT_MAX];
	struct link_stats stats;

	if (c->state == CONNECTION_STATE_OPENING) {
		log_handshake(c, why);
		return;
	}
	link_get_stats(c->link, &stats);
	uuid_format(&c->entry.connector, connector);
	log_info("connection closed", log_text("connection", c->id_text),
		 log_text("tunnel", connection_tunnel_name(c)),
		 log_text("connector", had_place ? connector : NULL),
		 log_int("index", c->entry.index),
		 log_text("peer", endpoint_format(link_peer(c->link), peer)),
		 log_text("reason", why), log_int("bytes_up", (int64_t)stats.bytes_out),
		 log_int("bytes_down", (int64_t)stats.bytes_in),
		 log_int("duration_ms", (int64_t)(clock_boot_ms() - c->opened_ms)));
}

static void end(struct connection *c, const char *why, enum link_end end)
{
	log_end(c, why);
	connection_set_state(c, CONNECTION_STATE_CLOSED, UINT64_MAX);
	link_close(c->link, end);
}

void connection_close(struct connection *c, const char *why)
{
	if (c->state != CONNECTION_STATE_CLOSED)
		end(c, why, LINK_END_LOCAL);
}

bool connection_evict_stranger(struct edge *e)
{
	struct list *pos;

	list_for_each (pos, &e->connections) {
		struct connection *c = list_entry(pos, struct connection, node);

		bool is_stranger = c->state == CONNECTION_STATE_OPENING ||
				   c->state == CONNECTION_STATE_REGISTERING;

		/* A surplus one has no place to give. */
		if (!is_stranger || c->is_surplus)
			continue;
		/* As after a time-out: without a goodbye that would keep the place. */
		end(c, "not registered yet, and its place is needed", LINK_END_TIMEOUT);
		return true;
	}
	return false;
}

static void close_if_idle(struct connection *c)
{
	if (c->state == CONNECTION_STATE_DRAINING && list_is_empty(&c->flows))
		connection_close(c, c->drain_reason);
}

/* No new streams from here on. The first reason stays; an earlier deadline wins. */
static void begin_drain(struct connection *c, uint64_t deadline_ms, const char *why)
{
	bool drains = c->state == CONNECTION_STATE_DRAINING;

	if (!drains)
		c->drain_reason = why;
	if (!drains || deadline_ms < c->deadline_ms)
		connection_set_state(c, CONNECTION_STATE_DRAINING, deadline_ms);
	close_if_idle(c);
}

void connection_drain(struct connection *c, uint64_t deadline_ms, const char *why)
{
	struct h2_session *session = link_session(c->link);

	if (c->state == CONNECTION_STATE_CLOSED)
		return;
	if (session)
		h2_session_drain(session);
	begin_drain(c, deadline_ms, why);
}

void connection_unregister(struct connection *c, uint64_t until_ms)
{
	if (c->state == CONNECTION_STATE_REGISTERED || c->state == CONNECTION_STATE_DRAINING)
		begin_drain(c, until_ms, "unregistered");
}

void connection_cant_open(struct connection *c)
{
	/* Its end is on the way already, or (once in 2^30 streams) its stream ids are used up. */
	if (link_session(c->link))
		connection_drain(c, UINT64_MAX, "takes no more streams");
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
	/* With its link: link_on_closed() knows why. */
	if (link_session(c->link) && c->state != CONNECTION_STATE_DRAINING)
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
	int r = control_server_new(&c->rpc, &connection_rpc_events, c);

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

	if (c->state != CONNECTION_STATE_OPENING)
		return;
	connection_set_state(c, CONNECTION_STATE_REGISTERING, clock_boot_ms() + CONTROL_STREAM_MS);
	if (open_control_stream(c) != 0)
		connection_close(c, "control stream can't be opened");
}

static void link_on_goaway(void *ctx, struct link *link UNUSED, uint32_t h2_code UNUSED)
{
	struct connection *c = ctx;

	if (c->state == CONNECTION_STATE_REGISTERED)
		begin_drain(c, UINT64_MAX, "the agent went away");
	else if (c->state != CONNECTION_STATE_DRAINING)
		connection_close(c, "the agent went away before it registered");
}

static void link_on_suspect(void *ctx, struct link *link UNUSED, bool suspect)
{
	struct connection *c = ctx;

	c->entry.suspect = suspect;
	log_info(suspect ? "connection suspect" : "connection answers again",
		 log_text("connection", c->id_text), log_text("tunnel", connection_tunnel_name(c)));
}

/* Their streams have ended; their relays end in tasks of their own, after this. */
static void lose_flows(struct connection *c)
{
	struct list *node;

	while ((node = list_pop(&c->flows)) != NULL)
		flow_lose_connection(list_entry(node, struct flow, by_connection));
}

static void connection_free(struct connection *c)
{
	struct edge *e = c->edge;

	lose_flows(c);
	registry_remove(&c->entry);
	if (c->since_ms != 0 &&
	    registry_count(e->registry, &c->entry.tunnel, &c->entry.connector) == 0)
		edge_connector_down(e->model, &c->entry.tunnel, &c->entry.connector,
				    clock_wall_ms());
	list_remove(&c->node);
	if (c->is_surplus)
		e->n_surplus--;
	else
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
		connection_set_state(c, CONNECTION_STATE_CLOSED, UINT64_MAX);
	}
	connection_free(c);
}

static const struct link_events link_events = {
	.on_ready = link_on_ready,
	.on_goaway = link_on_goaway,
	.on_suspect = link_on_suspect,
	.on_closed = link_on_closed,
};

void connection_new(struct edge *e, struct link *link, bool is_surplus)
{
	struct connection *c = xnew(struct connection);

	c->edge = e;
	c->link = link;
	c->state = CONNECTION_STATE_OPENING;
	c->deadline_ms = UINT64_MAX;
	c->opened_ms = clock_boot_ms();
	c->id = uuid_random();
	uuid_format(&c->id, c->id_text);
	list_init(&c->flows);
	list_init(&c->entry.node);
	list_append(&e->connections, &c->node);
	c->is_surplus = is_surplus;
	if (is_surplus)
		e->n_surplus++;
	else
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

static bool takes_datagrams(const struct connection *c)
{
	const struct h2_session *session = c->is_adit ? link_session(c->link) : NULL;

	return session && h2_session_peer_allows_connect_protocol(session);
}

static void refresh(void *ctx, struct registry_entry *entry)
{
	const struct connection *c = connection_of_entry(entry);
	const struct registry_query *query = ctx;
	struct link_stats stats;

	if (query->datagrams)
		entry->takes_datagrams = takes_datagrams(c);
	/* Only among suspect ones the rest matters. */
	if (!entry->suspect)
		return;
	link_get_stats(c->link, &stats);
	entry->last_read_ms = stats.last_read_ms;
}

struct connection *connection_pick(struct edge *e, const struct registry_query *query)
{
	struct registry_query q = *query;
	struct registry_entry *entry;

	registry_each(e->registry, q.tunnel, refresh, &q);
	entry = registry_pick(e->registry, query);
	return entry ? connection_of_entry(entry) : NULL;
}

const char *connection_state_name(enum connection_state state)
{
	return states[state].name;
}

struct json_t *connection_json(const struct connection *c)
{
	char peer[ENDPOINT_TEXT_MAX];
	struct link_stats stats;

	link_get_stats(c->link, &stats);
	return json_pack(
		"{s:s, s:s, s:s, s:s?, s:o, s:o, s:i, s:s, s:s, s:b, s:i, s:I, s:I, s:I, s:I}",
		"id", c->id_text, "kind", c->is_adit ? "agent" : "stock agent", "state",
		states[c->state].name, "tunnel", connection_tunnel_name(c), "tunnel_id",
		uuid_json(&c->entry.tunnel), "connector", uuid_json(&c->entry.connector), "index",
		(int)c->entry.index, "peer", endpoint_format(link_peer(c->link), peer), "version",
		c->version, "suspect", (int)c->entry.suspect, "streams", (int)c->entry.n_streams,
		"since_s", (json_int_t)((clock_wall_ms() - c->since_ms) / 1000), "rtt_us",
		(json_int_t)stats.rtt_us, "bytes_in", (json_int_t)stats.bytes_in, "bytes_out",
		(json_int_t)stats.bytes_out);
}
