/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* netlink_link - devices and their addresses. All return 0 or -errno, netlink_error() says more. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "tun/netlink_socket.h"

/* To be called while the device is down: without it a link-local address appears, with noise. */
int netlink_link_no_auto_address(struct netlink *nl, unsigned int index);
int netlink_link_set_mtu(struct netlink *nl, unsigned int index, uint32_t mtu);
int netlink_link_set_up(struct netlink *nl, unsigned int index);
/* -ENODEV if there is no such device (any more) in this network namespace. */
int netlink_link_is_up(struct netlink *nl, unsigned int index, bool *upp);

/* As /32 or /128, without a route of its own in main and without duplicate detection. */
int netlink_address_add(struct netlink *nl, unsigned int index, const struct ip_addr *ip);

/* The four above in the order that leaves no entry in main: MTU, no auto address, @ips, up. */
int netlink_device_set_up(struct netlink *nl, unsigned int index, uint32_t mtu,
			  const struct ip_addr *ips, size_t n_ips);
