/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * packet - views of frames as a TUN device with IFF_VNET_HDR gives them
 *
 * A frame is a struct virtio_net_hdr (10 bytes, host's byte order) and one IP packet of up to
 * 65,535 bytes: with offloads a "super packet" that the kernel hasn't cut yet. packet_parse()
 * believes nothing: every offset of a view that it accepted lies inside of the frame.
 *
 * What is accepted: whole (never fragments) IPv4 with options, IPv6 with hop-by-hop and
 * destination options; in them TCP, UDP and ICMP echo requests and replies; unicast only.
 *
 * Checksums, the trap: with VIRTIO_NET_HDR_F_NEEDS_CSUM the transport's field holds the folded sum
 * of the pseudo header, not inverted, for the device to finish. Rewriting changes the addresses in
 * it and nothing else. Mistakes there are invisible between local sockets, which trust the flag.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tun/drop_reason.h"

#define PACKET_VNET_BYTES     10 /* sizeof(struct virtio_net_hdr) */
#define PACKET_IP_BYTES_MAX   65535
#define PACKET_FRAME_MAX      (PACKET_VNET_BYTES + PACKET_IP_BYTES_MAX)
#define PACKET_V4_BYTES	      20
#define PACKET_V6_BYTES	      40
#define PACKET_TCP_BYTES      20
#define PACKET_UDP_BYTES      8
#define PACKET_ICMP_BYTES     8
#define PACKET_EXTENSIONS_MAX 4 /* IPv6 headers that are walked over */

/* Of the TCP header's byte 13. */
#define PACKET_TCP_FIN 0x01
#define PACKET_TCP_SYN 0x02
#define PACKET_TCP_RST 0x04
#define PACKET_TCP_ACK 0x10

/* What NEEDS_CSUM and GSO say in <linux/virtio_net.h>; UDP_L4 is younger than Debian 12's. */
#define PACKET_GSO_UDP_L4 5
#define PACKET_GSO_ECN	  0x80

struct packet {
	uint8_t *frame; /* borrowed */
	uint8_t *ip;
	size_t n_ip; /* by the IP header; bytes after it are no part of the packet */
	bool is_v6;
	uint8_t transport;	/* IPPROTO_TCP, _UDP, _ICMP; _ICMP also for ICMPv6 */
	size_t l4_at;		/* from @ip */
	size_t payload_at;	/* from @ip */
	size_t n_payload;	/* after the transport's header */
	bool is_partial;	/* the transport's checksum is left to the device */
	uint16_t segment_bytes; /* UDP: the payload is datagrams of this size; 0: one datagram */

	/* Host's byte order. ICMP: sport is the identifier, dport is 0. */
	uint16_t sport;
	uint16_t dport;
	uint8_t tcp_flags;
	uint32_t tcp_seq;
	uint32_t tcp_ack;
	uint16_t echo_sequence;
	bool echo_is_reply;
};

/* 0 (DROP_NONE) and *@p filled, or why not; then @p is undefined. @frame is not changed. */
enum drop_reason packet_parse(uint8_t *frame, size_t n, struct packet *p);

static inline size_t packet_addr_bytes(const struct packet *p)
{
	return p->is_v6 ? 16 : 4;
}

static inline uint8_t *packet_src(const struct packet *p)
{
	return p->ip + (p->is_v6 ? 8 : 12);
}

static inline uint8_t *packet_dst(const struct packet *p)
{
	return p->ip + (p->is_v6 ? 24 : 16);
}

/* Bytes of the frame that matter: virtio header and packet. */
static inline size_t packet_frame_bytes(const struct packet *p)
{
	return PACKET_VNET_BYTES + p->n_ip;
}

/* Where a packet comes from and goes to, in wire form: addresses of 4 or 16 bytes. */
struct packet_ends {
	const uint8_t *src;
	const uint8_t *dst;
	uint16_t sport;
	uint16_t dport;
};

/*
 * TCP only: new addresses and ports, checksums changed incrementally by the rule above, virtio
 * header untouched. The view's ports follow.
 */
void packet_rewrite(struct packet *p, const struct packet_ends *ends);

/* Does what a device would: a full checksum in place of a partial one, flag cleared. */
void packet_finish_checksum(struct packet *p);

/* The transport's checksum is right, as far as it can be told (partial ones are). */
bool packet_checksum_ok(const struct packet *p);
