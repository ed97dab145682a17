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

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* ---- routes ---- */

static const struct render_column route_columns[] = {
	{"NETWORK", "network", RENDER_TEXT},
	{"VIRTUAL NETWORK", "virtual_network", RENDER_TEXT},
	{"TUNNEL", "tunnel", RENDER_TEXT},
	{"STATE", "state", RENDER_TEXT},
	{"HELD UNTIL", "held_until", RENDER_TEXT},
	{"CONNECTORS", "connectors", RENDER_NUMBER},
	{"ORIGIN", "origin", RENDER_TEXT},
	{"COMMENT", "comment", RENDER_TEXT},
};

static void print_routes(const json_t *result)
{
	render_table(stdout, json_object_get(result, "routes"), route_columns,
		     ARRAY_SIZE(route_columns));
}

static void print_section(const json_t *result, const char *key, const char *title,
			  const struct render_column *columns, size_t n_columns)
{
	const json_t *rows = json_object_get(result, key);

	if (json_array_size(rows) == 0)
		return;
	printf("\n%s\n", title);
	render_table(stdout, rows, columns, n_columns);
}

static void print_narrower(const json_t *result)
{
	json_int_t n = json_integer_value(json_object_get(result, "narrower"));

	if (n > 0)
		printf("%" JSON_INTEGER_FORMAT " narrower inside it in all\n", n);
}

static void print_way(const json_t *result)
{
	static const struct render_column advertisers[] = {
		{"CONNECTOR", "connector", RENDER_TEXT},
		{"STATE", "state", RENDER_TEXT},
		{"HELD UNTIL", "held_until", RENDER_TEXT},
	};
	static const struct render_column candidates[] = {
		{"CONNECTION", "id", RENDER_TEXT},     {"CONNECTOR", "connector", RENDER_TEXT},
		{"INDEX", "index", RENDER_NUMBER},     {"KIND", "kind", RENDER_TEXT},
		{"STATE", "state", RENDER_TEXT},       {"SUSPECT", "suspect", RENDER_BOOL},
		{"STREAMS", "streams", RENDER_NUMBER}, {"CHOSEN", "chosen", RENDER_BOOL},
	};
	static const struct render_column others[] = {
		{"NETWORK", "network", RENDER_TEXT}, {"RELATION", "relation", RENDER_TEXT},
		{"TUNNEL", "tunnel", RENDER_TEXT},   {"STATE", "state", RENDER_TEXT},
		{"ORIGIN", "origin", RENDER_TEXT},   {"COMMENT", "comment", RENDER_TEXT},
	};
	CLEANUP(json_decref) json_t *rows = json_pack("[O]", result);

	render_table(stdout, rows, route_columns, ARRAY_SIZE(route_columns));
	printf("\n%s goes to tunnel %s: %s\n", text_of(result, "address"),
	       text_of(result, "tunnel"), text_of(result, "reason"));
	print_section(result, "advertised_by", "advertised by", advertisers,
		      ARRAY_SIZE(advertisers));
	printf("\nnext stream: %s\n", text_of(result, "choice"));
	render_table(stdout, json_object_get(result, "candidates"), candidates,
		     ARRAY_SIZE(candidates));
	print_section(result, "others", "routes that lost", others, ARRAY_SIZE(others));
	print_narrower(result);
}

static const struct edge_option route_add_options[] = {VNET_OPTION, COMMENT_OPTION};
static const struct edge_option vnet_only[] = {VNET_OPTION};
static const struct edge_option route_list_options[] = {
	{"tunnel", "TUNNEL", EDGE_OPTION_TEXT, "tunnel", "only routes of that tunnel"},
	{"virtual-network", "NAME", EDGE_OPTION_TEXT, "virtual_network",
	 "only routes of that network; without it, of all"},
	{"subset-of", "PREFIX", EDGE_OPTION_TEXT, "subset_of", "only routes inside PREFIX"},
	{"superset-of", "PREFIX", EDGE_OPTION_TEXT, "superset_of",
	 "only routes that cover PREFIX (or an address)"},
	{"comment", "TEXT", EDGE_OPTION_TEXT, "comment", "only routes with exactly that comment"},
};

EDGE_COMMAND(route_add, .command = "route.add",
	     .usage = "adit-edge route add [OPTIONS] PREFIX TUNNEL [COMMENT]",
	     .summary = "Sets a route by hand; any connector of the tunnel serves it.\n"
			"Setting it again replaces its comment.",
	     .arguments = {"prefix", "tunnel", "comment"}, .n_required = 2,
	     EDGE_OPTIONS(route_add_options), .done = "added")

