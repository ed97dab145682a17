/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * h2_session - one HTTP/2 connection as a pure byte machine (RFC 9113)
 *
 * Bytes from the peer go in with h2_session_feed(); bytes for the peer come
 * out with h2_session_pull(). No socket, no timer, no TLS: a test connects two
 * sessions back to back in memory. Who dialled is of no interest here, only who
 * opens streams: the edge opens towards agents and accepts from clients.
 *
 * Threading:   loop thread only.
 * Re-entrancy: every event may open, answer, reset, credit or resume streams.
 *              None may call feed, pull or free; this is asserted.
 * Memory:      received bytes are handed out, never kept; the receiver's
 *              windows bound what it has to keep.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/compiler.h"

struct h2_headers;
struct h2_session;
struct h2_stream;
struct h2_stream_events;

enum h2_outcome {
	H2_OK = 0,
	H2_E_PEER = 1, /* the peer broke the protocol; a GOAWAY may be queued: pull, then close */
	H2_E_DRAINING = 2, /* no new streams on this session; the open ones live */
	H2_E_LIMIT = 3,	   /* the peer's or our stream limit says no; nothing changed */
};

enum h2_role {
	H2_ROLE_OPENER,
	H2_ROLE_ACCEPTOR,
};

/* RFC 9113 section 7 */
enum h2_code {
	H2_CODE_NO_ERROR = 0,
	H2_CODE_PROTOCOL_ERROR = 1,
	H2_CODE_INTERNAL_ERROR = 2,
	H2_CODE_REFUSED_STREAM = 7,
	H2_CODE_CANCEL = 8,
	H2_CODE_CONNECT_ERROR = 10,
	H2_CODE_ENHANCE_YOUR_CALM = 11,
};

/*
 * RST_STREAM at once and per second from a peer that we know. A program that resets its
 * connections, such as a scanner or a load test, resets as many streams, and a link that is cut
 * off for it takes everybody's sessions along. Strangers get less.
 */
#define H2_KNOWN_RESETS_BURST 20000
#define H2_KNOWN_RESETS_PER_S 2000

struct h2_limits {
	uint32_t max_streams;	      /* concurrent, opened by the peer; 0 for an opener */
	uint32_t stream_window_bytes; /* our receive credit per stream, at its start */
	uint32_t conn_window_bytes;   /* our receive credit for the connection, at its start */
	uint32_t header_list_bytes;   /* accepted per header list, after HPACK */
	uint32_t max_frame_bytes;     /* largest frame that we accept, 16384 or more */
	uint32_t resets_burst;	      /* RST_STREAM from the peer at once ... */
	uint32_t resets_per_s;	      /* ... and per second, before GOAWAY */
	/* Acceptor: take extended CONNECT (RFC 8441) from the start. */
	bool enable_connect_protocol;
};

/* Every member must be set. @ctx is the pointer given to h2_session_new(). */
struct h2_session_events {
	/* The peer's first SETTINGS arrived: streams can be opened. */
	void (*on_settings)(void *ctx);
	/*
	 * Acceptor: a request. The receiver sets events with
	 * h2_stream_set_events() and answers now or later. @hdrs is borrowed.
	 */
	void (*on_open)(void *ctx, struct h2_stream *stream, const struct h2_headers *hdrs);
	/* The peer goes away: no new streams, the open ones may end. */
	void (*on_goaway)(void *ctx, uint32_t h2_code);
	void (*on_ping_ack)(void *ctx, uint64_t opaque);
	/* There may be something to pull. Called often; must be cheap. */
	void (*on_output)(void *ctx);
	/* Bytes of DATA received, before the stream sees them. Return true to give the
	 * connection credit back at once, false to withhold it (budget). */
	bool (*on_received)(void *ctx, size_t n);
};

/*
 * Creates a session and queues its SETTINGS. @limits is copied, @events
 * borrowed (static const). Returns 0 or -ENOMEM.
 */
NODISCARD int h2_session_new(struct h2_session **sessionp, enum h2_role role,
			     const struct h2_limits *limits, const struct h2_session_events *events,
			     void *ctx);

/* Runs on_closed of every live stream, sends nothing. NULL is fine. Returns NULL. */
struct h2_session *h2_session_free(struct h2_session *s);
DEFINE_CLEANUP(struct h2_session *, h2_session_free);

/*
 * Consumes all of @data. @data must stay unchanged until the call returns: DATA
 * payloads are handed out as pointers into it, and each stream that received
 * some gets on_batch before the return. Returns H2_OK, H2_E_PEER or -errno.
 */
NODISCARD int h2_session_feed(struct h2_session *s, const uint8_t *data, size_t n);

/*
 * Writes the next bytes for the peer into @out: at most @cap, and @cap must be at
 * least H2_PULL_MIN. *@np = 0: nothing to send now. Returns 0 or -errno.
 * More than some 80 KiB only where one stream alone sends, in frames as large as the peer allows:
 * that wants a @cap of H2_PULL_MAX.
 */
#define H2_PULL_MIN  (48 * 1024)
#define H2_PULL_MAX  (304 * 1024)
#define H2_FRAME_MIN 16384	  /* that every peer accepts */
#define H2_FRAME_MAX (256 * 1024) /* that is of use to us */
NODISCARD int h2_session_pull(struct h2_session *s, uint8_t *out, size_t cap, size_t *np);

/* The clock for rate limits: call before a feed. Until then time stands still at 0. */
void h2_session_set_now(struct h2_session *s, uint64_t now_ms);

/*
 * From now on the peer may reset @burst streams at once and @per_s per second, whatever
 * h2_limits said: for peers that have shown who they are. What was counted is forgotten.
 */
void h2_session_allow_resets(struct h2_session *s, uint32_t burst, uint32_t per_s);

/*
 * Larger receive windows: the connection's at once, a stream's step by step with the credit that
 * it gives, as long as its reader keeps up. Nothing shrinks.
 */
void h2_session_grow_windows(struct h2_session *s, uint32_t stream_bytes, uint32_t conn_bytes);

/* Withheld connection credit is given back now. */
void h2_session_release_credit(struct h2_session *s);

int h2_session_ping(struct h2_session *s, uint64_t opaque);

/*
 * A second SETTINGS with what only peers that have told what they are should see: frames of up to
 * @max_frame_bytes and, of an acceptor, extended CONNECT (RFC 8441 3). Idempotent. 0 or -errno.
 */
int h2_session_announce_additions(struct h2_session *s, uint32_t max_frame_bytes);
/* Opener: the peer has allowed it; a request with ":protocol" before that breaks the protocol. */
bool h2_session_peer_allows_connect_protocol(const struct h2_session *s);

/* GOAWAY(NO_ERROR): the peer opens no more streams here; the open ones go on. Idempotent. */
void h2_session_drain(struct h2_session *s);
/* GOAWAY with @h2_code; the session is useless after the next pull. */
void h2_session_terminate(struct h2_session *s, uint32_t h2_code);

/* Streams in either direction that are not closed. */
size_t h2_session_n_streams(const struct h2_session *s);
/* Opener: true between the peer's SETTINGS and a GOAWAY of either side. */
bool h2_session_can_open(const struct h2_session *s);
/* True if no stream is open and nothing waits to be pulled. */
bool h2_session_is_idle(const struct h2_session *s);
/*
 * True once a GOAWAY with an error was pulled: the peer broke the protocol in a way that only
 * the pull showed. Send what was pulled, then close.
 */
bool h2_session_is_broken(const struct h2_session *s);
/* What ended the session, for logs: library text, valid as long as the session; "" if nothing did.
 */
const char *h2_session_error_text(const struct h2_session *s);
