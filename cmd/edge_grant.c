/* SPDX-License-Identifier: Apache-2.0 */
/* `adit-edge grant ...`: what tunnels may advertise */
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "cmd/commands.h"
#include "cmd/edge_ask.h"
#include "ctrl/render.h"

#define VNET_OPTION                                                                                \
	{                                                                                          \
		"virtual-network", "NAME", EDGE_OPTION_TEXT, "virtual_network",                    \
			"in that network, not in the default one"                                  \
	}
#define NAME_OPTION                                                                                \
	{                                                                                          \
		"network-name", "NAME", EDGE_OPTION_TEXT, "network_name",                          \
			"instead of a prefix: a virtual network that it may create and use"        \
	}

static void print_grants(const json_t *result)
{
	static const struct render_column columns[] = {
		{"TUNNEL", "tunnel", RENDER_TEXT},
		{"PREFIX", "prefix", RENDER_TEXT},
		{"VIRTUAL NETWORK", "virtual_network", RENDER_TEXT},
		{"OVERRIDE", "override", RENDER_BOOL},
		{"NETWORK NAME", "network_name", RENDER_TEXT},
	};

	render_table(stdout, json_object_get(result, "grants"), columns, ARRAY_SIZE(columns));
}

static const struct edge_option add_options[] = {
	VNET_OPTION,
	{"override", NULL, EDGE_OPTION_FLAG, "override",
	 "also inside and around routes of other tunnels"},
	NAME_OPTION,
};

static const struct edge_option delete_options[] = {VNET_OPTION, NAME_OPTION};

static const struct edge_option list_options[] = {
	{"virtual-network", "NAME", EDGE_OPTION_TEXT, "virtual_network",
	 "only grants in that network, or of its name"},
};

EDGE_COMMAND(grant_add, .command = "grant.add",
	     .usage = "adit-edge grant add [OPTIONS] TUNNEL [PREFIX]",
	     .summary = "Lets a tunnel advertise a prefix and what lies inside it.",
	     .arguments = {"tunnel", "prefix"}, .n_required = 1, EDGE_OPTIONS(add_options),
	     .done = "granted")

EDGE_COMMAND(grant_delete, .command = "grant.delete",
	     .usage = "adit-edge grant delete [OPTIONS] TUNNEL [PREFIX]",
	     .summary = "Takes a grant back, and the routes that rest on it.",
	     .arguments = {"tunnel", "prefix"}, .n_required = 1, EDGE_OPTIONS(delete_options),
	     .done = "deleted")

EDGE_COMMAND(grant_list, .command = "grant.list",
	     .usage = "adit-edge grant list [OPTIONS] [TUNNEL]",
	     .summary = "Shows what tunnels may advertise.", .arguments = {"tunnel"},
	     EDGE_OPTIONS(list_options), .print = print_grants)

int edge_grant(int argc, char **argv)
{
	static const struct command rows[] = {
		{"add", grant_add, "let a tunnel advertise"},
		{"delete", grant_delete, "take a grant back"},
		{"list", grant_list, "what tunnels may advertise"},
	};
	static const struct command_set set = {
		.program = "adit-edge grant",
		.summary =
			"Grants of tunnels: without one, nothing that an agent advertises counts.",
		COMMAND_ROWS(rows),
	};

	return commands_run(&set, argc, argv);
}
