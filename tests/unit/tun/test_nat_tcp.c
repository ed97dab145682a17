/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "tests/unit/tun/nat_world.h"

#define WORLD(w) struct nat_world *w CLEANUP(world_free) = world_new()

static uint64_t dropped(const struct nat_world *w, enum drop_reason reason)
{
	return nat_stats(w->nat)->dropped[reason];
}

/* A connection of APP4 or APP6 that was asked for and admitted. */
static struct nat_flow *open_flow(struct nat_world *w, bool is_v6, uint16_t sport)
{
	struct shape s4 = {APP4, .flags = TCP_SYN, .seq = 100};
	struct shape s6 = {APP6, .flags = TCP_SYN, .seq = 100};
	struct shape *s = is_v6 ? &s6 : &s4;
	struct nat_frame frame;
	struct nat_flow *f;

	s->sport = sport;
	assert_int_equal(feed_a(w, s), NAT_HOLD);
	f = w->v.flow;
	nat_admit(w->nat, f, w->now, &frame);
	return f;
}

static void test_config_must_make_sense(void **state)
{
	struct nat_config bad[7];
	struct nat_events events = {NULL, world_gone};
	struct nat *nat = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		world_config(&bad[i], false);
	bad[0].v4.local.family = bad[0].v6.local.family = 0;
	bad[1].v4.listener_port = 0;
	bad[2].v4.peer = bad[2].v6.peer;
	bad[3].v4.peer = bad[3].v4.local;
	bad[4].one_device = true; /* the listener isn't at L */
	bad[5].held_bytes_max = 0;
	bad[6].limits.n_tcp = 0;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(nat_new(&nat, &bad[i], &events), -EINVAL);
	assert_null(nat);
}

/* One question, then both directions, for each family, partial and full checksums. */
static void test_there_and_back(void **state)
{
	(void)state;
	for (unsigned int kind = 0; kind < 4; kind++) {
		WORLD(w);
		bool is_v6 = kind & 1, partial = kind & 2;
		const char *l = is_v6 ? L6 : L4, *p = is_v6 ? P6 : P4, *b = is_v6 ? B6 : B4;
		const char *dst = is_v6 ? "fd01::3" : "10.1.2.3";
		struct shape s = {.src = l, .dst = dst, .sport = 40000, .dport = 22};
		struct endpoint want = {world_ip(dst), 22};
		struct endpoint got;
		struct nat_frame frame;
		struct nat_flow *f;

		s.partial = partial;
		s.flags = TCP_SYN;
		assert_int_equal(feed_a(w, &s), NAT_HOLD);
		f = w->v.flow;
		assert_true(w->v.is_new);
		assert_null(f->user);
		got = nat_flow_dst(f);
		assert_true(endpoint_equal(&got, &want));
		assert_null(nat_flow_of_peer(w->nat, is_v6, f->nat_port));
		assert_true(nat_held_bytes(w->nat) == w->fed.n);
		nat_admit(w->nat, f, w->now, &frame);
		assert_frame(frame.bytes, frame.n, p, f->nat_port, b, 443);
		assert_int_equal(frame.bytes[0], partial);
		assert_true(nat_held_bytes(w->nat) == 0);
		assert_ptr_equal(nat_flow_of_peer(w->nat, is_v6, f->nat_port), f);
		assert_null(nat_flow_of_peer(w->nat, !is_v6, f->nat_port));

		s = (struct shape){.src = b, .dst = p, .sport = 443, .dport = f->nat_port};
		s.flags = TCP_SYN | TCP_ACK;
		s.partial = partial;
		assert_int_equal(feed_b(w, &s), NAT_FORWARD);
		assert_int_equal(w->v.to, NAT_SIDE_A);
		assert_ptr_equal(w->v.flow, f);
		assert_frame(w->v.frame.bytes, w->v.frame.n, dst, 22, l, 40000);

		s = (struct shape){.src = l, .dst = dst, .sport = 40000, .dport = 22};
		s.flags = TCP_ACK;
		s.n_payload = 1001;
		s.partial = partial;
		assert_int_equal(feed_a(w, &s), NAT_FORWARD);
		assert_int_equal(w->v.to, NAT_SIDE_B);
		assert_frame(w->v.frame.bytes, w->v.frame.n, p, f->nat_port, b, 443);
		assert_int_equal(nat_stats(w->nat)->asked, 1);
		assert_int_equal(w->n_gone, 0);
	}
}

