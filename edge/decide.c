/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Order matters: what a client may not reach must look the same whether it exists or not,
 * so grants are asked before routes, and an unknown network is named only to clients that
 * may use some network. Network policies will be asked before grants.
 */
#include "edge/decide.h"

#include <string.h>

#include "routing/forbidden.h"

/* Wide prefixes never cover loopback, link-local and their like. */
static bool covers(const struct prefix *p, const struct ip_addr *ip)
{
	return prefix_contains_ip(p, ip) && (prefix_is_single(p) || !forbidden_range(ip));
}

static bool is_granted(const struct edge_client *c, const struct uuid *vnet,
		       const struct endpoint *ep)
{
	for (size_t i = 0; i < c->n_grants; i++) {
		const struct client_grant *g = &c->grants[i];

		if (uuid_equal(&g->vnet, vnet) && covers(&g->prefix, &ep->ip) &&
		    ports_contain(&g->ports, ep->port))
			return true;
	}
	return false;
}

static enum stream_error find_way(const struct edge_model *m, struct decision *d)
{
	const struct route *r =
		route_table_match(edge_model_routes(m), &d->vnet, &d->destination.ip);

	if (!r || !covers(&r->prefix, &d->destination.ip))
		return STREAM_ERROR_NO_ROUTE;
	d->route = *r;
	d->n_connectors = edge_route_connectors(m, r, d->connectors);
	return d->n_connectors > 0 ? STREAM_ERROR_NONE : STREAM_ERROR_CONNECTOR_DOWN;
}

enum stream_error decide(const struct edge_model *m, const struct edge_client *client,
			 const char *network, const struct endpoint *destination,
			 enum transport transport, struct decision *decisionp)
{
	const struct vnet *v = vnet_table_resolve(edge_model_vnets(m), network);
	struct decision *d = decisionp;

	*d = (struct decision){.destination = *destination, .transport = transport};
	d->destination.ip = ip_canonical(&destination->ip);
	if (client->n_grants == 0 || client->revoked_ms != 0) {
		d->reason = STREAM_ERROR_NOT_GRANTED;
	} else if (!v) {
		d->reason = STREAM_ERROR_NO_NETWORK;
	} else {
		d->vnet = v->id;
		d->reason = is_granted(client, &v->id, &d->destination) ? find_way(m, d)
									: STREAM_ERROR_NOT_GRANTED;
	}
	return d->reason;
}
