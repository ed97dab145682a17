/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Two streams and a relay. Until the agent's 200 both streams are ours, and either may end first;
 * from then on they are the relay's. The client hears of a failure only when no connection is
 * left that could try. Every end goes through flow_free(), which gives the connection its place
 * back.
 */

#include "edge/flow.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "edge/connection.h"
#include "edge/edge.h"
#include "edge/flow_request.h"
#include "wire/h2_session.h"
#include "wire/h2_stream.h"
#include "wire/io_loop.h"
#include "wire/link.h"
#include "wire/proto.h"
#include "wire/relay.h"

/* Longer than any connect timeout that an agent may use; the agent's own answer is better. */
#define DIAL_MS 75000

/* Un-credited bytes towards a stock agent, whose streams share one window of 1 MiB. */
#define STOCK_IN_FLIGHT (256 * 1024)

/* An agent may refuse whatever it is asked for. */
#define AGAIN_TOLD_PER_MINUTE 20

static void try_next(struct flow *f);

/* ---- end ---- */

static void leave_connection(struct flow *f)
{
	struct connection *c = f->connection;

	if (!c)
		return;
	list_remove(&f->by_connection);
	f->connection = NULL;
	c->entry.n_streams--;
	connection_flow_ended(c);
}

void flow_lose_connection(struct flow *f)
{
	list_remove(&f->by_connection);
	f->connection = NULL;
}

static void end_dial(struct flow *f)
{
	struct flow_dial *d = steal_ptr(f->dial);

	if (!d)
		return;
	f->edge->n_dials--;
	io_loop_unbuffered(f->edge->io, buf_len(&d->early));
	buf_deinit(&d->early);
	free(d);
}

static void flow_free(struct flow *f)
{
	leave_connection(f);
	list_remove(&f->node);
	end_dial(f);
	f->edge->n_flows--;
	free(f->cut_reason);
	free(f);
}

static void note_access(const struct flow *f, bool is_end, const char *result, uint64_t bytes_up,
			uint64_t bytes_down)
{
	edge_note_access(f->edge, &(const struct edge_access){
					  .is_end = is_end,
					  .client = f->client_name,
					  .decision = &f->decision,
					  .up_bytes = bytes_up,
					  .down_bytes = bytes_down,
					  .duration_ms = clock_boot_ms() - f->started_ms,
					  .result = result,
				  });
}

static void log_flow(const struct flow *f, bool is_end, const char *result, uint64_t bytes_up,
		     uint64_t bytes_down)
{
	const struct edge_tunnel *tunnel =
		edge_model_tunnel_by_id(f->edge->model, &f->decision.route.tunnel);
	char destination[ENDPOINT_TEXT_MAX];

	if (f->cut_reason)
		result = f->cut_reason;
	log_info(is_end ? "stream ended" : "stream refused", log_text("client", f->client_name),
		 log_text("protocol", transport_name(f->decision.transport)),
		 log_text("destination", decision_destination(&f->decision, destination)),
		 log_text("tunnel", tunnel ? tunnel->name : NULL),
		 log_text("connection", *f->connection_id ? f->connection_id : NULL),
		 log_text("result", result), log_int("bytes_up", (int64_t)bytes_up),
		 log_int("bytes_down", (int64_t)bytes_down),
		 log_int("duration_ms", (int64_t)(clock_boot_ms() - f->started_ms)));
	note_access(f, is_end, result, bytes_up, bytes_down);
}

static void end_request(struct h2_stream *stream, const struct h2_header *response, size_t n)
{
	h2_stream_set_events(stream, NULL, NULL);
	if (h2_stream_respond(stream, response, n, true) < 0)
		h2_stream_reset(stream, H2_CODE_INTERNAL_ERROR);
}

void flow_refuse_method(struct h2_stream *stream, const char *allow)
{
	const struct h2_header response[] = {
		{.name = ":status", .value = "405"},
		{.name = "allow", .value = allow},
		{.name = HDR_ADIT_ERROR,
		 .value = stream_error_info(STREAM_ERROR_UNSUPPORTED)->name},
		{.name = "content-length", .value = "0"},
	};

	end_request(stream, response, ARRAY_SIZE(response));
}

