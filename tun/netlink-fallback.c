/* SPDX-License-Identifier: Apache-2.0 */

/* Takes the place of netlink.c where there is no libmnl: nothing is known of the host's routes. */

#include "tun/netlink.h"

#include <errno.h>

#include "base/compiler.h"

int netlink_route_get(const struct ip_addr *ip UNUSED, struct netlink_path *pathp UNUSED)
{
	return -EOPNOTSUPP;
}

/* Nobody was asked, so nobody said it. */
bool netlink_says_no_route(int r UNUSED)
{
	return false;
}
