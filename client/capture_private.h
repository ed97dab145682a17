/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* capture_private - shared by capture.c, capture_tcp.c and capture_datagram.c, nobody else */

#include <uv.h>

#include "base/list.h"
#include "client/acceptor.h"
#include "client/capture.h"
#include "wire/proto.h"

/* One of the two devices. */
struct capture_device {
	struct capture *capture;
	uv_poll_t poll;
	int fd; /* -1: none */
	enum nat_side side;
};

struct capture_listener {
	struct capture *capture;
	struct acceptor *acceptor; /* NULL: none */
	bool is_v6;
};

/* Flows that streams carry now. */
struct capture_counts {
	size_t n_tcp;
	size_t n_udp;
	size_t n_echo;
};

/* The last address that was asked about. */
struct capture_source {
	struct ip_addr ip;
	uint64_t until_ms;
	bool is_local;
};

struct capture {
	struct capture_options opt;
	void *ctx;
	struct nat *nat;
	struct nat_events nat_events;
	struct capture_device devices[NAT_SIDE_N];
	struct capture_listener listeners[2];
	uv_timer_t tick;
	unsigned int n_handles;
	bool is_broken;
	struct list tcp_flows; /* struct tcp_flow, but those in `arriving` */
	struct list arriving;  /* struct tcp_flow: admitted, by time, not accepted yet */
	struct list passes;    /* struct datagram_pass */
	struct capture_counts counts;
	struct capture_source last_source;
	uint64_t n_write_failures;
	uint8_t *frame; /* what was read, PACKET_FRAME_MAX */
	uint8_t *echo;	/* a sequence number and the payload behind it */
};

/* ---- capture.c ---- */

uint64_t capture_now_ms(const struct capture *c);
/* Writes to the device of that side. A full queue loses it, as a network would. */
void capture_write(struct capture *c, enum nat_side to, const struct nat_frame *frame);
/* When there are flows whose time limits are to be watched. */
void capture_arm_tick(struct capture *c);

/* False for a flow that capture_leave() ends. */
bool capture_stays(const struct capture *c, const struct ip_addr *target,
		   const struct prefix_set *captured);

/* What an application hears of it. @error isn't NONE. */
enum nat_refusal capture_refusal(enum stream_error error);

/* ---- capture_tcp.c ---- */

/* @flow is new and HELD. */
void capture_tcp_ask(struct capture *c, struct nat_flow *flow);
/* A connection at a listener; @fd is owned from here on. */
void capture_tcp_accepted(struct capture *c, int fd, bool is_v6, uint16_t peer_port);
/* The engine let @flow go. */
void capture_tcp_gone(struct nat_flow *flow, enum nat_end why);
/* Gives those up that were admitted and never came. */
void capture_tcp_tick(struct capture *c, uint64_t now_ms);
/* When that is due; UINT64_MAX: never. */
uint64_t capture_tcp_next_ms(const struct capture *c);
/* See capture_leave(). @captured NULL: all of them. */
void capture_tcp_leave(struct capture *c, const struct prefix_set *captured);

/* ---- capture_datagram.c ---- */

/* The datagrams of a NAT_DATAGRAM verdict, or the echo request of a NAT_ECHO one. */
void capture_datagrams(struct capture *c, struct nat_verdict *v);
void capture_datagram_gone(struct nat_flow *flow);
void capture_datagram_leave(struct capture *c, const struct prefix_set *captured);