void flow_refuse_request(struct h2_stream *stream, enum stream_error error)
{
	const struct stream_error_info *info = stream_error_info(error);
	const struct h2_header response[] = {
		{.name = ":status", .value = info->status},
		{.name = HDR_ADIT_ERROR, .value = info->name},
		{.name = "content-length", .value = "0"},
		/* RFC 9110 15.5.8: a 407 says what would do. */
		{.name = "proxy-authenticate", .value = "Bearer"},
	};

	end_request(stream, response,
		    ARRAY_SIZE(response) - (error != STREAM_ERROR_UNAUTHENTICATED));
}

static void drop_agent_stream(struct flow *f)
{
	if (!f->agent_stream)
		return;
	h2_stream_set_events(f->agent_stream, NULL, NULL);
	h2_stream_reset(f->agent_stream, H2_CODE_CANCEL);
	f->agent_stream = NULL;
}

/* Before the relay: the client gets its answer, the agent's stream is given up. */
static void refuse(struct flow *f, enum stream_error error)
{
	log_flow(f, false, stream_error_info(error)->name, 0, 0);
	drop_agent_stream(f);
	if (f->client_stream)
		flow_refuse_request(f->client_stream, error);
	flow_free(f);
}

void flow_cut(struct flow *f, enum stream_error error, const char *why)
{
	free(f->cut_reason);
	f->cut_reason = xstrdup(why);
	if (f->state == FLOW_STATE_RELAYING)
		relay_abort(f->relay);
	else
		refuse(f, error);
}

void flow_tick(struct flow *f, uint64_t now_ms)
{
	if (f->state == FLOW_STATE_DIALLING && now_ms >= f->dial->deadline_ms)
		refuse(f, STREAM_ERROR_TIMEOUT);
}

/* ---- relaying ---- */

static bool has_lost_connection(const struct flow *f)
{
	return !f->connection || f->connection->state == CONNECTION_STATE_CLOSED;
}

static const char *end_text(const struct flow *f, const struct relay_result *result)
{
	static const char *const texts[] = {
		[RELAY_END_CLEAN] = "ok",
		[RELAY_END_A_RESET] = "reset by the client",
		[RELAY_END_B_RESET] = "reset by the agent",
		[RELAY_END_ABORTED] = "cut",
	};

	if (result->end == RELAY_END_B_RESET && has_lost_connection(f))
		return "connection lost";
	return texts[result->end];
}

static void on_relay_done(void *ctx, const struct relay_result *result)
{
	struct flow *f = ctx;

	log_flow(f, true, end_text(f, result), result->a_to_b_bytes, result->b_to_a_bytes);
	flow_free(f);
}

static void start_relay(struct flow *f)
{
	enum relay_mode mode = f->connection->is_adit ? RELAY_HALF_CLOSE : RELAY_STOCK_OPENER;
	int r = flow_request_accept(f);

	if (r == 0)
		r = relay_new_streams(&f->relay, f->edge->io, f->client_stream, f->agent_stream,
				      mode, on_relay_done, f);
	if (r < 0) {
		refuse(f, STREAM_ERROR_INTERNAL);
		return;
	}
	f->state = FLOW_STATE_RELAYING;
	relay_preload_a(f->relay, &f->dial->early, f->dial->client_ended);
	end_dial(f);
	f->client_stream = NULL;
	f->agent_stream = NULL;
}

/* ---- the agent's stream, until the answer ---- */

/* What an agent may say; anything else would be the edge's to say. */
static const bool is_agents_word[STREAM_ERROR_N] = {
	[STREAM_ERROR_REFUSED] = true,
	[STREAM_ERROR_TIMEOUT] = true,
	[STREAM_ERROR_UNREACHABLE] = true,
	[STREAM_ERROR_FORBIDDEN] = true,
	[STREAM_ERROR_LIMIT] = true,
	[STREAM_ERROR_DRAINING] = true,
	[STREAM_ERROR_UNSUPPORTED] = true,
	[STREAM_ERROR_BAD_DESTINATION] = true,
	[STREAM_ERROR_PING_UNAVAILABLE] = true,
};

