/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* talker - the ends of streams over a mem_pair: send a pattern, check the pattern received */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <errno.h>

#include "mem_pair.h"

/* One end of a stream: sends a pattern of `to_send` bytes, checks the pattern it gets. */
struct talker {
	struct h2_stream *stream;
	size_t to_send;
	size_t sent;
	size_t received;
	size_t uncredited;
	bool hold_credit;
	bool blocked;
	bool eof;
	bool closed;
	uint32_t code;
	char status[8];
};

static inline uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 31 + i / 251);
}

static inline ssize_t talk(void *ctx, uint8_t *buf, size_t cap)
{
	struct talker *t = ctx;
	size_t n = t->to_send - t->sent;

	if (t->blocked)
		return -EAGAIN;
	if (n > cap)
		n = cap;
	for (size_t i = 0; i < n; i++)
		buf[i] = pattern(t->sent + i);
	t->sent += n;
	return (ssize_t)n;
}

static inline void on_response(void *ctx, struct h2_stream *stream UNUSED,
			       const struct h2_headers *hdrs)
{
	struct talker *t = ctx;

	strncpy(t->status, h2_headers_get(hdrs, ":status"), sizeof(t->status) - 1);
}

static inline void on_data(void *ctx, struct h2_stream *stream, const uint8_t *data, size_t n)
{
	struct talker *t = ctx;

	for (size_t i = 0; i < n; i++)
		assert_int_equal(data[i], pattern(t->received + i));
	t->received += n;
	if (t->hold_credit)
		t->uncredited += n;
	else
		h2_stream_credit(stream, n);
}

static inline void on_eof(void *ctx, struct h2_stream *stream UNUSED)
{
	struct talker *t = ctx;

	assert_false(t->closed);
	t->eof = true;
}

static inline void on_closed(void *ctx, struct h2_stream *stream UNUSED, uint32_t h2_code)
{
	struct talker *t = ctx;

	assert_false(t->closed);
	t->closed = true;
	t->stream = NULL;
	t->code = h2_code;
}

static const struct h2_stream_events talker_events = {
	.on_response = on_response,
	.on_data = on_data,
	.on_eof = on_eof,
	.on_closed = on_closed,
};

static const struct h2_header get_request[] = {
	{.name = ":method", .value = "GET"},
	{.name = ":scheme", .value = "https"},
	{.name = ":authority", .value = "10.0.0.1:22"},
	{.name = ":path", .value = "/"},
};

static const struct h2_header connect_request[] = {
	{.name = ":method", .value = "CONNECT"},
	{.name = ":authority", .value = "10.0.0.1:22"},
	{.name = "proxy-authorization", .value = "Bearer x", .secret = true},
};

static const struct h2_header ok_response[] = {{.name = ":status", .value = "200"}};

static inline int open_talker(struct mem_pair *p, struct talker *t, const struct h2_header *hdrs,
			      size_t n_hdrs)
{
	int r = h2_stream_open(p->opener.session, &t->stream, hdrs, n_hdrs, false, &talker_events,
			       t);

	if (r == 0)
		h2_stream_set_source(t->stream, talk, t);
	return r;
}

static inline void answer(struct mem_pair *p, struct talker *t)
{
	t->stream = p->acceptor.opened;
	assert_int_equal(h2_stream_respond(t->stream, ok_response, 1, false), 0);
	h2_stream_set_events(t->stream, &talker_events, t);
	h2_stream_set_source(t->stream, talk, t);
}

/* A pair with one stream open in both directions; sources blocked until told otherwise. */
static inline void open_pair(struct mem_pair *p, unsigned int seed, struct talker *a,
			     struct talker *b)
{
	memset(a, 0, sizeof(*a));
	memset(b, 0, sizeof(*b));
	a->blocked = true;
	b->blocked = true;
	mem_pair_init(p, seed);
	mem_pair_pump(p);
	assert_int_equal(open_talker(p, a, get_request, ARRAY_SIZE(get_request)), 0);
	mem_pair_pump(p);
	assert_int_equal(p->acceptor.n_opened, 1);
	answer(p, b);
	mem_pair_pump(p);
}

static inline void unblock(struct talker *t, size_t to_send)
{
	t->to_send = to_send;
	t->blocked = false;
	h2_stream_resume(t->stream);
}
