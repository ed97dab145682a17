/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * connect_stream - one CONNECT for a literal address, and its answer (RFC 9113 8.5)
 *
 * ASKING  the request was sent
 * OPEN    the edge said 200; what the target sends is kept, at most one stream window, until
 *         connect_stream_join() gives the stream to a relay
 * ENDED   refused, lost, or joined
 *
 * The question comes first and the descriptors later, so that an application can be told what
 * became of it before its connection stands.
 */

#include "base/addr.h"
#include "base/compiler.h"
#include "client/exit_code.h"
#include "wire/proto.h"
#include "wire/relay.h"

struct connect_stream;
struct h2_session;
struct io_loop;

/* Everything is borrowed for the call of connect_stream_new(), but @loop. */
struct connect_stream_options {
	struct io_loop *loop;
	struct h2_session *session; /* one that can open streams */
	struct endpoint target;
	const char *network; /* virtual network, NULL: the edge's default */
	const char *token;
};

/* Borrowed for the call. */
struct connect_answer {
	enum client_exit why;	 /* OK: the state is OPEN now */
	enum stream_error error; /* the edge's word; NONE if it said none */
	const char *text;	 /* for people, without the target */
};

/* Both must be set; each may free the connect_stream. */
struct connect_stream_events {
	/* Once, never inside connect_stream_new(). */
	void (*on_answer)(void *ctx, const struct connect_answer *answer);
	/* OPEN and not joined: the stream was reset, or its link was lost. */
	void (*on_lost)(void *ctx);
};

/* @events is borrowed (static const). 0, H2_E_DRAINING, H2_E_LIMIT or -errno. */
NODISCARD int connect_stream_new(struct connect_stream **csp,
				 const struct connect_stream_options *opt,
				 const struct connect_stream_events *events, void *ctx);
/* No more events; a stream that isn't joined is reset. NULL is fine. */
void connect_stream_free(struct connect_stream *cs);

/*
 * OPEN only: joins @in_fd and @out_fd (may be the same; owned from here on, also on failure) with
 * the stream, what came early first. Frees @cs in any case. 0 or -errno.
 */
NODISCARD int connect_stream_join(struct connect_stream *cs, int in_fd, int out_fd, relay_done done,
				  void *ctx, struct relay **relayp);
