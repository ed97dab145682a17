/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A batch is the difference of two sorted sets, walked as the client takes lines: `told` is what
 * it knows, `next` what it is being told. Lines name networks; of one that is gone the name is
 * not known any more, and the client gets a fresh snapshot instead of deletions.
 *
 * Finding a batch takes milliseconds when there are ten thousand routes, so one feed has its turn
 * per turn of the loop, and the streams in between have theirs.
 */
#include "edge/ingress_routes.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "edge/decide.h"
#include "edge/edge.h"
#include "edge/flow.h"
#include "edge/ingress.h"
#include "edge/reachable.h"
#include "wire/h2_session.h"
#include "wire/h2_stream.h"
#include "wire/io_loop.h"
#include "wire/proto.h"

#define TARGET	      "routes" /* in the access log */
#define FEED_LINE_MAX 512      /* names and prefixes are bounded, and need no escapes */

enum feed_state {
	FEED_STATE_IDLE,
	FEED_STATE_SENDING,
	FEED_STATE_N,
};

struct ingress_routes {
	struct list node;     /* in edge.feeds */
	struct list by_stale; /* in edge.stale_feeds, while its next batch has to be found */
	struct edge *edge;
	struct ingress *ingress;
	struct h2_stream *stream;
	enum feed_state state;
	struct uuid client;
	char client_name[EDGE_NAME_MAX];
	char token_id[EDGE_KEY_ID_MAX];
	bool has_vnet; /* only that network */
	struct uuid vnet;
	bool is_stale;	  /* something changed since `next` was found */
	bool needs_reset; /* the client must forget what it knows */
	bool says_reset;  /* the next line does that */
	bool has_warned;
	struct reachable_set told;
	struct reachable_set next;
	size_t i_told; /* how far the batch is */
	size_t i_next;
	char line[FEED_LINE_MAX]; /* being sent */
	size_t n_line;
	size_t n_sent;	     /* of it */
	struct io_task task; /* finds the next batch; posted for the first of stale_feeds only */
	uint64_t started_ms;
	uint64_t sent_bytes;
};

static const unsigned int next_states[FEED_STATE_N] = {
	[FEED_STATE_IDLE] = 1u << FEED_STATE_SENDING,
	[FEED_STATE_SENDING] = 1u << FEED_STATE_IDLE,
};

static void set_state(struct ingress_routes *r, enum feed_state to)
{
	assert(next_states[r->state] & (1u << to));
	log_debug("routes feed", log_text("client", r->client_name),
		  log_text("state", to == FEED_STATE_IDLE ? "idle" : "sending"),
		  log_int("routes", (int64_t)r->next.n));
	r->state = to;
}

/* ---- taking turns ---- */

static void schedule(struct edge *e)
{
	if (!list_is_empty(&e->stale_feeds))
		io_task_post_later(
			e->io,
			&list_entry(e->stale_feeds.next, struct ingress_routes, by_stale)->task);
}

/* While a batch is being sent the next one has to wait. */
static void mark_stale(struct ingress_routes *r)
{
	r->is_stale = true;
	if (r->state != FEED_STATE_IDLE || list_is_linked(&r->by_stale))
		return;
	list_append(&r->edge->stale_feeds, &r->by_stale);
	schedule(r->edge);
}

/* ---- end ---- */

static void end(struct ingress_routes *r, const char *result)
{
	static const struct decision no_decision;
	const struct vnet *vnet =
		r->has_vnet ? vnet_table_by_id(edge_model_vnets(r->edge->model), &r->vnet) : NULL;

	edge_note_access(r->edge, &(const struct edge_access){
					  .is_end = true,
					  .client = r->client_name,
					  .decision = &no_decision,
					  .target = TARGET,
					  .protocol = "http",
					  .network = vnet ? vnet->name : NULL,
					  .down_bytes = r->sent_bytes,
					  .duration_ms = clock_boot_ms() - r->started_ms,
					  .result = result,
				  });
	r->ingress->routes = NULL;
	list_remove(&r->node);
	list_remove(&r->by_stale);
	io_task_cancel(&r->task);
	schedule(r->edge);
	reachable_set_deinit(&r->told);
	reachable_set_deinit(&r->next);
	free(r);
}

static void drop_stream(struct ingress_routes *r, uint32_t h2_code)
{
	h2_stream_set_events(r->stream, NULL, NULL);
	h2_stream_set_source(r->stream, NULL, NULL);
	h2_stream_reset(r->stream, h2_code);
}

void ingress_routes_close(struct ingress_routes *r)
{
	if (!r)
		return;
	drop_stream(r, H2_CODE_CANCEL);
	end(r, "connection closed");
}

void ingress_routes_revoke(struct edge *e, const struct uuid *client, const char *token_id)
{
	struct list *pos;
	struct list *next;

	list_for_each_safe (pos, next, &e->feeds) {
		struct ingress_routes *r = list_entry(pos, struct ingress_routes, node);

		if (!uuid_equal(&r->client, client) || strcmp(r->token_id, token_id) != 0)
			continue;
		drop_stream(r, H2_CODE_CANCEL);
		end(r, "token revoked");
	}
}

