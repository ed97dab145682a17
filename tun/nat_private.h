/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* nat_private - what the engine's files share: nat.c, nat_tcp.c, nat_datagram.c */

#include "tun/flow_table.h"
#include "tun/nat.h"
#include "tun/packet.h"
#include "tun/packet_build.h"

/* A connection whose application was just told by ICMP that it can't be had. */
struct nat_told {
	struct flow_key key;
	uint32_t isn;
	uint64_t until_ms;
};

/* More than one nat_tick() makes. */
#define NAT_TOLD_MAX (2 * NAT_TICK_MAX)

struct nat {
	struct nat_config config;
	const struct nat_events *events;
	struct flow_table *table;
	struct nat_stats stats;
	size_t held_bytes;
	struct nat_told told[NAT_TOLD_MAX]; /* a ring, the last one is before n_told */
	unsigned int n_told;
	uint8_t out[PACKET_FRAME_MAX];
};

/* One packet on its way through a feed. */
struct nat_pass {
	struct nat *nat;
	struct packet p;
	struct flow_key key;
	uint64_t now_ms;
	struct nat_verdict *v;
};

static inline const struct nat_family *nat_family_of(const struct nat *nat, bool is_v6)
{
	return is_v6 ? &nat->config.v6 : &nat->config.v4;
}

void nat_drop(struct nat_pass *pass, enum drop_reason reason);
/* @n bytes in nat->out are the answer, for side A. */
void nat_reply(struct nat_pass *pass, size_t n);
/* L, or what is_local() says. */
bool nat_source_is_local(const struct nat_pass *pass);
/* Removes @f and tells. @answer may be NULL. */
void nat_end(struct nat *nat, struct nat_flow *f, enum nat_end why, uint64_t now_ms,
	     const struct nat_frame *answer);
/* ICMP type and code for @why. */
struct packet_icmp nat_icmp_for(bool is_v6, enum nat_refusal why);

void nat_tcp_from_a(struct nat_pass *pass);
void nat_tcp_from_b(struct nat_pass *pass);
/* What a HELD flow's application hears, into nat->out; the length. Its SYN is known from now on. */
size_t nat_tcp_refusal(struct nat *nat, struct nat_flow *f, enum nat_refusal why, uint64_t now_ms);

void nat_udp_from_a(struct nat_pass *pass);
void nat_echo_from_a(struct nat_pass *pass);
