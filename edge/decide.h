/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * decide - may this client reach that destination, and through whom?
 *
 * The only place where the edge says yes. Two layers, and both must let it pass: the network
 * policies in their order (the first match decides, no match passes), then the client's grants
 * (default deny: a client without one gets NOT_GRANTED for everything, whatever routes and
 * networks exist). A policy that allows only ends the first layer. Then the route is looked up.
 * Ranges of routing/forbidden.h are covered by single-address grants and routes only. Pure.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/uuid.h"
#include "edge/model.h"
#include "routing/route_table.h"
#include "routing/transport.h"
#include "wire/proto.h"

/* Who had the last word. */
enum decision_layer {
	DECISION_LAYER_NONE,	/* nothing was decided */
	DECISION_LAYER_POLICY,	/* a policy blocks it */
	DECISION_LAYER_GRANT,	/* a grant covers it: allowed; or none does */
	DECISION_LAYER_NETWORK, /* there is no such virtual network */
	DECISION_LAYER_ROUTE,	/* it might pass, but there is no way */
	DECISION_LAYER_N,
};

struct decision {
	enum stream_error reason;    /* NONE: allowed */
	struct endpoint destination; /* canonical; port 0 with TRANSPORT_ICMP */
	enum transport transport;
	struct uuid vnet; /* set when the network is known */
	enum decision_layer layer;
	char policy[EDGE_NAME_MAX]; /* the one that matched, whatever it said; "": none */
	uint32_t policy_position;   /* of that one; 0: none */
	struct uuid policy_id;
	struct prefix grant; /* the one that covers it; family 0: none, or not asked */
	struct route route;  /* the matched one; set when allowed or CONNECTOR_DOWN */
	size_t n_connectors; /* live ones that serve it: edge_route_connectors(); > 0 when allowed
			      */
};

/*
 * @network: name or id of a virtual network, NULL or "" for the default. @destination: as the
 * client asked for it. Fills all of *@decisionp and returns its reason: NONE, NOT_GRANTED (also
 * when a policy blocks: a client doesn't learn which), NO_NETWORK, NO_ROUTE or CONNECTOR_DOWN.
 */
enum stream_error decide(const struct edge_model *m, const struct edge_client *client,
			 const char *network, const struct endpoint *destination,
			 enum transport transport, struct decision *decisionp);

/* For people: "10.0.0.5:22", or "10.0.0.5" where there is no port. */
const char *decision_destination(const struct decision *d, char out[ENDPOINT_TEXT_MAX]);

/* "none", "policy", "grant", "network", "route". */
const char *decision_layer_name(enum decision_layer layer);

#define DECISION_RULE_MAX EDGE_NAME_MAX

/* The rule of the layer that decided: a policy's name, a grant's or route's prefix, "" for none. */
const char *decision_rule(const struct decision *d, char out[DECISION_RULE_MAX]);
