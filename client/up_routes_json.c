/* SPDX-License-Identifier: Apache-2.0 */

/* What up_routes.c has done, for `adit up --status`, and where a local network wins over it. */

#include <errno.h>
#include <string.h>

#include <jansson.h>

#include "base/log.h"
#include "client/up_private.h"

#define LOCAL_OVERLAPS_MAX 256

struct local_overlap {
	const struct up *u;
	json_t *list;
};

static void note_local(void *ctx, const struct netlink_main_route *route)
{
	struct local_overlap *o = ctx;
	char text[PREFIX_TEXT_MAX];

	if (!prefix_set_overlaps(&o->u->routes.captured, &route->prefix) ||
	    json_array_size(o->list) >= LOCAL_OVERLAPS_MAX)
		return;
	json_array_append_new(o->list, json_pack("{s:s, s:s}", "network",
						 prefix_format(&route->prefix, text), "interface",
						 route->interface));
}

struct json_t *up_local_networks_json(const struct up *u)
{
	CLEANUP(netlink_close) struct netlink *nl = NULL;
	struct local_overlap o = {u, json_array()};
	int r = u->settings->local_networks_win ? netlink_open(&nl) : -ENOENT;

	if (r == 0)
		r = netlink_main_routes(nl, note_local, &o);
	if (r < 0 && r != -ENOENT)
		log_debug("routes of this machine can't be read", log_text("reason", strerror(-r)));
	return o.list;
}

static json_t *prefixes_json(const struct prefix_set *set)
{
	json_t *list = json_array();
	char text[PREFIX_TEXT_MAX];

	for (size_t i = 0; i < set->n; i++)
		json_array_append_new(list, json_string(prefix_format(&set->items[i], text)));
	return list;
}

static json_t *networks_json(const struct up *u)
{
	json_t *list = json_array();

	for (size_t i = 0; i < network_map_size(u->routes.map); i++)
		json_array_append_new(
			list, json_pack("{s:s, s:o}", "name", network_map_name(u->routes.map, i),
					"routes", prefixes_json(network_map_of(u->routes.map, i))));
	return list;
}

struct json_t *up_routes_json(const struct up *u)
{
	return json_pack("{s:o, s:o, s:o, s:I}", "captured", prefixes_json(&u->routes.captured),
			 "virtual_networks", networks_json(u), "local_networks",
			 up_local_networks_json(u), "failed", (json_int_t)u->routes.n_failed);
}
