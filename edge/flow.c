/* SPDX-License-Identifier: Apache-2.0 */

#include "edge/flow.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "edge/connection.h"
#include "edge/edge.h"
#include "wire/h2_session.h"
#include "wire/h2_stream.h"
#include "wire/io_loop.h"
#include "wire/link.h"
#include "wire/proto.h"
#include "wire/relay.h"

/* Longer than any connect timeout that an agent may use; the agent's own answer is better. */
#define DIAL_MS 75000

/* Connections that are asked for one flow. */
#define TRIES_MAX 3

/* Un-credited bytes towards a stock agent, whose streams share one window of 1 MiB. */
#define STOCK_IN_FLIGHT (256 * 1024)

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

static void flow_free(struct flow *f)
{
	leave_connection(f);
	list_remove(&f->node);
	buf_deinit(&f->early);
	free(f);
}

static void log_flow(const struct flow *f, const char *message, const char *result,
		     uint64_t bytes_up, uint64_t bytes_down)
{
	char destination[ENDPOINT_TEXT_MAX];

	log_info(message, log_text("client", f->client_name),
		 log_text("destination", endpoint_format(&f->decision.destination, destination)),
		 log_text("connection", f->connection_id[0] ? f->connection_id : NULL),
		 log_text("result", result), log_int("bytes_up", (int64_t)bytes_up),
		 log_int("bytes_down", (int64_t)bytes_down),
		 log_int("duration_ms", (int64_t)(clock_boot_ms() - f->started_ms)));
}

void flow_refuse_request(struct h2_stream *stream, enum stream_error error)
{
	const struct stream_error_info *info = stream_error_info(error);
	const struct h2_header response[] = {
		{.name = ":status", .value = info->status},
		{.name = HDR_ADIT_ERROR, .value = info->name},
		{.name = "content-length", .value = "0"},
	};

	h2_stream_set_events(stream, NULL, NULL);
	if (h2_stream_respond(stream, response, ARRAY_SIZE(response), true) < 0)
		h2_stream_reset(stream, H2_CODE_INTERNAL_ERROR);
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
	log_flow(f, "stream refused", stream_error_info(error)->name, 0, 0);
	drop_agent_stream(f);
	if (f->client_stream)
		flow_refuse_request(f->client_stream, error);
	flow_free(f);
}

void flow_cut(struct flow *f, enum stream_error error, const char *why)
{
	log_flow(f, "stream cut", why, f->relay ? relay_a_to_b_bytes(f->relay) : 0,
		 f->relay ? relay_b_to_a_bytes(f->relay) : 0);
	if (f->state == FLOW_STATE_RELAYING)
		relay_abort(f->relay);
	else
		refuse(f, error);
}

void flow_tick(struct flow *f, uint64_t now_ms)
{
	if (f->state == FLOW_STATE_DIALLING && now_ms >= f->deadline_ms)
		refuse(f, STREAM_ERROR_TIMEOUT);
}

/* ---- relaying ---- */

static const char *relay_end_text(const struct relay_result *result)
{
	static const char *const texts[] = {
		[RELAY_END_CLEAN] = "ok",
		[RELAY_END_A_RESET] = "reset by the client",
		[RELAY_END_B_RESET] = "reset by the agent",
		[RELAY_END_ABORTED] = "cut",
	};

	return texts[result->end];
}

static void on_relay_done(void *ctx, const struct relay_result *result)
{
	struct flow *f = ctx;

	log_flow(f, "stream ended", relay_end_text(result), result->a_to_b_bytes,
		 result->b_to_a_bytes);
	flow_free(f);
}

static void start_relay(struct flow *f)
{
	static const struct h2_header ok[] = {{.name = ":status", .value = "200"}};
	enum relay_mode mode = f->connection->is_adit ? RELAY_HALF_CLOSE : RELAY_STOCK_OPENER;
	int r = h2_stream_respond(f->client_stream, ok, ARRAY_SIZE(ok), false);

	if (r == 0)
		r = relay_new_streams(&f->relay, f->edge->io, f->client_stream, f->agent_stream,
				      mode, on_relay_done, f);
	if (r < 0) {
		refuse(f, STREAM_ERROR_INTERNAL);
		return;
	}
	f->state = FLOW_STATE_RELAYING;
	r = relay_preload_a(f->relay, buf_peek(&f->early), buf_len(&f->early), f->client_ended);
	buf_deinit(&f->early);
	f->client_stream = NULL;
	f->agent_stream = NULL;
	if (r < 0)
		relay_abort(f->relay);
}

/* ---- the agent's stream, until the answer ---- */

static enum stream_error error_of_response(const struct h2_headers *hdrs)
{
	const char *name = h2_headers_get(hdrs, HDR_ADIT_ERROR);
	const char *meta = h2_headers_get(hdrs, HDR_RESPONSE_META);

