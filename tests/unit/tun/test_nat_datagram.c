/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/tun/nat_world.h"

#define WORLD(w) struct nat_world *w CLEANUP(world_free) = world_new()
#define UDP4	 APP4, .transport = IPPROTO_UDP
#define UDP6	 APP6, .transport = IPPROTO_UDP
#define PING4	 .src = L4, .dst = "10.1.2.3", .sport = 0x77, .transport = IPPROTO_ICMP
#define PING6	 .src = L6, .dst = "fd01::3", .sport = 0x77, .transport = IPPROTO_ICMPV6

static uint64_t dropped(const struct nat_world *w, enum drop_reason reason)
{
	return nat_stats(w->nat)->dropped[reason];
}

/* Each datagram of the verdict against the pattern of frames.h; returns how many there were. */
static unsigned int check_datagrams(struct nat_world *w, size_t n_each, size_t n_total)
{
	const uint8_t *payload;
	unsigned int count = 0;
	size_t at = 0, n;

	while (nat_next_datagram(&w->v, &payload, &n)) {
		assert_int_equal(n, n_total - at < n_each ? n_total - at : n_each);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(payload[i], (uint8_t)((at + i) * 7 + 3));
		at += n;
		count++;
	}
	assert_int_equal(at, n_total);
	return count;
}

static void test_known_and_new(void **state)
{
	WORLD(w);
	struct nat_flow *f;
	struct endpoint dst;

	(void)state;
	assert_int_equal(FEED_A(w, UDP4, .n_payload = 77), NAT_DATAGRAM);
	f = w->v.flow;
	assert_true(w->v.is_new);
	dst = nat_flow_dst(f);
	assert_int_equal(dst.port, 22);
	assert_int_equal(check_datagrams(w, 77, 77), 1);
	assert_int_equal(FEED_A(w, UDP4, .n_payload = 5, .partial = true), NAT_DATAGRAM);
	assert_false(w->v.is_new);
	assert_ptr_equal(w->v.flow, f);
	assert_int_equal(check_datagrams(w, 5, 5), 1);
	assert_int_equal(FEED_A(w, UDP6, .n_payload = 5), NAT_DATAGRAM);
	assert_true(w->v.is_new);
	assert_ptr_not_equal(w->v.flow, f);
}

static void test_empty_datagram(void **state)
{
	WORLD(w);

	(void)state;
	assert_int_equal(FEED_A(w, UDP6, .n_payload = 0), NAT_DATAGRAM);
	assert_int_equal(check_datagrams(w, 1, 0), 1);
	assert_int_equal(nat_stats(w->nat)->datagrams_in, 1);
}

/* The trap: a frame of 50 datagrams is not one datagram. */
static void test_segmentation_offload(void **state)
{
	static const struct {
		size_t n_each, n_total;
		unsigned int count;
		uint8_t type;
	} rows[] = {
		{1200, 60000, 50, PACKET_GSO_UDP_L4},
		{1200, 59999, 50, PACKET_GSO_UDP_L4},
		{1200, 58801, 50, PACKET_GSO_UDP_L4},
		{1200, 58800, 49, PACKET_GSO_UDP_L4},
		{1200, 1200, 1, PACKET_GSO_UDP_L4 | PACKET_GSO_ECN},
		{1, 3, 3, PACKET_GSO_UDP_L4},
	};
	WORLD(w);
	uint64_t n_all = 0;

	(void)state;
	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
		struct shape s4 = {UDP4}, s6 = {UDP6};
		struct shape *s = i & 1 ? &s6 : &s4;

		s->partial = true;
		s->gso_type = rows[i / 2].type;
		s->gso_size = (uint16_t)rows[i / 2].n_each;
		s->n_payload = rows[i / 2].n_total;
		assert_int_equal(feed_a(w, s), NAT_DATAGRAM);
		assert_int_equal(check_datagrams(w, s->gso_size, s->n_payload), rows[i / 2].count);
		n_all += rows[i / 2].count;
	}
	assert_true(nat_stats(w->nat)->datagrams_in == n_all);
}

static void test_damaged_are_dropped(void **state)
{
	WORLD(w);

	(void)state;
	frame_make(&w->fed, &(struct shape){UDP4, .n_payload = 9});
	w->fed.bytes[w->fed.n - 1] ^= 0x10;
	nat_feed_a(w->nat, w->fed.bytes, w->fed.n, w->now, &w->v);
	assert_int_equal(w->v.drop, DROP_CHECKSUM);
	frame_make(&w->fed, &(struct shape){PING6, .n_payload = 9});
	w->fed.bytes[w->fed.n - 1] ^= 0x10;
	nat_feed_a(w->nat, w->fed.bytes, w->fed.n, w->now, &w->v);
	assert_int_equal(w->v.drop, DROP_CHECKSUM);
	assert_int_equal(dropped(w, DROP_CHECKSUM), 2);
	assert_int_equal(flow_table_count(nat_flows(w->nat), FLOW_STATE_OPEN), 0);
}

