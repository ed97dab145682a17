/* SPDX-License-Identifier: Apache-2.0 */
#include "tun/packet.h"

#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <string.h>

#include "base/compiler.h"
#include "tun/checksum.h"

_Static_assert(sizeof(struct virtio_net_hdr) == PACKET_VNET_BYTES, "IFF_VNET_HDR's size");

#define V4_FRAGMENT_BITS 0x3fff /* more fragments, offset */
#define TCP_CHECK_AT	 16
#define UDP_CHECK_AT	 6
#define ICMP_CHECK_AT	 2

#define ICMP4_ECHO_REPLY   0
#define ICMP4_ECHO_REQUEST 8
#define ICMP6_ECHO_REQUEST 128
#define ICMP6_ECHO_REPLY   129

static uint16_t load_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t load_be32(const uint8_t *p)
{
	return (uint32_t)load_be16(p) << 16 | load_be16(p + 2);
}

static void store_be16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint16_t load_raw16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static void store_raw16(uint8_t *p, uint16_t v)
{
	memcpy(p, &v, sizeof(v));
}

static size_t n_l4(const struct packet *p)
{
	return p->n_ip - p->l4_at;
}

static size_t check_at(const struct packet *p)
{
	switch (p->transport) {
	case IPPROTO_TCP:
		return TCP_CHECK_AT;
	case IPPROTO_UDP:
		return UDP_CHECK_AT;
	default:
		return ICMP_CHECK_AT;
	}
}

static enum drop_reason judge_v4_addresses(const uint8_t *src, const uint8_t *dst)
{
	static const uint8_t broadcast[4] = {255, 255, 255, 255};

	if ((dst[0] & 0xf0) == 0xe0)
		return DROP_MULTICAST;
	if (memcmp(dst, broadcast, 4) == 0 || dst[0] == 0)
		return DROP_BROADCAST;
	return src[0] == 0 || src[0] >= 0xe0 ? DROP_SOURCE : DROP_NONE;
}

static enum drop_reason judge_v6_addresses(const uint8_t *src, const uint8_t *dst)
{
	static const uint8_t unspecified[16];

	if (dst[0] == 0xff)
		return DROP_MULTICAST;
	return src[0] == 0xff || memcmp(src, unspecified, 16) == 0 ? DROP_SOURCE : DROP_NONE;
}

static enum drop_reason parse_v4(struct packet *p, size_t n, uint8_t *nextp)
{
	size_t n_header;

	if (n < PACKET_V4_BYTES)
		return DROP_SHORT;
	n_header = (size_t)(p->ip[0] & 0x0f) * 4;
	p->n_ip = load_be16(p->ip + 2);
	if (n_header < PACKET_V4_BYTES)
		return DROP_HEADER;
	if (p->n_ip < n_header || p->n_ip > n)
		return DROP_LENGTH;
	if (checksum_add(0, p->ip, n_header) != 0xffff)
		return DROP_CHECKSUM;
	if (load_be16(p->ip + 6) & V4_FRAGMENT_BITS)
		return DROP_FRAGMENT;
	p->l4_at = n_header;
	*nextp = p->ip[9];
	return judge_v4_addresses(packet_src(p), packet_dst(p));
}

/* Only headers that change neither addresses nor the payload are walked over. */
static enum drop_reason walk_extensions(struct packet *p, uint8_t *nextp)
{
	for (unsigned int i = 0; i <= PACKET_EXTENSIONS_MAX; i++) {
		size_t n_header;

		if (*nextp == IPPROTO_FRAGMENT)
			return DROP_FRAGMENT;
		if (*nextp == IPPROTO_ROUTING || *nextp == IPPROTO_AH)
			return DROP_EXTENSION;
		if (*nextp != IPPROTO_HOPOPTS && *nextp != IPPROTO_DSTOPTS)
			return DROP_NONE;
		if (n_l4(p) < 8)
			return DROP_LENGTH;
		n_header = 8 + (size_t)p->ip[p->l4_at + 1] * 8;
		if (n_header > n_l4(p))
			return DROP_LENGTH;
		*nextp = p->ip[p->l4_at];
		p->l4_at += n_header;
	}
	return DROP_EXTENSION;
}

static enum drop_reason parse_v6(struct packet *p, size_t n, uint8_t *nextp)
{
	enum drop_reason reason;

