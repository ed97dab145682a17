/* SPDX-License-Identifier: Apache-2.0 */
/* `adit-edge policy ...`: network policies, the layer above grants */
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "cmd/commands.h"
#include "cmd/edge_ask.h"
#include "ctrl/render.h"

#define TEXT_MAX 512

static void print_policies(const json_t *result)
{
	static const struct render_column columns[] = {
		{"POSITION", "position", RENDER_NUMBER},
		{"NAME", "name", RENDER_TEXT},
		{"ACTION", "action", RENDER_TEXT},
		{"CLIENT", "client", RENDER_TEXT},
		{"EMAIL", "email", RENDER_TEXT},
		{"VIRTUAL NETWORK", "virtual_network", RENDER_TEXT},
		{"PREFIX", "prefix", RENDER_TEXT},
		{"PORTS", "ports", RENDER_TEXT},
		{"PROTOCOLS", "protocols", RENDER_TEXT},
	};

	render_table(stdout, json_object_get(result, "policies"), columns, ARRAY_SIZE(columns));
}

static void print_place(const json_t *result)
{
	printf("policy %s  position %d\n", json_string_value(json_object_get(result, "name")),
	       (int)json_integer_value(json_object_get(result, "position")));
}

static const char *text_of(const json_t *result, const char *key, char out[TEXT_MAX])
{
	const char *text = json_string_value(json_object_get(result, key));

	return render_escape(text ? text : "-", out, TEXT_MAX);
}

static void print_decision(const json_t *result)
{
	bool allowed = json_is_true(json_object_get(result, "allowed"));
	char reason[TEXT_MAX], layer[TEXT_MAX], rule[TEXT_MAX], name[TEXT_MAX], tunnel[TEXT_MAX];

	text_of(result, "reason", reason);
	text_of(result, "result", name);
	printf("%s  %s\n", allowed ? "allowed" : "refused", reason);
	printf("  result  %s\n  layer   %s\n  rule    %s\n", name, text_of(result, "layer", layer),
	       text_of(result, "rule", rule));
	if (!json_is_null(json_object_get(result, "tunnel")))
		printf("  tunnel  %s\n", text_of(result, "tunnel", tunnel));
}

static const struct edge_option add_options[] = {
	{"client", "NAME", EDGE_OPTION_TEXT, "client", "only for that user"},
	{"email", "PATTERN", EDGE_OPTION_TEXT, "email",
	 "only for users with that address; *@example.com: all of that domain"},
	{"virtual-network", "NAME", EDGE_OPTION_TEXT, "virtual_network",
	 "only in that network, not in all"},
	{"prefix", "PREFIX", EDGE_OPTION_TEXT, "prefix", "only these destinations"},
	{"ports", "PORTS", EDGE_OPTION_TEXT, "ports", "only these, as in 22,8000-8100"},
	{"protocols", "LIST", EDGE_OPTION_TEXT, "protocols", "only these of tcp,udp,icmp"},
	{"position", "N", EDGE_OPTION_TEXT, "position",
	 "its place, 1 first (default: last, before a catch-all)"},
};

static const struct edge_option test_options[] = {
	{"protocol", "NAME", EDGE_OPTION_TEXT, "protocol", "tcp (default), udp, or icmp"},
	{"virtual-network", "NAME", EDGE_OPTION_TEXT, "virtual_network",
	 "in that network, not in the default one"},
};

EDGE_COMMAND(policy_add, .command = "policy.add",
	     .usage = "adit-edge policy add [OPTIONS] NAME allow|block",
	     .summary =
		     "Adds a network policy. `block` refuses what it matches; `allow` only ends\n"
		     "the search: the user's grants still have to cover it.",
	     .arguments = {"name", "action"}, .n_required = 2, EDGE_OPTIONS(add_options),
	     .print = print_place)

EDGE_COMMAND(policy_add_catch_all, .command = "policy.add-catch-all",
	     .usage = "adit-edge policy add-catch-all [OPTIONS]",
	     .summary = "Adds a last policy that blocks what no policy before it allows "
			"(recommended).",
	     .print = print_place)

EDGE_COMMAND(policy_list, .command = "policy.list", .usage = "adit-edge policy list [OPTIONS]",
	     .summary = "Shows all network policies in the order in which they are asked.",
	     .print = print_policies)

EDGE_COMMAND(policy_move, .command = "policy.move",
	     .usage = "adit-edge policy move [OPTIONS] POLICY POSITION",
	     .summary = "Gives a policy another place; 1 is asked first.",
	     .arguments = {"policy", "position"}, .n_required = 2, .print = print_place)

EDGE_COMMAND(policy_delete, .command = "policy.delete",
	     .usage = "adit-edge policy delete [OPTIONS] POLICY",
	     .summary = "Removes a policy, by name or id, and cuts the streams that rested on it.",
	     .arguments = {"policy"}, .n_required = 1, .done = "deleted")

EDGE_COMMAND(policy_test, .command = "policy.test",
	     .usage = "adit-edge policy test [OPTIONS] CLIENT IP [PORT]",
	     .summary = "Shows what the user would be answered now, and which rule of which layer "
			"decides.\nPORT is left out with --protocol icmp.",
	     .arguments = {"client", "address", "port"}, .n_required = 2,
	     EDGE_OPTIONS(test_options), .print = print_decision)

int edge_policy(int argc, char **argv)
{
	static const struct command rows[] = {
		{"add", policy_add, "a network policy"},
		{"add-catch-all", policy_add_catch_all, "block what no policy allows"},
		{"delete", policy_delete, "remove a policy"},
		{"list", policy_list, "all policies in their order"},
		{"move", policy_move, "another place in the order"},
		{"test", policy_test, "what a user would be answered, and why"},
	};
	static const struct command_set set = {
		.program = "adit-edge policy",
		.summary = "Network policies: asked in their order, before the users' grants.",
		COMMAND_ROWS(rows),
	};

	return commands_run(&set, argc, argv);
}