static void test_answers(void **state)
{
	static uint8_t payload[65507];
	static const size_t lengths[] = {0, 1, 2, 1400, 1401, 65487, 65488, 65507};
	WORLD(w);

	(void)state;
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)random();
	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(lengths); i++) {
		bool is_v6 = i & 1;
		size_t n = lengths[i / 2];
		struct shape s4 = {UDP4}, s6 = {UDP6};
		struct nat_frame frame;
		int r;

		feed_a(w, is_v6 ? &s6 : &s4);
		r = nat_build_udp(w->nat, w->v.flow, payload, n, w->now, &frame);
		if (is_v6 && n > 65487) {
			assert_int_equal(r, NAT_E_TOO_LARGE);
			continue;
		}
		assert_int_equal(r, 0);
		assert_frame(frame.bytes, frame.n, is_v6 ? "fd01::3" : "10.1.2.3", 22,
			     is_v6 ? L6 : L4, 40000);
		assert_int_equal(get16(l4_of(frame.bytes) + 4), 8 + n);
		assert_memory_equal(l4_of(frame.bytes) + 8, payload, n);
		assert_int_equal(frame.bytes[0], 0);
	}
	assert_int_equal(dropped(w, DROP_TOO_LARGE), 2);
}

/* RFC 768: a sum of 0 is sent as 0xffff, since 0 means that there is none. */
static void test_checksum_of_zero(void **state)
{
	WORLD(w);

	(void)state;
	for (unsigned int is_v6 = 0; is_v6 < 2; is_v6++) {
		struct shape s4 = {UDP4}, s6 = {UDP6};
		struct nat_frame frame;
		uint8_t payload[2] = {0, 0};
		struct nat_flow *f;

		feed_a(w, is_v6 ? &s6 : &s4);
		f = w->v.flow;
		nat_build_udp(w->nat, f, payload, 2, w->now, &frame);
		/* What makes the sum all ones is the checksum itself. */
		memcpy(payload, l4_of(frame.bytes) + 6, 2);
		nat_build_udp(w->nat, f, payload, 2, w->now, &frame);
		assert_int_equal(get16(l4_of(frame.bytes) + 6), 0xffff);
		assert_true(frame_sums_are_right(frame.bytes, frame.n));
	}
}

/* Refused port 3/3 and 1/4, the others as for TCP. */
static void test_rejections(void **state)
{
	static const struct {
		enum nat_refusal why;
		uint8_t udp4[2], udp6[2], ping4[2], ping6[2];
	} rows[] = {
		{NAT_REFUSED, {3, 3}, {1, 4}, {3, 1}, {1, 3}},
		{NAT_UNREACHABLE, {3, 1}, {1, 3}, {3, 1}, {1, 3}},
		{NAT_NO_ROUTE, {3, 0}, {1, 0}, {3, 0}, {1, 0}},
		{NAT_FORBIDDEN, {3, 13}, {1, 1}, {3, 13}, {1, 1}},
	};
	static const struct shape shapes[4] = {
		{UDP4, .n_payload = 3}, {UDP6}, {PING4, .seq = 9}, {PING6, .seq = 9}};
	WORLD(w);

	(void)state;
	for (unsigned int i = 0; i < 4 * ARRAY_SIZE(rows); i++) {
		const uint8_t *wants[] = {rows[i / 4].udp4, rows[i / 4].udp6, rows[i / 4].ping4,
					  rows[i / 4].ping6};
		const struct shape *s = &shapes[i % 4];
		bool is_v6 = i & 1;
		struct nat_frame frame;
		const uint8_t *icmp, *quote;
		struct packet p;

		feed_a(w, s);
		nat_reject(w->nat, w->v.flow, rows[i / 4].why, 9, &frame);
		assert_frame(frame.bytes, frame.n, is_v6 ? P6 : P4, 0, is_v6 ? L6 : L4, 0);
		icmp = l4_of(frame.bytes);
		assert_memory_equal(icmp, wants[i % 4], 2);
		/* The quote names the flow: that is how the kernel finds the socket. */
		quote = icmp + 8;
		assert_int_equal(
			packet_parse((uint8_t *)(uintptr_t)quote - PACKET_VNET_BYTES,
				     frame.n - (size_t)(quote - frame.bytes) + PACKET_VNET_BYTES,
				     &p),
			DROP_NONE);
		assert_memory_equal(packet_src(&p), w->v.flow->key.src, packet_addr_bytes(&p));
		assert_memory_equal(packet_dst(&p), w->v.flow->key.dst, packet_addr_bytes(&p));
		assert_int_equal(p.sport, s->sport);
		assert_int_equal(p.dport, s->dport);
		assert_int_equal(p.echo_sequence, i % 4 < 2 ? 0 : 9);
		assert_false(p.echo_is_reply);
	}
	assert_int_equal(flow_table_count(nat_flows(w->nat), FLOW_STATE_OPEN), 4);
}