/* With one device the direction is known by the addresses. */
static void test_one_device(void **state)
{
	struct nat_config c;
	struct nat_world *w CLEANUP(world_free) = NULL;
	struct nat_frame frame;
	struct nat_flow *f;

	(void)state;
	world_config(&c, true);
	w = world_with(&c);
	assert_int_equal(FEED_A(w, APP4, .flags = TCP_SYN), NAT_HOLD);
	f = w->v.flow;
	nat_admit(w->nat, f, w->now, &frame);
	assert_frame(frame.bytes, frame.n, P4, f->nat_port, L4, 443);
	assert_int_equal(FEED_A(w, .src = L4, .dst = P4, .sport = 443, .dport = f->nat_port,
				.flags = TCP_SYN | TCP_ACK),
			 NAT_FORWARD);
	assert_int_equal(w->v.to, NAT_SIDE_A);
	assert_frame(w->v.frame.bytes, w->v.frame.n, "10.1.2.3", 22, L4, 40000);
	/* An application at the listener's port is no listener. */
	assert_int_equal(FEED_A(w, .src = L4, .dst = "10.1.2.3", .sport = 443, .dport = 22,
				.flags = TCP_SYN),
			 NAT_HOLD);
}

static void test_syn_resends_ask_once(void **state)
{
	WORLD(w);
	struct nat_frame frame;
	struct nat_flow *f;

	(void)state;
	assert_int_equal(FEED_A(w, APP4, .flags = TCP_SYN, .seq = 9), NAT_HOLD);
	f = w->v.flow;
	for (unsigned int i = 0; i < 7; i++) {
		w->now += 1000;
		assert_int_equal(FEED_A(w, APP4, .flags = TCP_SYN, .seq = 9), NAT_DROP);
		assert_int_equal(w->v.drop, DROP_HELD_AGAIN);
	}
	assert_int_equal(nat_stats(w->nat)->asked, 1);
	assert_int_equal(dropped(w, DROP_HELD_AGAIN), 7);
	nat_admit(w->nat, f, w->now, &frame);
	assert_int_equal(get32(l4_of(frame.bytes) + 4), 9);
	/* Once admitted, resends are the listener's business. */
	assert_int_equal(FEED_A(w, APP4, .flags = TCP_SYN, .seq = 9), NAT_FORWARD);
}

/* Closed in silence, connected again from the same port: the newer SYN is what is injected. */
static void test_another_syn_while_held(void **state)
{
	WORLD(w);
	struct nat_frame frame;
	struct nat_flow *f;

	(void)state;
	FEED_A(w, APP4, .flags = TCP_SYN, .seq = 9, .n_payload = 30);
	f = w->v.flow;
	assert_int_equal(FEED_A(w, APP4, .flags = TCP_SYN, .seq = 1234), NAT_DROP);
	assert_int_equal(nat_stats(w->nat)->held_replaced, 1);
	assert_int_equal(nat_held_bytes(w->nat), PACKET_VNET_BYTES + 40);
	nat_admit(w->nat, f, w->now, &frame);
	assert_int_equal(get32(l4_of(frame.bytes) + 4), 1234);
	assert_int_equal(nat_held_bytes(w->nat), 0);
}

/* TCP Fast Open: the SYN's data is held with it. */
static void test_syn_with_data(void **state)
{
	WORLD(w);
	struct nat_frame frame;

	(void)state;
	assert_int_equal(FEED_A(w, APP6, .flags = TCP_SYN, .seq = 5, .n_payload = 1201), NAT_HOLD);
	nat_admit(w->nat, w->v.flow, w->now, &frame);
	assert_int_equal(frame.n, PACKET_VNET_BYTES + 40 + 20 + 1201);
	assert_true(frame_sums_are_right(frame.bytes, frame.n));
	FEED_A(w, APP4, .flags = TCP_SYN, .seq = 5, .n_payload = 1201);
	nat_refuse(w->nat, w->v.flow, NAT_REFUSED, w->now, &frame);
	/* RFC 9293: a RST acknowledges the data, too. */
	assert_int_equal(get32(l4_of(frame.bytes) + 8), 5 + 1 + 1201);
}

