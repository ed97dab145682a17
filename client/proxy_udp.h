/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * proxy_udp - one SOCKS UDP association: a local UDP socket and its flows through the edge
 *
 * One flow per destination, at most PROXY_UDP_FLOWS_MAX; the one that was used longest ago makes
 * room for another. A flow ends after PROXY_UDP_IDLE_MS of silence. Datagrams may be lost: what
 * finds no room, comes from elsewhere than the client, or is broken is dropped without a word,
 * as RFC 1928 section 7 has it.
 */

#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"

struct io_loop;
struct keeper;
struct proxy_udp;
struct resolver;

#define PROXY_UDP_FLOWS_MAX 256
#define PROXY_UDP_IDLE_MS   210000 /* as long as the agent keeps one */

/* All pointers are borrowed for its life. */
struct proxy_udp_options {
	struct io_loop *loop;
	struct resolver *resolver;
	struct keeper *keeper;
	const char *token;
	const char *network;	/* NULL: the edge's default */
	struct endpoint local;	/* of the TCP connection: the address to listen on */
	struct endpoint client; /* of the TCP connection: only its address may send */
	uint16_t client_port;	/* that the client will send from; 0: its first datagram says */
};

/* @boundp: where the client has to send to. 0 or -errno. */
NODISCARD int proxy_udp_new(struct proxy_udp **up, const struct proxy_udp_options *opt,
			    struct endpoint *boundp);
/* Ends all flows; memory goes when the loop has let go of the handles. NULL is fine. */
void proxy_udp_free(struct proxy_udp *u);
