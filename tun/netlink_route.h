/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * netlink_route - adit's own routes, and main's to look at
 *
 * Every route that is made here carries TUN_PROTOCOL. All return 0 or -errno; netlink_error() has
 * the kernel's words.
 */

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "routing/prefix.h"
#include "tun/netlink_socket.h"

enum netlink_route_kind {
	NETLINK_ROUTE_DEVICE,	   /* to the device */
	NETLINK_ROUTE_THROW,	   /* not in this table: look on at the next rule */
	NETLINK_ROUTE_UNREACHABLE, /* nowhere: fail closed */
};

struct netlink_route {
	enum netlink_route_kind kind;
	struct prefix prefix;
	uint32_t table;
	uint32_t metric;       /* 0: the kernel's default */
	unsigned int index;    /* DEVICE only */
	struct ip_addr source; /* DEVICE only: preferred source; family 0: the kernel picks */
	/* DEVICE only: TCP congestion control of sockets to there (NULL: the host's default). A
	 * kernel that doesn't have it gets the route without. */
	const char *congestion;
};

/* -EEXIST if that prefix, table and metric has a route, whosever it is. */
int netlink_route_add(struct netlink *nl, const struct netlink_route *route);
/* Adds, or takes the place of the route with the same prefix, table and metric. */
int netlink_route_replace(struct netlink *nl, const struct netlink_route *route);
/* Only one with TUN_PROTOCOL; -ESRCH if there is none. */
int netlink_route_delete(struct netlink *nl, const struct netlink_route *route);

/*
 * For a namespace of our own: @index becomes the way of all packets, by a default route of main in
 * the family of each of @sources, which is their source. @congestion as above.
 */
int netlink_route_all(struct netlink *nl, unsigned int index, const struct ip_addr *sources,
		      size_t n_sources, const char *congestion);

/* A route of the main table that is more specific than a default one. */
struct netlink_main_route {
	struct prefix prefix;
	char interface[IF_NAMESIZE]; /* "" if it has none (unreachable and its like, next hops) */
	struct ip_addr gateway;	     /* family 0: directly attached */
};

typedef void (*netlink_main_route_fn)(void *ctx, const struct netlink_main_route *route);

/*
 * Calls @fn for each unicast route of main, both families, but the default ones: with the rule
 * "local networks win" these beat a capture that contains or overlaps them. -EINTR: they changed
 * meanwhile, so that some may be missing or twice; ask again.
 */
int netlink_main_routes(struct netlink *nl, netlink_main_route_fn fn, void *ctx);