/* What an application is told for each answer of the edge. */
static void test_refusals(void **state)
{
	static const struct {
		enum nat_refusal why;
		uint8_t v4[2], v6[2]; /* type, code */
	} rows[] = {
		{NAT_UNREACHABLE, {3, 1}, {1, 3}},
		{NAT_NO_ROUTE, {3, 0}, {1, 0}},
		{NAT_FORBIDDEN, {3, 13}, {1, 1}},
	};
	WORLD(w);

	(void)state;
	for (unsigned int i = 0; i < 4 * ARRAY_SIZE(rows); i++) {
		bool is_v6 = i & 1;
		struct shape s4 = {APP4, .flags = TCP_SYN, .seq = i, .partial = i & 2};
		struct shape s6 = {APP6, .flags = TCP_SYN, .seq = i, .partial = i & 2};
		const uint8_t *want = is_v6 ? rows[i / 4].v6 : rows[i / 4].v4;
		struct nat_frame frame;
		struct frame held;
		const uint8_t *icmp;

		assert_int_equal(feed_a(w, is_v6 ? &s6 : &s4), NAT_HOLD);
		nat_refuse(w->nat, w->v.flow, rows[i / 4].why, w->now, &frame);
		assert_frame(frame.bytes, frame.n, is_v6 ? P6 : P4, 0, is_v6 ? L6 : L4, 0);
		assert_int_equal(frame.bytes[0], 0);
		icmp = l4_of(frame.bytes);
		assert_memory_equal(icmp, want, 2);
		/* The quote is the SYN with the checksum that a network would have seen. */
		s4.partial = s6.partial = false;
		frame_make(&held, is_v6 ? &s6 : &s4);
		assert_memory_equal(icmp + 8, held.bytes + PACKET_VNET_BYTES,
				    held.n - PACKET_VNET_BYTES);
		assert_int_equal(nat_held_bytes(w->nat), 0);
		assert_int_equal(flow_table_count(nat_flows(w->nat), FLOW_STATE_HELD), 0);
	}
	assert_int_equal(w->n_gone, 0);
}

static void test_quote_is_bounded(void **state)
{
	WORLD(w);
	struct nat_frame frame;

	(void)state;
	FEED_A(w, APP4, .flags = TCP_SYN, .n_payload = 5000);
	nat_refuse(w->nat, w->v.flow, NAT_FORBIDDEN, w->now, &frame);
	assert_int_equal(frame.n, PACKET_VNET_BYTES + 20 + 8 + 548);
	assert_true(frame_sums_are_right(frame.bytes, frame.n));
	FEED_A(w, APP6, .flags = TCP_SYN, .n_payload = 5000);
	nat_refuse(w->nat, w->v.flow, NAT_FORBIDDEN, w->now, &frame);
	assert_int_equal(frame.n, PACKET_VNET_BYTES + 40 + 8 + 1200);
	assert_true(frame_sums_are_right(frame.bytes, frame.n));
}

static void test_refused_is_a_reset(void **state)
{
	WORLD(w);
	struct nat_frame frame;

	(void)state;
	for (unsigned int is_v6 = 0; is_v6 < 2; is_v6++) {
		struct shape s4 = {APP4, .flags = TCP_SYN, .seq = 0xffffffff};
		struct shape s6 = {APP6, .flags = TCP_SYN, .seq = 0xffffffff};

		assert_int_equal(feed_a(w, is_v6 ? &s6 : &s4), NAT_HOLD);
		nat_refuse(w->nat, w->v.flow, NAT_REFUSED, w->now, &frame);
		assert_frame(frame.bytes, frame.n, is_v6 ? "fd01::3" : "10.1.2.3", 22,
			     is_v6 ? L6 : L4, 40000);
		assert_int_equal(l4_of(frame.bytes)[13], TCP_RST | TCP_ACK);
		assert_int_equal(get32(l4_of(frame.bytes) + 4), 0);
		assert_int_equal(get32(l4_of(frame.bytes) + 8), 0); /* seq + 1 */
		/* The next connection is a new question. */
		assert_int_equal(feed_a(w, is_v6 ? &s6 : &s4), NAT_HOLD);
	}
}

