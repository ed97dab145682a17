/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * netlink_cleanup - removes what an instance left in the kernel's routing
 *
 * Both families: rules with TUN_PROTOCOL that look up its table or have its local-networks
 * priority, then routes of its table with TUN_PROTOCOL. Foreign ones stay, also in that table.
 * Routes over a device of a dead process are gone by themselves; rules, "throw" and "unreachable"
 * routes are what stays behind.
 */

#include <stddef.h>

#include "tun/netlink_socket.h"
#include "tun/tun_numbers.h"

struct netlink_found {
	size_t n_rules;
	size_t n_routes;
};

/* *@foundp, which may be NULL: what was removed. Goes on after a failure; 0 or the first -errno. */
int netlink_cleanup(struct netlink *nl, const struct tun_numbers *numbers,
		    struct netlink_found *foundp);

/* Counts what netlink_cleanup() would remove. */
int netlink_count_own(struct netlink *nl, const struct tun_numbers *numbers,
		      struct netlink_found *foundp);
