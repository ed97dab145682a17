/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * schedule - two sessions back to back, driven by a script of bytes
 *
 * The script opens, answers, ends, resets and credits streams, pulls from one session and feeds
 * the other in pieces, in any order. Whatever it does: a receiver gets an exact prefix of what
 * was sent; a stream that nobody reset gets all of it, and one end; each stream is closed once;
 * and when all is over, a whole connection window passes again in both directions.
 * Aborts where that fails: for the fuzzer and for a test.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/h2_private.h"

#define SCHEDULE_STREAMS    6
#define SCHEDULE_OUT_BYTES  H2_PULL_MAX
#define SCHEDULE_PIPE	    (1024 * 1024)
#define SCHEDULE_BODY_MAX   300000
#define SCHEDULE_WINDOW_MAX (8u << 20)

#define SCHEDULE_CHECK(condition)                                                                  \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "schedule: %s:%d: %s\n", __FILE__, __LINE__, #condition);  \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* One half of a stream: what this side sends and has received. */
struct half {
	struct half *far;
	struct h2_stream *stream; /* NULL: not yet, or closed */
	size_t allowed;		  /* may send up to here */
	size_t sent;
	size_t received;
	size_t uncredited;
	size_t short_read; /* at most so many bytes from the source at once */
	bool finished;	   /* the end follows what is allowed */
	bool eof;
	bool opened;
	bool closed;
	bool reset; /* by this side */
	uint32_t code;
	bool auto_credit;
};

/* One of the two sessions, and what it has said but the other not yet heard. */
struct party {
	struct schedule *schedule;
	struct party *far;
	struct h2_session *session;
	uint8_t *pipe;
	size_t n_pipe;
	bool withhold;
};

struct schedule {
	struct party opener;
	struct party acceptor;
	struct half halves[SCHEDULE_STREAMS][2]; /* [0] the opener's */
	size_t body_max;
	bool drained;
	const uint8_t *script;
	size_t n_script;
};

static inline uint8_t schedule_pattern(size_t i)
{
	return (uint8_t)(i * 37 + i / 253);
}

/* ---- streams ---- */

static inline ssize_t half_read(void *ctx, uint8_t *buf, size_t cap)
{
	struct half *h = ctx;
	size_t n = h->allowed - h->sent;

	if (n == 0)
		return h->finished ? 0 : -EAGAIN;
	n = n < cap ? n : cap;
	n = n < h->short_read ? n : h->short_read;
	for (size_t i = 0; i < n; i++)
		buf[i] = schedule_pattern(h->sent + i);
	h->sent += n;
	return (ssize_t)n;
}

static inline void half_on_data(void *ctx, struct h2_stream *stream, const uint8_t *data, size_t n)
{
	struct half *h = ctx;

	SCHEDULE_CHECK(h->stream == stream && !h->eof && h->received + n <= h->far->sent);
	for (size_t i = 0; i < n; i++)
		SCHEDULE_CHECK(data[i] == schedule_pattern(h->received + i));
	h->received += n;
	if (h->auto_credit)
		h2_stream_credit(stream, n);
	else
		h->uncredited += n;
}

static inline void half_on_eof(void *ctx, struct h2_stream *stream UNUSED)
{
	struct half *h = ctx;

	SCHEDULE_CHECK(!h->eof && h->far->finished && h->received == h->far->sent);
	h->eof = true;
	/* Half of them answer the end with theirs, also when the stream is closing. */
	if (h->received % 2 == 0) {
		h->finished = true;
		h2_stream_resume(h->stream);
	}
}

static inline void half_on_closed(void *ctx, struct h2_stream *stream, uint32_t h2_code)
{
	struct half *h = ctx;

	SCHEDULE_CHECK(h->stream == stream && !h->closed);
	h->closed = true;
	h->stream = NULL;
	h->code = h2_code;
}

static const struct h2_stream_events half_events = {
	.on_data = half_on_data,
	.on_eof = half_on_eof,
	.on_closed = half_on_closed,
};

/* ---- sessions ---- */

static inline void party_on_settings(void *ctx UNUSED)
{
}

static inline void party_on_open(void *ctx, struct h2_stream *stream, const struct h2_headers *hdrs)
{
	struct party *p = ctx;
	unsigned int slot = (unsigned int)atoi(h2_headers_get(hdrs, ":path") + 1);
	struct half *h = &p->schedule->halves[slot][1];

	SCHEDULE_CHECK(slot < SCHEDULE_STREAMS && !h->opened);
	h->opened = true;
	h->stream = stream;
	h2_stream_set_events(stream, &half_events, h);
}