static void test_held_too_long(void **state)
{
	WORLD(w);
	struct nat_flow *f;
	uint64_t start = w->now;

	(void)state;
	FEED_A(w, APP4, .flags = TCP_SYN, .seq = 3);
	f = w->v.flow;
	w->now = start + 19000;
	FEED_A(w, APP4, .flags = TCP_SYN, .seq = 3);
	assert_true(nat_tick(w->nat, start + 29999) == start + 30000);
	assert_int_equal(w->n_gone, 0);
	assert_true(nat_tick(w->nat, start + 30000) == UINT64_MAX);
	assert_int_equal(w->n_gone, 1);
	assert_ptr_equal(w->gone, f);
	assert_int_equal(w->why, NAT_END_TIME_LIMIT);
	assert_frame(w->answer.bytes, w->answer.n, P4, 0, L4, 0);
	assert_int_equal(l4_of(w->answer.bytes)[0], 3);
	assert_int_equal(l4_of(w->answer.bytes)[1], 1);
	assert_int_equal(nat_held_bytes(w->nat), 0);
}

/* RFC 6069: the kernel sends its SYN again because of the error, and then gives up. */
static void test_told_is_no_question(void **state)
{
	WORLD(w);
	struct nat_frame frame;

	(void)state;
	FEED_A(w, APP4, .flags = TCP_SYN, .seq = 3);
	nat_tick(w->nat, w->now += 30000);
	assert_int_equal(w->why, NAT_END_TIME_LIMIT);
	assert_int_equal(FEED_A(w, APP4, .flags = TCP_SYN, .seq = 3), NAT_DROP);
	assert_int_equal(w->v.drop, DROP_HELD_AGAIN);
	FEED_A(w, APP6, .flags = TCP_SYN, .seq = 3);
	nat_refuse(w->nat, w->v.flow, NAT_NO_ROUTE, w->now, &frame);
	assert_int_equal(FEED_A(w, APP6, .flags = TCP_SYN, .seq = 3), NAT_DROP);
	assert_int_equal(FEED_A(w, APP4, .flags = TCP_SYN, .seq = 3), NAT_DROP);
	assert_int_equal(nat_stats(w->nat)->asked, 2);
	/* Another connection, and one whose application didn't hear it. */
	assert_int_equal(FEED_A(w, APP4, .flags = TCP_SYN, .seq = 4), NAT_HOLD);
	w->now += NAT_TOLD_MS;
	assert_int_equal(FEED_A(w, APP6, .flags = TCP_SYN, .seq = 3), NAT_HOLD);
}

static void test_reset_while_held(void **state)
{
	WORLD(w);
	struct nat_flow *f;

	(void)state;
	FEED_A(w, APP6, .flags = TCP_SYN, .seq = 3);
	f = w->v.flow;
	assert_int_equal(FEED_A(w, APP6, .flags = TCP_RST, .seq = 4), NAT_DROP);
	assert_int_equal(w->v.drop, DROP_GAVE_UP);
	assert_int_equal(w->n_gone, 1);
	assert_ptr_equal(w->gone, f);
	assert_int_equal(w->why, NAT_END_GAVE_UP);
	assert_int_equal(nat_held_bytes(w->nat), 0);
	assert_int_equal(FEED_A(w, APP6, .flags = TCP_SYN, .seq = 3), NAT_HOLD);
}

static void test_held_is_bounded(void **state)
{
	struct nat_config c;
	struct nat_world *w CLEANUP(world_free) = NULL;
	struct nat_frame frame;
	struct nat_flow *f;

	(void)state;
	world_config(&c, false);
	c.limits.n_held = 3;
	c.held_bytes_max = 250;
	w = world_with(&c);
	FEED_A(w, APP4, .flags = TCP_SYN);
	f = w->v.flow;
	assert_int_equal(FEED_A(w, APP6, .flags = TCP_SYN, .n_payload = 131), NAT_DROP); /* 251 */
	assert_int_equal(w->v.drop, DROP_HELD_LIMIT);
	assert_int_equal(FEED_A(w, APP6, .flags = TCP_SYN, .n_payload = 130), NAT_HOLD);
	assert_int_equal(nat_held_bytes(w->nat), 250);
	/* A longer one can't take a held one's place, the held one stays. */
	assert_int_equal(FEED_A(w, APP4, .flags = TCP_SYN, .seq = 1, .n_payload = 1), NAT_DROP);
	assert_int_equal(w->v.drop, DROP_HELD_LIMIT);
	nat_refuse(w->nat, f, NAT_REFUSED, w->now, &frame);
	assert_int_equal(nat_held_bytes(w->nat), 200);
	FEED_A(w, APP6, .flags = TCP_RST);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(FEED_A(w, .src = L4, .dst = "10.0.0.1", .sport = (uint16_t)(i + 1),
					.dport = 1, .flags = TCP_SYN),
				 i < 3 ? NAT_HOLD : NAT_DROP);
	assert_int_equal(w->v.drop, DROP_HELD_LIMIT);
	assert_int_equal(nat_held_bytes(w->nat), 150);
}

