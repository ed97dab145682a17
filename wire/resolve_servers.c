/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/resolve_servers.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <ares.h>

#include "base/addr.h"
#include "base/err.h"

#define SERVERS_MAX 8

static int parse_server(const char *text, struct ares_addr_port_node *node)
{
	struct endpoint ep = {.port = NAMESERVER_PORT};

	if (ip_parse(text, &ep.ip) < 0 && endpoint_parse(text, &ep) < 0)
		return -EINVAL;
	node->family = ep.ip.family;
	if (ep.ip.family == AF_INET)
		memcpy(&node->addr.addr4, ep.ip.bytes, sizeof(node->addr.addr4));
	else
		memcpy(&node->addr.addr6, ep.ip.bytes, sizeof(node->addr.addr6));
	node->udp_port = ep.port;
	node->tcp_port = ep.port;
	return 0;
}

static int parse_servers(char *list, struct ares_addr_port_node nodes[SERVERS_MAX])
{
	size_t n = 0;
	char *text;

	while ((text = strsep(&list, ","))) {
		text += strspn(text, " ");
		text[strcspn(text, " ")] = '\0';
		if (n == SERVERS_MAX || parse_server(text, &nodes[n]) < 0)
			return -EINVAL;
		if (n > 0)
			nodes[n - 1].next = &nodes[n];
		n++;
	}
	return 0;
}

int resolve_servers_check(const char *servers)
{
	struct ares_addr_port_node nodes[SERVERS_MAX];
	char *list = xstrdup(servers);
	int result = parse_servers(list, nodes);

	free(list);
	return result;
}

int resolve_servers_set(struct ares_channeldata *channel, const char *servers)
{
	struct ares_addr_port_node nodes[SERVERS_MAX] = {0};
	char *list = xstrdup(servers);
	int result = parse_servers(list, nodes);

	free(list);
	if (result < 0)
		return result;
	return ares_set_servers_ports(channel, nodes) == ARES_SUCCESS ? 0 : -ENOMEM;
}
