/* SPDX-License-Identifier: Apache-2.0 */
#include "client/net_request.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/compiler.h"

#define LABEL_MAX 63 /* RFC 1035, 2.3.4 */

#define HEAD_SIZE offsetof(struct net_request, route)

_Static_assert(sizeof(struct net_route_body) == 28, "no padding");
_Static_assert(sizeof(struct net_rule_body) == 12, "no padding");
_Static_assert(sizeof(struct net_dns_body) == 24 + NET_DOMAINS_LEN, "no padding");

/* A name is lower-case letters, digits, '-' and '_' between dots: nothing a program could mistake
 * for an option, and no final dot. */
static bool is_label(const char *s, size_t n)
{
	if (n == 0 || n > LABEL_MAX || s[0] == '-' || s[n - 1] == '-')
		return false;
	for (size_t i = 0; i < n; i++)
		if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9') || s[i] == '-' ||
		      s[i] == '_'))
			return false;
	return true;
}

static bool is_domain(const char *s, size_t n)
{
	if (n > HOST_NAME_MAX_LEN)
		return false;
	for (;;) {
		const char *dot = memchr(s, '.', n);
		size_t n_label = dot ? (size_t)(dot - s) : n;

		if (!is_label(s, n_label))
			return false;
		if (!dot)
			return true;
		s += n_label + 1;
		n -= n_label + 1;
	}
}

/* One space between names, one NUL at least, and NULs to the end. */
static const char *check_domains(const char domains[NET_DOMAINS_LEN])
{
	size_t n = strnlen(domains, NET_DOMAINS_LEN);
	size_t count = 0;

	for (size_t i = n; i < NET_DOMAINS_LEN; i++)
		if (domains[i])
			return "bytes behind the names";
	if (n == NET_DOMAINS_LEN)
		return "names without an end";
	for (size_t at = 0;;) {
		const char *space = memchr(domains + at, ' ', n - at);
		size_t n_name = space ? (size_t)(space - domains) - at : n - at;

		if (++count > NET_DOMAINS_MAX)
			return "too many names";
		if (!is_domain(domains + at, n_name))
			return "not a name";
		if (!space)
			return NULL;
		at += n_name + 1;
	}
}

static const char *check_prefix(const struct net_route_body *body, struct prefix *p)
{
	struct prefix cut;

	*p = (struct prefix){.ip.family = body->family, .bits = body->bits};
	if (body->family != AF_INET && body->family != AF_INET6)
		return "neither IPv4 nor IPv6";
	if (body->bits > ip_bits(&p->ip))
		return "prefix length";
	for (size_t i = ip_bits(&p->ip) / 8; i < sizeof(body->ip); i++)
		if (body->ip[i])
			return "bytes behind the address";
	memcpy(p->ip.bytes, body->ip, sizeof(p->ip.bytes));
	cut = prefix_around(&p->ip, body->bits);
	return prefix_equal(p, &cut) ? NULL : "host bits";
}

static bool is_peer(const struct net_bounds *bounds, const struct prefix *p)
{
	return prefix_is_single(p) && (ip_equal(&p->ip, &bounds->addresses.peer4) ||
				       ip_equal(&p->ip, &bounds->addresses.peer6));
}

static bool is_inside(const struct net_bounds *bounds, const struct prefix *p)
{
	for (size_t i = 0; i < bounds->n_prefixes; i++)
		if (prefix_contains(&bounds->prefixes[i], p))
			return true;
	return is_peer(bounds, p);
}

static const char *check_route(const struct net_bounds *bounds, const struct net_request *request)
{
	const struct net_route_body *body = &request->route;
	struct prefix p;
	const char *why = check_prefix(body, &p);

	if (why)
		return why;
	if (body->table != bounds->numbers.table)
		return "another table";
	if (body->protocol != TUN_PROTOCOL)
		return "another protocol number";
	switch (body->route_kind) {
	case NETLINK_ROUTE_DEVICE:
		if (body->index != bounds->index)
			return "another device";
		return is_inside(bounds, &p) ? NULL : "outside the configured prefixes";
	case NETLINK_ROUTE_THROW:
		if (body->index)
			return "throw with a device";
		return prefix_is_single(&p) ? NULL : "throw of more than one address";
	default:
		return "kind of route";
	}
}

static const char *check_rule(const struct net_bounds *bounds, const struct net_request *request)
{
	const struct net_rule_body *body = &request->rule;

	if (body->family != AF_INET && body->family != AF_INET6)
		return "neither IPv4 nor IPv6";
	if (body->protocol != TUN_PROTOCOL || body->zero)
		return "another protocol number";
	switch (body->rule_kind) {
	case NETLINK_RULE_CAPTURE:
		return body->table == bounds->numbers.table &&
				       body->priority == bounds->numbers.priority
			       ? NULL
			       : "another lookup than adit's";
	case NETLINK_RULE_LOCAL_FIRST:
		return body->table == TUN_TABLE_MAIN &&
				       body->priority == bounds->numbers.priority_local
			       ? NULL
			       : "another rule for local networks than adit's";
	default:
		return "kind of rule";
	}
}

static bool is_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

static const char *check_dns(const struct net_bounds *bounds, const struct net_request *request)
{
	const struct net_dns_body *body = &request->dns;
	struct ip_addr server = {.family = body->server_family};

	if (body->index != bounds->index)
		return "another device";
	if (!is_zero(body->zero, sizeof(body->zero)))
		return "reserved bytes";
	if (!server.family)
		return is_zero(body->server, sizeof(body->server)) &&
				       is_zero((const uint8_t *)body->domains, NET_DOMAINS_LEN)
			       ? NULL
			       : "taking back with a server or names";
	memcpy(server.bytes, body->server, sizeof(server.bytes));
	if (!ip_equal(&server, &bounds->addresses.peer4) &&
	    !ip_equal(&server, &bounds->addresses.peer6))
		return "another DNS server than adit's stub";
	return check_domains(body->domains);
}

