/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * datagram_origins - datagram streams of the edge, each joined with a socket of its own
 *
 * A flow is open from its request on: there is no connection to wait for, so the stream is answered
 * 200 as soon as the socket exists. It ends when the stream does, or when no datagram went
 * either way for its idle time. What a socket doesn't take is dropped and counted.
 *
 * All flows of the process are here, whichever connection their stream is on.
 */

#include <stddef.h>
#include <stdint.h>

#include "agent/datagram_socket.h"
#include "base/addr.h"
#include "base/cleanup.h"
#include "wire/datagram_path.h"

struct datagram_origins;
struct h2_stream;
struct io_loop;

/* Without a datagram, in ms. */
#define DATAGRAM_IDLE_MS      210000
#define DATAGRAM_IDLE_DNS_MS  10000 /* port 53 was asked for */
#define DATAGRAM_IDLE_ECHO_MS 30000

struct datagram_request {
	struct h2_stream *stream;
	enum datagram_kind kind;
	struct endpoint requested; /* as the edge said, canonical */
	struct endpoint target;	   /* where datagrams go; port 0 for echo */
	uint32_t max_flows;	   /* of the process, all kinds; more are refused */
	unsigned int conn_index;   /* for logs */
};

struct datagram_origins_stats {
	size_t n_flows;
	uint64_t n_opened;
	uint64_t n_to_target;	/* datagrams that a socket took */
	uint64_t n_from_target; /* that went to the edge */
	uint64_t n_dropped;	/* that a socket or a stream didn't take */
};

/*
 * @now_ms: the clock, NULL for clock_boot_ms(). @on_ended is called whenever a flow has ended, with
 * @ctx.
 */
struct datagram_origins *datagram_origins_new(struct io_loop *loop, uint64_t (*now_ms)(void),
					      void (*on_ended)(void *ctx), void *ctx);
/* Ends what is left, silently; the memory goes when uv has let go of the handles. NULL is fine. */
struct datagram_origins *datagram_origins_free(struct datagram_origins *o);
DEFINE_CLEANUP(struct datagram_origins *, datagram_origins_free);

/* Takes over the stream: it is answered now, and ended later. */
void datagram_origins_open(struct datagram_origins *o, const struct datagram_request *req);

/* Ends flows that are idle at @now_ms; called by the timer, once a second while there are flows. */
void datagram_origins_tick(struct datagram_origins *o, uint64_t now_ms);

/* Ends every flow in order. */
void datagram_origins_end_all(struct datagram_origins *o);

size_t datagram_origins_count(const struct datagram_origins *o);
void datagram_origins_get_stats(const struct datagram_origins *o,
				struct datagram_origins_stats *out);
