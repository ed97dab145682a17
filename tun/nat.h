/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * nat - from packets to decisions: the TUN client's engine, without I/O
 *
 * Frames that were read go in, what is to be done comes out. The kernel's own TCP ends the
 * application's connections at a listener: packets for it are rewritten, nothing more.
 *
 *     side A, the user's namespace            side B, a namespace of ours
 *     app  L:sport -> dst:dport        ->     P:nat port -> Lb:listener port
 *     app  dst:dport -> L:sport        <-     Lb:listener port -> P:nat port
 *
 * With one device (`one_device`), A and B are the same: feed everything with nat_feed_a() and write
 * every frame there; Lb is L then, and P/32 and P/128 must be routed to the device.
 *
 * TCP   a first SYN is held (NAT_HOLD) until nat_admit() or nat_refuse() says what became of the
 *       question; SYNs sent again meanwhile are dropped, so one connection asks once. After 30 s
 *       the application hears "host unreachable". Linux sends the SYN once more when it hears
 *       such an error (RFC 6069): for NAT_TOLD_MS that is no new question.
 * UDP   datagrams come out (NAT_DATAGRAM), answers are made by nat_build_udp().
 * ping  echo requests come out (NAT_ECHO), answers are made by nat_build_echo(): only when the far
 *       side answered, or a dead host looks alive.
 *
 * "Fragmentation needed" is never sent: the kernel would remember it for TCP as well.
 *
 * After nat_admit() a connection may still end before the listener accepts it (the application
 * has given up in silence, which shows only now): on_gone() tells. Accepted sockets need TCP
 * keep-alive: a flow unused for 24 h ends, and with it what nobody can send to any more.
 *
 * Flows: a struct nat_flow is valid from the verdict with is_new until on_gone() for it has
 * returned, or until nat_refuse() or nat_forget() ended it. `user` is the caller's, `key` says what
 * was asked for (nat_flow_dst()).
 *
 * Frames: `frame` of a verdict and what nat_build_*() give lie in the buffer that was fed or in the
 * engine's only one, and are valid until the next call of the engine.
 *
 * The clock comes in as now_ms (boot time) and must not go back. No packet allocates; a held SYN
 * is copied to the heap within the limits. One thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "tun/drop_reason.h"
#include "tun/flow_table.h"
#include "tun/packet_build.h"

enum nat_side {
	NAT_SIDE_A,
	NAT_SIDE_B,
	NAT_SIDE_N,
};

/*
 * Addresses of one family, all of that family; `local` of family 0: not served. ICMP errors come
 * from P: under a strict rp_filter the kernel takes them only if P is routed to device A, so do
 * that with two devices as well.
 */
struct nat_family {
	struct ip_addr local;	 /* L: the application's source */
	struct ip_addr listener; /* Lb: where the listener is on side B */
	uint16_t listener_port;
	struct ip_addr peer; /* P: exists nowhere */
};

struct nat_config {
	struct nat_family v4;
	struct nat_family v6;
	bool one_device;
	struct flow_limits limits;
	size_t held_bytes_max;		    /* of all held SYN frames */
	uint8_t hash_seed[FLOW_SEED_BYTES]; /* from getrandom() */
	/*
	 * May be NULL. Asked (@ctx: the events') for each new flow whose source isn't L: true if
	 * @source is an address of this host (an application that bound to another one). False:
	 * dropped, as packets are that this machine would only forward.
	 */
	bool (*is_local)(void *ctx, const struct ip_addr *source);
};

/* Limits that fit a user's machine; addresses, seed and callback are the caller's to fill. */
void nat_config_init(struct nat_config *c);

#define NAT_EVICT_IDLE_MS 10000
#define NAT_TOLD_MS	  1000

/* Why the engine ended a flow. */
enum nat_end {
	NAT_END_CLOSED,	    /* TCP: FINs of both sides and then silence */
	NAT_END_RESET,	    /* TCP: a RST went by */
	NAT_END_GAVE_UP,    /* TCP: the application's RST while HELD: cancel the question */
	NAT_END_TIME_LIMIT, /* TCP: HELD for too long: cancel it; `answer` is for the application */
	NAT_END_IDLE,	    /* unused for too long */
	NAT_END_EVICTED,    /* UDP, echo: unused for NAT_EVICT_IDLE_MS, and the room is needed */
	NAT_END_REUSED, /* TCP: closed, and the application made a new connection of the tuple */
	NAT_END_N,
};

struct nat_frame {
	const uint8_t *bytes;
	size_t n;
};

struct nat_events {
	void *ctx;
	/*
	 * Exactly once for each flow that the engine ends by itself. @answer: a frame to write to
	 * side A, mostly NULL. May not call the engine; @flow is gone when it returns.
	 */
	void (*on_gone)(void *ctx, struct nat_flow *flow, enum nat_end why,
			const struct nat_frame *answer);
};

enum nat_action {
	NAT_DROP,     /* `drop` says why; counted */
	NAT_FORWARD,  /* write `frame` to side `to` */
	NAT_HOLD,     /* `flow` is new: ask for nat_flow_dst(), then nat_admit() or nat_refuse() */
	NAT_DATAGRAM, /* `flow`, maybe new; nat_next_datagram() gives each payload */
	NAT_ECHO,     /* `flow`, maybe new; `payload`, `echo_sequence` */
	NAT_REPLY,    /* write `frame`, the engine's own, to side `to` */
	NAT_ACTION_N,
};