	if (n < PACKET_V6_BYTES)
		return DROP_SHORT;
	/* A payload length of 0 would be a jumbogram: longer than any device of ours allows. */
	p->n_ip = PACKET_V6_BYTES + (size_t)load_be16(p->ip + 4);
	if (p->n_ip > n || p->n_ip > PACKET_IP_BYTES_MAX || p->n_ip == PACKET_V6_BYTES)
		return DROP_LENGTH;
	reason = judge_v6_addresses(packet_src(p), packet_dst(p));
	if (reason != DROP_NONE)
		return reason;
	p->l4_at = PACKET_V6_BYTES;
	*nextp = p->ip[6];
	return walk_extensions(p, nextp);
}

static enum drop_reason parse_tcp(struct packet *p)
{
	const uint8_t *tcp = p->ip + p->l4_at;
	size_t n_header;

	if (n_l4(p) < PACKET_TCP_BYTES)
		return DROP_LENGTH;
	n_header = (size_t)(tcp[12] >> 4) * 4;
	if (n_header < PACKET_TCP_BYTES || n_header > n_l4(p))
		return DROP_HEADER;
	p->sport = load_be16(tcp);
	p->dport = load_be16(tcp + 2);
	p->tcp_seq = load_be32(tcp + 4);
	p->tcp_ack = load_be32(tcp + 8);
	p->tcp_flags = tcp[13];
	p->payload_at = p->l4_at + n_header;
	p->n_payload = p->n_ip - p->payload_at;
	return p->sport && p->dport ? DROP_NONE : DROP_HEADER;
}

static enum drop_reason parse_udp(struct packet *p, const struct virtio_net_hdr *vnet)
{
	const uint8_t *udp = p->ip + p->l4_at;
	size_t n_udp;

	if (n_l4(p) < PACKET_UDP_BYTES)
		return DROP_LENGTH;
	n_udp = load_be16(udp + 4);
	if (n_udp < PACKET_UDP_BYTES || n_udp > n_l4(p))
		return DROP_LENGTH;
	p->sport = load_be16(udp);
	p->dport = load_be16(udp + 2);
	p->payload_at = p->l4_at + PACKET_UDP_BYTES;
	p->n_payload = n_udp - PACKET_UDP_BYTES;
	if ((vnet->gso_type & ~PACKET_GSO_ECN) == PACKET_GSO_UDP_L4) {
		if (!vnet->gso_size)
			return DROP_OFFLOAD;
		p->segment_bytes = vnet->gso_size;
	}
	return p->dport ? DROP_NONE : DROP_HEADER;
}

static enum drop_reason parse_echo(struct packet *p)
{
	const uint8_t *icmp = p->ip + p->l4_at;
	uint8_t request = p->is_v6 ? ICMP6_ECHO_REQUEST : ICMP4_ECHO_REQUEST;
	uint8_t reply = p->is_v6 ? ICMP6_ECHO_REPLY : ICMP4_ECHO_REPLY;

	if (n_l4(p) < PACKET_ICMP_BYTES)
		return DROP_LENGTH;
	if ((icmp[0] != request && icmp[0] != reply) || icmp[1] != 0)
		return DROP_ICMP;
	p->echo_is_reply = icmp[0] == reply;
	p->sport = load_be16(icmp + 4);
	p->echo_sequence = load_be16(icmp + 6);
	p->payload_at = p->l4_at + PACKET_ICMP_BYTES;
	p->n_payload = p->n_ip - p->payload_at;
	return DROP_NONE;
}