/* After a restart old connections must end at once. */
static void test_packets_of_no_flow(void **state)
{
	static const struct {
		uint8_t flags;
		enum nat_action action;
		uint8_t answer;
		uint32_t seq, ack;
	} rows[] = {
		{TCP_ACK, NAT_REPLY, TCP_RST, 77, 0},
		{TCP_ACK | TCP_FIN, NAT_REPLY, TCP_RST, 77, 0},
		{TCP_SYN | TCP_ACK, NAT_REPLY, TCP_RST, 77, 0},
		{TCP_FIN, NAT_REPLY, TCP_RST | TCP_ACK, 0, 50 + 4 + 1},
		{0, NAT_REPLY, TCP_RST | TCP_ACK, 0, 50 + 4},
		{TCP_SYN | TCP_FIN, NAT_REPLY, TCP_RST | TCP_ACK, 0, 50 + 4 + 2},
		{TCP_RST, NAT_DROP, 0, 0, 0},
		{TCP_RST | TCP_ACK, NAT_DROP, 0, 0, 0},
		{TCP_RST | TCP_SYN, NAT_DROP, 0, 0, 0},
	};
	WORLD(w);

	(void)state;
	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
		struct shape s4 = {APP4, .seq = 50, .ack = 77, .n_payload = 4};
		struct shape s6 = {APP6, .seq = 50, .ack = 77, .n_payload = 4};
		struct shape *s = i & 1 ? &s6 : &s4;

		s->flags = rows[i / 2].flags;
		assert_int_equal(feed_a(w, s), rows[i / 2].action);
		if (w->v.action == NAT_DROP) {
			assert_int_equal(w->v.drop, DROP_NO_FLOW);
			continue;
		}
		assert_int_equal(w->v.to, NAT_SIDE_A);
		assert_frame(w->v.frame.bytes, w->v.frame.n, s->dst, 22, s->src, 40000);
		assert_int_equal(l4_of(w->v.frame.bytes)[13], rows[i / 2].answer);
		assert_int_equal(get32(l4_of(w->v.frame.bytes) + 4), rows[i / 2].seq);
		assert_int_equal(get32(l4_of(w->v.frame.bytes) + 8), rows[i / 2].ack);
	}
	assert_int_equal(nat_stats(w->nat)->resets, 12);
}

static void test_both_fins_and_a_minute(void **state)
{
	WORLD(w);
	struct nat_flow *f = open_flow(w, false, 40000);
	uint16_t port = f->nat_port;

	(void)state;
	assert_int_equal(FEED_A(w, APP4, .flags = TCP_FIN | TCP_ACK), NAT_FORWARD);
	assert_int_equal(f->state, FLOW_STATE_CLOSING);
	w->now += 3600 * 1000; /* half-closed for an hour is fine */
	nat_tick(w->nat, w->now);
	assert_int_equal(FEED_A(w, APP4, .flags = TCP_FIN | TCP_ACK), NAT_FORWARD); /* resent */
	assert_int_equal(f->state, FLOW_STATE_CLOSING);
	assert_int_equal(FEED_B(w, .src = B4, .dst = P4, .sport = 443, .dport = port,
				.flags = TCP_FIN | TCP_ACK),
			 NAT_FORWARD);
	assert_int_equal(f->state, FLOW_STATE_CLOSED);
	w->now += 10;
	assert_int_equal(FEED_A(w, APP4, .flags = TCP_ACK), NAT_FORWARD); /* the last one */
	assert_true(nat_tick(w->nat, w->now + 59999) == w->now + 60000);
	assert_int_equal(w->n_gone, 0);
	assert_ptr_equal(nat_flow_of_peer(w->nat, false, port), f);
	nat_tick(w->nat, w->now + 60000);
	assert_int_equal(w->n_gone, 1);
	assert_int_equal(w->why, NAT_END_CLOSED);
	assert_null(nat_flow_of_peer(w->nat, false, port));
}