static inline void party_on_goaway(void *ctx, uint32_t h2_code)
{
	struct party *p = ctx;

	SCHEDULE_CHECK(h2_code == H2_CODE_NO_ERROR && p->schedule->drained);
}

static inline void party_on_ping_ack(void *ctx UNUSED, uint64_t opaque)
{
	SCHEDULE_CHECK(opaque == 42);
}

static inline void party_on_output(void *ctx UNUSED)
{
}

static inline bool party_on_received(void *ctx, size_t n UNUSED)
{
	return !((struct party *)ctx)->withhold;
}

static const struct h2_session_events party_events = {
	.on_settings = party_on_settings,
	.on_open = party_on_open,
	.on_goaway = party_on_goaway,
	.on_ping_ack = party_on_ping_ack,
	.on_output = party_on_output,
	.on_received = party_on_received,
};

/* One pull into the pipe; returns how many bytes. */
static inline size_t party_pull(struct party *p, size_t cap)
{
	size_t n;

	if (p->n_pipe + cap > SCHEDULE_PIPE)
		return 0;
	SCHEDULE_CHECK(h2_session_pull(p->session, p->pipe + p->n_pipe, cap, &n) == 0 && n <= cap);
	p->n_pipe += n;
	return n;
}

/* The far session hears up to @n bytes of the pipe. */
static inline void party_deliver(struct party *p, size_t n)
{
	uint8_t *piece;

	n = n < p->n_pipe ? n : p->n_pipe;
	if (n == 0)
		return;
	/* Memory of its own: nobody may keep a slice of it. */
	piece = malloc(n);
	SCHEDULE_CHECK(piece);
	memcpy(piece, p->pipe, n);
	p->n_pipe -= n;
	memmove(p->pipe, p->pipe + n, p->n_pipe);
	SCHEDULE_CHECK(h2_session_feed(p->far->session, piece, n) == H2_OK);
	free(piece);
}

static inline void schedule_pump(struct schedule *s)
{
	size_t n;

	do {
		n = party_pull(&s->opener, SCHEDULE_OUT_BYTES);
		party_deliver(&s->opener, SCHEDULE_PIPE);
		n += party_pull(&s->acceptor, SCHEDULE_OUT_BYTES);
		party_deliver(&s->acceptor, SCHEDULE_PIPE);
	} while (n > 0);
}

static inline void check_slot(const struct schedule *s, const struct half *opener,
			      const struct half *acceptor)
{
	bool was_reset = opener->reset || acceptor->reset;

	SCHEDULE_CHECK(opener->closed == opener->opened && acceptor->closed == acceptor->opened);
	if (!opener->opened || was_reset)
		return;
	if (!acceptor->opened) {
		SCHEDULE_CHECK(s->drained && opener->code == H2_CODE_REFUSED_STREAM);
		return;
	}
	SCHEDULE_CHECK(opener->code == 0 && acceptor->code == 0);
	SCHEDULE_CHECK(opener->eof && acceptor->eof);
	SCHEDULE_CHECK(opener->received == acceptor->allowed);
	SCHEDULE_CHECK(acceptor->received == opener->allowed);
}

static inline void slot_init(struct half pair[2])
{
	for (unsigned int side = 0; side < 2; side++)
		pair[side] = (struct half){.far = &pair[1 - side], .short_read = SIZE_MAX};
}

/* ---- the script ---- */

static inline uint8_t take(struct schedule *s)
{
	if (s->n_script == 0)
		return 0;
	s->n_script--;
	return *s->script++;
}

static inline struct half *take_half(struct schedule *s)
{
	uint8_t b = take(s);

	return &s->halves[b / 2 % SCHEDULE_STREAMS][b % 2];
}

static inline struct party *take_party(struct schedule *s)
{
	return take(s) % 2 ? &s->acceptor : &s->opener;
}

/* Small and large ones are equally likely. */
static inline size_t take_size(struct schedule *s)
{
	size_t n = (size_t)1 << take(s) % 19;

	return n + (take(s) * n >> 8);
}

