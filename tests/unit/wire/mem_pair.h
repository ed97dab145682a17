/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * mem_pair - an opener and an acceptor joined by memory
 *
 * mem_pair_pump() moves bytes until both are silent, in pieces of random size when a
 * seed was given.
 */

#include <stdlib.h>
#include <string.h>

#include "wire/h2_session.h"
#include "wire/h2_stream.h"

#define MEM_OUT_BYTES H2_PULL_MAX

struct mem_end {
	struct h2_session *session;
	bool got_settings;
	bool got_goaway;
	bool withhold; /* connection credit */
	unsigned int n_opened;
	struct h2_stream *opened;
	char authority[300];
	void (*on_open)(struct mem_end *end, struct h2_stream *stream);
	uint64_t ping;
	int feed_result;
};

struct mem_pair {
	struct mem_end opener;
	struct mem_end acceptor;
	unsigned int seed; /* 0: whole pieces */
	uint64_t now_ms;
	uint8_t out[MEM_OUT_BYTES];
};

static void mem_on_settings(void *ctx)
{
	((struct mem_end *)ctx)->got_settings = true;
}

static void mem_on_open(void *ctx, struct h2_stream *stream, const struct h2_headers *hdrs)
{
	struct mem_end *end = ctx;
	const char *authority = h2_headers_get(hdrs, ":authority");

	end->n_opened++;
	end->opened = stream;
	if (authority)
		strncpy(end->authority, authority, sizeof(end->authority) - 1);
	if (end->on_open)
		end->on_open(end, stream);
}

static void mem_on_goaway(void *ctx, uint32_t h2_code UNUSED)
{
	((struct mem_end *)ctx)->got_goaway = true;
}

static void mem_on_ping_ack(void *ctx, uint64_t opaque)
{
	((struct mem_end *)ctx)->ping = opaque;
}

static void mem_on_output(void *ctx UNUSED)
{
}

static bool mem_on_received(void *ctx, size_t n UNUSED)
{
	return !((struct mem_end *)ctx)->withhold;
}

static const struct h2_session_events mem_events = {
	.on_settings = mem_on_settings,
	.on_open = mem_on_open,
	.on_goaway = mem_on_goaway,
	.on_ping_ack = mem_on_ping_ack,
	.on_output = mem_on_output,
	.on_received = mem_on_received,
};

static const struct h2_limits mem_limits = {
	.max_streams = 100,
	.stream_window_bytes = 256 * 1024,
	.conn_window_bytes = 1024 * 1024,
	.header_list_bytes = 16 * 1024,
	.max_frame_bytes = 16384,
	.resets_burst = 1000,
	.resets_per_s = 100,
};

static inline void mem_pair_init_with(struct mem_pair *p, unsigned int seed,
				      const struct h2_limits *opener,
				      const struct h2_limits *acceptor)
{
	memset(p, 0, sizeof(*p));
	p->seed = seed;
	if (h2_session_new(&p->opener.session, H2_ROLE_OPENER, opener, &mem_events, &p->opener) ||
	    h2_session_new(&p->acceptor.session, H2_ROLE_ACCEPTOR, acceptor, &mem_events,
			   &p->acceptor))
		abort();
}

static inline void mem_pair_init(struct mem_pair *p, unsigned int seed)
{
	mem_pair_init_with(p, seed, &mem_limits, &mem_limits);
}

static inline void mem_feed(struct mem_pair *p, struct mem_end *to, const uint8_t *data, size_t n)
{
	while (n > 0) {
		size_t piece = n;
		uint8_t *copy;

		if (p->seed)
			piece = 1 + (size_t)rand_r(&p->seed) % n;
		/* A heap copy of its own, so that ASan sees who keeps a slice too long. */
		copy = malloc(piece);
		if (!copy)
			abort();
		memcpy(copy, data, piece);
		h2_session_set_now(to->session, p->now_ms);
		to->feed_result = h2_session_feed(to->session, copy, piece);
		free(copy);
		data += piece;
		n -= piece;
		if (to->feed_result != 0)
			return;
	}
}

/* Bytes moved from @from to @to in one pull. */
static inline size_t mem_move(struct mem_pair *p, struct mem_end *from, struct mem_end *to)
{
	size_t n;

	if (!from->session || h2_session_pull(from->session, p->out, sizeof(p->out), &n) != 0)
		return 0;
	if (to->session)
		mem_feed(p, to, p->out, n);
	return n;
}

static inline void mem_pair_pump(struct mem_pair *p)
{
	size_t n;

	do {
		n = mem_move(p, &p->opener, &p->acceptor);
		n += mem_move(p, &p->acceptor, &p->opener);
	} while (n > 0);
}

static inline void mem_pair_deinit(struct mem_pair *p)
{
	p->opener.session = h2_session_free(p->opener.session);
	p->acceptor.session = h2_session_free(p->acceptor.session);
}
