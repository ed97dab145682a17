/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* access_world - a model made by hand: one client with a grant, policies, routes to one agent */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "edge/model_private.h"
#include "edge/policy.h"

static inline struct prefix prefix_of(const char *text)
{
	struct prefix p = {0};

	assert_int_equal(prefix_parse(text, &p), 0);
	return p;
}

static inline struct ports ports_of(const char *text)
{
	struct ports p;

	assert_int_equal(ports_parse(text, &p), 0);
	return p;
}

static inline struct transports transports_of(const char *text)
{
	struct transports t;

	assert_int_equal(transports_parse(text, &t), 0);
	return t;
}

static inline struct endpoint endpoint_of(const char *ip, uint16_t port)
{
	struct endpoint ep = {.port = port};

	assert_int_equal(ip_parse(ip, &ep.ip), 0);
	return ep;
}

/* alice may reach 10.0.0.0/8 in the default network; its whole space leads to a live agent. */
struct world {
	struct edge_model m;
	struct policy policies[4];
	struct client_grant grant;
	struct edge_client alice;
	struct advert advert;
	struct advert *adverts[1];
	struct edge_tunnel tunnel;
	struct edge_tunnel *tunnels[1];
	struct uuid vnet;
};

/* By the operator, in the default network: any connector of the tunnel serves them. */
static inline void world_set_routes(struct world *w, size_t n, ...)
{
	struct route routes[16] = {0};
	va_list ap;

	va_start(ap, n);
	for (size_t i = 0; i < n; i++)
		routes[i] = (struct route){.vnet = w->vnet,
					   .tunnel = w->tunnel.id,
					   .prefix = prefix_of(va_arg(ap, const char *)),
					   .by_operator = true};
	va_end(ap);
	route_table_free(w->m.routes);
	assert_int_equal(route_table_new(&w->m.routes, routes, n), 0);
}

static inline int world_set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct vnet v = {.id = uuid_random(), .name = "default", .is_default = true};

	w->vnet = v.id;
	assert_int_equal(vnet_table_put(&w->m.vnets, &v), 0);
	w->advert = (struct advert){.connector = uuid_random(), .is_live = true};
	w->adverts[0] = &w->advert;
	w->tunnel = (struct edge_tunnel){
		.id = uuid_random(), .name = "site", .adverts = w->adverts, .n_adverts = 1};
	w->tunnels[0] = &w->tunnel;
	w->m.tunnels = w->tunnels;
	w->m.n_tunnels = 1;
	world_set_routes(w, 1, "0.0.0.0/0");
	w->grant = (struct client_grant){.vnet = v.id, .prefix = prefix_of("10.0.0.0/8")};
	w->alice = (struct edge_client){.id = uuid_random(),
					.name = "alice",
					.email = "alice@example.com",
					.grants = &w->grant,
					.n_grants = 1};
	w->m.policies = w->policies;
	*state = w;
	return 0;
}

static inline int world_tear_down(void **state)
{
	struct world *w = *state;

	vnet_table_deinit(&w->m.vnets);
	route_table_free(w->m.routes);
	free(w);
	return 0;
}

static inline struct policy *world_add_policy(struct world *w, const char *name,
					      enum policy_action action, const char *prefix)
{
	struct policy *p = &w->policies[w->m.n_policies++];

	*p = (struct policy){
		.id = uuid_random(), .action = action, .position = (uint32_t)w->m.n_policies};
	snprintf(p->name, sizeof(p->name), "%s", name);
	if (prefix)
		p->prefix = prefix_of(prefix);
	return p;
}
