/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * packet_build - frames of our own: zero virtio header, full checksums, hop limit 64
 *
 * Each writes one whole frame into @out of PACKET_FRAME_MAX bytes and returns its length; 0 if it
 * wouldn't fit in an IP packet of 65,535 bytes. Addresses are 4 or 16 bytes by @is_v6, ports of
 * the host's byte order. @out must not overlap what is read.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tun/packet.h"

/* RFC 792: 548 bytes leave the ICMPv4 message at 576; RFC 4443: at most 1280 for ICMPv6. */
#define PACKET_QUOTE_V4_BYTES 548
#define PACKET_QUOTE_V6_BYTES 1200

#define PACKET_UDP_PAYLOAD_MAX_V4 (PACKET_IP_BYTES_MAX - PACKET_V4_BYTES - PACKET_UDP_BYTES)
#define PACKET_UDP_PAYLOAD_MAX_V6 (PACKET_IP_BYTES_MAX - PACKET_V6_BYTES - PACKET_UDP_BYTES)

/* ICMP type and code of one error, per family. */
struct packet_icmp {
	uint8_t type;
	uint8_t code;
};

size_t packet_build_udp(uint8_t *out, bool is_v6, const struct packet_ends *ends,
			const uint8_t *payload, size_t n);

/* Type and code say what: echo reply (0/0, 129/0) or request; the ports of @ends are not used. */
size_t packet_build_echo(uint8_t *out, bool is_v6, const struct packet_ends *ends,
			 struct packet_icmp kind, uint16_t id, uint16_t sequence,
			 const uint8_t *payload, size_t n);

/*
 * The RST that ends @p's connection as if from its destination (RFC 9293 3.10.7.1): of a packet
 * without ACK it acknowledges everything, SYN and data included. @p must not be a RST.
 */
size_t packet_build_rst(uint8_t *out, const struct packet *p);

/* An ICMP error from @source to @p's source about @p, quoting its first 548 or 1200 bytes. */
size_t packet_build_icmp(uint8_t *out, const uint8_t *source, struct packet_icmp kind,
			 const struct packet *p);