static void test_ping(void **state)
{
	WORLD(w);

	(void)state;
	for (unsigned int is_v6 = 0; is_v6 < 2; is_v6++) {
		struct shape s4 = {PING4, .seq = 0x1234, .n_payload = 60001};
		struct shape s6 = {PING6, .seq = 0x1234, .n_payload = 60001};
		struct nat_frame frame;
		const uint8_t *icmp;
		struct nat_flow *f;

		assert_int_equal(feed_a(w, is_v6 ? &s6 : &s4), NAT_ECHO);
		assert_true(w->v.is_new);
		assert_int_equal(w->v.echo_sequence, 0x1234);
		assert_int_equal(w->v.n_payload, 60001);
		f = w->v.flow;
		assert_int_equal(f->key.sport, 0x77);
		assert_int_equal(
			nat_build_echo(w->nat, f, 0x1234, w->v.payload, 60001, w->now, &frame), 0);
		assert_frame(frame.bytes, frame.n, is_v6 ? "fd01::3" : "10.1.2.3", 0,
			     is_v6 ? L6 : L4, 0);
		icmp = l4_of(frame.bytes);
		assert_int_equal(icmp[0], is_v6 ? 129 : 0);
		assert_int_equal(get16(icmp + 4), 0x77);
		assert_int_equal(get16(icmp + 6), 0x1234);
		assert_memory_equal(icmp + 8, w->v.payload, 60001);
		/* Our own answer, read back, is no request. */
		memcpy(w->fed.bytes, frame.bytes, frame.n);
		nat_feed_a(w->nat, w->fed.bytes, frame.n, w->now, &w->v);
		assert_int_equal(w->v.drop, DROP_ICMP);
		/* The same pair is the same flow, another identifier or host isn't. */
		s4.sport = s6.sport = 0x77;
		assert_int_equal(feed_a(w, is_v6 ? &s6 : &s4), NAT_ECHO);
		assert_ptr_equal(w->v.flow, f);
		s4.sport = s6.sport = 0x78;
		assert_int_equal(feed_a(w, is_v6 ? &s6 : &s4), NAT_ECHO);
		assert_true(w->v.is_new);
	}
}

static void test_ignored_without_noise(void **state)
{
	static const struct {
		struct shape shape;
		enum drop_reason reason;
	} rows[] = {
		{{.src = L4, .dst = "224.0.0.251", .transport = IPPROTO_UDP, .dport = 5353},
		 DROP_MULTICAST},
		{{.src = L4, .dst = "224.0.0.22", .transport = IPPROTO_IGMP}, DROP_MULTICAST},
		{{.src = L4, .dst = "255.255.255.255", .transport = IPPROTO_UDP, .dport = 67},
		 DROP_BROADCAST},
		{{.src = L6, .dst = "ff02::16", .transport = IPPROTO_ICMPV6}, DROP_MULTICAST},
		{{.src = L6, .dst = "ff02::2", .transport = IPPROTO_ICMPV6}, DROP_MULTICAST},
		{{.src = L4, .dst = "10.0.0.1", .transport = IPPROTO_IGMP}, DROP_TRANSPORT},
	};
	WORLD(w);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(feed_a(w, &rows[i].shape), NAT_DROP);
		assert_int_equal(w->v.drop, rows[i].reason);
		assert_true(dropped(w, rows[i].reason) > 0);
	}
	assert_int_equal(flow_table_count(nat_flows(w->nat), FLOW_STATE_OPEN), 0);
}

static void test_idle(void **state)
{
	WORLD(w);
	struct nat_flow *udp, *dns;
	struct nat_frame frame;
	uint64_t start = w->now;

	(void)state;
	FEED_A(w, UDP4);
	udp = w->v.flow;
	FEED_A(w, .src = L6, .dst = "fd01::53", .sport = 9, .dport = 53, .transport = IPPROTO_UDP);
	dns = w->v.flow;
	assert_true(nat_tick(w->nat, start) == start + 10000);
	nat_tick(w->nat, start + 9999);
	assert_int_equal(w->n_gone, 0);
	nat_tick(w->nat, start + 10000);
	assert_ptr_equal(w->gone, dns);
	assert_int_equal(w->why, NAT_END_IDLE);
	assert_int_equal(w->answer.n, 0);
	/* Both directions count as use. */
	nat_build_udp(w->nat, udp, NULL, 0, start + 200000, &frame);
	w->now = start + 300000;
	FEED_A(w, UDP4);
	assert_false(w->v.is_new);
	assert_true(nat_tick(w->nat, start + 509999) == start + 510000);
	assert_int_equal(w->n_gone, 1);
	nat_tick(w->nat, start + 510000);
	assert_int_equal(w->n_gone, 2);
	assert_ptr_equal(w->gone, udp);
	w->now = start + 510000;
	FEED_A(w, UDP4);
	assert_true(w->v.is_new);
}

