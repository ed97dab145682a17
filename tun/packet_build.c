/* SPDX-License-Identifier: Apache-2.0 */
#include "tun/packet_build.h"

#include <netinet/in.h>
#include <string.h>

#include "tun/checksum.h"

#define HOP_LIMIT      64
#define V4_DF	       0x40
#define V6_VERSION     0x60
#define V4_VERSION     0x45
#define TCP_NO_OPTIONS 0x50

static void store_be16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void store_be32(uint8_t *p, uint32_t v)
{
	store_be16(p, (uint16_t)(v >> 16));
	store_be16(p + 2, (uint16_t)v);
}

static size_t header_bytes(bool is_v6)
{
	return is_v6 ? PACKET_V6_BYTES : PACKET_V4_BYTES;
}

static uint8_t *transport_of(uint8_t *out, bool is_v6)
{
	return out + PACKET_VNET_BYTES + header_bytes(is_v6);
}

/* The whole frame's length for @n_l4 bytes behind the IP header; 0: too long. */
static size_t frame_bytes(bool is_v6, size_t n_l4)
{
	size_t n = header_bytes(is_v6);

	return n_l4 <= PACKET_IP_BYTES_MAX - n ? PACKET_VNET_BYTES + n + n_l4 : 0;
}

static void put_v4(uint8_t *ip, const struct packet_ends *ends, uint8_t protocol, size_t n_l4)
{
	uint16_t check;

	memset(ip, 0, PACKET_V4_BYTES);
	ip[0] = V4_VERSION;
	store_be16(ip + 2, (uint16_t)(PACKET_V4_BYTES + n_l4));
	/* With DF an identification of 0 is right (RFC 6864): nobody cuts these. */
	ip[6] = V4_DF;
	ip[8] = HOP_LIMIT;
	ip[9] = protocol;
	memcpy(ip + 12, ends->src, 4);
	memcpy(ip + 16, ends->dst, 4);
	check = (uint16_t)~checksum_add(0, ip, PACKET_V4_BYTES);
	memcpy(ip + 10, &check, sizeof(check));
}

static void put_v6(uint8_t *ip, const struct packet_ends *ends, uint8_t protocol, size_t n_l4)
{
	memset(ip, 0, 8);
	ip[0] = V6_VERSION;
	store_be16(ip + 4, (uint16_t)n_l4);
	ip[6] = protocol;
	ip[7] = HOP_LIMIT;
	memcpy(ip + 8, ends->src, 16);
	memcpy(ip + 24, ends->dst, 16);
}

static void put_headers(uint8_t *out, bool is_v6, const struct packet_ends *ends, uint8_t protocol,
			size_t n_l4)
{
	memset(out, 0, PACKET_VNET_BYTES);
	if (is_v6)
		put_v6(out + PACKET_VNET_BYTES, ends, protocol, n_l4);
	else
		put_v4(out + PACKET_VNET_BYTES, ends, protocol, n_l4);
}

/* The field at @at must be zero. ICMPv4 alone has no pseudo header. */
static void put_checksum(uint8_t *l4, size_t at, bool is_v6, const struct packet_ends *ends,
			 uint8_t protocol, size_t n_l4)
{
	uint16_t sum = 0;
	uint16_t check;

	if (protocol != IPPROTO_ICMP)
		sum = checksum_pseudo(ends->src, ends->dst, is_v6 ? 16 : 4, protocol,
				      (uint32_t)n_l4);
	check = (uint16_t)~checksum_add(sum, l4, n_l4);
	if (check == 0 && protocol == IPPROTO_UDP)
		check = 0xffff; /* 0 would mean "none" */
	memcpy(l4 + at, &check, sizeof(check));
}

