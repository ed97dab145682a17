/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* netlink_addr_get - has this host that address? */

#include <stdbool.h>

#include "base/addr.h"

/*
 * *@existsp: @ip is an address of a device, or the main lookup delivers it locally (all of
 * 127.0.0.0/8, "local" routes). Synchronous, in this network namespace. 0 or -errno.
 */
int netlink_address_exists(const struct ip_addr *ip, bool *existsp);
