/* SPDX-License-Identifier: Apache-2.0 */
#include "client/proxy_request.h"

#include <string.h>

#include "routing/vnet.h"

bool proxy_host_is_valid(const char *host, size_t n)
{
	static const char others[] = "-._:"; /* the colon for IPv6 literals */

	if (n == 0 || n > HOST_NAME_MAX_LEN)
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = host[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

		if (!letter && !(c >= '0' && c <= '9') && (!c || !strchr(others, c)))
			return false;
	}
	return true;
}

bool proxy_network_is_valid(const char *name, size_t n)
{
	return n <= PROXY_NETWORK_MAX && vnet_name_is_visible(name, n);
}