EDGE_COMMAND(route_delete, .command = "route.delete",
	     .usage = "adit-edge route delete [OPTIONS] PREFIX",
	     .summary = "Removes a route that was set by hand.", .arguments = {"prefix"},
	     .n_required = 1, EDGE_OPTIONS(vnet_only), .done = "deleted")

EDGE_COMMAND(route_list, .command = "route.list",
	     .usage = "adit-edge route list [OPTIONS] [TUNNEL]",
	     .summary = "Shows the routes in force that pass all of the filters.",
	     .arguments = {"tunnel"}, EDGE_OPTIONS(route_list_options), .print = print_routes)

EDGE_COMMAND(route_get, .command = "route.get", .usage = "adit-edge route get [OPTIONS] IP",
	     .summary = "Shows where a stream to an address would go now, and why: the route that\n"
			"matches, who serves it, which connection is next, and what lost.",
	     .arguments = {"address"}, .n_required = 1, EDGE_OPTIONS(vnet_only), .print = print_way)

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

static void print_deleted(const json_t *result)
{
	printf("deleted; with it routes: %" JSON_INTEGER_FORMAT ", grants: %" JSON_INTEGER_FORMAT
	       "\n",
	       json_integer_value(json_object_get(result, "routes")),
	       json_integer_value(json_object_get(result, "grants")));
}

static const struct edge_option vnet_add_options[] = {
	{"default", NULL, EDGE_OPTION_FLAG, "default", "make it the default network"},
	COMMENT_OPTION,
};
static const struct edge_option vnet_list_options[] = {
	{"id", "UUID", EDGE_OPTION_TEXT, "id", "only the one with that id"},
	{"name", "NAME", EDGE_OPTION_TEXT, "name", "only the one of that name"},
	{"is-default", NULL, EDGE_OPTION_FLAG, "is_default", "only the default one"},
};
static const struct edge_option vnet_update_options[] = {
	{"name", "NAME", EDGE_OPTION_TEXT, "name",
	 "another name; grants and the operator's routes follow, agents must be told"},
	{"comment", "TEXT", EDGE_OPTION_TEXT, "comment", "another comment"},
	{"default", NULL, EDGE_OPTION_FLAG, "default", "make it the default network"},
};
static const struct edge_option vnet_delete_options[] = {
	{"force", NULL, EDGE_OPTION_FLAG, "force", "also what is in it: routes and all grants"},
};

EDGE_COMMAND(vnet_add, .command = "vnet.add",
	     .usage = "adit-edge vnet add [OPTIONS] NAME [COMMENT]",
	     .summary = "Adds a virtual network: an address space of its own.",
	     .arguments = {"name", "comment"}, .n_required = 1, EDGE_OPTIONS(vnet_add_options),
	     .done = "added")

EDGE_COMMAND(vnet_delete, .command = "vnet.delete", .usage = "adit-edge vnet delete [OPTIONS] NAME",
	     .summary = "Removes a virtual network that nothing refers to, or, with --force,\n"
			"with all that does. The default network stays.",
	     .arguments = {"virtual_network"}, .n_required = 1, EDGE_OPTIONS(vnet_delete_options),
	     .print = print_deleted)

EDGE_COMMAND(vnet_list, .command = "vnet.list", .usage = "adit-edge vnet list [OPTIONS]",
	     .summary = "Shows the virtual networks that pass all of the filters.",
	     EDGE_OPTIONS(vnet_list_options), .print = print_vnets)

EDGE_COMMAND(vnet_update, .command = "vnet.update", .usage = "adit-edge vnet update [OPTIONS] NAME",
	     .summary = "Changes a virtual network's name or comment, or makes it the default.",
	     .arguments = {"virtual_network"}, .n_required = 1, EDGE_OPTIONS(vnet_update_options),
	     .done = "updated")

int edge_vnet(int argc, char **argv)
{
	static const struct command rows[] = {
		{"add", vnet_add, "an address space of its own"},
		{"delete", vnet_delete, "remove one that is unused"},
		{"list", vnet_list, "all virtual networks"},
		{"update", vnet_update, "another name or comment, or the default"},
	};
	static const struct command_set set = {
		.program = "adit-edge vnet",
		.summary = "Virtual networks; exactly one is the default.",
		COMMAND_ROWS(rows),
	};

	return commands_run(&set, argc, argv);
}
