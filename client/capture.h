/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * capture - packets of a TUN device, carried to the edge as streams
 *
 * The engine that `adit up` and `adit exec` share. tun/nat.h decides about packets, keeper has the
 * link to the edge, this joins them:
 *
 *   TCP   a held SYN is asked for as a CONNECT. Refused: the application hears so. Accepted: the
 *         SYN goes on to the listener, and the accepted socket is joined with the stream. While
 *         there is no link to the edge the question waits for the next try.
 *   UDP   one capsule stream per flow. What a refused flow's application sends goes on being
 *         answered from memory for CAPTURE_REFUSED_MS before the edge is asked again.
 *   ping  the same with adit-echo streams; an echo is answered when the far side answered.
 *
 * Nothing here needs a privilege, and nothing blocks. Loop thread only.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "tun/nat.h"

struct capture;
struct io_loop;
struct json_t; /* jansson's */
struct keeper;
struct prefix_set;
struct tun_addresses;

#define CAPTURE_REFUSED_MS 1000

/*
 * A service on our own address P: what is sent to it stays in this process. Both must be set.
 */
struct capture_local {
	uint16_t port; /* UDP and TCP */
	/* A datagram; answers go out by capture_answer() with @flow until it is gone. */
	void (*on_datagram)(void *ctx, struct capture *c, struct nat_flow *flow,
			    const uint8_t *data, size_t n);
	/* @flow will be gone when this returns. */
	void (*on_datagram_gone)(void *ctx, struct nat_flow *flow);
	/* A TCP connection; @fd is owned from here on. */
	void (*on_connection)(void *ctx, int fd);
};

struct capture_options {
	struct io_loop *loop;
	struct keeper *keeper;
	int user_fd;	/* device A; borrowed, as all descriptors here */
	int private_fd; /* device B; -1: the one-device form */
	int listen4_fd; /* -1: none */
	int listen6_fd;
	const struct nat_config *nat; /* addresses, limits, seed */
	const char *token;
	/*
	 * The virtual network that serves @ip: 0 with *@networkp (NULL: the edge's default; valid
	 * until the loop turns), or -ENETUNREACH if none does: then the edge isn't asked.
	 */
	int (*network_of)(void *ctx, const struct ip_addr *ip, const char **networkp);
	/* The device is gone or was set down: nothing comes any more. Once. */
	void (*on_broken)(void *ctx, int error);
	const struct capture_local *local; /* NULL: none */
	void *local_ctx;
};

/*
 * The addresses of @a, listeners on @port at the local ones, a random seed; the rest as
 * nat_config_init() has it.
 */
void capture_nat_config(struct nat_config *n, const struct tun_addresses *a, uint16_t port);

/* Starts reading. @opt is copied, what it points to borrowed. 0 or -errno. */
NODISCARD int capture_new(struct capture **cp, const struct capture_options *opt, void *ctx);
/* Ends all flows: connections are reset. Handles close on the loop. NULL is fine. */
void capture_free(struct capture *c);

/*
 * Flows to destinations outside of @captured (minimal) end now, those to our own addresses don't:
 * TCP by reset. To be called while their routes are still there, or the resets would get lost.
 */
void capture_leave(struct capture *c, const struct prefix_set *captured);

/*
 * For nat_config.is_local, where applications are in this process's network namespace: an address
 * of this machine. False as well if the kernel can't be asked.
 */
bool capture_source_is_local(void *capture, const struct ip_addr *source);

/* For capture_local: @data goes to the application of @flow, from where it sent to. */
void capture_answer(struct capture *c, struct nat_flow *flow, const uint8_t *data, size_t n);

/* Flows, packets and drops for `adit up --status`; a new reference. */
struct json_t *capture_json(const struct capture *c);
