/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * datagram_stream - datagrams over an h2_stream, either role (RFC 9297 3)
 *
 * Sending never waits: datagrams are queued, and what finds no room is dropped and counted, the
 * newest first, as a full interface would. The queue is bounded by itself and by the loop's
 * budget. Received datagrams are handed out at once and their credit goes back with them, so a
 * receiver that can't take one drops it. Every byte is read, so a link never stalls here.
 *
 * Neither side has a half of its own: when the peer ends its half, so do we.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "wire/capsule.h"

struct datagram_stream;
struct h2_stream;
struct io_loop;

/* Some 180 datagrams of 1,400 octets, or four of the largest. */
#define DATAGRAM_QUEUE_BYTES (256 * 1024)

enum datagram_end {
	DATAGRAM_END_PEER,  /* the peer ended the stream in order */
	DATAGRAM_END_RESET, /* the stream was reset, or its link ended */
	DATAGRAM_END_BAD,   /* the peer sent what is no capsule; the stream was reset */
};

/* All must be set, and each may free the datagram_stream. Borrowed bytes: for the call. */
struct datagram_stream_events {
	void (*on_datagram)(void *ctx, const uint8_t *data, size_t n);
	void (*on_icmp_error)(void *ctx, uint8_t type, uint8_t code);
	/* Once, the last event; the stream is somebody else's by now. */
	void (*on_end)(void *ctx, enum datagram_end why);
};

struct datagram_stream_stats {
	uint64_t n_in;
	uint64_t n_out;	    /* queued */
	uint64_t n_dropped; /* found no room */
};

/*
 * Takes over @stream's events and source; an acceptor has answered before, an opener has its
 * answer. @events is borrowed (static const).
 */
struct datagram_stream *datagram_stream_new(struct io_loop *loop, struct h2_stream *stream,
					    const struct datagram_stream_events *events, void *ctx);
/*
 * Ends the stream in order, if it hasn't ended; what is queued is dropped. At any time, also from
 * an event. Returns NULL; NULL is fine.
 */
struct datagram_stream *datagram_stream_free(struct datagram_stream *ds);
DEFINE_CLEANUP(struct datagram_stream *, datagram_stream_free);

/* 0, or the datagram is gone: -EMSGSIZE, -ENOBUFS (counted), -ENOTCONN after the end. */
int datagram_stream_send(struct datagram_stream *ds, const uint8_t *data, size_t n);
/* The same for adit's ICMP_ERROR capsule. */
int datagram_stream_send_icmp_error(struct datagram_stream *ds, uint8_t type, uint8_t code);

void datagram_stream_get_stats(const struct datagram_stream *ds, struct datagram_stream_stats *out);
