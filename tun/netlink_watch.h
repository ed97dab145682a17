/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * netlink_watch - "the network changed, look again"
 *
 * A netlink socket of its own that hears of links, addresses, routes and rules. What the
 * messages say is not relied on: not every change is announced (IPv4 routes that die with
 * their link are not) and some get lost when there are many. So any message, and any loss,
 * only means: read anew what matters. Messages are gathered as tun/settle.h has it; one
 * reaction follows, however many there were.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/compiler.h"

struct netlink_watch;

enum netlink_topic {
	NETLINK_LINKS = 1 << 0,
	NETLINK_ADDRESSES = 1 << 1,
	NETLINK_ROUTES = 1 << 2,
	NETLINK_RULES = 1 << 3,
};

#define NETLINK_GONE_MAX 16

/* What was heard since the last look. */
struct netlink_change {
	unsigned int topics; /* of the messages that were read; a hint, for logs */
	uint64_t n_messages;
	bool lost; /* messages were dropped: anything may have changed */
	/* Indices of removed devices, the first few. A new device may have the index again. */
	unsigned int gone[NETLINK_GONE_MAX];
	size_t n_gone;
};

/* May call netlink_watch_free(). */
typedef void (*netlink_watch_cb)(void *ctx, const struct netlink_change *change);

/* Watches @topics (enum netlink_topic) of this network namespace. 0 or -errno. */
NODISCARD int netlink_watch_new(struct netlink_watch **wp, uv_loop_t *uv, unsigned int topics,
				netlink_watch_cb cb, void *ctx);
/* No more calls. Memory goes when the loop has closed its handles. NULL is fine. */
struct netlink_watch *netlink_watch_free(struct netlink_watch *w);