	if (name)
		return stream_error_parse(name);
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
	drop_agent_stream(f);
	try_next(f);
}

/* Lost before the answer: nothing has reached the target for certain only if it was refused. */
static void agent_on_closed(void *ctx, struct h2_stream *stream UNUSED, uint32_t h2_code)
{
	struct flow *f = ctx;

	f->agent_stream = NULL;
	if (h2_code == H2_CODE_REFUSED_STREAM || !link_session(f->connection->link))
		try_next(f);
	else
		refuse(f, STREAM_ERROR_INTERNAL);
}

static const struct h2_stream_events agent_events = {
	.on_response = agent_on_response,
	.on_closed = agent_on_closed,
};

static struct connection *pick_connection(struct flow *f)
{
	const struct decision *d = &f->decision;
	struct registry_entry *entry;
	struct list *pos;

	list_for_each (pos, &f->edge->connections) {
		struct connection *c = list_entry(pos, struct connection, node);
		struct link_stats stats;

		if (!c->entry.suspect)
			continue;
		link_get_stats(c->link, &stats);
		c->entry.last_read_ms = stats.last_read_ms;
	}
	entry = registry_pick(f->edge->registry, &d->route.tunnel, d->connectors, d->n_connectors);
	return entry ? connection_of_entry(entry) : NULL;
}

static int open_agent_stream(struct flow *f, struct connection *c)
{
	char authority[ENDPOINT_TEXT_MAX];
	char network[UUID_TEXT_MAX];
	const struct h2_header request[] = {
		{.name = ":method", .value = "GET"},
		{.name = ":scheme", .value = "https"},
		{.name = ":authority",
		 .value = endpoint_format(&f->decision.destination, authority)},
		{.name = ":path", .value = "/"},
		{.name = HDR_PROXY_SRC, .value = f->client_name},
		{.name = HDR_VIRTUAL_NETWORK, .value = uuid_format(&f->decision.vnet, network)},
	};
	struct h2_session *session = link_session(c->link);
	size_t n = c->is_adit ? ARRAY_SIZE(request) : ARRAY_SIZE(request) - 1;
	int r = session ? h2_stream_open(session, &f->agent_stream, request, n, false,
					 &agent_events, f)
			: H2_E_DRAINING;

	if (r != 0)
		return r;
	if (!c->is_adit)
		h2_stream_limit_in_flight(f->agent_stream, STOCK_IN_FLIGHT);
	f->connection = c;
	memcpy(f->connection_id, c->id_text, sizeof(f->connection_id));
	c->entry.n_streams++;
	list_append(&c->flows, &f->by_connection);
	return 0;
}

static void try_next(struct flow *f)
{
	leave_connection(f);
	while (f->n_tries < TRIES_MAX) {
		struct connection *c = pick_connection(f);
		int r;

		f->n_tries++;
		if (!c)
			break;
		r = open_agent_stream(f, c);
		if (r == 0)
			return;
		if (r == H2_E_LIMIT) {
			refuse(f, STREAM_ERROR_LIMIT);
			return;
		}
		/* It says that it takes no more: don't pick it again. */
		c->entry.accepts = false;
	}
	refuse(f, STREAM_ERROR_CONNECTOR_DOWN);
}

/* ---- the client's stream, until the answer ---- */

static void client_on_data(void *ctx, struct h2_stream *stream UNUSED, const uint8_t *data,
			   size_t n)
{
	struct flow *f = ctx;

	if (buf_append(&f->early, data, n) < 0)
		flow_cut(f, STREAM_ERROR_LIMIT, "too many bytes before the answer");
}

static void client_on_eof(void *ctx, struct h2_stream *stream UNUSED)
{
	struct flow *f = ctx;

	f->client_ended = true;
}

static void client_on_closed(void *ctx, struct h2_stream *stream UNUSED, uint32_t h2_code UNUSED)
{
	struct flow *f = ctx;

	f->client_stream = NULL;
	drop_agent_stream(f);
	log_flow(f, "stream ended", "given up by the client", 0, 0);
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

	f->edge = e;
	f->client_stream = stream;
	f->client = client->id;
	snprintf(f->client_name, sizeof(f->client_name), "%s", client->name);
	snprintf(f->token_id, sizeof(f->token_id), "%s", token_id);
	f->decision = *decision;
	f->started_ms = clock_boot_ms();
	f->deadline_ms = f->started_ms + DIAL_MS;
	buf_init(&f->early, edge_client_limits.stream_window_bytes);
	list_init(&f->by_connection);
	list_append(&e->flows, &f->node);
	h2_stream_set_events(stream, &client_events, f);
	try_next(f);
}
