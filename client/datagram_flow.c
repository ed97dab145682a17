/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Until the answer the stream is ours; then a datagram_stream carries it. What can't even be asked
 * is reported by the same event as a refusal, from a task, so that callers have one path for all.
 * Any event may free the flow: each runs as the last thing of its caller, or under `busy`.
 */

#include "client/datagram_flow.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "client/edge_request.h"
#include "wire/datagram_stream.h"
#include "wire/h2_session.h"
#include "wire/h2_stream.h"
#include "wire/io_loop.h"

/* Each early datagram is kept behind its length. */
#define LENGTH_LEN sizeof(uint32_t)

enum flow_state {
	FLOW_STATE_ASKING,
	FLOW_STATE_OPEN,
	FLOW_STATE_ENDED,
	FLOW_STATE_N,
};

struct datagram_flow {
	struct io_loop *loop;
	const struct datagram_flow_events *events;
	void *ctx;
	enum flow_state state;
	struct h2_stream *stream;	   /* while ASKING; NULL if it couldn't be opened */
	struct datagram_stream *datagrams; /* while OPEN */
	struct buf early;
	size_t n_early;
	uint64_t n_dropped; /* before it was open, and when it had been */
	uv_timer_t timer;   /* for the answer */
	struct io_task failed;
	enum client_exit failure;
	const char *failure_text; /* a literal */
	unsigned int busy;
	bool is_freed;
};

#define MAY(state) (1u << FLOW_STATE_##state)

static const unsigned int next_states[FLOW_STATE_N] = {
	[FLOW_STATE_ASKING] = MAY(OPEN) | MAY(ENDED),
	[FLOW_STATE_OPEN] = MAY(ENDED),
};

static void set_state(struct datagram_flow *f, enum flow_state to)
{
	assert(next_states[f->state] & (1u << to));
	f->state = to;
}

/* ---- memory ---- */

static void timer_closed_cb(uv_handle_t *handle)
{
	free(container_of(handle, struct datagram_flow, timer));
}

static void release(struct datagram_flow *f)
{
	if (--f->busy == 0 && f->is_freed)
		uv_close((uv_handle_t *)&f->timer, timer_closed_cb);
}

static void drop_early(struct datagram_flow *f)
{
	io_loop_unbuffered(f->loop, buf_len(&f->early));
	buf_deinit(&f->early);
	f->n_early = 0;
}

/* ---- the end ---- */

static void keep_count(struct datagram_flow *f)
{
	struct datagram_stream_stats stats;

	if (!f->datagrams)
		return;
	datagram_stream_get_stats(f->datagrams, &stats);
	f->n_dropped += stats.n_dropped;
	f->datagrams = datagram_stream_free(f->datagrams);
}

/* Both sides of the flow are silent from here on. */
static void shut(struct datagram_flow *f)
{
	uv_timer_stop(&f->timer);
	io_task_cancel(&f->failed);
	drop_early(f);
	edge_stream_reset(&f->stream);
	keep_count(f);
}

static void end(struct datagram_flow *f, struct datagram_flow_end *how)
{
	how->was_open = f->state == FLOW_STATE_OPEN;
	shut(f);
	set_state(f, FLOW_STATE_ENDED);
	f->busy++;
	if (!f->is_freed)
		f->events->on_end(f->ctx, f, how);
	release(f);
}

static void end_with(struct datagram_flow *f, enum client_exit why, const char *text)
{
	struct datagram_flow_end how = {.why = why, .text = text};

	end(f, &how);
}

void datagram_flow_free(struct datagram_flow *f)
{
	if (!f || f->is_freed)
		return;
	f->busy++;
	shut(f);
	f->is_freed = true;
	release(f);
}

/* ---- open ---- */

static void stream_on_datagram(void *ctx, const uint8_t *data, size_t n)
{
	struct datagram_flow *f = ctx;

	f->events->on_datagram(f->ctx, f, data, n);
}

static void stream_on_icmp_error(void *ctx, uint8_t type, uint8_t code)
{
	struct datagram_flow *f = ctx;

	f->events->on_icmp_error(f->ctx, f, type, code);
}

static void stream_on_end(void *ctx, enum datagram_end why)
{
	static const struct {
		enum client_exit why;
		const char *text;
	} ends[] = {
		[DATAGRAM_END_PEER] = {CLIENT_EXIT_OK, "the connector ended it"},
		[DATAGRAM_END_RESET] = {CLIENT_EXIT_CUT, "it was reset by the far side"},
		[DATAGRAM_END_BAD] = {CLIENT_EXIT_EDGE_FAULT, "the far side sent no capsule"},
	};

	end_with(ctx, ends[why].why, ends[why].text);
}

static const struct datagram_stream_events datagram_events = {
	.on_datagram = stream_on_datagram,
	.on_icmp_error = stream_on_icmp_error,
	.on_end = stream_on_end,
};

static void send_early(struct datagram_flow *f)
{
	const uint8_t *at = buf_peek(&f->early);
	const uint8_t *stop = at + buf_len(&f->early);

	while (at < stop) {
		uint32_t n;

		memcpy(&n, at, LENGTH_LEN);
		/* One that finds no room is counted there. */
		(void)datagram_stream_send(f->datagrams, at + LENGTH_LEN, n);
		at += LENGTH_LEN + n;
	}
	drop_early(f);
}

static void accepted(struct datagram_flow *f)
{
	struct h2_stream *stream = steal_ptr(f->stream);

	set_state(f, FLOW_STATE_OPEN);
	f->datagrams = datagram_stream_new(f->loop, stream, &datagram_events, f);
	if (!buf_is_empty(&f->early))
		send_early(f);
	f->events->on_open(f->ctx, f);
}