/* ---- finding a batch ---- */

static bool is_same(const struct reachable_set *a, const struct reachable_set *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (reachable_compare(&a->items[i], &b->items[i]) != 0 ||
		    a->items[i].is_up != b->items[i].is_up)
			return false;
	return true;
}

static void warn_of_more(struct ingress_routes *r)
{
	if (r->next.n_left_out == 0 || r->has_warned)
		return;
	r->has_warned = true;
	log_warn("a client can reach more networks than it can be told",
		 log_text("client", r->client_name), log_int("told", REACHABLE_MAX),
		 log_int("left_out", (int64_t)r->next.n_left_out));
}

static void begin_batch(struct ingress_routes *r)
{
	r->says_reset = r->needs_reset;
	if (r->needs_reset)
		reachable_set_deinit(&r->told);
	r->needs_reset = false;
	r->i_told = 0;
	r->i_next = 0;
	set_state(r, FEED_STATE_SENDING);
	h2_stream_resume(r->stream);
}

static void find_batch(struct ingress_routes *r)
{
	const struct edge_client *client = edge_model_client_by_id(r->edge->model, &r->client);

	/* A client that is gone takes its feeds along, with its tokens. */
	if (!client)
		return;
	r->is_stale = false;
	if (reachable_find(r->edge->model, client, r->has_vnet ? &r->vnet : NULL, &r->next) < 0) {
		drop_stream(r, H2_CODE_INTERNAL_ERROR);
		end(r, "out of memory");
		return;
	}
	warn_of_more(r);
	if (r->needs_reset || !is_same(&r->told, &r->next))
		begin_batch(r);
	else
		reachable_set_deinit(&r->next);
}

static void take_turn(struct io_task *task)
{
	struct ingress_routes *r = container_of(task, struct ingress_routes, task);
	struct edge *e = r->edge;

	list_remove(&r->by_stale);
	find_batch(r);
	schedule(e);
}

void ingress_routes_changed(struct edge *e, const struct uuid *client)
{
	struct list *pos;

	list_for_each (pos, &e->feeds) {
		struct ingress_routes *r = list_entry(pos, struct ingress_routes, node);

		if (!client || uuid_equal(&r->client, client))
			mark_stale(r);
	}
}

void ingress_routes_renamed(struct edge *e)
{
	struct list *pos;

	list_for_each (pos, &e->feeds) {
		struct ingress_routes *r = list_entry(pos, struct ingress_routes, node);

		r->needs_reset = true;
		mark_stale(r);
	}
}

/* ---- sending it ---- */

