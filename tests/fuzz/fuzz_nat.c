/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The engine and its flow table, driven by bytes: each names a step and its arguments. Frames come
 * as they are or made from a few bytes, so that deep states are near. Whatever happens, flows come
 * and go in pairs, limits hold, and every frame that comes out is a packet.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "tests/fuzz/require.h"
#include "tests/unit/tun/frames.h"
#include "tun/nat.h"

#define FLOWS_MAX 64
#define N_TCP	  6
#define N_UDP	  4
#define N_ECHO	  2
#define N_HELD	  3
#define HELD_MAX  4096
#define PORT_0	  2000
#define N_PORTS	  8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct drive {
	const uint8_t *at;
	const uint8_t *end;
	struct nat *nat;
	uint64_t now;
	struct nat_flow *flows[FLOWS_MAX];
	size_t n_flows;
	struct nat_verdict v;
	struct frame frame;
};

static const char *const sources[2][2] = {{"100.96.0.1", "10.9.9.9"}, {"fd00::1", "fd09::9"}};
static const char *const targets[2][2] = {{"10.0.0.1", "10.0.0.2"}, {"fd01::1", "fd01::2"}};
static const char *const listeners[2] = {"100.96.0.3", "fd00::3"};
static const char *const peers[2] = {"100.96.0.2", "fd00::2"};
static const uint8_t pings[2] = {IPPROTO_ICMP, IPPROTO_ICMPV6};

static unsigned int take(struct drive *d)
{
	return d->at < d->end ? *d->at++ : 0;
}

static size_t place_of(const struct drive *d, const struct nat_flow *f)
{
	size_t i = 0;

	while (i < d->n_flows && d->flows[i] != f)
		i++;
	return i;
}

static void remove_known(struct drive *d, const struct nat_flow *f)
{
	size_t i = place_of(d, f);

	require(i < d->n_flows);
	d->flows[i] = d->flows[--d->n_flows];
}

static void check_frame(const struct nat_frame *frame, bool ours)
{
	struct packet p;

	require(frame->n <= PACKET_FRAME_MAX);
	if (packet_parse((uint8_t *)(uintptr_t)frame->bytes, frame->n, &p) == DROP_NONE)
		require(!ours || packet_checksum_ok(&p));
	else
		require(ours); /* ICMP errors of ours aren't what we'd accept; rewritten ones are */
}

static void on_gone(void *ctx, struct nat_flow *flow, enum nat_end why,
		    const struct nat_frame *answer)
{
	struct drive *d = ctx;

	require((why == NAT_END_TIME_LIMIT) == (answer != NULL));
	require(flow->state != FLOW_STATE_FREE);
	if (answer)
		check_frame(answer, true);
	remove_known(d, flow);
}

static void judge(struct drive *d)
{
	const uint8_t *payload;
	size_t n, total = 0, all = d->v.n_payload;
	unsigned int count = 0;

	if (d->v.is_new) {
		require(place_of(d, d->v.flow) == d->n_flows && d->n_flows < FLOWS_MAX);
		d->flows[d->n_flows++] = d->v.flow;
	}
	if (d->v.flow)
		require(place_of(d, d->v.flow) < d->n_flows);
	if (d->v.action == NAT_FORWARD || d->v.action == NAT_REPLY)
		check_frame(&d->v.frame, d->v.action == NAT_REPLY);
	if (d->v.action != NAT_DATAGRAM)
		return;
	for (; nat_next_datagram(&d->v, &payload, &n); count++)
		total += n;
	require(total == all && count >= 1);
}

static void feed(struct drive *d, bool from_b)
{
	/* A copy of the exact size, so that a read beyond it is seen. */
	uint8_t *exact = malloc(d->frame.n + 1);

	require(exact);
	memcpy(exact, d->frame.bytes, d->frame.n);
	if (from_b)
		nat_feed_b(d->nat, exact, d->frame.n, d->now, &d->v);
	else
		nat_feed_a(d->nat, exact, d->frame.n, d->now, &d->v);
	judge(d);
	free(exact);
}

static void step_raw(struct drive *d, bool from_b)
{
	size_t n = take(d);

	if (n > (size_t)(d->end - d->at))
		n = (size_t)(d->end - d->at);
	memcpy(d->frame.bytes, d->at, n);
	d->at += n;
	d->frame.n = n;
	feed(d, from_b);
}

static struct shape tuple_of(unsigned int bits)
{
	unsigned int family = bits & 1;

	return (struct shape){
		.src = sources[family][(bits & 14) == 14],
		.dst = targets[family][bits >> 4 & 1],
		.sport = (uint16_t)(100 + (bits >> 5 & 3)),
		.dport = bits >> 7 ? 53 : 22,
		.partial = bits & 2,
	};
}

static void step_tcp(struct drive *d)
{
	struct shape s = tuple_of(take(d));
	unsigned int flags = take(d);

	s.flags = flags & 0x1f;
	s.seq = flags >> 6;
	s.n_payload = flags & 0x20 ? 1500 : 0;
	frame_make(&d->frame, &s);
	feed(d, false);
}

