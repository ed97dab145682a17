/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* tun_listeners - the TCP listeners that captured connections end at, one per family */

#include <stdint.h>

#include "base/addr.h"
#include "base/diag.h"

#define TUN_LISTEN_BACKLOG 4096

struct tun_listeners {
	int fd4; /* owned; -1: none. Non-blocking, close-on-exec */
	int fd6;
	uint16_t port; /* the same for both */
};

#define TUN_LISTENERS_NONE                                                                         \
	{                                                                                          \
		.fd4 = -1, .fd6 = -1                                                               \
	}

/*
 * Listens on @ip4 and @ip6 (family 0: not that one) in the calling thread's network namespace.
 * @port 0: one that is free for both. Congestion control is cubic where it may be chosen. 0 or
 * -errno with the reason in @d, which may be NULL.
 */
int tun_listeners_open(struct tun_listeners *listenersp, const struct ip_addr *ip4,
		       const struct ip_addr *ip6, uint16_t port, struct diag *d);
void tun_listeners_close(struct tun_listeners *listeners);