static inline void open_slot(struct schedule *s, unsigned int slot)
{
	char path[16];
	const struct h2_header request[] = {
		{.name = ":method", .value = "GET"},
		{.name = ":scheme", .value = "https"},
		{.name = ":authority", .value = "10.0.0.1:22"},
		{.name = ":path", .value = path},
	};
	struct half *h = &s->halves[slot][0];
	int r;

	/* A slot is free again when both sides know of the end. */
	if (h[0].closed && h[1].closed) {
		check_slot(s, &h[0], &h[1]);
		slot_init(h);
	}
	if (h->opened)
		return;
	snprintf(path, sizeof(path), "/%u", slot);
	r = h2_stream_open(s->opener.session, &h->stream, request, ARRAY_SIZE(request), false,
			   &half_events, h);
	SCHEDULE_CHECK(r == 0 || (r == H2_E_DRAINING && s->drained));
	if (r != 0)
		return;
	h->opened = true;
	h2_stream_set_source(h->stream, half_read, h);
}

static inline void answer_slot(struct half *h)
{
	static const struct h2_header ok[] = {{.name = ":status", .value = "200"}};

	if (h->stream && h2_stream_respond(h->stream, ok, 1, false) == 0)
		h2_stream_set_source(h->stream, half_read, h);
}

static inline void allow(struct schedule *s, struct half *h, size_t n)
{
	if (h->finished)
		return;
	h->allowed = h->allowed + n < s->body_max ? h->allowed + n : s->body_max;
	if (h->stream)
		h2_stream_resume(h->stream);
}

static inline void finish(struct half *h)
{
	h->finished = true;
	if (h->stream)
		h2_stream_resume(h->stream);
}

static inline void credit(struct half *h, size_t n)
{
	n = n < h->uncredited ? n : h->uncredited;
	h->uncredited -= n;
	if (h->stream)
		h2_stream_credit(h->stream, n);
}

static inline void reset(struct half *h)
{
	if (!h->stream)
		return;
	h->reset = true;
	h2_stream_reset(h->stream, H2_CODE_CANCEL);
}

static inline void withhold(struct party *p, bool on)
{
	p->withhold = on;
	if (!on)
		h2_session_release_credit(p->session);
}

static inline void limit(struct schedule *s, struct half *h)
{
	/* Not below an eighth of the window: the far side announces no less. */
	uint32_t bytes = take(s) % 2 ? 0 : SCHEDULE_BODY_MAX / 2;

	if (h->stream)
		h2_stream_limit_in_flight(h->stream, bytes);
}

/* Of streams that are read to twice as much, or of the connection, at any moment. */
static inline void widen(struct schedule *s, struct party *p)
{
	uint32_t stream = p->session->grown_stream_bytes;
	uint32_t conn = p->session->limits.conn_window_bytes;
	uint8_t how = take(s);

	if (how & 1 && stream < SCHEDULE_WINDOW_MAX)
		stream *= 2;
	if (how & 2 && conn < SCHEDULE_WINDOW_MAX)
		conn = conn * 2 - how;
	h2_session_grow_windows(p->session, stream, conn);
}

/* Larger or smaller frames than before, from when the far side has heard of it. */
static inline void announce(struct schedule *s, struct party *p)
{
	SCHEDULE_CHECK(h2_session_announce_additions(p->session, 16384u << take(s) % 5) == 0);
}

static inline void drain(struct schedule *s, struct party *p)
{
	/* Rare: no stream is opened behind it. */
	if (take(s) > 16)
		return;
	s->drained = true;
	h2_session_drain(p->session);
}

static inline void step(struct schedule *s)
{
	struct half *h;

	switch (take(s) % 14) {
	case 0:
	case 1:
		open_slot(s, take(s) % SCHEDULE_STREAMS);
		break;
	case 2:
		answer_slot(&s->halves[take(s) % SCHEDULE_STREAMS][1]);
		break;
	case 3:
	case 4:
		h = take_half(s);
		allow(s, h, take_size(s));
		break;
	case 5:
		finish(take_half(s));
		break;
	case 6:
		h = take_half(s);
		credit(h, take_size(s));
		break;
	case 7:
		h = take_half(s);
		if (take(s) < 40)
			reset(h);
		break;
	case 8:
	case 9:
		party_pull(take_party(s), H2_PULL_MIN + take(s) * (size_t)1024);
		break;
	case 10:
	case 11: {
		struct party *p = take_party(s);

		party_deliver(p, take_size(s));
		break;
	}
	case 12: {
		struct party *p = take_party(s);

		withhold(p, take(s) % 2);
		break;
	}
	default:
		switch (take(s) % 6) {
		case 0:
			SCHEDULE_CHECK(h2_session_ping(take_party(s)->session, 42) == 0);
			break;
		case 1:
			limit(s, take_half(s));
			break;
		case 2:
			take_half(s)->short_read = take_size(s);
			break;
		case 3:
			widen(s, take_party(s));
			break;
		case 4:
			announce(s, take_party(s));
			break;
		default:
			drain(s, take_party(s));
			break;
		}
	}
}