static const struct {
	size_t n_body;
	const char *(*check)(const struct net_bounds *bounds, const struct net_request *request);
} kinds[] = {
	[NET_REQUEST_ROUTE_ADD] = {sizeof(struct net_route_body), check_route},
	[NET_REQUEST_ROUTE_DELETE] = {sizeof(struct net_route_body), check_route},
	[NET_REQUEST_RULE_ADD] = {sizeof(struct net_rule_body), check_rule},
	[NET_REQUEST_RULE_DELETE] = {sizeof(struct net_rule_body), check_rule},
	[NET_REQUEST_DNS_SET] = {sizeof(struct net_dns_body), check_dns},
};

size_t net_request_size(uint32_t kind)
{
	return kind < ARRAY_SIZE(kinds) && kinds[kind].check ? HEAD_SIZE + kinds[kind].n_body : 0;
}

const char *net_request_check(const struct net_bounds *bounds, const void *data, size_t n,
			      struct net_request *requestp)
{
	if (n < HEAD_SIZE || n > sizeof(*requestp))
		return "size";
	memset(requestp, 0, sizeof(*requestp));
	memcpy(requestp, data, n);
	if (!net_request_size(requestp->kind))
		return "unknown kind";
	if (n != net_request_size(requestp->kind))
		return "size";
	return kinds[requestp->kind].check(bounds, requestp);
}

void net_request_route(struct net_request *requestp, enum net_request_kind kind,
		       const struct net_bounds *bounds, enum netlink_route_kind route_kind,
		       const struct prefix *prefix)
{
	memset(requestp, 0, sizeof(*requestp));
	requestp->kind = kind;
	requestp->route = (struct net_route_body){
		.table = bounds->numbers.table,
		.index = route_kind == NETLINK_ROUTE_DEVICE ? bounds->index : 0,
		.family = prefix->ip.family,
		.bits = prefix->bits,
		.protocol = TUN_PROTOCOL,
		.route_kind = (uint8_t)route_kind,
	};
	memcpy(requestp->route.ip, prefix->ip.bytes, ip_bits(&prefix->ip) / 8);
}

void net_request_rule(struct net_request *requestp, enum net_request_kind kind,
		      const struct net_bounds *bounds, enum netlink_rule_kind rule_kind,
		      uint8_t family)
{
	bool local = rule_kind == NETLINK_RULE_LOCAL_FIRST;

	memset(requestp, 0, sizeof(*requestp));
	requestp->kind = kind;
	requestp->rule = (struct net_rule_body){
		.table = local ? TUN_TABLE_MAIN : bounds->numbers.table,
		.priority = local ? bounds->numbers.priority_local : bounds->numbers.priority,
		.family = family,
		.protocol = TUN_PROTOCOL,
		.rule_kind = (uint8_t)rule_kind,
	};
}

/* Appends lower case, without the final dot. */
static int append_domain(char out[NET_DOMAINS_LEN], size_t *usedp, const char *name)
{
	size_t n = strlen(name);
	size_t start;

	if (n && name[n - 1] == '.')
		n--;
	if (n == 0 || n > HOST_NAME_MAX_LEN || *usedp + (*usedp > 0) + n >= NET_DOMAINS_LEN)
		return -EINVAL;
	if (*usedp)
		out[(*usedp)++] = ' ';
	start = *usedp;
	for (size_t i = 0; i < n; i++) {
		char c = name[i];

		out[(*usedp)++] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
	}
	/* Of its own: a space in it would make two of it. */
	return is_domain(out + start, n) ? 0 : -EINVAL;
}

int net_request_dns(struct net_request *requestp, const struct net_bounds *bounds,
		    const char *const *domains, size_t n_domains)
{
	struct net_dns_body *body = &requestp->dns;
	const struct ip_addr *server = bounds->addresses.peer4.family ? &bounds->addresses.peer4
								      : &bounds->addresses.peer6;
	size_t used = 0;

	memset(requestp, 0, sizeof(*requestp));
	requestp->kind = NET_REQUEST_DNS_SET;
	body->index = bounds->index;
	if (n_domains == 0)
		return 0;
	body->server_family = server->family;
	memcpy(body->server, server->bytes, ip_bits(server) / 8);
	for (size_t i = 0; i < n_domains; i++)
		if (append_domain(body->domains, &used, domains[i]) < 0)
			return -EINVAL;
	return check_domains(body->domains) ? -EINVAL : 0;
}

struct netlink_route net_request_to_route(const struct net_request *request,
					  const struct net_bounds *bounds)
{
	const struct net_route_body *body = &request->route;
	struct netlink_route route = {
		.kind = (enum netlink_route_kind)body->route_kind,
		.prefix.ip.family = body->family,
		.prefix.bits = body->bits,
		.table = bounds->numbers.table,
	};

	memcpy(route.prefix.ip.bytes, body->ip, sizeof(route.prefix.ip.bytes));
	if (route.kind == NETLINK_ROUTE_DEVICE) {
		route.index = bounds->index;
		route.source = body->family == AF_INET ? bounds->addresses.local4
						       : bounds->addresses.local6;
		route.congestion = TUN_CONGESTION;
	}
	return route;
}

size_t net_request_to_domains(struct net_request *request, char *namesp[NET_DOMAINS_MAX])
{
	char *rest = request->dns.domains;
	size_t n = 0;

	while (rest && *rest && n < NET_DOMAINS_MAX)
		namesp[n++] = strsep(&rest, " ");
	return n;
}
