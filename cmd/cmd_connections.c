/* SPDX-License-Identifier: Apache-2.0 */

/* `adit connections`, `routes` and `reload`: one question, one table or a few lines. */

#include "cmd/cmd_connections.h"

#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "cmd/cmd_target.h"
#include "cmd/commands.h"
#include "cmd/options.h"
#include "ctrl/agent_status.h"
#include "ctrl/render.h"

#define CELL_MAX 1024

DEFINE_CLEANUP(json_t *, json_decref);

static const struct render_column connection_columns[] = {
	{"#", CONNECTION_INDEX, RENDER_NUMBER},
	{"EDGE", CONNECTION_EDGE, RENDER_TEXT},
	{"LOCATION", CONNECTION_LOCATION, RENDER_TEXT},
	{"STATE", CONNECTION_STATE, RENDER_TEXT},
	{"SINCE", CONNECTION_SINCE_S, RENDER_AGE},
	{"RTT", CONNECTION_RTT_US, RENDER_USEC},
	{"SUSPECT", CONNECTION_SUSPECT, RENDER_BOOL},
	{"STREAMS", CONNECTION_STREAMS, RENDER_NUMBER},
	{"IN", CONNECTION_BYTES_IN, RENDER_BYTES},
	{"OUT", CONNECTION_BYTES_OUT, RENDER_BYTES},
	{"LAST ERROR", CONNECTION_LAST_ERROR, RENDER_TEXT},
};

static const struct render_column route_columns[] = {
	{"NETWORK", ROUTE_NETWORK, RENDER_TEXT},
	{"VIRTUAL NETWORK", ROUTE_VIRTUAL_NETWORK, RENDER_TEXT},
	{"STATE", ROUTE_STATE, RENDER_TEXT},
	{"VIA", ROUTE_VIA, RENDER_TEXT},
	{"PORTS", ROUTE_PORTS, RENDER_TEXT},
	{"INTERFACE", ROUTE_INTERFACE, RENDER_TEXT},
	{"SOURCE", ROUTE_SOURCE, RENDER_TEXT},
	{"COMMENT", ROUTE_COMMENT, RENDER_TEXT},
	{"REASON", ROUTE_REASON, RENDER_TEXT},
};

void print_connections(const json_t *connections)
{
	render_table(stdout, connections, connection_columns, ARRAY_SIZE(connection_columns));
}

static void print_connections_result(const json_t *result)
{
	print_connections(json_object_get(result, STATUS_CONNECTIONS));
}

static void print_routes_result(const json_t *result)
{
	const char *note = json_string_value(json_object_get(result, ROUTES_NOTE));
	char safe[CELL_MAX];

	render_table(stdout, json_object_get(result, ROUTES_ROUTES), route_columns,
		     ARRAY_SIZE(route_columns));
	if (note)
		printf("\n%s\n", render_escape(note, safe, sizeof(safe)));
}

static void print_lines(FILE *out, const char *title, const json_t *lines)
{
	char safe[CELL_MAX];

	for (size_t i = 0; i < json_array_size(lines); i++)
		fprintf(out, "%s: %s\n", title,
			render_value(json_array_get(lines, i), RENDER_TEXT, safe, sizeof(safe)));
}

static void print_reload_result(const json_t *result)
{
	print_lines(stderr, "warning", json_object_get(result, RELOAD_WARNINGS));
	print_lines(stdout, "changed", json_object_get(result, RELOAD_CHANGED));
	if (json_array_size(json_object_get(result, RELOAD_CHANGED)) == 0)
		puts("reloaded; nothing changed");
}

/* A command that asks the agent one thing: 0, or 1 with the reason on stderr. */
struct question {
	const char *command;
	const char *usage;
	const char *summary;
	void (*print)(const json_t *result);
};

static int ask(const struct question *question, int argc, char **argv)
{
	CLEANUP(json_decref) json_t *result = NULL;
	struct agent_target target;
	struct ctrl_error error;
	int r = agent_target_parse(question->usage, question->summary, NULL, &argc, argv, &target);

	if (r != OPTIONS_GO_ON)
		return r;
	if (agent_target_call(&target, question->command, NULL, &result, &error) != 0) {
		agent_target_complain(question->command, &error);
		return EXIT_FAILURE;
	}
	if (target.json)
		print_json(result);
	else
		question->print(result);
	return EXIT_SUCCESS;
}

int cmd_connections(int argc, char **argv)
{
	static const struct question question = {
		.command = AGENT_COMMAND_CONNECTIONS,
		.usage = "adit connections [OPTIONS]",
		.summary = "Shows the agent's connections to the edge.",
		.print = print_connections_result,
	};

	return ask(&question, argc, argv);
}

int cmd_routes(int argc, char **argv)
{
	static const struct question question = {
		.command = AGENT_COMMAND_ROUTES,
		.usage = "adit routes [OPTIONS]",
		.summary = "Shows the routes that the agent advertises and what the edge made of "
			   "them.",
		.print = print_routes_result,
	};

	return ask(&question, argc, argv);
}

int cmd_reload(int argc, char **argv)
{
	static const struct question question = {
		.command = AGENT_COMMAND_RELOAD,
		.usage = "adit reload [OPTIONS]",
		.summary =
			"Makes the agent read its config again. A bad file changes nothing and is "
			"reported;\nrunning streams go on.",
		.print = print_reload_result,
	};

	return ask(&question, argc, argv);
}
