/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * route_msg - what RouteAdvertiser carries (wire/adit.capnp), as values
 *
 * Declarative: a connector sends its whole set, in calls of at most
 * ROUTES_PER_CALL entries, each with the generation of the set; the last call
 * is marked. An unchanged set is repeated as one call with its hash only.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/uuid.h"

#define ROUTE_NETWORK_MAX 64 /* prefix text with NUL */
#define ROUTE_VNET_MAX	  64 /* name of a virtual network with NUL */
#define ROUTE_COMMENT_MAX 128
#define ROUTE_REASON_MAX  192
#define ROUTE_HASH_BYTES  32

/* A virtual network that the connector uses; "" is the edge's default network. */
struct vnet_entry {
	char name[ROUTE_VNET_MAX];
	char comment[ROUTE_COMMENT_MAX];
};

struct route_entry {
	char network[ROUTE_NETWORK_MAX]; /* "10.0.0.0/8" */
	char virtual_network[ROUTE_VNET_MAX];
	char comment[ROUTE_COMMENT_MAX];
};

/* A connector's whole set; both arrays are owned by whoever holds it. */
struct route_set {
	struct vnet_entry *vnets;
	size_t n_vnets;
	struct route_entry *routes;
	size_t n_routes;
	bool has_hash; /* it will not change any more */
	uint8_t hash[ROUTE_HASH_BYTES];
};

void route_set_deinit(struct route_set *set);
/* SHA-256 over a canonical form; order does not matter to it. */
void route_set_hash(const struct route_set *set, uint8_t out[ROUTE_HASH_BYTES]);
/* Has route_set_hash() answered at once from now on. */
void route_set_keep_hash(struct route_set *set);

/* The edge's answer to one entry. */
struct route_verdict {
	bool accepted;
	char reason[ROUTE_REASON_MAX]; /* "" when accepted */
};

/* One call as the edge receives it; @set's arrays hold this call's part only. */
struct route_call {
	struct uuid instance_id; /* of the connector's state file */
	uint64_t generation;
	uint8_t hash[ROUTE_HASH_BYTES];
	bool hash_only; /* "still this set" */
	bool last;
	struct route_set part;
};

/* The answer: verdicts for the vnets, then the routes of that call, in order. */
struct route_reply {
	bool send_all; /* hash unknown: send the whole set */
	const struct route_verdict *verdicts;
	size_t n_verdicts;
};