size_t packet_build_udp(uint8_t *out, bool is_v6, const struct packet_ends *ends,
			const uint8_t *payload, size_t n)
{
	uint8_t *udp = transport_of(out, is_v6);
	size_t n_frame = n <= PACKET_IP_BYTES_MAX ? frame_bytes(is_v6, PACKET_UDP_BYTES + n) : 0;

	if (!n_frame)
		return 0;
	n += PACKET_UDP_BYTES;
	put_headers(out, is_v6, ends, IPPROTO_UDP, n);
	store_be16(udp, ends->sport);
	store_be16(udp + 2, ends->dport);
	store_be16(udp + 4, (uint16_t)n);
	store_be16(udp + 6, 0);
	if (n > PACKET_UDP_BYTES)
		memcpy(udp + PACKET_UDP_BYTES, payload, n - PACKET_UDP_BYTES);
	put_checksum(udp, 6, is_v6, ends, IPPROTO_UDP, n);
	return n_frame;
}

size_t packet_build_echo(uint8_t *out, bool is_v6, const struct packet_ends *ends,
			 struct packet_icmp kind, uint16_t id, uint16_t sequence,
			 const uint8_t *payload, size_t n)
{
	uint8_t protocol = is_v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	uint8_t *icmp = transport_of(out, is_v6);
	size_t n_frame = n <= PACKET_IP_BYTES_MAX ? frame_bytes(is_v6, PACKET_ICMP_BYTES + n) : 0;

	if (!n_frame)
		return 0;
	n += PACKET_ICMP_BYTES;
	put_headers(out, is_v6, ends, protocol, n);
	icmp[0] = kind.type;
	icmp[1] = kind.code;
	store_be16(icmp + 2, 0);
	store_be16(icmp + 4, id);
	store_be16(icmp + 6, sequence);
	if (n > PACKET_ICMP_BYTES)
		memcpy(icmp + PACKET_ICMP_BYTES, payload, n - PACKET_ICMP_BYTES);
	put_checksum(icmp, 2, is_v6, ends, protocol, n);
	return n_frame;
}

/* Sequence numbers that @p takes: its bytes, and one each for SYN and FIN. */
static uint32_t tcp_span(const struct packet *p)
{
	return (uint32_t)p->n_payload + !!(p->tcp_flags & PACKET_TCP_SYN) +
	       !!(p->tcp_flags & PACKET_TCP_FIN);
}

size_t packet_build_rst(uint8_t *out, const struct packet *p)
{
	const struct packet_ends ends = {packet_dst(p), packet_src(p), p->dport, p->sport};
	uint8_t *tcp = transport_of(out, p->is_v6);

	put_headers(out, p->is_v6, &ends, IPPROTO_TCP, PACKET_TCP_BYTES);
	memset(tcp, 0, PACKET_TCP_BYTES);
	store_be16(tcp, ends.sport);
	store_be16(tcp + 2, ends.dport);
	tcp[12] = TCP_NO_OPTIONS;
	tcp[13] = PACKET_TCP_RST;
	if (p->tcp_flags & PACKET_TCP_ACK) {
		store_be32(tcp + 4, p->tcp_ack);
	} else {
		tcp[13] |= PACKET_TCP_ACK;
		store_be32(tcp + 8, p->tcp_seq + tcp_span(p));
	}
	put_checksum(tcp, 16, p->is_v6, &ends, IPPROTO_TCP, PACKET_TCP_BYTES);
	return frame_bytes(p->is_v6, PACKET_TCP_BYTES);
}

size_t packet_build_icmp(uint8_t *out, const uint8_t *source, struct packet_icmp kind,
			 const struct packet *p)
{
	const struct packet_ends ends = {.src = source, .dst = packet_src(p)};
	uint8_t protocol = p->is_v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	size_t n = p->is_v6 ? PACKET_QUOTE_V6_BYTES : PACKET_QUOTE_V4_BYTES;
	uint8_t *icmp = transport_of(out, p->is_v6);

	if (n > p->n_ip)
		n = p->n_ip;
	put_headers(out, p->is_v6, &ends, protocol, PACKET_ICMP_BYTES + n);
	memset(icmp, 0, PACKET_ICMP_BYTES);
	icmp[0] = kind.type;
	icmp[1] = kind.code;
	memcpy(icmp + PACKET_ICMP_BYTES, p->ip, n);
	put_checksum(icmp, 2, p->is_v6, &ends, protocol, PACKET_ICMP_BYTES + n);
	return frame_bytes(p->is_v6, PACKET_ICMP_BYTES + n);
}
