/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Order matters: what a client may not reach must look the same whether it exists or not, so
 * policies and grants are asked before routes, and an unknown network is named only to clients
 * that may use some network.
 */
#include "edge/decide.h"

#include <stdio.h>
#include <string.h>

#include "routing/forbidden.h"

static const char *const layer_names[DECISION_LAYER_N] = {
	[DECISION_LAYER_NONE] = "none",	  [DECISION_LAYER_POLICY] = "policy",
	[DECISION_LAYER_GRANT] = "grant", [DECISION_LAYER_NETWORK] = "network",
	[DECISION_LAYER_ROUTE] = "route",
};

const char *decision_destination(const struct decision *d, char out[ENDPOINT_TEXT_MAX])
{
	const struct endpoint *ep = &d->destination;

	return ep->port ? endpoint_format(ep, out) : ip_format(&ep->ip, out);
}

const char *decision_layer_name(enum decision_layer layer)
{
	return layer_names[layer];
}

const char *decision_rule(const struct decision *d, char out[DECISION_RULE_MAX])
{
	out[0] = '\0';
	if (d->layer == DECISION_LAYER_POLICY)
		snprintf(out, DECISION_RULE_MAX, "%s", d->policy);
	else if (d->layer == DECISION_LAYER_GRANT && d->grant.ip.family)
		prefix_format(&d->grant, out);
	else if (d->layer == DECISION_LAYER_ROUTE && d->route.prefix.ip.family)
		prefix_format(&d->route.prefix, out);
	return out;
}

/* Wide prefixes never cover loopback, link-local and their like. */
static bool covers(const struct prefix *p, const struct ip_addr *ip)
{
	return prefix_contains_ip(p, ip) && (prefix_is_single(p) || !forbidden_range(ip));
}

/* ---- the layers: each says NONE to go on ---- */

static enum stream_error ask_policies(const struct edge_model *m, const struct edge_client *c,
				      struct decision *d)
{
	for (size_t i = 0; i < edge_model_n_policies(m); i++) {
		const struct policy *p = edge_model_policy_at(m, i);

		if (!policy_matches(p, c->name, c->email, &d->vnet, &d->destination, d->transport))
			continue;
		snprintf(d->policy, sizeof(d->policy), "%s", p->name);
		d->policy_position = p->position;
		d->policy_id = p->id;
		if (p->action == POLICY_ACTION_ALLOW)
			break;
		d->layer = DECISION_LAYER_POLICY;
		return STREAM_ERROR_NOT_GRANTED;
	}
	return STREAM_ERROR_NONE;
}

static enum stream_error ask_grants(const struct edge_client *c, struct decision *d)
{
	d->layer = DECISION_LAYER_GRANT;
	for (size_t i = 0; i < c->n_grants; i++) {
		const struct client_grant *g = &c->grants[i];

		if (!uuid_equal(&g->vnet, &d->vnet) || !covers(&g->prefix, &d->destination.ip) ||
		    !rule_covers_port(&g->ports, g->transports, d->transport, d->destination.port))
			continue;
		d->grant = g->prefix;
		return STREAM_ERROR_NONE;
	}
	return STREAM_ERROR_NOT_GRANTED;
}

static enum stream_error find_way(const struct edge_model *m, struct decision *d)
{
	const struct route *r = edge_model_route_to(m, &d->vnet, &d->destination.ip);
	enum decision_layer granted = d->layer;
	struct uuid connectors[EDGE_CONNECTORS_MAX];

	d->layer = DECISION_LAYER_ROUTE;
	if (!r)
		return STREAM_ERROR_NO_ROUTE;
	d->route = *r;
	d->n_connectors = edge_route_connectors(m, r, connectors);
	if (d->n_connectors == 0)
		return STREAM_ERROR_CONNECTOR_DOWN;
	d->layer = granted;
	return STREAM_ERROR_NONE;
}

static enum stream_error ask_all(const struct edge_model *m, const struct edge_client *client,
				 struct decision *d)
{
	enum stream_error error = ask_policies(m, client, d);

	if (error == STREAM_ERROR_NONE)
		error = ask_grants(client, d);
	return error == STREAM_ERROR_NONE ? find_way(m, d) : error;
}

enum stream_error decide(const struct edge_model *m, const struct edge_client *client,
			 const char *network, const struct endpoint *destination,
			 enum transport transport, struct decision *decisionp)
{
	const struct vnet *v = vnet_table_resolve(edge_model_vnets(m), network);
	struct decision *d = decisionp;

	*d = (struct decision){.destination = *destination, .transport = transport};
	d->destination.ip = ip_canonical(&destination->ip);
	if (v)
		d->vnet = v->id;
	if (client->revoked_ms != 0 || (!v && client->n_grants == 0)) {
		d->layer = DECISION_LAYER_GRANT;
		d->reason = STREAM_ERROR_NOT_GRANTED;
	} else if (!v) {
		d->layer = DECISION_LAYER_NETWORK;
		d->reason = STREAM_ERROR_NO_NETWORK;
	} else {
		d->reason = ask_all(m, client, d);
	}
	return d->reason;
}
