/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * tun_addresses - the client's own addresses: local (L) and peer (P), one of each family
 *
 * L is on the device. P exists nowhere: packets are rewritten to come from it, so that the kernel
 * takes them for another host's. Both are single addresses, no part of any capture.
 */

#include <stdint.h>

#include "base/addr.h"
#include "base/diag.h"
#include "routing/prefix.h"

#define TUN_RANGE4	"100.96.0.0/12" /* L4 = 100.96.<instance>.1, P4 = .2, unless configured */
#define TUN_ULA_ID_SIZE 7 /* random bytes after fd: global id and subnet of an ULA /64 */

struct tun_addresses {
	struct ip_addr local4;
	struct ip_addr peer4;
	struct ip_addr local6;
	struct ip_addr peer6;
};

/* The defaults. @id: TUN_ULA_ID_SIZE random bytes, so that two machines' differ. */
struct tun_addresses tun_addresses_default(unsigned int instance,
					   const uint8_t id[TUN_ULA_ID_SIZE]);

/*
 * Takes L and P from @prefix, its addresses 1 and 2, instead of the defaults of that family.
 * 0, or -EINVAL with the reason in @d (which may be NULL): IPv4 needs /30 or shorter, IPv6 /126.
 */
int tun_addresses_configure(struct tun_addresses *a, const struct prefix *prefix, struct diag *d);
