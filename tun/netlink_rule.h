/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * netlink_rule - adit's two rules per family. Both carry TUN_PROTOCOL.
 *
 *   priority_local  lookup main suppress_prefixlength 0   local networks win over captures
 *   priority        lookup <table>                        captures
 */

#include <stdint.h>

#include "tun/netlink_socket.h"
#include "tun/tun_numbers.h"

enum netlink_rule_kind {
	NETLINK_RULE_CAPTURE,
	NETLINK_RULE_LOCAL_FIRST,
};

/* @family: AF_INET or AF_INET6. 0 or -errno: -EEXIST if it is there already. */
int netlink_rule_add(struct netlink *nl, const struct tun_numbers *numbers,
		     enum netlink_rule_kind kind, uint8_t family);
/* -ENOENT if it isn't there. */
int netlink_rule_delete(struct netlink *nl, const struct tun_numbers *numbers,
			enum netlink_rule_kind kind, uint8_t family);
