/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * frames - frames as a kernel would send them, and checksums by the book
 *
 * Shares no code with tun/: sums are added byte by byte from scratch, and a partial checksum is
 * finished as a device does it.
 */

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"
#include "tun/packet.h"

#define TCP_FIN PACKET_TCP_FIN
#define TCP_SYN PACKET_TCP_SYN
#define TCP_RST PACKET_TCP_RST
#define TCP_ACK PACKET_TCP_ACK

struct frame {
	uint8_t bytes[PACKET_FRAME_MAX];
	size_t n;
};

/* What is zero or NULL has a default: 10 bytes of nothing special. */
struct shape {
	const char *src;
	const char *dst; /* its family is the frame's */
	uint16_t sport;
	uint16_t dport;
	uint8_t transport; /* default: TCP */
	uint8_t flags;
	uint32_t seq;
	uint32_t ack;
	size_t n_payload;
	const uint8_t *payload; /* NULL: a pattern */
	bool partial;
	uint16_t gso_size;
	uint8_t gso_type;
	unsigned int
		n_options; /* IPv4: bytes of no-operation; IPv6: extension headers of 8 bytes */
};

static inline void put16(uint8_t *p, unsigned int v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static inline unsigned int get16(const uint8_t *p)
{
	return (unsigned int)p[0] << 8 | p[1];
}

static inline uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static inline uint16_t scratch_sum(uint32_t sum, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
		if (sum > 0xffff)
			sum -= 0xffff;
	}
	return (uint16_t)sum;
}

static inline bool frame_is_v6(const uint8_t *frame)
{
	return frame[PACKET_VNET_BYTES] >> 4 == 6;
}

/* Sum of the pseudo header. */
static inline uint16_t scratch_pseudo(const uint8_t *ip, uint8_t protocol, size_t n)
{
	uint8_t tail[8] = {0};

	put32(tail, (uint32_t)n);
	tail[7] = protocol;
	if (ip[0] >> 4 == 6)
		return scratch_sum(scratch_sum(0, ip + 8, 32), tail, 8);
	return scratch_sum(scratch_sum(0, ip + 12, 8), tail, 8);
}

/* Offset of the transport's header and its protocol. */
static inline size_t frame_l4(const uint8_t *ip, uint8_t *protocolp)
{
	size_t at = 40;

	if (ip[0] >> 4 == 4) {
		*protocolp = ip[9];
		return (size_t)(ip[0] & 15) * 4;
	}
	*protocolp = ip[6];
	while (*protocolp == 0 || *protocolp == 60) {
		*protocolp = ip[at];
		at += 8 + 8 * (size_t)ip[at + 1];
	}
	return at;
}

static inline size_t check_offset(uint8_t protocol)
{
	return protocol == IPPROTO_TCP ? 16 : protocol == IPPROTO_UDP ? 6 : 2;
}

static inline size_t frame_ip_bytes(const uint8_t *ip)
{
	return ip[0] >> 4 == 6 ? 40 + get16(ip + 4) : get16(ip + 2);
}

/* Every checksum is what it would be from scratch, after the device did its part. */
static inline bool frame_sums_are_right(const uint8_t *frame, size_t n)
{
	static uint8_t copy[PACKET_FRAME_MAX];
	uint8_t *ip = copy + PACKET_VNET_BYTES;
	uint8_t protocol;
	uint16_t start, offset, sum = 0;
	size_t at, n_l4;

	memcpy(copy, frame, n);
	at = frame_l4(ip, &protocol);
	if (n != PACKET_VNET_BYTES + frame_ip_bytes(ip))
		return false;
	if (ip[0] >> 4 == 4 && scratch_sum(0, ip, (size_t)(ip[0] & 15) * 4) != 0xffff)
		return false;
	if (copy[0] & 1) {
		memcpy(&start, copy + 6, 2);
		memcpy(&offset, copy + 8, 2);
		sum = (uint16_t)~scratch_sum(0, ip + start, frame_ip_bytes(ip) - start);
		put16(ip + start + offset, sum);
		sum = 0;
	}
	n_l4 = frame_ip_bytes(ip) - at;
	if (protocol != IPPROTO_ICMP)
		sum = scratch_pseudo(ip, protocol, n_l4);
	return scratch_sum(sum, ip + at, n_l4) == 0xffff;
}

