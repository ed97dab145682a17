/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * decide - may this client reach that destination, and through whom?
 *
 * The only place where the edge says yes. Default deny: a client without a grant gets
 * NOT_GRANTED for everything, whatever routes and networks exist. Ranges of
 * routing/forbidden.h are covered by single-address grants and routes only. Pure.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/uuid.h"
#include "edge/model.h"
#include "routing/route_table.h"
#include "routing/transport.h"
#include "wire/proto.h"

struct decision {
	enum stream_error reason;    /* NONE: allowed */
	struct endpoint destination; /* canonical; port 0 with TRANSPORT_ICMP */
	enum transport transport;
	struct uuid vnet;   /* set when the network is known */
	struct route route; /* the matched one; set when allowed or CONNECTOR_DOWN */
	struct uuid connectors[EDGE_CONNECTORS_MAX]; /* live ones that serve it (client ids) */
	size_t n_connectors;			     /* > 0 when allowed */
};

/*
 * @network: name or id of a virtual network, NULL or "" for the default. @destination: as the
 * client asked for it. Fills all of *@decisionp and returns its reason: NONE, NOT_GRANTED,
 * NO_NETWORK, NO_ROUTE or CONNECTOR_DOWN.
 */
enum stream_error decide(const struct edge_model *m, const struct edge_client *client,
			 const char *network, const struct endpoint *destination,
			 enum transport transport, struct decision *decisionp);