struct nat_verdict {
	enum nat_action action;
	enum drop_reason drop;
	enum nat_side to;
	struct nat_frame frame;
	struct nat_flow *flow; /* NULL: none */
	bool is_new;
	const uint8_t *payload; /* in the frame that was fed */
	size_t n_payload;
	size_t segment_bytes; /* DATAGRAM: the payload is datagrams of this many bytes; 0: one */
	uint16_t echo_sequence;
	bool has_next; /* for nat_next_datagram() */
};

struct nat_stats {
	uint64_t dropped[DROP_N];
	uint64_t forwarded[NAT_SIDE_N]; /* to that side */
	uint64_t asked;			/* first SYNs */
	uint64_t admitted;
	uint64_t refused;
	uint64_t held_replaced; /* another connection of a held tuple took its place */
	uint64_t resets;	/* answers to packets of no flow */
	uint64_t datagrams_in;	/* from applications */
	uint64_t datagrams_out;
	uint64_t echoes_in;
	uint64_t echoes_out;
	uint64_t ended[NAT_END_N];
};

struct nat;

/* @config is copied, @events borrowed. 0; -EINVAL if the config makes no sense; -ENOMEM. */
int nat_new(struct nat **natp, const struct nat_config *config, const struct nat_events *events);
/* Ends all flows without on_gone. */
void nat_free(struct nat *nat);
DEFINE_CLEANUP(struct nat *, nat_free);

/*
 * A frame that was read: @frame, of @n bytes with its virtio header, is rewritten in place. The
 * verdict's action says which of its fields are set.
 */
void nat_feed_a(struct nat *nat, uint8_t *frame, size_t n, uint64_t now_ms, struct nat_verdict *v);
void nat_feed_b(struct nat *nat, uint8_t *frame, size_t n, uint64_t now_ms, struct nat_verdict *v);

/* The next datagram of a NAT_DATAGRAM verdict (maybe of 0 bytes); false: that was all. */
bool nat_next_datagram(struct nat_verdict *v, const uint8_t **payloadp, size_t *np);

/* Why something can't be had; the reply is tun.md's table: what applications make of it. */
enum nat_refusal {
	NAT_REFUSED,	 /* TCP: RST; UDP: port unreachable -> ECONNREFUSED */
	NAT_UNREACHABLE, /* also time-outs: host unreachable -> EHOSTUNREACH */
	NAT_NO_ROUTE,	 /* also Down: network unreachable -> ENETUNREACH */
	NAT_FORBIDDEN,	 /* administratively prohibited -> EHOSTUNREACH, IPv6: EACCES */
	NAT_REFUSAL_N,
};

/* @flow, HELD, becomes ACTIVE. @framep: its SYN, rewritten, to write to side B. */
void nat_admit(struct nat *nat, struct nat_flow *flow, uint64_t now_ms, struct nat_frame *framep);

/*
 * Ends @flow, HELD, without on_gone. @framep, for side A: RST or ICMP. For more of the UDP and echo
 * flows see nat_reject().
 */
void nat_refuse(struct nat *nat, struct nat_flow *flow, enum nat_refusal why, uint64_t now_ms,
		struct nat_frame *framep);

/* Ends any flow without a word and without on_gone; of TCP, packets are then answered by RST. */
void nat_forget(struct nat *nat, struct nat_flow *flow, uint64_t now_ms);

/* A datagram for the application of @flow. 0, or NAT_E_TOO_LARGE: dropped, counted. */
#define NAT_E_TOO_LARGE 1
int nat_build_udp(struct nat *nat, struct nat_flow *flow, const uint8_t *payload, size_t n,
		  uint64_t now_ms, struct nat_frame *framep);
/* The answer to an echo request of @flow. The same results. */
int nat_build_echo(struct nat *nat, struct nat_flow *flow, uint16_t sequence,
		   const uint8_t *payload, size_t n, uint64_t now_ms, struct nat_frame *framep);
/*
 * An ICMP error about a packet of a UDP or echo flow, which goes on. It quotes headers of the flow
 * without a payload: kernels look no further. @echo_sequence: of the request that it is about (UDP:
 * ignored). NAT_REFUSED for echo is NAT_UNREACHABLE. Linux tells a connected UDP socket of
 * NAT_REFUSED and NAT_FORBIDDEN; of the others only one that asked for it (IP_RECVERR).
 */
void nat_reject(struct nat *nat, const struct nat_flow *flow, enum nat_refusal why,
		uint16_t echo_sequence, struct nat_frame *framep);

/* Whose connection an accepted socket with this peer port is, or NULL. */
struct nat_flow *nat_flow_of_peer(struct nat *nat, bool is_v6, uint16_t port);
/* What the application asked for. Echo: port 0. */
struct endpoint nat_flow_dst(const struct nat_flow *flow);
struct endpoint nat_flow_src(const struct nat_flow *flow);

/*
 * Ends what has expired, at most NAT_TICK_MAX flows. Returns when to call again (now_ms if there
 * is more to do now, UINT64_MAX: when there are flows again).
 */
#define NAT_TICK_MAX 256
uint64_t nat_tick(struct nat *nat, uint64_t now_ms);

const struct nat_stats *nat_stats(const struct nat *nat);
/* For counts of flows by state, and bytes reserved. */
const struct flow_table *nat_flows(const struct nat *nat);
size_t nat_held_bytes(const struct nat *nat);