/* ---- asking ---- */

static void on_response(void *ctx, struct h2_stream *stream UNUSED, const struct h2_headers *hdrs)
{
	struct datagram_flow *f = ctx;
	struct edge_refusal refusal;

	uv_timer_stop(&f->timer);
	if (edge_response_accepts(hdrs)) {
		accepted(f);
		return;
	}
	edge_refusal_read(&refusal, hdrs);
	edge_stream_end(&f->stream);
	end(f, &(struct datagram_flow_end){
		       .why = refusal.why,
		       .error = refusal.error,
		       .text = refusal.text,
	       });
}

static void on_closed(void *ctx, struct h2_stream *stream UNUSED, uint32_t h2_code UNUSED)
{
	struct datagram_flow *f = ctx;

	f->stream = NULL;
	end_with(f, CLIENT_EXIT_CUT, "the connection to the edge was lost before it answered");
}

static const struct h2_stream_events asking_events = {
	.on_response = on_response,
	.on_closed = on_closed,
};

static void on_answer_timeout(uv_timer_t *timer)
{
	end_with(container_of(timer, struct datagram_flow, timer), CLIENT_EXIT_EDGE_FAULT,
		 "the edge did not answer");
}

static int open_stream(struct datagram_flow *f, const struct datagram_flow_options *opt,
		       struct h2_session *session)
{
	char path[DATAGRAM_PATH_MAX];
	const struct h2_header headers[] = {
		{.name = ":method", .value = "CONNECT"},
		{.name = ":protocol", .value = datagram_protocol(opt->kind)},
		{.name = ":scheme", .value = "https"},
		{.name = ":authority",
		 .value = opt->edge_name ? opt->edge_name : DATAGRAM_AUTHORITY},
		{.name = ":path", .value = datagram_path_format(opt->kind, &opt->target, path)},
		{.name = HDR_CAPSULE_PROTOCOL, .value = CAPSULE_PROTOCOL_ON},
	};

	return edge_request_open(session, &f->stream,
				 &(const struct edge_request){
					 .headers = headers,
					 .n_headers = ARRAY_SIZE(headers),
					 .token = opt->token,
					 .network = opt->network,
					 .events = &asking_events,
					 .ctx = f,
				 });
}

static void fail_later(struct datagram_flow *f, enum client_exit why, const char *text)
{
	f->failure = why;
	f->failure_text = text;
	io_task_post(f->loop, &f->failed);
}

static void failed_task(struct io_task *task)
{
	struct datagram_flow *f = container_of(task, struct datagram_flow, failed);

	end_with(f, f->failure, f->failure_text);
}

static void ask(struct datagram_flow *f, const struct datagram_flow_options *opt)
{
	struct h2_session *session = opt->session(opt->session_ctx);
	int r = -ENOTCONN;

	if (session && !h2_session_peer_allows_connect_protocol(session)) {
		fail_later(f, CLIENT_EXIT_EDGE_FAULT, "the edge carries no datagrams");
		return;
	}
	if (session)
		r = open_stream(f, opt, session);
	if (r == 0)
		uv_timer_start(&f->timer, on_answer_timeout, EDGE_ANSWER_MS, 0);
	else if (r == H2_E_LIMIT)
		fail_later(f, CLIENT_EXIT_LIMIT, "the edge takes no more streams from us");
	else
		fail_later(f, CLIENT_EXIT_CUT, "the connection to the edge is gone");
}

/* ---- calls ---- */

struct datagram_flow *datagram_flow_new(const struct datagram_flow_options *opt,
					const struct datagram_flow_events *events, void *ctx)
{
	struct datagram_flow *f = xnew(struct datagram_flow);

	f->loop = opt->loop;
	f->events = events;
	f->ctx = ctx;
	buf_init(&f->early, DATAGRAM_FLOW_EARLY_BYTES + (size_t)DATAGRAM_FLOW_EARLY_N * LENGTH_LEN);
	uv_timer_init(opt->loop->uv, &f->timer);
	io_task_init(&f->failed, failed_task);
	ask(f, opt);
	return f;
}

static int keep_early(struct datagram_flow *f, const uint8_t *data, size_t n)
{
	uint32_t length = (uint32_t)n;

	if (f->n_early == DATAGRAM_FLOW_EARLY_N ||
	    !budget_has_room(&f->loop->budget, LENGTH_LEN + n) ||
	    buf_reserve(&f->early, LENGTH_LEN + n) < 0) {
		f->n_dropped++;
		return -ENOBUFS;
	}
	/* Neither can fail: there is room. */
	(void)buf_append(&f->early, &length, LENGTH_LEN);
	(void)buf_append(&f->early, data, n);
	io_loop_buffered(f->loop, LENGTH_LEN + n);
	f->n_early++;
	return 0;
}

int datagram_flow_send(struct datagram_flow *f, const uint8_t *data, size_t n)
{
	if (n > DATAGRAM_MAX)
		return -EMSGSIZE;
	if (f->state == FLOW_STATE_ASKING)
		return keep_early(f, data, n);
	return f->state == FLOW_STATE_OPEN ? datagram_stream_send(f->datagrams, data, n)
					   : -ENOTCONN;
}

uint64_t datagram_flow_n_dropped(const struct datagram_flow *f)
{
	struct datagram_stream_stats stats = {.n_dropped = 0};

	if (f->datagrams)
		datagram_stream_get_stats(f->datagrams, &stats);
	return f->n_dropped + stats.n_dropped;
}