/* ---- beginning and end ---- */

static inline void schedule_start(struct schedule *s)
{
	static const uint32_t windows[] = {1, 100, 16384, 65535, 300000, 1 << 20};
	struct h2_limits limits = {
		.max_streams = SCHEDULE_STREAMS + 1,
		.stream_window_bytes = windows[take(s) % ARRAY_SIZE(windows)],
		.conn_window_bytes = 65535u << take(s) % 5,
		.header_list_bytes = 4096,
		.max_frame_bytes = 16384u << take(s) % 5,
		.resets_burst = 1000,
		.resets_per_s = 1000,
	};

	/* A window of one byte costs two frames for each. */
	s->body_max = (size_t)limits.stream_window_bytes * 500;
	if (s->body_max > SCHEDULE_BODY_MAX)
		s->body_max = SCHEDULE_BODY_MAX;
	s->opener = (struct party){.schedule = s, .far = &s->acceptor};
	s->acceptor = (struct party){.schedule = s, .far = &s->opener};
	s->opener.pipe = malloc(SCHEDULE_PIPE);
	s->acceptor.pipe = malloc(SCHEDULE_PIPE);
	SCHEDULE_CHECK(s->opener.pipe && s->acceptor.pipe);
	SCHEDULE_CHECK(h2_session_new(&s->opener.session, H2_ROLE_OPENER, &limits, &party_events,
				      &s->opener) == 0);
	SCHEDULE_CHECK(h2_session_new(&s->acceptor.session, H2_ROLE_ACCEPTOR, &limits,
				      &party_events, &s->acceptor) == 0);
	for (unsigned int i = 0; i < SCHEDULE_STREAMS; i++)
		slot_init(s->halves[i]);
	schedule_pump(s);
}

/* Nothing holds anybody back any more. */
static inline void let_go(struct schedule *s)
{
	schedule_pump(s);
	withhold(&s->opener, false);
	withhold(&s->acceptor, false);
	for (unsigned int i = 0; i < SCHEDULE_STREAMS; i++) {
		for (unsigned int side = 0; side < 2; side++) {
			struct half *h = &s->halves[i][side];

			h->auto_credit = true;
			credit(h, SIZE_MAX);
			if (side == 1)
				answer_slot(h);
			finish(h);
		}
	}
	schedule_pump(s);
}

/* What this side received and has not given back is too little to be worth a frame. */
static inline void check_credit(const struct party *p)
{
	const struct h2_session *h = p->session;

	SCHEDULE_CHECK(nghttp2_session_get_effective_recv_data_length(h->ng) <=
		       (int32_t)(h->limits.conn_window_bytes / H2_WINDOW_UPDATE_SHARE));
}

/* The windows are whole again: nothing of them was lost, and bytes pass on a new stream. */
static inline void check_windows(struct schedule *s)
{
	struct half *pair = s->halves[0];

	if (s->drained)
		return;
	slot_init(pair);
	for (unsigned int side = 0; side < 2; side++) {
		pair[side].auto_credit = true;
		pair[side].allowed = s->body_max;
		pair[side].finished = true;
	}
	open_slot(s, 0);
	schedule_pump(s);
	answer_slot(&pair[1]);
	schedule_pump(s);
	check_slot(s, &pair[0], &pair[1]);
	check_credit(&s->opener);
	check_credit(&s->acceptor);
}

static inline void schedule_run(const uint8_t *script, size_t n)
{
	struct schedule s = {.script = script, .n_script = n};

	schedule_start(&s);
	while (s.n_script > 0)
		step(&s);
	let_go(&s);
	for (unsigned int i = 0; i < SCHEDULE_STREAMS; i++)
		check_slot(&s, &s.halves[i][0], &s.halves[i][1]);
	SCHEDULE_CHECK(h2_session_n_streams(s.opener.session) == 0);
	SCHEDULE_CHECK(h2_session_n_streams(s.acceptor.session) == 0);
	check_windows(&s);
	h2_session_free(s.opener.session);
	h2_session_free(s.acceptor.session);
	free(s.opener.pipe);
	free(s.acceptor.pipe);
}
