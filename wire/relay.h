/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * relay - joins two byte ends, a stream with a descriptor or two streams
 *
 * Two sides, each with event bits: its input has ended, its output was told
 * the end, its output is blocked. Bytes are read straight into the other
 * session's output buffer (descriptor to stream) or written straight out of the
 * receive buffer (stream to descriptor); only what the far side does not take is
 * copied, at most one stream window. Credit returns when the far side took them.
 *
 * Half-close is true in both directions between adit peers. Towards a stock
 * peer its rules hold (docs/protocol.md, "teardown"):
 *   RELAY_STOCK_ACCEPTOR (agent, stock edge): whichever side ends first, the
 *     bytes read before it are delivered, then both sides are closed.
 *   RELAY_STOCK_OPENER (edge, stock agent): the end of the client's input is held
 *     back until the agent has ended or the client is gone.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "wire/proto.h"

struct buf;
struct h2_stream;
struct io_loop;
struct relay;

enum relay_mode {
	RELAY_HALF_CLOSE,
	RELAY_STOCK_ACCEPTOR,
	RELAY_STOCK_OPENER,
};

/* Why it ended. */
enum relay_end {
	RELAY_END_CLEAN,   /* both directions reached their end */
	RELAY_END_A_RESET, /* side A (descriptor or stream A) failed or was reset */
	RELAY_END_B_RESET, /* the stream (B) was reset, or its link ended */
	RELAY_END_ABORTED, /* relay_abort() */
};

struct relay_result {
	enum relay_end end;
	int error; /* -errno of a descriptor, or 0 */
	uint64_t a_to_b_bytes;
	uint64_t b_to_a_bytes;
};

/* Last call; the relay frees itself after it returned. Ends are closed or reset. */
typedef void (*relay_done)(void *ctx, const struct relay_result *result);

/*
 * Side A: @in_fd and @out_fd, non-blocking, may be the same; both are owned
 * from here on, also on failure (a regular file is always ready). Side B:
 * @stream, whose events and source are taken over; for an acceptor the response
 * must have been sent (without end). 0 or -errno.
 */
NODISCARD int relay_new_fd(struct relay **relayp, struct io_loop *loop, int in_fd, int out_fd,
			   struct h2_stream *stream, enum relay_mode mode, relay_done done,
			   void *ctx);

/*
 * Side A: the client's stream; side B: the agent's. Both have had their headers;
 * bytes that either received before are handed over with relay_preload_*().
 */
NODISCARD int relay_new_streams(struct relay **relayp, struct io_loop *loop, struct h2_stream *a,
				struct h2_stream *b, enum relay_mode b_mode, relay_done done,
				void *ctx);

/*
 * Bytes (and the end) that arrived on the stream before the relay existed, before anything else is
 * done with it: @early is emptied, what it held is counted in the loop's budget already, and
 * credited when the far side took it.
 */
void relay_preload_b(struct relay *r, struct buf *early, bool ended);
void relay_preload_a(struct relay *r, struct buf *early, bool ended);

/* From here on it is measured what goes out of either queue. */
void relay_mark(struct relay *r);
/*
 * Bytes received and not yet taken, in those of the two queues that pressure_is_stalled()
 * @elapsed_ms (not 0) after relay_mark(); 0 without one, and after relay_abort().
 */
size_t relay_stalled(const struct relay *r, uint64_t elapsed_ms);

/* Ends both sides at once (reset); done is called from a task. */
void relay_abort(struct relay *r);
