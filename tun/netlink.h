/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* netlink - questions to the kernel's routing (libmnl); the only home of libmnl */

#include <net/if.h>

#include "base/addr.h"

struct netlink_path {
	char interface[IF_NAMESIZE];
	struct ip_addr source;	/* preferred source; family 0 if none */
	struct ip_addr gateway;	/* family 0: directly attached */
};

/*
 * How this host reaches @ip now (RTM_GETROUTE). 0, -ENETUNREACH/-EHOSTUNREACH when it
 * doesn't, or another -errno (no netlink here).
 */
int netlink_route_get(const struct ip_addr *ip, struct netlink_path *pathp);
