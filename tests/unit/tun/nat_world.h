/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * nat_world - an engine, and what it said last
 *
 * L is 100.96.0.1 and fd00:64::1, Lb 100.96.0.3 and fd00:64::3, P 100.96.0.2 and fd00:64::2; the
 * listeners are at port 443. With one device Lb is L.
 */

#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/unit/tun/frames.h"
#include "tun/nat.h"

#define L4 "100.96.0.1"
#define L6 "fd00:64::1"
#define P4 "100.96.0.2"
#define P6 "fd00:64::2"
#define B4 "100.96.0.3"
#define B6 "fd00:64::3"

/* An application's connection to port 22 of one host, per family. */
#define APP4 .src = L4, .dst = "10.1.2.3", .sport = 40000, .dport = 22
#define APP6 .src = L6, .dst = "fd01::3", .sport = 40000, .dport = 22

struct nat_world {
	struct nat *nat;
	struct nat_events events;
	uint64_t now;
	struct nat_verdict v;
	/* The last on_gone. */
	unsigned int n_gone;
	struct nat_flow *gone;
	enum nat_end why;
	struct frame answer; /* n: 0 if there was none */
	struct frame fed;
};

static inline void world_gone(void *ctx, struct nat_flow *flow, enum nat_end why,
			      const struct nat_frame *answer)
{
	struct nat_world *w = ctx;

	w->n_gone++;
	w->gone = flow;
	w->why = why;
	w->answer.n = answer ? answer->n : 0;
	if (answer)
		memcpy(w->answer.bytes, answer->bytes, answer->n);
}

static inline struct ip_addr world_ip(const char *text)
{
	struct ip_addr ip;

	assert_int_equal(ip_parse(text, &ip), 0);
	return ip;
}

static inline void world_config(struct nat_config *c, bool one_device)
{
	nat_config_init(c);
	c->one_device = one_device;
	c->v4 = (struct nat_family){world_ip(L4), world_ip(one_device ? L4 : B4), 443,
				    world_ip(P4)};
	c->v6 = (struct nat_family){world_ip(L6), world_ip(one_device ? L6 : B6), 443,
				    world_ip(P6)};
	memset(c->hash_seed, 7, sizeof(c->hash_seed));
}

static inline struct nat_world *world_with(const struct nat_config *c)
{
	struct nat_world *w = calloc(1, sizeof(*w));

	w->now = 1000;
	w->events = (struct nat_events){w, world_gone};
	assert_int_equal(nat_new(&w->nat, c, &w->events), 0);
	return w;
}

static inline struct nat_world *world_new(void)
{
	struct nat_config c;

	world_config(&c, false);
	return world_with(&c);
}

static inline void world_free(struct nat_world *w)
{
	nat_free(w->nat);
	free(w);
}
DEFINE_CLEANUP(struct nat_world *, world_free);

static inline enum nat_action feed_a(struct nat_world *w, const struct shape *s)
{
	frame_make(&w->fed, s);
	nat_feed_a(w->nat, w->fed.bytes, w->fed.n, w->now, &w->v);
	return w->v.action;
}

static inline enum nat_action feed_b(struct nat_world *w, const struct shape *s)
{
	frame_make(&w->fed, s);
	nat_feed_b(w->nat, w->fed.bytes, w->fed.n, w->now, &w->v);
	return w->v.action;
}

#define FEED_A(w, ...) feed_a(w, &(struct shape){__VA_ARGS__})
#define FEED_B(w, ...) feed_b(w, &(struct shape){__VA_ARGS__})

/* A frame's addresses, ports and sums, as one assertion. */
static inline void assert_frame(const uint8_t *frame, size_t n, const char *src, unsigned int sport,
				const char *dst, unsigned int dport)
{
	const uint8_t *ip = frame + PACKET_VNET_BYTES;
	bool is_v6 = frame_is_v6(frame);
	uint8_t protocol;
	const uint8_t *l4 = ip + frame_l4(ip, &protocol);
	struct ip_addr from = world_ip(src), to = world_ip(dst);

	assert_true(frame_sums_are_right(frame, n));
	assert_memory_equal(ip + (is_v6 ? 8 : 12), from.bytes, is_v6 ? 16 : 4);
	assert_memory_equal(ip + (is_v6 ? 24 : 16), to.bytes, is_v6 ? 16 : 4);
	if (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP) {
		assert_int_equal(get16(l4), sport);
		assert_int_equal(get16(l4 + 2), dport);
	}
}

static inline const uint8_t *l4_of(const uint8_t *frame)
{
	uint8_t protocol;
	size_t at = frame_l4(frame + PACKET_VNET_BYTES, &protocol);

	return frame + PACKET_VNET_BYTES + at;
}