static void write_line(struct ingress_routes *r, json_t *line)
{
	r->n_line =
		json_dumpb(line, r->line, sizeof(r->line) - 1, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(line);
	assert(r->n_line > 0 && r->n_line < sizeof(r->line));
	r->line[r->n_line++] = '\n';
	r->n_sent = 0;
}

static void write_change(struct ingress_routes *r, const char *op, const struct reachable *item)
{
	const struct vnet *v = vnet_table_by_id(edge_model_vnets(r->edge->model), &item->vnet);
	char text[PREFIX_TEXT_MAX];
	json_t *line;

	/* Only what was told before its network went is left to be forgotten. */
	if (!v && op[0] == 'd') {
		r->needs_reset = true;
		r->is_stale = true;
	}
	if (!v)
		return;
	line = json_pack("{s:s, s:s, s:s}", "op", op, "network", prefix_format(&item->prefix, text),
			 "virtual_network", v->name);
	if (op[0] == 'a')
		json_object_set_new(line, "up", json_boolean(item->is_up));
	write_line(r, line);
}

/* The next difference: the line, or none when both are the same there. */
static void step(struct ingress_routes *r)
{
	const struct reachable *told = r->i_told < r->told.n ? &r->told.items[r->i_told] : NULL;
	const struct reachable *next = r->i_next < r->next.n ? &r->next.items[r->i_next] : NULL;
	int d = told && next ? reachable_compare(told, next) : (told ? -1 : 1);

	r->i_told += d <= 0;
	r->i_next += d >= 0;
	if (d < 0)
		write_change(r, "delete", told);
	else if (d > 0 || told->is_up != next->is_up)
		write_change(r, "add", next);
}

static void finish_batch(struct ingress_routes *r)
{
	write_line(r, json_pack("{s:s}", "op", "commit"));
	reachable_set_deinit(&r->told);
	r->told = r->next;
	r->next = (struct reachable_set){0};
	set_state(r, FEED_STATE_IDLE);
	if (r->is_stale)
		mark_stale(r);
}

/* False: there is none, for now. */
static bool next_line(struct ingress_routes *r)
{
	if (r->state == FEED_STATE_IDLE)
		return false;
	r->n_line = 0;
	if (r->says_reset) {
		r->says_reset = false;
		write_line(r, json_pack("{s:s}", "op", "reset"));
	}
	while (r->n_line == 0 && (r->i_told < r->told.n || r->i_next < r->next.n))
		step(r);
	if (r->n_line == 0)
		finish_batch(r);
	return true;
}

static ssize_t read_into(void *ctx, uint8_t *buf, size_t cap)
{
	struct ingress_routes *r = ctx;
	size_t n = 0;

	while (n < cap && (r->n_sent < r->n_line || next_line(r))) {
		size_t piece = r->n_line - r->n_sent;

		if (piece > cap - n)
			piece = cap - n;
		memcpy(buf + n, r->line + r->n_sent, piece);
		r->n_sent += piece;
		n += piece;
	}
	r->sent_bytes += n;
	return n > 0 ? (ssize_t)n : -EAGAIN;
}

/* ---- the request ---- */

static void on_data(void *ctx UNUSED, struct h2_stream *stream, const uint8_t *data UNUSED,
		    size_t n)
{
	h2_stream_credit(stream, n);
}

static void on_closed(void *ctx, struct h2_stream *stream UNUSED, uint32_t h2_code UNUSED)
{
	end(ctx, "ok");
}

static const struct h2_stream_events stream_events = {
	.on_data = on_data,
	.on_closed = on_closed,
};

bool ingress_routes_are_asked(const struct h2_headers *hdrs)
{
	const char *path = h2_headers_get(hdrs, ":path");
	const char *method = h2_headers_get(hdrs, ":method");

	return path && method && strcmp(path, PATH_ROUTES) == 0 && strcmp(method, "CONNECT") != 0;
}

/* @vnetp stays NULL for all networks. As in decide(), what exists is told to those with grants. */
static enum stream_error judge(const struct ingress *in, const struct edge_client *client,
			       const char *network, const struct vnet **vnetp)
{
	if (in->edge->drain_until_ms != 0)
		return STREAM_ERROR_DRAINING;
	if (in->routes)
		return STREAM_ERROR_LIMIT;
	if (!network || !*network)
		return STREAM_ERROR_NONE;
	if (client->n_grants == 0)
		return STREAM_ERROR_NOT_GRANTED;
	*vnetp = vnet_table_resolve(edge_model_vnets(in->edge->model), network);
	return *vnetp ? STREAM_ERROR_NONE : STREAM_ERROR_NO_NETWORK;
}

static void refuse(const struct ingress *in, struct h2_stream *stream,
		   const struct edge_client *client, const char *network, enum stream_error error)
{
	static const struct decision no_decision;

	edge_note_access(in->edge, &(const struct edge_access){
					   .client = client->name,
					   .decision = &no_decision,
					   .target = TARGET,
					   .protocol = "http",
					   .network = network,
					   .result = stream_error_info(error)->name,
				   });
	flow_refuse_request(stream, error);
}

static void start(struct ingress *in, struct h2_stream *stream, const struct edge_client *client,
		  const struct vnet *vnet)
{
	static const struct h2_header ok[] = {
		{.name = ":status", .value = "200"},
		{.name = "content-type", .value = "application/jsonl"},
		{.name = "cache-control", .value = "no-store"},
	};
	struct ingress_routes *r;

	if (h2_stream_respond(stream, ok, ARRAY_SIZE(ok), false) < 0) {
		h2_stream_set_events(stream, NULL, NULL);
		h2_stream_reset(stream, H2_CODE_INTERNAL_ERROR);
		return;
	}
	r = xnew(struct ingress_routes);
	r->edge = in->edge;
	r->ingress = in;
	r->stream = stream;
	r->client = client->id;
	memcpy(r->client_name, client->name, sizeof(r->client_name));
	memcpy(r->token_id, in->token_id, sizeof(r->token_id));
	r->has_vnet = vnet != NULL;
	if (vnet)
		r->vnet = vnet->id;
	r->needs_reset = true;
	r->started_ms = clock_boot_ms();
	list_init(&r->by_stale);
	io_task_init(&r->task, take_turn);
	list_append(&in->edge->feeds, &r->node);
	in->routes = r;
	h2_stream_set_events(stream, &stream_events, r);
	h2_stream_set_source(stream, read_into, r);
	mark_stale(r);
}

void ingress_routes_open(struct ingress *in, struct h2_stream *stream,
			 const struct edge_client *client, const struct h2_headers *hdrs)
{
	const char *network = h2_headers_get(hdrs, HDR_VIRTUAL_NETWORK);
	const struct vnet *vnet = NULL;
	enum stream_error error;

	if (strcmp(h2_headers_get(hdrs, ":method"), "GET") != 0) {
		flow_refuse_method(stream, "GET");
		return;
	}
	error = judge(in, client, network, &vnet);
	if (error == STREAM_ERROR_NONE)
		start(in, stream, client, vnet);
	else
		refuse(in, stream, client, network, error);
}
