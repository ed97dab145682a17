/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/settings_rows.h"

#include <stdlib.h>
#include <string.h>

#include "agent/settings.h"
#include "base/diag.h"
#include "routing/forbidden.h"
#include "wire/proto.h"

/* ---- edge ---- */

static bool is_blamed(const struct diag *diag, const char *words)
{
	for (size_t i = 0; i < diag->n_items; i++) {
		if (diag->items[i].kind == DIAG_ERROR && strstr(diag->items[i].text, words))
			return true;
	}
	return false;
}

/* A wrong entry was named already: then there is none, but it isn't missing. */
static void check_edge(const struct settings *s, struct diag *diag)
{
	if (s->n_edges || is_blamed(diag, "edge: ") || is_blamed(diag, "TUNNEL_EDGE: "))
		return;
	diag_add(diag, DIAG_ERROR, 0,
		 "edge: missing; add the line \"edge: HOST:7844\" with the host of your adit-edge "
		 "(or \"edge: cloudflare\"), or give --edge HOST:7844 or TUNNEL_EDGE");
}

static void check_bind_address(const struct settings *s, struct diag *diag)
{
	static const struct {
		const char *version;
		uint8_t family;
	} wanted[] = {{"4", AF_INET}, {"6", AF_INET6}};

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		if (s->edge_bind_address.family && s->edge_ip_version &&
		    strcmp(s->edge_ip_version, wanted[i].version) == 0 &&
		    s->edge_bind_address.family != wanted[i].family)
			diag_add(diag, DIAG_ERROR, 0,
				 "edge-bind-address: is not an IPv%s address, which "
				 "edge-ip-version asks for",
				 wanted[i].version);
	}
}

static void check_proxy(const struct settings *s, struct diag *diag)
{
	if (s->edge_proxy_credentials_file && !s->edge_proxy && !is_blamed(diag, "edge-proxy: "))
		diag_add(diag, DIAG_ERROR, 0,
			 "edge-proxy-credentials-file: without edge-proxy it has no use: add the "
			 "line \"edge-proxy: http://HOST:PORT\" or remove this one");
}

/* ---- routes ---- */

static void check_via(struct route_setting *route, size_t i, struct diag *diag)
{
	char network[PREFIX_TEXT_MAX];

	route->has_via = route->via.ip.family || route->via.port;
	if (!route->has_via || !route->network.ip.family)
		return;
	if (!prefix_is_single(&route->network))
		diag_add(diag, DIAG_ERROR, route->line,
			 "routes[%zu].via: %s is not a single address, so it can't have one "
			 "target",
			 i, prefix_format(&route->network, network));
	else if (ip_is_loopback(&route->via.ip) && !route->via.port && !route->ports.n)
		diag_add(diag, DIAG_ERROR, route->line,
			 "routes[%zu].via: would open every port of this host itself: name one "
			 "(via: \"...:22\") or list ports",
			 i);
}

static int compare_routes(const void *a, const void *b)
{
	const struct route_setting *x = *(const struct route_setting *const *)a;
	const struct route_setting *y = *(const struct route_setting *const *)b;
	int r = strcmp(x->virtual_network, y->virtual_network);

	if (!r)
		r = prefix_compare(&x->network, &y->network);
	/* Entries lie in one array, in the order of the file. */
	return r ? r : (x > y) - (x < y);
}

static void blame_twin(const struct settings *s, const struct route_setting *first,
		       const struct route_setting *twin, struct diag *diag)
{
	char network[PREFIX_TEXT_MAX];
	const char *vnet = twin->virtual_network;

	diag_add(diag, DIAG_ERROR, twin->line, "routes[%td].network: %s%s%s is on line %u already",
		 twin - s->routes, prefix_format(&twin->network, network),
		 *vnet ? " of virtual network " : "", vnet, first->line);
}

static bool is_same_route(const struct route_setting *a, const struct route_setting *b)
{
	return a->network.ip.family && prefix_equal(&a->network, &b->network) &&
	       strcmp(a->virtual_network, b->virtual_network) == 0;
}

static void check_twin_routes(const struct settings *s, struct diag *diag)
{
	const struct route_setting **sorted;

	if (s->n_routes < 2)
		return;
	sorted = calloc(s->n_routes, sizeof(*sorted));
	if (!sorted) {
		diag_add(diag, DIAG_ERROR, 0, "routes: no memory");
		return;
	}
	for (size_t i = 0; i < s->n_routes; i++)
		sorted[i] = &s->routes[i];
	qsort(sorted, s->n_routes, sizeof(*sorted), compare_routes);
	for (size_t i = 1; i < s->n_routes; i++) {
		if (is_same_route(sorted[i - 1], sorted[i]))
			blame_twin(s, sorted[i - 1], sorted[i], diag);
	}
	free(sorted);
}

/* ---- virtual networks ---- */

static int compare_vnets(const void *a, const void *b)
{
	const struct vnet_setting *x = *(const struct vnet_setting *const *)a;
	const struct vnet_setting *y = *(const struct vnet_setting *const *)b;
	int r = strcmp(x->name, y->name);

	return r ? r : (x > y) - (x < y);
}

static void check_twin_vnets(const struct settings *s, struct diag *diag)
{
	const struct vnet_setting **sorted;

	if (s->n_vnets < 2)
		return;
	sorted = calloc(s->n_vnets, sizeof(*sorted));
	if (!sorted) {
		diag_add(diag, DIAG_ERROR, 0, "virtual-networks: no memory");
		return;
	}
	for (size_t i = 0; i < s->n_vnets; i++)
		sorted[i] = &s->vnets[i];
	qsort(sorted, s->n_vnets, sizeof(*sorted), compare_vnets);
	for (size_t i = 1; i < s->n_vnets; i++) {
		if (*sorted[i]->name && strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
			diag_add(diag, DIAG_ERROR, sorted[i]->line,
				 "virtual-networks[%td].name: %s is on line %u already",
				 sorted[i] - s->vnets, sorted[i]->name, sorted[i - 1]->line);
	}
	free(sorted);
}

void settings_check(struct settings *s, struct diag *diag)
{
	check_edge(s, diag);
	check_bind_address(s, diag);
	check_proxy(s, diag);
	for (size_t i = 0; i < s->n_routes; i++)
		check_via(&s->routes[i], i, diag);
	check_twin_routes(s, diag);
	check_twin_vnets(s, diag);
	if (s->n_routes + s->n_vnets > ROUTES_MAX)
		diag_add(diag, DIAG_ERROR, 0,
			 "routes: %zu with the virtual networks, at most %d are possible",
			 s->n_routes + s->n_vnets, ROUTES_MAX);
}