static enum stream_error error_of_response(const struct h2_headers *hdrs)
{
	const char *name = h2_headers_get(hdrs, HDR_ADIT_ERROR);
	const char *meta = h2_headers_get(hdrs, HDR_RESPONSE_META);
	enum stream_error error = stream_error_parse(name);

	if (name)
		return is_agents_word[error] ? error : STREAM_ERROR_INTERNAL;
	if (meta && strcmp(meta, META_FLOW_LIMITED) == 0)
		return STREAM_ERROR_LIMIT;
	/* A stock agent doesn't say why. */
	return STREAM_ERROR_UNREACHABLE;
}

static void agent_on_response(void *ctx, struct h2_stream *stream UNUSED,
			      const struct h2_headers *hdrs)
{
	struct flow *f = ctx;
	const char *status = h2_headers_get(hdrs, ":status");
	enum stream_error error;

	if (status && strcmp(status, "200") == 0) {
		start_relay(f);
		return;
	}
	error = error_of_response(hdrs);
	if (error != STREAM_ERROR_DRAINING) {
		refuse(f, error);
		return;
	}
	/* That process takes no more streams, on none of its connections. */
	f->dial->failure = STREAM_ERROR_DRAINING;
	f->dial->leaving[f->dial->n_leaving++] = f->connection->entry.connector;
	drop_agent_stream(f);
	try_next(f);
}

static void log_again(const struct flow *f, const char *why)
{
	char destination[ENDPOINT_TEXT_MAX];

	if (!quota_take(&f->edge->again_told, AGAIN_TOLD_PER_MINUTE, clock_boot_ms()))
		return;
	log_info("stream asked for again", log_text("client", f->client_name),
		 log_text("destination", decision_destination(&f->decision, destination)),
		 log_text("connection", f->connection_id), log_text("reason", why));
}

/* Refused, or lost with its link: somebody else may take it. */
static void agent_on_closed(void *ctx, struct h2_stream *stream UNUSED, uint32_t h2_code)
{
	struct flow *f = ctx;

	f->agent_stream = NULL;
	if (h2_code != H2_CODE_REFUSED_STREAM && link_session(f->connection->link)) {
		refuse(f, STREAM_ERROR_INTERNAL);
		return;
	}
	log_again(f, h2_code == H2_CODE_REFUSED_STREAM ? "refused" : "connection lost");
	try_next(f);
}

static const struct h2_stream_events agent_events = {
	.on_response = agent_on_response,
	.on_closed = agent_on_closed,
};

static struct connection *pick_connection(struct flow *f)
{
	const struct registry_query query = {
		.tunnel = &f->decision.route.tunnel,
		.connectors = f->dial->connectors,
		.n_connectors = f->dial->n_connectors,
		.tried = f->dial->tried,
		.n_tried = f->dial->n_tried,
		.datagrams = f->decision.transport != TRANSPORT_TCP,
	};

	return connection_pick(f->edge, &query);
}

static int open_agent_stream(struct flow *f, struct connection *c)
{
	int r = flow_request_open(f, c, &agent_events);

	if (r != 0)
		return r;
	if (!c->is_adit)
		h2_stream_limit_in_flight(f->agent_stream, STOCK_IN_FLIGHT);
	f->connection = c;
	c->entry.n_streams++;
	list_append(&c->flows, &f->by_connection);
	return 0;
}

static bool is_leaving(const struct flow *f, const struct uuid *connector)
{
	for (size_t i = 0; i < f->dial->n_leaving; i++) {
		if (uuid_equal(&f->dial->leaving[i], connector))
			return true;
	}
	return false;
}

static void find_connectors(struct flow *f)
{
	struct flow_dial *d = f->dial;
	size_t n_all = edge_route_connectors(f->edge->model, &f->decision.route, d->connectors);

	d->n_connectors = 0;
	for (size_t i = 0; i < n_all; i++) {
		if (!is_leaving(f, &d->connectors[i]))
			d->connectors[d->n_connectors++] = d->connectors[i];
	}
}

