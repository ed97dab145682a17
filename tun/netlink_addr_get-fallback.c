/* SPDX-License-Identifier: Apache-2.0 */

/* Takes the place of netlink_addr_get.c where there is no libmnl. */

#include "tun/netlink_addr_get.h"

#include <errno.h>

#include "base/compiler.h"

int netlink_address_exists(const struct ip_addr *ip UNUSED, bool *existsp UNUSED)
{
	return -EOPNOTSUPP;
}
