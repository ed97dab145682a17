/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The stream is ours until it is joined, and may end by itself at any time before; the object
 * then stays, without a stream, until its owner frees it. What comes early is counted in the
 * loop's budget.
 */

#include "client/connect_stream.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "client/client_credentials.h"
#include "wire/h2_session.h"
#include "wire/h2_stream.h"
#include "wire/io_loop.h"

/* Longer than an edge waits for its connector, so that its own answer comes first. */
#define ANSWER_MS 90000

/* Above any stream window that a client grants. */
#define EARLY_MAX ((size_t)16 * 1024 * 1024)

#define AUTHORIZATION_MAX (CLIENT_TOKEN_MAX + 16)

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

static void drop_stream(struct connect_stream *cs)
{
	struct h2_stream *stream = steal_ptr(cs->stream);

	if (!stream)
		return;
	h2_stream_set_events(stream, NULL, NULL);
	h2_stream_reset(stream, H2_CODE_CANCEL);
}

/* ---- the answer ---- */

/* Answers of an edge that doesn't say adit-error. */
static const struct {
	const char *status;
	enum client_exit why;
} status_rows[] = {
	{"403", CLIENT_EXIT_NOT_GRANTED},     {"404", CLIENT_EXIT_NO_ROUTE},
	{"407", CLIENT_EXIT_UNAUTHENTICATED}, {"503", CLIENT_EXIT_CONNECTOR_DOWN},
	{"504", CLIENT_EXIT_TIMEOUT},
};

static enum client_exit exit_of_status(const char *status)
{
	for (size_t i = 0; i < ARRAY_SIZE(status_rows); i++) {
		if (strcmp(status, status_rows[i].status) == 0)
			return status_rows[i].why;
	}
	return CLIENT_EXIT_EDGE_FAULT;
}

static void refused(struct connect_stream *cs, const struct connect_answer *answer)
{
	uv_timer_stop(&cs->timer);
	drop_stream(cs);
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
	const char *status = h2_headers_get(hdrs, ":status");
	struct connect_answer answer = {
		.error = stream_error_parse(h2_headers_get(hdrs, HDR_ADIT_ERROR)),
	};
	char text[64];

	if (status && status[0] == '2') {
		accepted(cs);
		return;
	}
	if (answer.error != STREAM_ERROR_NONE) {
		answer.why = client_exit_of_stream_error(answer.error);
		answer.text = stream_error_info(answer.error)->text;
	} else {
		answer.why = exit_of_status(status ? status : "");
		snprintf(text, sizeof(text), "the edge answered %.3s", status ? status : "nothing");
		answer.text = text;
	}
	refused(cs, &answer);
}

static void on_answer_timeout(uv_timer_t *timer)
{
	static const struct connect_answer late = {
		.why = CLIENT_EXIT_EDGE_FAULT,
		.text = "the edge did not answer",
	};

	refused(container_of(timer, struct connect_stream, timer), &late);
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
	r = relay_preload_b(relay, buf_peek(&cs->early), buf_len(&cs->early), cs->peer_ended);
	if (r < 0)
		relay_abort(relay);
	connect_stream_free(cs);
	*relayp = relay;
	return 0;
}

/* ---- life ---- */

static int open_stream(struct connect_stream *cs, const struct connect_stream_options *opt)
{
	char authorization[AUTHORIZATION_MAX], authority[ENDPOINT_TEXT_MAX];
	const struct h2_header headers[] = {
		{.name = ":method", .value = "CONNECT"},
		{.name = ":authority", .value = endpoint_format(&opt->target, authority)},
		{.name = "proxy-authorization", .value = authorization, .secret = true},
		{.name = HDR_VIRTUAL_NETWORK, .value = opt->network},
	};
	int r;

	snprintf(authorization, sizeof(authorization), "Bearer %s", opt->token);
	r = h2_stream_open(opt->session, &cs->stream, headers,
			   ARRAY_SIZE(headers) - (opt->network ? 0 : 1), false, &stream_events, cs);
	explicit_bzero(authorization, sizeof(authorization));
	return r;
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
	uv_timer_start(&cs->timer, on_answer_timeout, ANSWER_MS, 0);
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
	drop_stream(cs);
	drop_early(cs);
	uv_close((uv_handle_t *)&cs->timer, timer_closed_cb);
}
