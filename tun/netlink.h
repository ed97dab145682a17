/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* netlink - questions to the kernel's routing (libmnl); the only home of libmnl */

#include <net/if.h>
#include <stdbool.h>

#include "base/addr.h"

struct netlink_path {
	char interface[IF_NAMESIZE]; /* "" if it has none */
	struct ip_addr source;	     /* preferred source; family 0 if none */
	struct ip_addr gateway;	     /* family 0: directly attached */
};

/*
 * How this host reaches @ip now (RTM_GETROUTE). Synchronous: the kernel answers
 * at once. 0, or -errno: netlink_says_no_route() tells whether that is the answer.
 */
int netlink_route_get(const struct ip_addr *ip, struct netlink_path *pathp);
/* No route, or an "unreachable", "prohibit" or "blackhole" one. */
bool netlink_says_no_route(int r);
