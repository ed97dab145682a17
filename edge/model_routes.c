/* SPDX-License-Identifier: Apache-2.0 */
/* The operator's routes, and where an address goes. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "edge/model_private.h"
#include "routing/forbidden.h"

/* ---- the operator's routes ---- */

static int compare(const struct operator_route *r, const struct uuid *vnet,
		   const struct prefix *prefix)
{
	int d = memcmp(r->vnet.bytes, vnet->bytes, sizeof(vnet->bytes));

	return d ? d : prefix_compare(&r->prefix, prefix);
}

/* The first one that is not before (@vnet, @prefix). */
static size_t lower_bound(const struct edge_model *m, const struct uuid *vnet,
			  const struct prefix *prefix)
{
	size_t low = 0;
	size_t high = m->n_operator_routes;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (compare(m->operator_routes[mid], vnet, prefix) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool is_at(const struct edge_model *m, size_t i, const struct uuid *vnet,
		  const struct prefix *prefix)
{
	return i < m->n_operator_routes && compare(m->operator_routes[i], vnet, prefix) == 0;
}

struct operator_route *model_operator_route_take(struct edge_model *m, const struct uuid *vnet,
						 const struct prefix *prefix)
{
	size_t i = lower_bound(m, vnet, prefix);
	size_t n = m->n_operator_routes;
	struct operator_route **routes;

	if (is_at(m, i, vnet, prefix))
		return m->operator_routes[i];
	routes = array_grow(m->operator_routes, n, sizeof(struct operator_route *));
	if (!routes)
		return NULL;
	m->operator_routes = routes;
	m->n_operator_routes++;
	memmove(routes + i + 1, routes + i, (n - i) * sizeof(struct operator_route *));
	routes[i] = xnew(struct operator_route);
	return routes[i];
}

bool model_operator_route_drop(struct edge_model *m, const struct uuid *vnet,
			       const struct prefix *prefix)
{
	size_t i = lower_bound(m, vnet, prefix);

	if (!is_at(m, i, vnet, prefix))
		return false;
	free(m->operator_routes[i]);
	array_cut(m->operator_routes, m->n_operator_routes--, i, sizeof(struct operator_route *));
	return true;
}

void model_operator_routes_drop_tunnel(struct edge_model *m, const struct uuid *tunnel)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_operator_routes; i++)
		if (uuid_equal(&m->operator_routes[i]->tunnel, tunnel))
			free(m->operator_routes[i]);
		else
			m->operator_routes[n++] = m->operator_routes[i];
	m->n_operator_routes = n;
}

void model_operator_routes_deinit(struct edge_model *m)
{
	for (size_t i = 0; i < m->n_operator_routes; i++)
		free(m->operator_routes[i]);
	free(m->operator_routes);
}

/* ---- reading ---- */

bool edge_tunnel_has_network(const struct edge_tunnel *t, const char *name)
{
	for (size_t i = 0; i < t->n_networks; i++)
		if (strcmp(t->networks[i], name) == 0)
			return true;
	return false;
}

size_t edge_model_n_operator_routes(const struct edge_model *m)
{
	return m->n_operator_routes;
}

const struct operator_route *edge_model_operator_route_at(const struct edge_model *m, size_t i)
{
	return m->operator_routes[i];
}

const struct operator_route *edge_model_operator_route_find(const struct edge_model *m,
							    const struct uuid *vnet,
							    const struct prefix *prefix)
{
	size_t i = lower_bound(m, vnet, prefix);

	return is_at(m, i, vnet, prefix) ? m->operator_routes[i] : NULL;
}

const struct route_table *edge_model_routes(const struct edge_model *m)
{
	return m->routes;
}

const struct route *edge_model_route_to(const struct edge_model *m, const struct uuid *vnet,
					const struct ip_addr *ip)
{
	const struct route *r = route_table_match(m->routes, vnet, ip);

	return r && (prefix_is_single(&r->prefix) || !forbidden_range(ip)) ? r : NULL;
}