static void test_room_is_made_of_idle_flows(void **state)
{
	struct nat_config c;
	struct nat_world *w CLEANUP(world_free) = NULL;
	struct nat_flow *first;
	struct shape s = {UDP4};

	(void)state;
	world_config(&c, false);
	c.limits.n_udp = 2;
	c.limits.n_echo = 1;
	w = world_with(&c);
	feed_a(w, &s);
	first = w->v.flow;
	w->now += 5000;
	s.sport++;
	feed_a(w, &s);
	FEED_A(w, PING4);
	w->now += NAT_EVICT_IDLE_MS - 5001;
	s.sport++;
	assert_int_equal(feed_a(w, &s), NAT_DROP);
	assert_int_equal(w->v.drop, DROP_FLOW_LIMIT);
	w->now++;
	assert_int_equal(feed_a(w, &s), NAT_DATAGRAM);
	assert_true(w->v.is_new);
	assert_ptr_equal(w->gone, first);
	assert_int_equal(w->why, NAT_END_EVICTED);
	/* Echo has room of its own. */
	assert_int_equal(FEED_A(w, PING6), NAT_DROP);
	w->now += NAT_EVICT_IDLE_MS;
	assert_int_equal(FEED_A(w, PING6), NAT_ECHO);
	assert_int_equal(w->n_gone, 2);
}

/* Both queues of UDP share the room: the idlest goes, whatever its port. */
static void test_idlest_of_both_queues(void **state)
{
	(void)state;
	for (unsigned int dns_first = 0; dns_first < 2; dns_first++) {
		struct nat_config c;
		struct nat_world *w CLEANUP(world_free) = NULL;
		struct shape s = {UDP4};
		struct nat_flow *first;

		world_config(&c, false);
		c.limits.n_udp = 2;
		w = world_with(&c);
		s.dport = dns_first ? 53 : 54;
		feed_a(w, &s);
		first = w->v.flow;
		w->now += 100;
		s.dport = dns_first ? 54 : 53;
		feed_a(w, &s);
		w->now += NAT_EVICT_IDLE_MS;
		s.dport = 55;
		assert_int_equal(feed_a(w, &s), NAT_DATAGRAM);
		assert_ptr_equal(w->gone, first);
	}
}

/* Ten thousand UDP flows are promised; a tick ends a bounded number and says that there is more. */
static void test_ten_thousand_flows(void **state)
{
	WORLD(w);
	struct shape s = {UDP4, .n_payload = 4};
	uint64_t end;

	(void)state;
	for (unsigned int round = 0; round < 2; round++) {
		for (unsigned int i = 0; i < 10000; i++) {
			s.sport = (uint16_t)(i + 1);
			assert_int_equal(feed_a(w, &s), NAT_DATAGRAM);
			assert_int_equal(w->v.is_new, round == 0);
		}
	}
	end = w->now + 210000;
	for (unsigned int i = 1; i <= 39; i++) {
		assert_true(nat_tick(w->nat, end) == end);
		assert_int_equal(w->n_gone, i * NAT_TICK_MAX);
	}
	assert_true(nat_tick(w->nat, end) == UINT64_MAX);
	assert_int_equal(w->n_gone, 10000);
}

static void test_forgotten(void **state)
{
	WORLD(w);

	(void)state;
	FEED_A(w, UDP4);
	nat_forget(w->nat, w->v.flow, w->now);
	FEED_A(w, UDP4);
	assert_true(w->v.is_new);
	assert_int_equal(w->n_gone, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_and_new),
		cmocka_unit_test(test_empty_datagram),
		cmocka_unit_test(test_segmentation_offload),
		cmocka_unit_test(test_damaged_are_dropped),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_checksum_of_zero),
		cmocka_unit_test(test_rejections),
		cmocka_unit_test(test_ping),
		cmocka_unit_test(test_ignored_without_noise),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_room_is_made_of_idle_flows),
		cmocka_unit_test(test_idlest_of_both_queues),
		cmocka_unit_test(test_ten_thousand_flows),
		cmocka_unit_test(test_forgotten),
	};

	srandom(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