static void step_back(struct drive *d)
{
	unsigned int bits = take(d);
	unsigned int family = bits & 1;
	struct shape s = {.src = listeners[family], .dst = peers[family], .sport = 443};

	s.dport = (uint16_t)(PORT_0 + (bits >> 1 & 7));
	s.flags = (uint8_t)take(d) & 0x1f;
	s.partial = bits & 0x80;
	frame_make(&d->frame, &s);
	feed(d, true);
}

static void step_datagram(struct drive *d)
{
	unsigned int bits = take(d);
	struct shape s = tuple_of(bits);

	s.transport = bits & 8 ? pings[bits & 1] : IPPROTO_UDP;
	s.partial = s.partial && !(bits & 8);
	s.n_payload = take(d) * 4;
	if (bits & 4) {
		s.gso_type = PACKET_GSO_UDP_L4;
		s.gso_size = (uint16_t)take(d);
	}
	frame_make(&d->frame, &s);
	feed(d, false);
}

static void answer_held(struct drive *d, struct nat_flow *f, unsigned int how)
{
	struct nat_frame frame;

	if (how & 1) {
		nat_admit(d->nat, f, d->now, &frame);
		check_frame(&frame, false);
		return;
	}
	nat_refuse(d->nat, f, (enum nat_refusal)(how / 2 % NAT_REFUSAL_N), d->now, &frame);
	check_frame(&frame, true);
	remove_known(d, f);
}

static void answer_open(struct drive *d, struct nat_flow *f, unsigned int how)
{
	static const uint8_t payload[1024];
	struct nat_frame frame;

	if (how & 1)
		nat_reject(d->nat, f, (enum nat_refusal)(how / 2 % NAT_REFUSAL_N), 7, &frame);
	else if (f->key.transport == IPPROTO_UDP)
		nat_build_udp(d->nat, f, payload, how * 4, d->now, &frame);
	else
		nat_build_echo(d->nat, f, 7, payload, how * 4, d->now, &frame);
	check_frame(&frame, true);
}

static void step_answer(struct drive *d)
{
	unsigned int which = take(d), how = take(d);
	struct nat_flow *f = d->n_flows ? d->flows[which % d->n_flows] : NULL;

	if (!f)
		return;
	if (how > 250) {
		nat_forget(d->nat, f, d->now);
		remove_known(d, f);
	} else if (f->state == FLOW_STATE_HELD) {
		answer_held(d, f, how);
	} else if (f->state == FLOW_STATE_OPEN) {
		answer_open(d, f, how);
	}
}

static void step_time(struct drive *d)
{
	uint64_t next;

	d->now += (uint64_t)take(d) * take(d) * 100;
	next = nat_tick(d->nat, d->now);
	require(next > d->now);
	require((next == UINT64_MAX) == (d->n_flows == 0));
}

static void check_limits(const struct drive *d)
{
	size_t n = 0;

	for (enum flow_state s = FLOW_STATE_HELD; s < FLOW_STATE_N; s++)
		n += flow_table_count(nat_flows(d->nat), s);
	require(n == d->n_flows && n <= 2 * N_TCP + N_UDP + N_ECHO);
	n = flow_table_count(nat_flows(d->nat), FLOW_STATE_HELD);
	require(n <= N_HELD && (n == 0) == (nat_held_bytes(d->nat) == 0));
	require(nat_held_bytes(d->nat) <= HELD_MAX);
}

static struct ip_addr ip_of(const char *text)
{
	struct ip_addr ip;

	require(ip_parse(text, &ip) == 0);
	return ip;
}

static void configure(struct nat_config *c)
{
	nat_config_init(c);
	c->v4 = (struct nat_family){ip_of(sources[0][0]), ip_of(listeners[0]), 443,
				    ip_of(peers[0])};
	c->v6 = (struct nat_family){ip_of(sources[1][0]), ip_of(listeners[1]), 443,
				    ip_of(peers[1])};
	c->limits.n_tcp = N_TCP;
	c->limits.n_udp = N_UDP;
	c->limits.n_echo = N_ECHO;
	c->limits.n_held = N_HELD;
	c->limits.nat_port_first = PORT_0;
	c->limits.nat_port_last = PORT_0 + N_PORTS - 1;
	c->held_bytes_max = HELD_MAX;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct drive d;
	const struct nat_events events = {&d, on_gone};
	struct nat_config c;

	configure(&c);
	d.at = data;
	d.end = data + n;
	d.now = 0;
	d.n_flows = 0;
	require(nat_new(&d.nat, &c, &events) == 0);
	while (d.at < d.end) {
		static void (*const steps[])(struct drive *) = {
			step_tcp, step_tcp, step_back, step_datagram, step_answer, step_time};
		unsigned int which = take(&d) % (ARRAY_SIZE(steps) + 2);

		if (which < ARRAY_SIZE(steps))
			steps[which](&d);
		else
			step_raw(&d, which == ARRAY_SIZE(steps));
		check_limits(&d);
	}
	nat_free(d.nat);
	return 0;
}