/* Grants, routes and processes may have changed since the last try. */
static enum stream_error decide_again(struct flow *f)
{
	const struct edge_client *client = edge_model_client_by_id(f->edge->model, &f->client);
	struct endpoint destination = f->decision.destination;
	struct decision *d = &f->decision;
	char network[UUID_TEXT_MAX];

	if (!client)
		return STREAM_ERROR_UNAUTHENTICATED;
	uuid_format(&d->vnet, network);
	if (decide(f->edge->model, client, network, &destination, d->transport, d) !=
	    STREAM_ERROR_NONE)
		return d->reason == STREAM_ERROR_CONNECTOR_DOWN ? f->dial->failure : d->reason;
	find_connectors(f);
	return STREAM_ERROR_NONE;
}

/* Opens a stream on the next connection. False: no other is left. */
static bool open_somewhere(struct flow *f)
{
	while (f->dial->n_tried < FLOW_TRIES_MAX) {
		struct connection *c = pick_connection(f);
		int r;

		if (!c)
			break;
		f->dial->tried[f->dial->n_tried++] = c->entry.serial;
		memcpy(f->connection_id, c->id_text, sizeof(f->connection_id));
		r = open_agent_stream(f, c);
		if (r == 0)
			return true;
		if (r == H2_E_LIMIT)
			f->dial->failure = STREAM_ERROR_LIMIT;
		else
			connection_cant_open(c);
	}
	if (f->dial->n_tried == 0)
		f->dial->failure = flow_request_why_nobody(f);
	return false;
}

static void try_next(struct flow *f)
{
	enum stream_error error;

	leave_connection(f);
	error = decide_again(f);
	if (error != STREAM_ERROR_NONE)
		refuse(f, error);
	else if (!open_somewhere(f))
		refuse(f, f->dial->failure);
}

/* ---- the client's stream, until the answer ---- */

static void client_on_data(void *ctx, struct h2_stream *stream UNUSED, const uint8_t *data,
			   size_t n)
{
	struct flow *f = ctx;

	if (buf_append(&f->dial->early, data, n) == 0)
		io_loop_buffered(f->edge->io, n);
	else
		flow_cut(f, STREAM_ERROR_LIMIT, "too many bytes before the answer");
}

static void client_on_eof(void *ctx, struct h2_stream *stream UNUSED)
{
	struct flow *f = ctx;

	f->dial->client_ended = true;
}

static void client_on_closed(void *ctx, struct h2_stream *stream UNUSED, uint32_t h2_code UNUSED)
{
	struct flow *f = ctx;

	f->client_stream = NULL;
	drop_agent_stream(f);
	log_flow(f, true, "given up by the client", 0, 0);
	flow_free(f);
}

static const struct h2_stream_events client_events = {
	.on_data = client_on_data,
	.on_eof = client_on_eof,
	.on_closed = client_on_closed,
};

void flow_new(struct edge *e, struct h2_stream *stream, const struct edge_client *client,
	      const char *token_id, const struct decision *decision)
{
	struct flow *f = xnew(struct flow);

	f->dial = xnew(struct flow_dial);
	f->edge = e;
	f->client_stream = stream;
	f->client = client->id;
	snprintf(f->client_name, sizeof(f->client_name), "%s", client->name);
	snprintf(f->token_id, sizeof(f->token_id), "%s", token_id);
	f->decision = *decision;
	f->started_ms = clock_boot_ms();
	f->dial->deadline_ms = f->started_ms + DIAL_MS;
	f->dial->failure = STREAM_ERROR_CONNECTOR_DOWN;
	buf_init(&f->dial->early, edge_client_limits.stream_window_bytes);
	list_init(&f->by_connection);
	list_append(&e->flows, &f->node);
	heap_peak_rise(&e->flows_peak, ++e->n_flows);
	e->n_dials++;
	h2_stream_set_events(stream, &client_events, f);
	find_connectors(f);
	if (!open_somewhere(f))
		refuse(f, f->dial->failure);
}
