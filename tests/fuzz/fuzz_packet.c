/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Any bytes as a frame. What is accepted lies inside of the frame, rewriting there and back gives
 * the same bytes, a right checksum stays right, and what is built about a packet is a packet.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/require.h"
#include "tun/packet.h"
#include "tun/packet_build.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_view(const struct packet *p, size_t n)
{
	require(packet_frame_bytes(p) <= n);
	require(p->l4_at >= PACKET_V4_BYTES && p->l4_at < p->payload_at);
	require(p->payload_at + p->n_payload <= p->n_ip);
	require(packet_src(p) + packet_addr_bytes(p) <= p->ip + p->l4_at);
	require(packet_dst(p) + packet_addr_bytes(p) <= p->ip + p->l4_at);
}

/* Ones' complement has two zeros: compare what the packets say, not each byte of the sums. */
static void try_rewrite(struct packet *p, uint8_t *frame, size_t n)
{
	static const uint8_t other[2][16] = {{0xfd, 1, 2, 3, [15] = 4}, {0xff, 0xff, 9, 0}};
	uint8_t addrs[2][16];
	struct packet_ends back = {addrs[0], addrs[1], p->sport, p->dport};
	bool was_ok = packet_checksum_ok(p);
	bool was_partial = p->is_partial;
	struct packet again;

	memcpy(addrs[0], packet_src(p), packet_addr_bytes(p));
	memcpy(addrs[1], packet_dst(p), packet_addr_bytes(p));
	packet_rewrite(p, &(struct packet_ends){other[0], other[1], 1, 65535});
	require(packet_checksum_ok(p) == was_ok);
	packet_rewrite(p, &back);
	require(packet_checksum_ok(p) == was_ok);
	require(packet_parse(frame, n, &again) == DROP_NONE);
	require(again.sport == p->sport && again.dport == p->dport);
	require(again.is_partial == was_partial && again.n_ip == p->n_ip);
	require(memcmp(packet_src(&again), addrs[0], packet_addr_bytes(p)) == 0);
	require(memcmp(packet_dst(&again), addrs[1], packet_addr_bytes(p)) == 0);
}

static void try_reset(const struct packet *p, uint8_t *out)
{
	struct packet rst;

	if (p->tcp_flags & PACKET_TCP_RST)
		return;
	/* Addresses swapped: a packet to oneself from 240.0.0.1, say, can't be answered. */
	if (packet_parse(out, packet_build_rst(out, p), &rst) != DROP_NONE)
		return;
	require(packet_checksum_ok(&rst) && (rst.tcp_flags & PACKET_TCP_RST));
	require(rst.sport == p->dport && rst.dport == p->sport && !rst.n_payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const uint8_t source[16] = {10, 1, 1, 1};
	static uint8_t out[PACKET_FRAME_MAX];
	uint8_t *frame = malloc(n + 1);
	size_t n_quote;
	struct packet p;

	require(frame);
	if (n)
		memcpy(frame, data, n);
	if (packet_parse(frame, n, &p) == DROP_NONE) {
		check_view(&p, n);
		if (p.transport == IPPROTO_TCP) {
			try_rewrite(&p, frame, n);
			try_reset(&p, out);
		}
		n_quote = packet_build_icmp(out, source, (struct packet_icmp){3, 1}, &p);
		require(n_quote > PACKET_VNET_BYTES && n_quote <= PACKET_VNET_BYTES + 1248);
		packet_finish_checksum(&p);
		require(!p.is_partial);
	}
	free(frame);
	return 0;
}
