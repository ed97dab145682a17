/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The stream is ours until it is joined, and may end by itself at any time before; the object
 * then stays, without a stream, until its owner frees it. What comes early is counted in the
 * loop's budget.
 */

#include "client/connect_stream.h"

#include <assert.h>
#include <stdlib.h>

#include <uv.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "client/edge_request.h"
#include "wire/h2_session.h"
#include "wire/h2_stream.h"
#include "wire/io_loop.h"

/* Above any stream window that a client grants. */
#define EARLY_MAX ((size_t)16 * 1024 * 1024)

enum connect_state {
	CONNECT_STATE_ASKING,
	CONNECT_STATE_OPEN,
	CONNECT_STATE_ENDED,
	CONNECT_STATE_N,
};

struct connect_stream {
	const struct connect_stream_events *events;
	void *ctx;
	struct io_loop *loop;
	enum connect_state state;
	struct h2_stream *stream; /* NULL when it has ended */
	struct buf early;
	bool peer_ended;
	uv_timer_t timer; /* for the answer */
};

#define MAY(state) (1u << CONNECT_STATE_##state)

static const unsigned int next_states[CONNECT_STATE_N] = {
	[CONNECT_STATE_ASKING] = MAY(OPEN) | MAY(ENDED),
	[CONNECT_STATE_OPEN] = MAY(ENDED),
};

static void set_state(struct connect_stream *cs, enum connect_state to)
{
	assert(next_states[cs->state] & (1u << to));
	cs->state = to;
}

/* ---- the answer ---- */

static void refused(struct connect_stream *cs, const struct connect_answer *answer)
{
	uv_timer_stop(&cs->timer);
	set_state(cs, CONNECT_STATE_ENDED);
	cs->events->on_answer(cs->ctx, answer);
}

static void accepted(struct connect_stream *cs)
{
	static const struct connect_answer ok = {.why = CLIENT_EXIT_OK, .text = "accepted"};

	uv_timer_stop(&cs->timer);
	set_state(cs, CONNECT_STATE_OPEN);
	cs->events->on_answer(cs->ctx, &ok);
}

static void on_response(void *ctx, struct h2_stream *stream UNUSED, const struct h2_headers *hdrs)
{
	struct connect_stream *cs = ctx;
	struct edge_refusal refusal;

	if (edge_response_accepts(hdrs)) {
		accepted(cs);
		return;
	}
	edge_refusal_read(&refusal, hdrs);
	edge_stream_end(&cs->stream);
	refused(cs, &(const struct connect_answer){
			    .why = refusal.why,
			    .error = refusal.error,
			    .text = refusal.text,
		    });
}

static void on_answer_timeout(uv_timer_t *timer)
{
	static const struct connect_answer late = {
		.why = CLIENT_EXIT_EDGE_FAULT,
		.text = "the edge did not answer",
	};

	struct connect_stream *cs = container_of(timer, struct connect_stream, timer);

	edge_stream_reset(&cs->stream);
	refused(cs, &late);
}

static void on_closed(void *ctx, struct h2_stream *stream UNUSED, uint32_t h2_code UNUSED)
{
	static const struct connect_answer lost = {
		.why = CLIENT_EXIT_CUT,
		.text = "the connection to the edge was lost before it answered",
	};
	struct connect_stream *cs = ctx;

	cs->stream = NULL;
	if (cs->state == CONNECT_STATE_ASKING) {
		refused(cs, &lost);
	} else if (cs->state == CONNECT_STATE_OPEN) {
		set_state(cs, CONNECT_STATE_ENDED);
		cs->events->on_lost(cs->ctx);
	}
}

/* ---- until it is joined ---- */

static void on_data(void *ctx, struct h2_stream *stream, const uint8_t *data, size_t n)
{
	struct connect_stream *cs = ctx;

	if (buf_append(&cs->early, data, n) == 0)
		io_loop_buffered(cs->loop, n);
	else
		h2_stream_reset(stream, H2_CODE_INTERNAL_ERROR);
}

static void on_eof(void *ctx, struct h2_stream *stream UNUSED)
{
	struct connect_stream *cs = ctx;

	cs->peer_ended = true;
}

static const struct h2_stream_events stream_events = {
	.on_response = on_response,
	.on_data = on_data,
	.on_eof = on_eof,
	.on_closed = on_closed,
};

static void drop_early(struct connect_stream *cs)
{
	io_loop_unbuffered(cs->loop, buf_len(&cs->early));
	buf_deinit(&cs->early);
}

int connect_stream_join(struct connect_stream *cs, int in_fd, int out_fd, relay_done done,
			void *ctx, struct relay **relayp)
{
	struct h2_stream *stream = steal_ptr(cs->stream);
	struct relay *relay;
	int r;

	assert(cs->state == CONNECT_STATE_OPEN);
	r = relay_new_fd(&relay, cs->loop, in_fd, out_fd, stream, RELAY_HALF_CLOSE, done, ctx);
	if (r < 0) {
		cs->stream = stream;
		connect_stream_free(cs);
		return r;
	}
	relay_preload_b(relay, &cs->early, cs->peer_ended);
	connect_stream_free(cs);
	*relayp = relay;
	return 0;
}

/* ---- life ---- */

static int open_stream(struct connect_stream *cs, const struct connect_stream_options *opt)
{
	char authority[ENDPOINT_TEXT_MAX];
	const struct h2_header headers[] = {
		{.name = ":method", .value = "CONNECT"},
		{.name = ":authority", .value = endpoint_format(&opt->target, authority)},
	};

	return edge_request_open(opt->session, &cs->stream,
				 &(const struct edge_request){
					 .headers = headers,
					 .n_headers = ARRAY_SIZE(headers),
					 .token = opt->token,
					 .network = opt->network,
					 .events = &stream_events,
					 .ctx = cs,
				 });
}

int connect_stream_new(struct connect_stream **csp, const struct connect_stream_options *opt,
		       const struct connect_stream_events *events, void *ctx)
{
	struct connect_stream *cs = xnew(struct connect_stream);
	int r;

	cs->events = events;
	cs->ctx = ctx;
	cs->loop = opt->loop;
	r = open_stream(cs, opt);
	if (r != 0) {
		free(cs);
		return r;
	}
	buf_init(&cs->early, EARLY_MAX);
	uv_timer_init(opt->loop->uv, &cs->timer);
	uv_timer_start(&cs->timer, on_answer_timeout, EDGE_ANSWER_MS, 0);
	*csp = cs;
	return 0;
}

static void timer_closed_cb(uv_handle_t *handle)
{
	free(container_of(handle, struct connect_stream, timer));
}

void connect_stream_free(struct connect_stream *cs)
{
	if (!cs)
		return;
	edge_stream_reset(&cs->stream);
	drop_early(cs);
	uv_close((uv_handle_t *)&cs->timer, timer_closed_cb);
}