static void test_reset_frees(void **state)
{
	WORLD(w);
	struct nat_flow *f = open_flow(w, true, 40000);
	uint16_t port = f->nat_port;

	(void)state;
	assert_int_equal(FEED_A(w, APP6, .flags = TCP_RST), NAT_FORWARD);
	assert_frame(w->v.frame.bytes, w->v.frame.n, P6, port, B6, 443);
	assert_null(w->v.flow);
	assert_int_equal(w->why, NAT_END_RESET);
	f = open_flow(w, true, 40000);
	assert_int_equal(FEED_B(w, .src = B6, .dst = P6, .sport = 443, .dport = f->nat_port,
				.flags = TCP_RST | TCP_ACK),
			 NAT_FORWARD);
	assert_frame(w->v.frame.bytes, w->v.frame.n, "fd01::3", 22, L6, 40000);
	assert_int_equal(w->n_gone, 2);
	assert_int_equal(FEED_A(w, APP6, .flags = TCP_ACK), NAT_REPLY);
}

/*
 * A SYN with another sequence number is another connection, whatever the old one's state: it must
 * be asked for, and may not reach the listener under the old one's admission.
 */
static void test_new_connection_of_an_old_tuple(void **state)
{
	(void)state;
	for (unsigned int n_fins = 0; n_fins < 3; n_fins++) {
		WORLD(w);
		struct nat_flow *f = open_flow(w, false, 40000);
		uint16_t port = f->nat_port;

		if (n_fins > 0)
			FEED_A(w, APP4, .flags = TCP_FIN | TCP_ACK);
		if (n_fins > 1)
			FEED_B(w, .src = B4, .dst = P4, .sport = 443, .dport = port,
			       .flags = TCP_FIN | TCP_ACK);
		assert_int_equal(FEED_A(w, APP4, .flags = TCP_SYN, .seq = 101), NAT_HOLD);
		assert_int_equal(w->n_gone, 1);
		assert_int_equal(w->why, NAT_END_REUSED);
		assert_int_not_equal(w->v.flow->nat_port, port);
		assert_int_equal(nat_stats(w->nat)->asked, 2);
	}
}

static void test_from_b_only_answers(void **state)
{
	WORLD(w);
	struct nat_flow *f = open_flow(w, false, 40000);
	uint16_t port = f->nat_port;

	(void)state;
	assert_int_equal(FEED_B(w, .src = B4, .dst = P4, .sport = 444, .dport = port), NAT_DROP);
	assert_int_equal(FEED_B(w, .src = L4, .dst = P4, .sport = 443, .dport = port), NAT_DROP);
	assert_int_equal(FEED_B(w, .src = B4, .dst = L4, .sport = 443, .dport = port), NAT_DROP);
	assert_int_equal(FEED_B(w, .src = B4, .dst = P4, .sport = 443, .dport = 1), NAT_DROP);
	assert_int_equal(FEED_B(w, .src = B4, .dst = P4, .sport = 443, .dport = port,
				.transport = IPPROTO_UDP),
			 NAT_DROP);
	assert_int_equal(FEED_B(w, .src = B6, .dst = P6, .sport = 443, .dport = port), NAT_DROP);
	assert_int_equal(dropped(w, DROP_NO_FLOW), 6);
	/* A held flow's port answers nobody. */
	FEED_A(w, APP6, .flags = TCP_SYN);
	assert_int_equal(
		FEED_B(w, .src = B6, .dst = P6, .sport = 443, .dport = w->v.flow->nat_port),
		NAT_DROP);
}

static bool only_ten_zero_zero_nine(void *ctx, const struct ip_addr *source)
{
	struct ip_addr want = world_ip("10.0.0.9");

	(void)ctx;
	return ip_equal(source, &want);
}

