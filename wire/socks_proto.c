/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/socks_proto.h"

#include <string.h>

size_t socks_address_size(uint8_t type)
{
	return type == SOCKS_ADDRESS_IPV4 ? 4 : type == SOCKS_ADDRESS_IPV6 ? 16 : 0;
}

size_t socks_put_endpoint(const struct endpoint *ep, uint8_t *out)
{
	size_t n = ip_bits(&ep->ip) / 8;

	out[0] = ep->ip.family == AF_INET ? SOCKS_ADDRESS_IPV4 : SOCKS_ADDRESS_IPV6;
	memcpy(out + 1, ep->ip.bytes, n);
	out[1 + n] = (uint8_t)(ep->port >> 8);
	out[2 + n] = (uint8_t)ep->port;
	return n + 3;
}
