/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * route_table - which tunnel owns which prefix of which virtual network
 *
 * An immutable snapshot: made of all routes at once, looked up any number of times,
 * replaced as a whole by one with a higher version. Longest match wins. One owner per
 * (network, prefix). No I/O, no locks; under 80 bytes per route, and under 200 while it is made.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/uuid.h"
#include "routing/prefix.h"

struct route_table;

struct route {
	struct uuid vnet;
	struct uuid tunnel; /* the owner */
	struct prefix prefix;
	bool by_operator;   /* set by hand: every connector of the tunnel serves it */
	bool is_advertised; /* sent by connectors of the tunnel, live or held */
};

/*
 * @routes is copied, in any order, at most UINT32_MAX - 1 (else -E2BIG). Entries of one owner for
 * one (network, prefix) become one with both origins; of several owners the operator's route stays,
 * else the first. 0, -E2BIG or -ENOMEM.
 */
NODISCARD int route_table_new(struct route_table **tablep, const struct route *routes, size_t n);
/*
 * The same in place of *@tablep (NULL: none yet), which is freed, with the pointers into it. The
 * version is one more than the former one's. On failure *@tablep stays.
 */
NODISCARD int route_table_replace(struct route_table **tablep, const struct route *routes,
				  size_t n);
/* NULL is fine. Returns NULL. */
struct route_table *route_table_free(struct route_table *t);
DEFINE_CLEANUP(struct route_table *, route_table_free);

/* Results point into the table. An absent table (NULL) is an empty one. */
size_t route_table_size(const struct route_table *t);
/* Grows with each replacement, starting from 1; 0 for NULL. */
uint64_t route_table_version(const struct route_table *t);
/* What the table takes of memory, in bytes. */
size_t route_table_bytes(const struct route_table *t);
/* By network, then prefix_compare(); @i below the size. */
const struct route *route_table_at(const struct route_table *t, size_t i);

/* The longest prefix of @vnet that holds @ip (canonical), or NULL. */
const struct route *route_table_match(const struct route_table *t, const struct uuid *vnet,
				      const struct ip_addr *ip);
/* The route of exactly @prefix, or NULL. */
const struct route *route_table_find(const struct route_table *t, const struct uuid *vnet,
				     const struct prefix *prefix);

enum route_conflict {
	ROUTE_CONFLICT_NONE,
	ROUTE_CONFLICT_OWNED,  /* another tunnel has the same prefix */
	ROUTE_CONFLICT_INSIDE, /* the prefix lies inside another tunnel's */
	ROUTE_CONFLICT_AROUND, /* the prefix holds another tunnel's */
};

/*
 * What stands in the way of @tunnel having @prefix; the first of the order above. *@otherp
 * is the route in question (untouched with NONE): the nearest one around, the first one inside.
 */
enum route_conflict route_table_conflict(const struct route_table *t, const struct uuid *vnet,
					 const struct prefix *prefix, const struct uuid *tunnel,
					 const struct route **otherp);
