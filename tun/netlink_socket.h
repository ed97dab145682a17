/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * netlink_socket - one conversation with the kernel's routing
 *
 * Requests are synchronous: the kernel answers within the call. The right to change anything
 * needs CAP_NET_ADMIN both when the socket is opened and at each request, so a socket can't be
 * handed to a process without it. One thread at a time.
 */

#include "base/cleanup.h"

struct netlink;

/* In the calling thread's network namespace, where it stays. 0 or -errno. */
int netlink_open(struct netlink **nlp);
void netlink_close(struct netlink *nl);
DEFINE_CLEANUP(struct netlink *, netlink_close);

/* The kernel's own words about the last request that failed, or "". Valid until the next one. */
const char *netlink_error(const struct netlink *nl);
