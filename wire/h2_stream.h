/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * h2_stream - one stream of an h2_session: headers, bytes both ways, its end
 *
 * Receiving: on_data hands out slices that stay valid until on_batch of the
 *   same feed has returned. Whoever keeps bytes copies them then. Stream credit
 *   goes back with h2_stream_credit() only for bytes that the far side took.
 * Sending: a source is asked for bytes when the connection has room for them.
 *   It says -EAGAIN when it has none; h2_stream_resume() makes it be asked again.
 * Half-close: on_eof is the peer's END_STREAM; a source that returns 0 sends ours.
 * End: on_closed is the last call for a stream; the pointer is dead after it.
 *   It runs exactly once, also when the session is freed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"

struct h2_headers;
struct h2_session;
struct h2_stream;

/* One header to send. Names in lower case. `secret`: never indexed by HPACK. */
struct h2_header {
	const char *name;
	const char *value;
	bool secret;
};

/* The value of the first header @name, or NULL. Pseudo-headers by ":name". Borrowed. */
const char *h2_headers_get(const struct h2_headers *h, const char *name);
size_t h2_headers_count(const struct h2_headers *h);

/* Members may be NULL. @ctx as given with the events. */
struct h2_stream_events {
	/* Opener: the final response's headers. */
	void (*on_response)(void *ctx, struct h2_stream *stream, const struct h2_headers *hdrs);
	void (*on_data)(void *ctx, struct h2_stream *stream, const uint8_t *data, size_t n);
	void (*on_batch)(void *ctx, struct h2_stream *stream);
	void (*on_eof)(void *ctx, struct h2_stream *stream);
	/* @h2_code: 0 when both halves ended or the reset was NO_ERROR. */
	void (*on_closed)(void *ctx, struct h2_stream *stream, uint32_t h2_code);
};

/*
 * Where a stream's outgoing bytes come from: up to @cap bytes into @buf; asked again for what is
 * left of a frame until it says that there is no more. Returns the count; 0 for the end (END_STREAM
 * is sent); -EAGAIN; any other negative resets the stream with INTERNAL_ERROR. May read a socket,
 * must not touch this session.
 */
typedef ssize_t (*h2_read_into)(void *ctx, uint8_t *buf, size_t cap);

/*
 * Opener: sends a request. @end: without a body. @events is borrowed.
 * Returns 0, H2_E_DRAINING, H2_E_LIMIT or -errno.
 */
NODISCARD int h2_stream_open(struct h2_session *s, struct h2_stream **streamp,
			     const struct h2_header *hdrs, size_t n_hdrs, bool end,
			     const struct h2_stream_events *events, void *ctx);

/* Acceptor: the response, once. @end: nothing follows; where the request is still open,
 * RST_STREAM(NO_ERROR) follows as RFC 9113 8.1 has it. 0 or -errno. */
int h2_stream_respond(struct h2_stream *st, const struct h2_header *hdrs, size_t n_hdrs, bool end);

/* Events for the rest of the stream's life; NULL events: data is credited and dropped. */
void h2_stream_set_events(struct h2_stream *st, const struct h2_stream_events *events, void *ctx);

/* Sets or replaces the source and asks it as soon as the connection has room. NULL: none. */
void h2_stream_set_source(struct h2_stream *st, h2_read_into read_into, void *ctx);

/* The same without asking: a new stream waits for h2_stream_resume(). */
void h2_stream_set_quiet_source(struct h2_stream *st, h2_read_into read_into, void *ctx);

/* After -EAGAIN: the source has bytes (or its end) now. Harmless when it was not waiting. */
void h2_stream_resume(struct h2_stream *st);
/* True while the source is waiting for h2_stream_resume(). */
bool h2_stream_is_waiting(const struct h2_stream *st);

/* @n received bytes were taken by the far side. */
void h2_stream_credit(struct h2_stream *st, size_t n);

/* Acceptor, stock teardown: when our END_STREAM goes out, or at once if it has gone,
 * RST_STREAM(NO_ERROR) follows if the peer's half is still open. */
void h2_stream_reset_after_end(struct h2_stream *st);

/*
 * At most @bytes may be on their way without the peer's credit, however large its window:
 * keeps one stuck stream from eating a connection window that all share. 0: no limit.
 * Not below the share of its window that the peer credits at once (ours: an eighth), or
 * neither side would go on.
 */
void h2_stream_limit_in_flight(struct h2_stream *st, uint32_t bytes);

/* May use the last 16 KiB of a connection window: for RPC, never for bulk. */
void h2_stream_set_urgent(struct h2_stream *st);

/* RST_STREAM; on_closed follows from a later pull or feed. Idempotent. */
void h2_stream_reset(struct h2_stream *st, uint32_t h2_code);

bool h2_stream_peer_ended(const struct h2_stream *st);
