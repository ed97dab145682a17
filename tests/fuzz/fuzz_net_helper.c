/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Requests to the helper that keeps CAP_NET_ADMIN. Whatever passes the check is one of the few
 * things that it is there for, judged here once more and differently.
 */

#include <stdlib.h>
#include <string.h>

#include "client/net_request.h"
#include "tests/fuzz/require.h"

#define DEVICE 7

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void fill_bounds(struct net_bounds *bounds, struct prefix prefixes[2])
{
	static const uint8_t id[TUN_ULA_ID_SIZE] = {1, 2, 3, 4, 5, 6, 7};

	require(prefix_parse("10.0.0.0/8", &prefixes[0]) == 0);
	require(prefix_parse("2001:db8::/32", &prefixes[1]) == 0);
	*bounds = (struct net_bounds){.numbers = tun_numbers_of(0),
				      .index = DEVICE,
				      .addresses = tun_addresses_default(0, id),
				      .prefixes = prefixes,
				      .n_prefixes = 2};
}

static void check_route(const struct net_bounds *bounds, const struct net_request *request)
{
	struct netlink_route route = net_request_to_route(request, bounds);
	char text[PREFIX_TEXT_MAX];
	struct prefix again;

	/* A prefix without host bits, and printable. */
	require(prefix_parse(prefix_format(&route.prefix, text), &again) == 0 ||
		route.prefix.ip.family == AF_INET6);
	require(route.table == TUN_TABLE && request->route.protocol == TUN_PROTOCOL);
	if (route.kind == NETLINK_ROUTE_DEVICE) {
		const uint8_t *ip = route.prefix.ip.bytes;

		require(route.index == DEVICE && route.prefix.bits >= 8);
		if (route.prefix.ip.family == AF_INET)
			require(ip[0] == 10 || (ip[0] == 100 && route.prefix.bits == 32));
		else
			require((ip[0] == 0x20 && route.prefix.bits >= 32) ||
				(ip[0] == 0xfd && route.prefix.bits == 128));
	} else {
		require(route.kind == NETLINK_ROUTE_THROW && prefix_is_single(&route.prefix));
		require(route.index == 0);
	}
}

static void check_dns(struct net_request *request)
{
	char *names[NET_DOMAINS_MAX];
	size_t n = net_request_to_domains(request, names);

	require(n <= NET_DOMAINS_MAX && (n > 0) == (request->dns.server_family != 0));
	for (size_t i = 0; i < n; i++) {
		require(*names[i] && strlen(names[i]) <= HOST_NAME_MAX_LEN);
		require(names[i][0] != '-' && names[i][0] != '.');
		require(!strpbrk(names[i], " \t\n~/;$`'\"\\"));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct net_request request;
	struct prefix prefixes[2];
	struct net_bounds bounds;

	fill_bounds(&bounds, prefixes);
	if (net_request_check(&bounds, data, n, &request))
		return 0;
	switch (request.kind) {
	case NET_REQUEST_ROUTE_ADD:
	case NET_REQUEST_ROUTE_DELETE:
		check_route(&bounds, &request);
		break;
	case NET_REQUEST_RULE_ADD:
	case NET_REQUEST_RULE_DELETE:
		require(request.rule.priority == TUN_PRIORITY ||
			request.rule.priority == TUN_PRIORITY + 1);
		require(request.rule.table == TUN_TABLE || request.rule.table == 254);
		break;
	case NET_REQUEST_DNS_SET:
		check_dns(&request);
		break;
	default:
		abort();
	}
	return 0;
}