static void test_foreign_sources(void **state)
{
	struct nat_config c;
	struct nat_world *w CLEANUP(world_free) = NULL;

	(void)state;
	world_config(&c, false);
	c.is_local = only_ten_zero_zero_nine;
	w = world_with(&c);
	for (unsigned int flags = 0; flags < 32; flags++)
		assert_int_equal(FEED_A(w, .src = "10.0.0.8", .dst = "10.1.2.3", .sport = 1,
					.dport = 2, .flags = (uint8_t)flags),
				 NAT_DROP);
	assert_int_equal(dropped(w, DROP_FOREIGN), 32);
	assert_int_equal(FEED_A(w, .src = "10.0.0.8", .dst = "10.1.2.3", .sport = 1, .dport = 2,
				.transport = IPPROTO_UDP),
			 NAT_DROP);
	assert_int_equal(FEED_A(w, .src = "10.0.0.8", .dst = "10.1.2.3", .transport = IPPROTO_ICMP),
			 NAT_DROP);
	assert_int_equal(dropped(w, DROP_FOREIGN), 34);
	assert_int_equal(FEED_A(w, .src = "10.0.0.9", .dst = "10.1.2.3", .sport = 1, .dport = 2,
				.flags = TCP_SYN),
			 NAT_HOLD);
}

static void test_family_not_served(void **state)
{
	struct nat_config c;
	struct nat_world *w CLEANUP(world_free) = NULL;

	(void)state;
	world_config(&c, false);
	c.v6 = (struct nat_family){0};
	w = world_with(&c);
	assert_int_equal(FEED_A(w, APP6, .flags = TCP_SYN), NAT_DROP);
	assert_int_equal(w->v.drop, DROP_FAMILY);
	assert_int_equal(FEED_A(w, APP4, .flags = TCP_SYN), NAT_HOLD);
}

static void test_forgotten(void **state)
{
	WORLD(w);
	struct nat_flow *f = open_flow(w, false, 40000);

	(void)state;
	nat_forget(w->nat, f, w->now);
	assert_int_equal(FEED_A(w, APP4, .flags = TCP_ACK), NAT_REPLY);
	FEED_A(w, APP4, .flags = TCP_SYN);
	nat_forget(w->nat, w->v.flow, w->now);
	assert_int_equal(nat_held_bytes(w->nat), 0);
	assert_int_equal(w->n_gone, 0);
}

/* The whole range of ports, in order, and around. */
static void test_nat_port_wrap(void **state)
{
	WORLD(w);

	(void)state;
	for (unsigned int i = 0; i < 64512 + 100; i++) {
		struct nat_flow *f = open_flow(w, false, (uint16_t)(1000 + i % 50000));

		assert_int_equal(f->nat_port, 1024 + i % 64512);
		nat_forget(w->nat, f, w->now);
	}
}

/* A thousand connections may wait at once, and all are admitted. */
static void test_a_thousand_at_once(void **state)
{
	static struct nat_flow *flows[1000];
	WORLD(w);
	struct nat_frame frame;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(flows); i++) {
		assert_int_equal(FEED_A(w, .src = L4, .dst = "10.0.0.1", .dport = 22,
					.sport = (uint16_t)(20000 + i), .flags = TCP_SYN),
				 NAT_HOLD);
		flows[i] = w->v.flow;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(flows); i++) {
		nat_admit(w->nat, flows[i], w->now, &frame);
		assert_ptr_equal(nat_flow_of_peer(w->nat, false, flows[i]->nat_port), flows[i]);
		assert_int_equal(nat_flow_src(flows[i]).port, 20000 + i);
	}
	assert_int_equal(flow_table_count(nat_flows(w->nat), FLOW_STATE_ACTIVE), 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config_must_make_sense),
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_one_device),
		cmocka_unit_test(test_syn_resends_ask_once),
		cmocka_unit_test(test_another_syn_while_held),
		cmocka_unit_test(test_syn_with_data),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_quote_is_bounded),
		cmocka_unit_test(test_refused_is_a_reset),
		cmocka_unit_test(test_held_too_long),
		cmocka_unit_test(test_told_is_no_question),
		cmocka_unit_test(test_reset_while_held),
		cmocka_unit_test(test_held_is_bounded),
		cmocka_unit_test(test_packets_of_no_flow),
		cmocka_unit_test(test_both_fins_and_a_minute),
		cmocka_unit_test(test_reset_frees),
		cmocka_unit_test(test_new_connection_of_an_old_tuple),
		cmocka_unit_test(test_from_b_only_answers),
		cmocka_unit_test(test_foreign_sources),
		cmocka_unit_test(test_family_not_served),
		cmocka_unit_test(test_forgotten),
		cmocka_unit_test(test_nat_port_wrap),
		cmocka_unit_test(test_a_thousand_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
