/* SPDX-License-Identifier: Apache-2.0 */
#include "tun/tun_addresses.h"

#include <errno.h>
#include <string.h>

#define ULA_FIRST_BYTE 0xfd /* RFC 4193: locally assigned */

/* Host part @number in the last byte; @ip has room there. */
static struct ip_addr numbered(const struct ip_addr *network, uint8_t number)
{
	struct ip_addr ip = *network;

	ip.bytes[ip_bits(&ip) / 8 - 1] |= number;
	return ip;
}

static void take_network(struct tun_addresses *a, const struct ip_addr *network)
{
	bool v4 = network->family == AF_INET;

	*(v4 ? &a->local4 : &a->local6) = numbered(network, 1);
	*(v4 ? &a->peer4 : &a->peer6) = numbered(network, 2);
}

struct tun_addresses tun_addresses_default(unsigned int instance, const uint8_t id[TUN_ULA_ID_SIZE])
{
	struct ip_addr v4 = {.family = AF_INET, .bytes = {100, 96, (uint8_t)instance, 0}};
	struct ip_addr v6 = {.family = AF_INET6, .bytes = {ULA_FIRST_BYTE}};
	struct tun_addresses a;

	memcpy(v6.bytes + 1, id, TUN_ULA_ID_SIZE);
	take_network(&a, &v4);
	take_network(&a, &v6);
	return a;
}

int tun_addresses_configure(struct tun_addresses *a, const struct prefix *prefix, struct diag *d)
{
	char text[PREFIX_TEXT_MAX];

	/* Network, L, P and, for IPv4, what used to be the broadcast address. */
	if (prefix->bits > ip_bits(&prefix->ip) - 2) {
		diag_add(d, DIAG_ERROR, 0,
			 "%s has no room for two addresses: a /%u or shorter is needed",
			 prefix_format(prefix, text), ip_bits(&prefix->ip) - 2);
		return -EINVAL;
	}
	take_network(a, &prefix->ip);
	return 0;
}
