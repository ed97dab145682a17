/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * flow_table - flows by their 5-tuple and by their NAT port
 *
 * Memory is reserved at once for all flows that the limits allow and touched only as flows come, so
 * that no packet waits for an allocation: 112 bytes and at most 8 of index for each flow, and 12
 * for each NAT port.
 * Keys are hashed with SipHash under a secret seed: nobody can choose addresses that collide.
 *
 *   HELD      TCP: the first SYN waits for an answer
 *   ACTIVE    TCP: packets go both ways
 *   CLOSING   TCP: one side sent its FIN
 *   CLOSED    TCP: both did; kept until it was quiet for a while, as the listener's TIME_WAIT is
 *   OPEN      UDP, echo
 *   FREE      not in the table; the memory will be another flow's
 *
 * NAT ports belong to TCP flows, each family has all of its own. The port that was free for the
 * longest is taken next, so that a listener has forgotten the last connection from it.
 *
 * Each flow waits in one of few queues whose flows all have the same time limit; a queue is thus
 * sorted by deadline, and looking for what has expired costs one look at each head.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/list.h"

enum flow_state {
	FLOW_STATE_FREE,
	FLOW_STATE_HELD,
	FLOW_STATE_ACTIVE,
	FLOW_STATE_CLOSING,
	FLOW_STATE_CLOSED,
	FLOW_STATE_OPEN,
	FLOW_STATE_N,
};

/* Flows of one queue have one time limit, counted from when they were last used. */
enum flow_queue {
	FLOW_QUEUE_HELD, /* from the first SYN, not from the last */
	FLOW_QUEUE_TCP,	 /* ACTIVE and CLOSING */
	FLOW_QUEUE_CLOSED,
	FLOW_QUEUE_UDP,
	FLOW_QUEUE_DNS, /* UDP to port 53 */
	FLOW_QUEUE_ECHO,
	FLOW_QUEUE_N,
};

/* Bytes of the wire; IPv4 uses the first four of an address and the others are 0. */
struct flow_key {
	uint8_t src[16];
	uint8_t dst[16];
	uint16_t sport; /* host's byte order; echo: the identifier */
	uint16_t dport; /* echo: 0 */
	uint8_t is_v6;
	uint8_t transport; /* IPPROTO_TCP, _UDP, or _ICMP for echo of both families */
	uint8_t zero[2];
};

struct nat_flow {
	/* Read only for everybody but the table. */
	struct flow_key key;
	uint16_t nat_port; /* 0: none */
	uint8_t state;	   /* enum flow_state */
	uint8_t queue;	   /* enum flow_queue */
	uint64_t deadline_ms;

	/* The engine's. */
	uint8_t fins; /* TCP: sides that sent one */
	uint32_t isn; /* TCP: of the first SYN */
	uint32_t n_held;
	uint8_t *held; /* TCP: the first SYN's frame while HELD, owned */

	/* Whoever uses the engine: NULL at first, never looked at. */
	void *user;

	/* The table's. */
	struct list node;    /* in its queue, or unlinked */
	uint32_t next_index; /* in its bucket, or of the free flows; 0: none */
};

struct flow_limits {
	uint32_t n_tcp; /* of each family; at most the NAT ports that there are */
	uint32_t n_udp; /* of both families */
	uint32_t n_echo;
	uint32_t n_held; /* TCP flows that are HELD at once, of both families */
	uint16_t nat_port_first;
	uint16_t nat_port_last;
	uint32_t time_ms[FLOW_QUEUE_N];
};

#define FLOW_SEED_BYTES 16

struct flow_table;

/*
 * 0; -EINVAL if the limits make no sense (port 0, last before first, a time or count of 0, a count
 * above 2^20); -ENOMEM.
 */
int flow_table_new(struct flow_table **tablep, const struct flow_limits *limits,
		   const uint8_t seed[FLOW_SEED_BYTES]);
void flow_table_free(struct flow_table *t);
DEFINE_CLEANUP(struct flow_table *, flow_table_free);

/* NULL if there is none. */
struct nat_flow *flow_table_find(struct flow_table *t, const struct flow_key *key);
struct nat_flow *flow_table_find_port(struct flow_table *t, bool is_v6, uint16_t nat_port);

enum flow_table_outcome {
	FLOW_E_LIMIT = 1, /* no more flows of this kind */
	FLOW_E_HELD,	  /* no more HELD ones */
};

/*
 * A new flow, HELD with a NAT port or OPEN, by @key's transport; @key must not be in the table.
 * 0 or one of the outcomes.
 */
int flow_table_add(struct flow_table *t, const struct flow_key *key, uint64_t now_ms,
		   struct nat_flow **flowp);

/* The one place where a state changes; asserts that it may. To FREE: removes it, frees @held. */
void flow_set_state(struct flow_table *t, struct nat_flow *f, enum flow_state to, uint64_t now_ms);

/* It was used: its time limit starts again (but for HELD). */
void flow_touch(struct flow_table *t, struct nat_flow *f, uint64_t now_ms);

/* A flow whose time is over, or NULL. The same again until its state changes. */
struct nat_flow *flow_table_expired(struct flow_table *t, uint64_t now_ms);
/* When the next one expires; UINT64_MAX: never. */
uint64_t flow_table_next_deadline(const struct flow_table *t);
/* The one of that queue that is unused for the longest, or NULL. */
struct nat_flow *flow_table_oldest(struct flow_table *t, enum flow_queue queue);

/* Flows in that state. */
uint32_t flow_table_count(const struct flow_table *t, enum flow_state state);
/* Of all that is reserved for flows and indices. */
size_t flow_table_bytes(const struct flow_table *t);

/* SipHash-2-4 of @n words (their bytes in little endian), public for its test. */
uint64_t flow_hash(const uint8_t seed[FLOW_SEED_BYTES], const uint64_t *words, size_t n);