static enum drop_reason parse_transport(struct packet *p, uint8_t protocol,
					const struct virtio_net_hdr *vnet)
{
	p->transport = protocol;
	if (protocol == IPPROTO_TCP)
		return parse_tcp(p);
	if (protocol == IPPROTO_UDP)
		return parse_udp(p, vnet);
	if (protocol != (p->is_v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
		return DROP_TRANSPORT;
	p->transport = IPPROTO_ICMP;
	return parse_echo(p);
}

/* What is left to the device must be the checksum that will be changed here. */
static enum drop_reason judge_offload(struct packet *p, const struct virtio_net_hdr *vnet)
{
	p->is_partial = vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
	if (!p->is_partial)
		return DROP_NONE;
	return vnet->csum_start == p->l4_at && vnet->csum_offset == check_at(p) ? DROP_NONE
										: DROP_OFFLOAD;
}

enum drop_reason packet_parse(uint8_t *frame, size_t n, struct packet *p)
{
	struct virtio_net_hdr vnet;
	enum drop_reason reason;
	uint8_t protocol = 0;

	if (n < PACKET_VNET_BYTES + 1)
		return DROP_SHORT;
	memcpy(&vnet, frame, sizeof(vnet));
	*p = (struct packet){.frame = frame, .ip = frame + PACKET_VNET_BYTES};
	n -= PACKET_VNET_BYTES;
	p->is_v6 = p->ip[0] >> 4 == 6;
	if (!p->is_v6 && p->ip[0] >> 4 != 4)
		return DROP_VERSION;
	reason = p->is_v6 ? parse_v6(p, n, &protocol) : parse_v4(p, n, &protocol);
	if (reason == DROP_NONE)
		reason = parse_transport(p, protocol, &vnet);
	return reason == DROP_NONE ? judge_offload(p, &vnet) : reason;
}

/* Full checksums cover the ports, partial sums only the pseudo header. */
static void rewrite_transport(struct packet *p, const struct packet_ends *ends)
{
	uint8_t *l4 = p->ip + p->l4_at;
	uint8_t *check = l4 + check_at(p);
	uint16_t value = load_raw16(check);
	size_t n_addr = packet_addr_bytes(p);
	uint8_t ports[4];

	store_be16(ports, ends->sport);
	store_be16(ports + 2, ends->dport);
	if (p->is_partial) {
		value = checksum_change_sum(value, packet_src(p), ends->src, n_addr);
		value = checksum_change_sum(value, packet_dst(p), ends->dst, n_addr);
	} else {
		value = checksum_change(value, packet_src(p), ends->src, n_addr);
		value = checksum_change(value, packet_dst(p), ends->dst, n_addr);
		value = checksum_change(value, l4, ports, sizeof(ports));
	}
	store_raw16(check, value);
	memcpy(l4, ports, sizeof(ports));
}

void packet_rewrite(struct packet *p, const struct packet_ends *ends)
{
	size_t n_addr = packet_addr_bytes(p);

	rewrite_transport(p, ends);
	if (!p->is_v6) {
		uint16_t value = load_raw16(p->ip + 10);

		value = checksum_change(value, packet_src(p), ends->src, n_addr);
		value = checksum_change(value, packet_dst(p), ends->dst, n_addr);
		store_raw16(p->ip + 10, value);
	}
	memcpy(packet_src(p), ends->src, n_addr);
	memcpy(packet_dst(p), ends->dst, n_addr);
	p->sport = ends->sport;
	p->dport = ends->dport;
}

void packet_finish_checksum(struct packet *p)
{
	uint8_t *l4 = p->ip + p->l4_at;
	uint16_t value;

	if (!p->is_partial)
		return;
	value = (uint16_t)~checksum_add(0, l4, n_l4(p));
	if (value == 0 && p->transport == IPPROTO_UDP)
		value = 0xffff;
	store_raw16(l4 + check_at(p), value);
	p->frame[offsetof(struct virtio_net_hdr, flags)] &= (uint8_t)~VIRTIO_NET_HDR_F_NEEDS_CSUM;
	p->is_partial = false;
}

/* UDP's own length counts, which may be less than what the IP header leaves for it. */
static size_t n_covered(const struct packet *p)
{
	return p->payload_at - p->l4_at + p->n_payload;
}

bool packet_checksum_ok(const struct packet *p)
{
	const uint8_t *l4 = p->ip + p->l4_at;
	uint8_t protocol = p->transport == IPPROTO_ICMP && p->is_v6 ? IPPROTO_ICMPV6 : p->transport;
	uint16_t sum = 0;

	if (p->is_partial)
		return true;
	if (p->transport == IPPROTO_UDP && load_raw16(l4 + UDP_CHECK_AT) == 0)
		return !p->is_v6; /* IPv4 may do without */
	if (p->transport != IPPROTO_ICMP || p->is_v6)
		sum = checksum_pseudo(packet_src(p), packet_dst(p), packet_addr_bytes(p), protocol,
				      (uint32_t)n_covered(p));
	return checksum_add(sum, l4, n_covered(p)) == 0xffff;
}
