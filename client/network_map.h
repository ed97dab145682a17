/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * network_map - which virtual network an address belongs to, where one device serves several
 *
 * An immutable snapshot of the routes that the edge shows. Networks in it don't overlap: what of a
 * later network lies in, or around, a route of an earlier one is left out and reported.
 * Pure.
 */

#include <stddef.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/compiler.h"
#include "client/routes_feed.h"
#include "routing/prefix_set.h"

struct network_map;

/* Route @p of network @name is left out because of @other. Valid during the call. */
typedef void (*network_overlap_fn)(void *ctx, const struct prefix *p, const char *name,
				   const char *other);

/*
 * @routes: as routes_feed shows them, sorted by network. @selected: the networks to have, in
 * the order of their rights; none (0): all, in the order of @routes. @overlap may be NULL.
 * Everything is borrowed for the call. 0, or -ENOMEM.
 */
NODISCARD int network_map_new(struct network_map **mp, const struct feed_route *routes, size_t n,
			      char *const *selected, size_t n_selected, network_overlap_fn overlap,
			      void *ctx);
/* NULL is fine. Returns NULL. */
struct network_map *network_map_free(struct network_map *m);
DEFINE_CLEANUP(struct network_map *, network_map_free);

/* The name of the network that routes @ip, or NULL. Borrowed. An absent map (NULL) is empty. */
const char *network_map_find(const struct network_map *m, const struct ip_addr *ip);
/* All routes, not merged over networks. */
const struct prefix_set *network_map_routes(const struct network_map *m);

size_t network_map_size(const struct network_map *m);
/* The @i-th network's name, and its routes, minimal. */
const char *network_map_name(const struct network_map *m, size_t i);
const struct prefix_set *network_map_of(const struct network_map *m, size_t i);
