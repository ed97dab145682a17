/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * datagram_flow - UDP datagrams, or ICMP echos, to one target through the edge
 *
 * ASKING  extended CONNECT was sent; datagrams are kept, at most DATAGRAM_FLOW_EARLY_N of them
 *         and DATAGRAM_FLOW_EARLY_BYTES
 * OPEN    the edge said 200: datagrams go both ways until either side ends
 * ENDED   refused, over or failed; on_end ran or is about to. Final.
 *
 * Datagrams may be lost, as on any network: what finds no room is dropped and counted.
 * An echo flow's datagrams are an ICMP echo packet's octets from the sequence number on: two octets
 * of sequence number, then the payload, both ways.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "client/exit_code.h"
#include "wire/capsule.h"
#include "wire/datagram_path.h"

struct datagram_flow;
struct h2_session;
struct io_loop;

#define DATAGRAM_FLOW_EARLY_N	  16
#define DATAGRAM_FLOW_EARLY_BYTES (64 * 1024)

struct datagram_flow_options {
	struct io_loop *loop; /* borrowed for the flow's life */
	enum datagram_kind kind;
	struct endpoint target; /* port 0 with DATAGRAM_ECHO */
	/* Borrowed for the call: */
	const char *network; /* virtual network, NULL: the edge's default */
	const char *token;
	const char *edge_name; /* for ":authority"; NULL: DATAGRAM_AUTHORITY */
	/* The session to open a stream on, or NULL when no link is up. Called from the start only.
	 */
	struct h2_session *(*session)(void *ctx);
	void *session_ctx;
};

/* How a flow ended; borrowed for the call. */
struct datagram_flow_end {
	bool was_open; /* the edge had said 200 */
	/* Why it was refused; NONE when it was open, or when no answer came. */
	enum stream_error error;
	/* OK: the far side ended an open flow in order (it was idle). */
	enum client_exit why;
	const char *text; /* for people, one line, without the target */
};

/* All must be set; on_icmp_error is about an open flow, which goes on. Each may free the flow. */
struct datagram_flow_events {
	void (*on_open)(void *ctx, struct datagram_flow *f);
	/* @data is borrowed for the call. */
	void (*on_datagram)(void *ctx, struct datagram_flow *f, const uint8_t *data, size_t n);
	/* The target, or a router before it, answered with this; of ICMPv6 for an IPv6 target. */
	void (*on_icmp_error)(void *ctx, struct datagram_flow *f, uint8_t type, uint8_t code);
	/* Once, the last event; never inside datagram_flow_new(). Free the flow then or later. */
	void (*on_end)(void *ctx, struct datagram_flow *f, const struct datagram_flow_end *end);
};

/*
 * Asks for a flow. A failure of any kind is told by on_end, later. @events is borrowed (static
 * const).
 */
struct datagram_flow *datagram_flow_new(const struct datagram_flow_options *opt,
					const struct datagram_flow_events *events, void *ctx);
/* No more events; the stream is ended. At any time, also from an event. NULL is fine. */
void datagram_flow_free(struct datagram_flow *f);

/*
 * 0, or a datagram that is gone: -EMSGSIZE over DATAGRAM_MAX, -ENOBUFS no room (counted),
 * -ENOTCONN after the end.
 */
int datagram_flow_send(struct datagram_flow *f, const uint8_t *data, size_t n);

/* Datagrams that found no room. */
uint64_t datagram_flow_n_dropped(const struct datagram_flow *f);