static inline void put_vnet(struct frame *f, const struct shape *s, size_t l4_at, size_t offset)
{
	uint16_t fields[4] = {0, s->gso_size, (uint16_t)l4_at, (uint16_t)offset};

	memset(f->bytes, 0, PACKET_VNET_BYTES);
	if (!s->partial)
		fields[2] = fields[3] = 0;
	f->bytes[0] = s->partial;
	f->bytes[1] = s->gso_type;
	memcpy(f->bytes + 2, fields, sizeof(fields));
}

static inline size_t put_ip(uint8_t *ip, const struct shape *s, uint8_t protocol, size_t n_l4)
{
	size_t n;

	if (strchr(s->dst, ':')) {
		n = 40 + 8 * (size_t)s->n_options;
		memset(ip, 0, n);
		ip[0] = 0x60;
		put16(ip + 4, (unsigned int)(n - 40 + n_l4));
		ip[6] = s->n_options ? 60 : protocol;
		ip[7] = 64;
		for (unsigned int i = 0; i < s->n_options; i++)
			ip[40 + 8 * i] = i + 1 == s->n_options ? protocol : 60;
		inet_pton(AF_INET6, s->src, ip + 8);
		inet_pton(AF_INET6, s->dst, ip + 24);
		return n;
	}
	n = 20 + s->n_options;
	memset(ip, 0, 20);
	memset(ip + 20, 1, s->n_options);
	ip[0] = (uint8_t)(0x40 | n / 4);
	put16(ip + 2, (unsigned int)(n + n_l4));
	put16(ip + 4, 0x1234);
	ip[6] = 0x40;
	ip[8] = 64;
	ip[9] = protocol;
	inet_pton(AF_INET, s->src, ip + 12);
	inet_pton(AF_INET, s->dst, ip + 16);
	put16(ip + 10, (uint16_t)~scratch_sum(0, ip, n));
	return n;
}

static inline size_t put_l4(uint8_t *l4, const struct shape *s, uint8_t protocol)
{
	size_t n = 8;

	memset(l4, 0, 20);
	put16(l4, s->sport);
	put16(l4 + 2, s->dport);
	if (protocol == IPPROTO_TCP) {
		n = 20;
		put32(l4 + 4, s->seq);
		put32(l4 + 8, s->ack);
		l4[12] = 0x50;
		l4[13] = s->flags;
		put16(l4 + 14, 0xffff);
	} else if (protocol == IPPROTO_UDP) {
		put16(l4 + 4, (unsigned int)(8 + s->n_payload));
	} else { /* echo request: identifier in sport, sequence in seq */
		put32(l4, 0);
		l4[0] = protocol == IPPROTO_ICMPV6 ? 128 : 8;
		put16(l4 + 4, s->sport);
		put16(l4 + 6, s->seq);
	}
	for (size_t i = 0; i < s->n_payload; i++)
		l4[n + i] = s->payload ? s->payload[i] : (uint8_t)(i * 7 + 3);
	return n + s->n_payload;
}

static inline void frame_make(struct frame *f, const struct shape *s)
{
	uint8_t protocol = s->transport ? s->transport : IPPROTO_TCP;
	bool is_v6 = strchr(s->dst, ':');
	uint8_t *ip = f->bytes + PACKET_VNET_BYTES;
	size_t n_head = is_v6 ? 40 + 8 * (size_t)s->n_options : 20 + (size_t)s->n_options;
	size_t n_l4 = put_l4(ip + n_head, s, protocol);
	uint16_t sum = 0;

	put_ip(ip, s, protocol, n_l4);
	if (protocol != IPPROTO_ICMP)
		sum = scratch_pseudo(ip, protocol, n_l4);
	if (!s->partial)
		sum = (uint16_t)~scratch_sum(sum, ip + n_head, n_l4);
	if (!s->partial && !sum && protocol == IPPROTO_UDP)
		sum = 0xffff;
	put16(ip + n_head + check_offset(protocol), sum);
	put_vnet(f, s, n_head, check_offset(protocol));
	f->n = PACKET_VNET_BYTES + n_head + n_l4;
}
