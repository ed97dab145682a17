/* SPDX-License-Identifier: Apache-2.0 */
/* `adit-edge status`, `connections` and `connection close` */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "cmd/commands.h"
#include "cmd/edge_ask.h"
#include "ctrl/render.h"

#define CELL_MAX 1024

DEFINE_CLEANUP(json_t *, json_decref);

static enum render_kind kind_of(const char *key)
{
	size_t n = strlen(key);

	if (n > 6 && strcmp(key + n - 6, "_bytes") == 0)
		return RENDER_BYTES;
	return n > 2 && strcmp(key + n - 2, "_s") == 0 ? RENDER_AGE : RENDER_TEXT;
}

/* "buffered_bytes" as "buffered bytes", "uptime_s" as "uptime". */
static void print_key(const char *key)
{
	size_t n = strlen(key) - (kind_of(key) == RENDER_AGE ? 2 : 0);

	for (size_t i = 0; i < n; i++)
		putchar(key[i] == '_' ? ' ' : key[i]);
	printf("%*s", n < 22 ? (int)(22 - n) : 1, "");
}

static void print_value(const json_t *value, enum render_kind kind)
{
	char cell[CELL_MAX];

	if (json_is_boolean(value))
		kind = RENDER_BOOL;
	puts(render_value(value, kind, cell, sizeof(cell)));
}

/* Whatever the edge says about itself, one line each. */
static void print_status(const json_t *result)
{
	CLEANUP(json_decref) json_t *copy = json_deep_copy(result);
	const char *key;
	json_t *value;

	json_object_foreach(copy, key, value)
	{
		print_key(key);
		if (!json_is_array(value))
			print_value(value, kind_of(key));
		for (size_t i = 0; i < json_array_size(value); i++)
			printf("%s%s", json_string_value(json_array_get(value, i)),
			       i + 1 < json_array_size(value) ? ", " : "\n");
		if (json_is_array(value) && json_array_size(value) == 0)
			puts("-");
	}
}

static void print_connections(const json_t *result)
{
	static const struct render_column columns[] = {
		{"ID", "id", RENDER_TEXT},
		{"KIND", "kind", RENDER_TEXT},
		{"TUNNEL", "tunnel", RENDER_TEXT},
		{"#", "index", RENDER_NUMBER},
		{"CLIENT", "client", RENDER_TEXT},
		{"STATE", "state", RENDER_TEXT},
		{"PEER", "peer", RENDER_TEXT},
		{"SINCE", "since_s", RENDER_AGE},
		{"RTT", "rtt_us", RENDER_USEC},
		{"SUSPECT", "suspect", RENDER_BOOL},
		{"STREAMS", "streams", RENDER_NUMBER},
		{"IN", "bytes_in", RENDER_BYTES},
		{"OUT", "bytes_out", RENDER_BYTES},
	};

	render_table(stdout, json_object_get(result, "connections"), columns, ARRAY_SIZE(columns));
}

static const struct edge_option close_options[] = {
	{"hold", "DURATION", EDGE_OPTION_DURATION, "hold_ms",
	 "refuse the agent's new connection in its place for that long"},
};

EDGE_COMMAND(connection_close, .command = "connection.close",
	     .usage = "adit-edge connection close [OPTIONS] ID",
	     .summary = "Cuts a connection of an agent or a client.", .arguments = {"id"},
	     .n_required = 1, EDGE_OPTIONS(close_options), .done = "closed")

EDGE_COMMAND(ask_status, .command = "status", .usage = "adit-edge status [OPTIONS]",
	     .summary = "Shows the edge at a glance.", .print = print_status)

EDGE_COMMAND(ask_connections, .command = "connections",
	     .usage = "adit-edge connections [OPTIONS] [TUNNEL]",
	     .summary = "Shows the connections of agents and clients.", .arguments = {"tunnel"},
	     .print = print_connections)

int edge_status(int argc, char **argv)
{
	return ask_status(argc, argv);
}

int edge_connections(int argc, char **argv)
{
	return ask_connections(argc, argv);
}

int edge_connection(int argc, char **argv)
{
	static const struct command rows[] = {
		{"close", connection_close, "cut a connection"},
	};
	static const struct command_set set = {
		.program = "adit-edge connection",
		.summary = "One connection of an agent or a client.",
		COMMAND_ROWS(rows),
	};

	return commands_run(&set, argc, argv);
}
