/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The host's network changed: dead connections are replaced (supervisor), and the routes that
 * we advertise are looked at again. A route that this host can't reach any more stays
 * advertised, as it would with a server that is down; but it is told.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent_private.h"
#include "base/err.h"
#include "base/log.h"
#include "ctrl/agent_status.h"
#include "tun/netlink_watch.h"

#define LOOPBACK "lo"

#define WATCHED (NETLINK_LINKS | NETLINK_ADDRESSES | NETLINK_ROUTES | NETLINK_RULES)

/* ---- where a route leads ---- */

/*
 * The address that a packet for @route would go to, as an example of its network: the first one,
 * or the second, since the first is often this host itself, as the network's router.
 */
static struct ip_addr example_of(const struct route_setting *route, uint8_t number)
{
	struct ip_addr ip = route->network.ip;

	if (route->has_via && route->via.ip.family)
		return route->via.ip;
	/* The network's own address would be answered as a broadcast. */
	if (!prefix_is_single(&route->network))
		ip.bytes[ip_bits(&ip) / 8 - 1] |= number;
	return ip;
}

bool agent_network_look_up(const struct route_setting *route, struct agent_path *out)
{
	bool has_second = ip_bits(&route->network.ip) - route->network.bits >= 2;
	struct ip_addr ip = example_of(route, 1);
	struct agent_path path = {0};
	int r = netlink_route_get(&ip, &path.path);

	if (r == 0 && has_second && strcmp(path.path.interface, LOOPBACK) == 0) {
		ip = example_of(route, 2);
		r = netlink_route_get(&ip, &path.path);
	}
	if (r < 0 && !netlink_says_no_route(r))
		return false;
	path.reachable = r == 0;
	*out = path;
	return true;
}

static bool is_same(const struct agent_path *a, const struct agent_path *b)
{
	if (a->reachable != b->reachable || !a->reachable)
		return a->reachable == b->reachable;
	return !strcmp(a->path.interface, b->path.interface) &&
	       ip_equal(&a->path.source, &b->path.source);
}

static void tell_path(struct agent *a, const struct route_setting *route,
		      const struct agent_path *path)
{
	char network[PREFIX_TEXT_MAX], source[IP_TEXT_MAX] = "-";
	const char *interface = path->reachable ? path->path.interface : "-";

	prefix_format(&route->network, network);
	if (path->reachable && path->path.source.family)
		ip_format(&path->path.source, source);
	if (path->reachable)
		log_info("route's path changed", log_text("network", network),
			 log_text("interface", interface), log_text("source", source));
	else
		log_warn("this host has no route to an advertised network",
			 log_text("network", network));
	agent_event(a, EVENT_PATH, log_text(ROUTE_NETWORK, network),
		    log_int(ROUTE_REACHABLE, path->reachable), log_text(ROUTE_INTERFACE, interface),
		    log_text(ROUTE_SOURCE, source));
}

/* What is known at the start or after a reload is the new normal. */
void agent_network_load(struct agent *a)
{
	struct agent_network *net = &a->network;
	size_t n =
		a->live->n_routes < ROUTES_LOOKED_UP_MAX ? a->live->n_routes : ROUTES_LOOKED_UP_MAX;

	free(net->paths);
	net->paths = xzalloc((n ? n : 1) * sizeof(*net->paths));
	net->n_paths = n;
	for (size_t i = 0; i < n; i++)
		(void)agent_network_look_up(&a->live->routes[i], &net->paths[i]);
}

static size_t check_paths(struct agent *a)
{
	struct agent_network *net = &a->network;
	size_t n_changed = 0;

	for (size_t i = 0; i < net->n_paths; i++) {
		struct agent_path now;

		if (!agent_network_look_up(&a->live->routes[i], &now) ||
		    is_same(&now, &net->paths[i]))
			continue;
		net->paths[i] = now;
		n_changed++;
		tell_path(a, &a->live->routes[i], &now);
	}
	return n_changed;
}

/* ---- the watch ---- */

static void list_topics(unsigned int topics, char *out, size_t n_out)
{
	static const char *const names[] = {"links", "addresses", "routes", "rules"};
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (topics & 1u << i)
			n += (size_t)snprintf(out + n, n_out - n, "%s%s", n ? "," : "", names[i]);
}

static void network_changed(void *ctx, const struct netlink_change *change)
{
	struct agent *a = ctx;
	struct supervisor_recheck found;
	char topics[64];
	size_t n_paths;

	if (a->phase != AGENT_PHASE_RUNNING)
		return;
	supervisor_network_changed(a->supervisor, &found);
	n_paths = check_paths(a);
	list_topics(change->topics, topics, sizeof(topics));
	log_debug("network changed", log_text("topics", topics),
		  log_int("messages", (int64_t)change->n_messages), log_int("lost", change->lost));
	/* A host that starts containers all day changes all day: only what matters is told. */
	if (!found.n_replaced && !found.n_hurried && !n_paths)
		return;
	log_info("network changed", log_text("topics", topics),
		 log_int("replaced", found.n_replaced), log_int("hurried", found.n_hurried),
		 log_int("paths", (int64_t)n_paths));
	agent_event(a, EVENT_NETWORK, log_text("topics", topics),
		    log_int("replaced", found.n_replaced), log_int("hurried", found.n_hurried),
		    log_int("paths", (int64_t)n_paths));
}

/* Without it we are as slow as TCP's and our own time-outs, but work. */
void agent_network_start(struct agent *a)
{
	int r = netlink_watch_new(&a->network.watch, &a->uv, WATCHED, network_changed, a);

	if (r < 0)
		log_warn("the host's network is not watched", log_text("reason", strerror(-r)));
	agent_network_load(a);
}

void agent_network_stop(struct agent *a)
{
	a->network.watch = netlink_watch_free(a->network.watch);
}

void agent_network_free(struct agent *a)
{
	free(a->network.paths);
	a->network.paths = NULL;
}
