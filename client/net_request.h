/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * net_request - what may be asked of the helper that keeps CAP_NET_ADMIN, and whether it may be
 * done
 *
 * Five kinds, each of one size. A request says everything about what it wants, and the check
 * compares all of it with bounds that were fixed before privileges were dropped. Pure: no I/O here.
 */

#include <net/if.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "routing/prefix.h"
#include "tun/netlink_route.h"
#include "tun/netlink_rule.h"
#include "tun/tun_addresses.h"
#include "tun/tun_numbers.h"

#define NET_ROUTES_MAX	65536 /* that the helper has in the kernel at a time */
#define NET_DOMAINS_MAX 16
#define NET_DOMAINS_LEN 1024 /* of the names with a space between them, and a NUL */
#define NET_BOUNDS_MAX	4096 /* prefixes */

enum net_request_kind {
	NET_REQUEST_ROUTE_ADD = 1,
	NET_REQUEST_ROUTE_DELETE,
	NET_REQUEST_RULE_ADD,
	NET_REQUEST_RULE_DELETE,
	NET_REQUEST_DNS_SET,
};

/* Between two processes of one program on one machine: native order, no padding. */
struct net_route_body {
	uint8_t ip[16];
	uint32_t table;
	uint32_t index; /* 0: throw */
	uint8_t family;
	uint8_t bits;
	uint8_t protocol;
	uint8_t route_kind; /* enum netlink_route_kind */
};

struct net_rule_body {
	uint32_t table; /* that is looked up: adit's, or main */
	uint32_t priority;
	uint8_t family;
	uint8_t protocol;
	uint8_t rule_kind; /* enum netlink_rule_kind */
	uint8_t zero;
};

struct net_dns_body {
	uint32_t index;
	uint8_t server_family; /* 0: take all DNS settings of the device back */
	uint8_t zero[3];
	uint8_t server[16];
	char domains[NET_DOMAINS_LEN]; /* "corp.example lab.example", the rest NUL */
};

struct net_request {
	uint32_t kind;
	uint32_t id; /* comes back with the answer */
	union {
		struct net_route_body route;
		struct net_rule_body rule;
		struct net_dns_body dns;
	};
};

#define NET_REPLY_TEXT 96

struct net_reply {
	uint32_t id;
	int32_t result;		   /* 0 or -errno */
	char text[NET_REPLY_TEXT]; /* says more, or "" */
};

/* What the helper is there for. */
struct net_bounds {
	struct tun_numbers numbers;
	unsigned int index; /* of adit's device */
	char device[IF_NAMESIZE];
	struct tun_addresses addresses; /* local: sources of routes; peer: the DNS server */
	/* Routes to the device lie inside one of these, or are a peer address. */
	const struct prefix *prefixes;
	size_t n_prefixes;
};

/* Fill *@requestp but for the id. Text of @domains: 0, or -EINVAL (too many, too long, no names).
 */
void net_request_route(struct net_request *requestp, enum net_request_kind kind,
		       const struct net_bounds *bounds, enum netlink_route_kind route_kind,
		       const struct prefix *prefix);
void net_request_rule(struct net_request *requestp, enum net_request_kind kind,
		      const struct net_bounds *bounds, enum netlink_rule_kind rule_kind,
		      uint8_t family);
int net_request_dns(struct net_request *requestp, const struct net_bounds *bounds,
		    const char *const *domains, size_t n_domains);

/* Bytes that a request of @kind has on the socket; 0 for an unknown kind. */
size_t net_request_size(uint32_t kind);

/*
 * NULL if @n bytes at @data are a request that may be carried out, copied to *@requestp; or the
 * reason against it, a constant text. Any bytes may be passed.
 */
const char *net_request_check(const struct net_bounds *bounds, const void *data, size_t n,
			      struct net_request *requestp);

/* What a checked request means. */
struct netlink_route net_request_to_route(const struct net_request *request,
					  const struct net_bounds *bounds);
/* Splits domains in place; returns their number, at most NET_DOMAINS_MAX. */
size_t net_request_to_domains(struct net_request *request, char *namesp[NET_DOMAINS_MAX]);
