/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * reachable - the part of the route table that a client can reach something in; pure
 *
 * A route is shown as the narrower of its prefix and the grant's that meets it. It is left out
 * when a policy blocks all of it for all that the grant allows; where an `allow` for less comes
 * first, that less is shown. Judged rule by rule: what only several rules together block is
 * shown, and ports aren't. decide() has the last word for each stream.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/uuid.h"
#include "routing/prefix.h"

struct edge_client;
struct edge_model;

#define REACHABLE_MAX 16384 /* as many as a client takes (client/routes_feed.h) */

struct reachable {
	struct uuid vnet;
	struct prefix prefix;
	bool is_up; /* a connector serves it now */
};

/* The empty value is { 0 }. */
struct reachable_set {
	struct reachable *items; /* by network's id, then prefix_compare(); no pair twice */
	size_t n;
	size_t cap;
	size_t n_left_out; /* over REACHABLE_MAX; a lower bound */
};

/* @vnet NULL: in all networks. Fills *@setp, which was empty. 0 or -ENOMEM. */
NODISCARD int reachable_find(const struct edge_model *m, const struct edge_client *client,
			     const struct uuid *vnet, struct reachable_set *setp);
void reachable_set_deinit(struct reachable_set *s);
/* The order of the items: <0, 0, >0. */
int reachable_compare(const struct reachable *a, const struct reachable *b);
