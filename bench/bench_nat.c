/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What one packet costs in the TUN client's engine: parse, find the flow, rewrite. No system calls,
 * so this is what the engine adds to a read and a write of the device. Medians; nothing is
 * asserted.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/compiler.h"
#include "tun/checksum.h"
#include "tun/nat.h"
#include "tun/packet.h"

#define PACKETS	       1000000u
#define RUNS	       5
#define PACKETS_PER_MS 1000u

struct run {
	struct nat *nat;
	bool is_v6;
	bool partial;
	unsigned int n_flows;
	size_t n_ip;
	uint8_t template[PACKET_VNET_BYTES + 60];
	uint8_t frame[PACKET_FRAME_MAX];
};

static void on_gone(void *ctx, struct nat_flow *flow, enum nat_end why,
		    const struct nat_frame *answer)
{
	(void)ctx;
	(void)flow;
	(void)why;
	(void)answer;
}

static struct ip_addr ip_of(const char *text)
{
	struct ip_addr ip;

	if (ip_parse(text, &ip) != 0)
		abort();
	return ip;
}

static void put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* Headers of the packet; the transport's checksum is whatever it is, since nobody looks. */
static void make_template(struct run *r)
{
	uint8_t *ip = r->template + PACKET_VNET_BYTES;
	size_t n_header = r->is_v6 ? PACKET_V6_BYTES : PACKET_V4_BYTES;
	uint16_t vnet[2] = {(uint16_t)n_header, 16};
	uint16_t check;

	memset(r->template, 0, sizeof(r->template));
	r->template[0] = r->partial;
	if (r->partial)
		memcpy(r->template + 6, vnet, sizeof(vnet));
	ip[0] = r->is_v6 ? 0x60 : 0x45;
	put16(ip + (r->is_v6 ? 4 : 2), r->is_v6 ? r->n_ip - n_header : r->n_ip);
	ip[r->is_v6 ? 6 : 9] = IPPROTO_TCP;
	inet_pton(r->is_v6 ? AF_INET6 : AF_INET, r->is_v6 ? "fd00::1" : "100.96.0.1",
		  ip + (r->is_v6 ? 8 : 12));
	inet_pton(r->is_v6 ? AF_INET6 : AF_INET, r->is_v6 ? "fd01::1" : "10.0.0.1",
		  ip + (r->is_v6 ? 24 : 16));
	check = (uint16_t)~checksum_add(0, ip, PACKET_V4_BYTES);
	if (!r->is_v6)
		memcpy(ip + 10, &check, sizeof(check));
	put16(ip + n_header + 2, 22);
	ip[n_header + 12] = 0x50;
}

static void feed(struct run *r, unsigned int flow, uint8_t flags, uint64_t now_ms,
		 struct nat_verdict *v)
{
	size_t n_header = r->is_v6 ? PACKET_V6_BYTES : PACKET_V4_BYTES;
	uint8_t *tcp = r->frame + PACKET_VNET_BYTES + n_header;

	memcpy(r->frame, r->template, PACKET_VNET_BYTES + n_header + PACKET_TCP_BYTES);
	put16(tcp, 1024 + flow);
	tcp[13] = flags;
	nat_feed_a(r->nat, r->frame, PACKET_VNET_BYTES + r->n_ip, now_ms, v);
}

static void open_flows(struct run *r)
{
	for (unsigned int i = 0; i < r->n_flows; i++) {
		struct nat_verdict v;
		struct nat_frame frame;

		feed(r, i, PACKET_TCP_SYN, 0, &v);
		if (v.action != NAT_HOLD)
			abort();
		nat_admit(r->nat, v.flow, 0, &frame);
	}
}

static double run_once(struct run *r, uint64_t now_ms)
{
	struct timespec from, to;
	struct nat_verdict v;

	clock_gettime(CLOCK_MONOTONIC, &from);
	for (unsigned int i = 0; i < PACKETS; i++) {
		feed(r, i * 7919 % r->n_flows, PACKET_TCP_ACK, now_ms + i / PACKETS_PER_MS, &v);
		if (v.action != NAT_FORWARD)
			abort();
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	return ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) /
	       PACKETS;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(struct run *r)
{
	static const struct nat_events events = {NULL, on_gone};
	double ns[RUNS];
	struct nat_config c;

	nat_config_init(&c);
	c.v4 = (struct nat_family){ip_of("100.96.0.1"), ip_of("100.96.0.3"), 443,
				   ip_of("100.96.0.2")};
	c.v6 = (struct nat_family){ip_of("fd00::1"), ip_of("fd00::3"), 443, ip_of("fd00::2")};
	c.held_bytes_max = PACKET_FRAME_MAX;
	if (nat_new(&r->nat, &c, &events) != 0)
		abort();
	make_template(r);
	open_flows(r);
	for (unsigned int i = 0; i < RUNS; i++)
		ns[i] = run_once(r, (i + 1) * 1000ull);
	nat_free(r->nat);
	qsort(ns, RUNS, sizeof(ns[0]), compare);
	printf("IPv%d  %5zu bytes  %-7s checksum  %5u flows  %6.1f ns per packet\n",
	       r->is_v6 ? 6 : 4, r->n_ip, r->partial ? "partial" : "full", r->n_flows,
	       ns[RUNS / 2]);
}

int main(void)
{
	static const size_t sizes[] = {1500, 65535};
	static const unsigned int counts[] = {1, 1000, 20000};
	static struct run r;

	for (unsigned int i = 0; i < 2 * 2 * ARRAY_SIZE(sizes) * ARRAY_SIZE(counts); i++) {
		r.is_v6 = i & 1;
		r.partial = i & 2;
		r.n_ip = sizes[i / 4 % ARRAY_SIZE(sizes)];
		r.n_flows = counts[i / 4 / ARRAY_SIZE(sizes)];
		measure(&r);
	}
	return 0;
}
