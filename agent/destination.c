/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/destination.h"

#include <stdbool.h>
#include <stddef.h>

#include "agent/settings.h"
#include "routing/forbidden.h"
#include "routing/ports.h"
#include "routing/prefix.h"

static const struct route_setting *longest_match(const struct settings *s, const struct ip_addr *ip)
{
	const struct route_setting *best = NULL;

	for (size_t i = 0; i < s->n_routes; i++) {
		const struct route_setting *r = &s->routes[i];

		if (prefix_contains_ip(&r->network, ip) &&
		    (!best || r->network.bits > best->network.bits))
			best = r;
	}
	return best;
}

/* Where ports are listed, only they are served: an echo has none. */
static bool opens_port(const struct ports *ports, uint16_t port)
{
	return port == DESTINATION_NO_PORT ? ports->n == 0 : ports_contain(ports, port);
}

/* @named: the configuration gives this very address, not a range that covers it. */
static bool may_dial(const struct endpoint *target, bool named)
{
	return named || !forbidden_range(&target->ip);
}

/* A `via` to loopback must say which ports it opens; the configuration is checked for it too. */
static bool opens_all_of_loopback(const struct route_setting *r)
{
	return r->via.ip.family && ip_is_loopback(&r->via.ip) && r->via.port == 0 &&
	       r->ports.n == 0;
}

static bool follow_route(const struct route_setting *r, const struct endpoint *requested,
			 struct endpoint *targetp)
{
	bool single = prefix_is_single(&r->network);
	struct endpoint target = *requested;

	if (!opens_port(&r->ports, requested->port))
		return false;
	if (r->has_via) {
		if (!single || opens_all_of_loopback(r))
			return false;
		if (r->via.ip.family)
			target.ip = ip_canonical(&r->via.ip);
		if (r->via.port && requested->port != DESTINATION_NO_PORT)
			target.port = r->via.port;
	}
	if (!may_dial(&target, single))
		return false;
	*targetp = target;
	return true;
}

static bool is_allowed(const struct settings *s, const struct endpoint *requested)
{
	for (size_t i = 0; i < s->n_allows; i++) {
		const struct allow_setting *a = &s->allows[i];

		if (prefix_contains_ip(&a->network, &requested->ip) &&
		    opens_port(&a->ports, requested->port) &&
		    may_dial(requested, prefix_is_single(&a->network)))
			return true;
	}
	return false;
}

enum stream_error destination_decide(const struct settings *s, const char *authority,
				     struct endpoint *requestedp, struct endpoint *targetp)
{
	struct endpoint requested;

	if (!authority || endpoint_parse(authority, &requested) < 0)
		return STREAM_ERROR_BAD_DESTINATION;
	requested.ip = ip_canonical(&requested.ip);
	*requestedp = requested;
	return destination_decide_endpoint(s, &requested, targetp);
}

enum stream_error destination_decide_endpoint(const struct settings *s,
					      const struct endpoint *requested,
					      struct endpoint *targetp)
{
	const struct route_setting *route = longest_match(s, &requested->ip);

	if (route && follow_route(route, requested, targetp))
		return STREAM_ERROR_NONE;
	if (!is_allowed(s, requested))
		return STREAM_ERROR_FORBIDDEN;
	*targetp = *requested;
	return STREAM_ERROR_NONE;
}
