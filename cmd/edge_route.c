/* SPDX-License-Identifier: Apache-2.0 */
/* `adit-edge route ...` and `adit-edge vnet ...` */
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "cmd/commands.h"
#include "cmd/edge_ask.h"
#include "ctrl/render.h"

DEFINE_CLEANUP(json_t *, json_decref);

#define VNET_OPTION                                                                                \
	{                                                                                          \
		"virtual-network", "NAME", EDGE_OPTION_TEXT, "virtual_network",                    \
			"in that network, not in the default one"                                  \
	}
#define COMMENT_OPTION                                                                             \
	{                                                                                          \
		"comment", "TEXT", EDGE_OPTION_TEXT, "comment", "shown in lists"                   \
	}

/* ---- routes ---- */

static const struct render_column route_columns[] = {
	{"NETWORK", "network", RENDER_TEXT},
	{"VIRTUAL NETWORK", "virtual_network", RENDER_TEXT},
	{"TUNNEL", "tunnel", RENDER_TEXT},
	{"STATE", "state", RENDER_TEXT},
	{"CONNECTORS", "connectors", RENDER_NUMBER},
	{"ORIGIN", "origin", RENDER_TEXT},
	{"COMMENT", "comment", RENDER_TEXT},
};

static void print_routes(const json_t *result)
{
	render_table(stdout, json_object_get(result, "routes"), route_columns,
		     ARRAY_SIZE(route_columns));
}

static void print_route(const json_t *result)
{
	CLEANUP(json_decref) json_t *rows = json_pack("[o]", json_deep_copy(result));

	render_table(stdout, rows, route_columns, ARRAY_SIZE(route_columns));
}

static const struct edge_option route_add_options[] = {VNET_OPTION, COMMENT_OPTION};
static const struct edge_option vnet_only[] = {VNET_OPTION};

EDGE_COMMAND(route_add, .command = "route.add",
	     .usage = "adit-edge route add [OPTIONS] PREFIX TUNNEL",
	     .summary = "Sets a route by hand; any connector of the tunnel serves it.",
	     .arguments = {"prefix", "tunnel"}, .n_required = 2, EDGE_OPTIONS(route_add_options),
	     .done = "added")

EDGE_COMMAND(route_delete, .command = "route.delete",
	     .usage = "adit-edge route delete [OPTIONS] PREFIX",
	     .summary = "Removes a route that was set by hand.", .arguments = {"prefix"},
	     .n_required = 1, EDGE_OPTIONS(vnet_only), .done = "deleted")

EDGE_COMMAND(route_list, .command = "route.list",
	     .usage = "adit-edge route list [OPTIONS] [TUNNEL]",
	     .summary = "Shows all routes in force.", .arguments = {"tunnel"},
	     .print = print_routes)

EDGE_COMMAND(route_get, .command = "route.get", .usage = "adit-edge route get [OPTIONS] IP",
	     .summary = "Shows the route of an address: the longest prefix around it.",
	     .arguments = {"address"}, .n_required = 1, EDGE_OPTIONS(vnet_only),
	     .print = print_route)

int edge_route(int argc, char **argv)
{
	static const struct command rows[] = {
		{"add", route_add, "set a route by hand"},
		{"delete", route_delete, "remove a route set by hand"},
		{"get", route_get, "where an address goes"},
		{"list", route_list, "all routes in force"},
	};
	static const struct command_set set = {
		.program = "adit-edge route",
		.summary = "Routes: which tunnel a destination goes to.",
		COMMAND_ROWS(rows),
	};

	return commands_run(&set, argc, argv);
}

/* ---- virtual networks ---- */

static void print_vnets(const json_t *result)
{
	static const struct render_column columns[] = {
		{"NAME", "name", RENDER_TEXT},
		{"ID", "id", RENDER_TEXT},
		{"DEFAULT", "default", RENDER_BOOL},
		{"COMMENT", "comment", RENDER_TEXT},
	};

	render_table(stdout, json_object_get(result, "virtual_networks"), columns,
		     ARRAY_SIZE(columns));
}

static const struct edge_option vnet_add_options[] = {
	{"default", NULL, EDGE_OPTION_FLAG, "default", "make it the default network"},
	COMMENT_OPTION,
};

EDGE_COMMAND(vnet_add, .command = "vnet.add", .usage = "adit-edge vnet add [OPTIONS] NAME",
	     .summary = "Adds a virtual network: an address space of its own.",
	     .arguments = {"name"}, .n_required = 1, EDGE_OPTIONS(vnet_add_options),
	     .done = "added")

EDGE_COMMAND(vnet_delete, .command = "vnet.delete", .usage = "adit-edge vnet delete [OPTIONS] NAME",
	     .summary = "Removes a virtual network that nothing refers to.",
	     .arguments = {"virtual_network"}, .n_required = 1, .done = "deleted")

EDGE_COMMAND(vnet_list, .command = "vnet.list", .usage = "adit-edge vnet list [OPTIONS]",
	     .summary = "Shows all virtual networks.", .print = print_vnets)

int edge_vnet(int argc, char **argv)
{
	static const struct command rows[] = {
		{"add", vnet_add, "an address space of its own"},
		{"delete", vnet_delete, "remove one that is unused"},
		{"list", vnet_list, "all virtual networks"},
	};
	static const struct command_set set = {
		.program = "adit-edge vnet",
		.summary = "Virtual networks; exactly one is the default.",
		COMMAND_ROWS(rows),
	};

	return commands_run(&set, argc, argv);
}
