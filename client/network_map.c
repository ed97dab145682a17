/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Networks don't overlap, so all their routes stand in one sorted list: what overlaps a prefix
 * there is its neighbour. An edge may show as many networks as routes.
 */
#include "client/network_map.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

struct network {
	char name[VNET_NAME_MAX];
	struct prefix_set routes; /* minimal */
};

struct owned {
	struct prefix prefix;
	size_t network; /* its index */
};

struct network_map {
	struct network *networks;
	size_t n;
	struct owned *owned; /* sorted; room for all routes */
	size_t n_owned;
	struct prefix_set all;
};

/* What a walk over the routes carries along. */
struct building {
	struct network_map *map;
	const struct feed_route *routes;
	size_t n_routes;
	network_overlap_fn overlap;
	void *ctx;
};

struct network_map *network_map_free(struct network_map *m)
{
	for (size_t i = 0; m && i < m->n; i++)
		prefix_set_deinit(&m->networks[i].routes);
	if (m) {
		prefix_set_deinit(&m->all);
		free(m->networks);
		free(m->owned);
		free(m);
	}
	return NULL;
}

/* The first place whose prefix is not before @p. */
static size_t place_of(const struct network_map *m, const struct prefix *p)
{
	size_t low = 0;
	size_t high = m->n_owned;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (prefix_compare(&m->owned[mid].prefix, p) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* The earlier network that has addresses of @p, or NULL: around it is the one before, in it the
 * one behind. */
static const struct network *owner_of(const struct network_map *m, const struct prefix *p)
{
	size_t i = place_of(m, p);

	if (i < m->n_owned && prefix_contains(p, &m->owned[i].prefix))
		return &m->networks[m->owned[i].network];
	if (i > 0 && prefix_contains(&m->owned[i - 1].prefix, p))
		return &m->networks[m->owned[i - 1].network];
	return NULL;
}

/* The routes of network number @index, which is complete. */
static void own(struct network_map *m, size_t index)
{
	const struct prefix_set *routes = &m->networks[index].routes;

	for (size_t i = 0; i < routes->n; i++) {
		size_t at = place_of(m, &routes->items[i]);

		memmove(&m->owned[at + 1], &m->owned[at], (m->n_owned++ - at) * sizeof(*m->owned));
		m->owned[at] = (struct owned){routes->items[i], index};
	}
}

static int take_route(const struct building *b, struct network *net, const struct feed_route *route)
{
	const struct network *other = owner_of(b->map, &route->prefix);
	int r;

	if (other) {
		if (b->overlap)
			b->overlap(b->ctx, &route->prefix, net->name, other->name);
		return 0;
	}
	r = prefix_set_add(&net->routes, &route->prefix, FEED_ROUTES_MAX);
	return r == 0 ? prefix_set_add(&b->map->all, &route->prefix, FEED_ROUTES_MAX) : r;
}

/* The network whose routes, which stand together, begin at @i. */
static int take_network(const struct building *b, size_t i)
{
	const char *name = b->routes[i].network;
	struct network net = {0};
	int r = 0;

	snprintf(net.name, sizeof(net.name), "%s", name);
	for (; r == 0 && i < b->n_routes && strcmp(b->routes[i].network, name) == 0; i++)
		r = take_route(b, &net, &b->routes[i]);
	prefix_set_normalise(&net.routes);
	if (r != 0 || net.routes.n == 0) {
		prefix_set_deinit(&net.routes);
		return r;
	}
	b->map->networks[b->map->n] = net;
	own(b->map, b->map->n++);
	return 0;
}

static bool is_first_of_network(const struct feed_route *routes, size_t i)
{
	return i == 0 || strcmp(routes[i].network, routes[i - 1].network) != 0;
}

static size_t count_networks(const struct feed_route *routes, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += is_first_of_network(routes, i);
	return count;
}

static int take_all(const struct building *b)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < b->n_routes; i++) {
		if (is_first_of_network(b->routes, i))
			r = take_network(b, i);
	}
	return r;
}

static bool is_taken(const struct network_map *m, const char *name)
{
	for (size_t i = 0; i < m->n; i++) {
		if (strcmp(m->networks[i].name, name) == 0)
			return true;
	}
	return false;
}

/* One that the edge doesn't show has no routes and isn't there. */
static int take_selected(const struct building *b, const char *name)
{
	size_t i = 0;

	while (i < b->n_routes && strcmp(b->routes[i].network, name) != 0)
		i++;
	return i == b->n_routes || is_taken(b->map, name) ? 0 : take_network(b, i);
}

int network_map_new(struct network_map **mp, const struct feed_route *routes, size_t n,
		    char *const *selected, size_t n_selected, network_overlap_fn overlap, void *ctx)
{
	CLEANUP(network_map_free) struct network_map *m = xnew(struct network_map);
	const struct building b = {m, routes, n, overlap, ctx};
	size_t room = n_selected > 0 ? n_selected : count_networks(routes, n);
	int r = 0;

	m->networks = calloc(room + 1, sizeof(*m->networks));
	m->owned = calloc(n + 1, sizeof(*m->owned));
	if (!m->networks || !m->owned)
		return -ENOMEM;
	if (n_selected == 0)
		r = take_all(&b);
	for (size_t i = 0; r == 0 && i < n_selected; i++)
		r = take_selected(&b, selected[i]);
	if (r != 0)
		return r < 0 ? r : -ENOMEM;
	*mp = steal_ptr(m);
	return 0;
}

const char *network_map_find(const struct network_map *m, const struct ip_addr *ip)
{
	const struct prefix single = prefix_of_ip(ip);
	const struct network *owner = m ? owner_of(m, &single) : NULL;

	return owner ? owner->name : NULL;
}

const struct prefix_set *network_map_routes(const struct network_map *m)
{
	static const struct prefix_set none;

	return m ? &m->all : &none;
}

size_t network_map_size(const struct network_map *m)
{
	return m ? m->n : 0;
}

const char *network_map_name(const struct network_map *m, size_t i)
{
	return m->networks[i].name;
}

const struct prefix_set *network_map_of(const struct network_map *m, size_t i)
{
	return &m->networks[i].routes;
}
