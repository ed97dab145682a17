/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `adit events`: a line per event, for people or as JSON lines. While it follows, each line
 * is flushed, and it ends when the agent does or nobody reads its output any more.
 */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cmd/cmd_target.h"
#include "cmd/commands.h"
#include "ctrl/agent_status.h"
#include "ctrl/render.h"

#define CELL_MAX	 1024
#define FIRST_TIMEOUT_MS 30000

DEFINE_CLEANUP(json_t *, json_decref);

static void print_fields(json_t *fields)
{
	char cell[CELL_MAX];
	const char *key;
	json_t *value;

	json_object_foreach(fields, key, value)
	{
		bool quoted = json_is_string(value) && strpbrk(json_string_value(value), " =\"");

		printf(" %s=", render_escape(key, cell, sizeof(cell)));
		render_value(value, json_is_string(value) ? RENDER_TEXT : RENDER_NUMBER, cell,
			     sizeof(cell));
		printf(quoted ? "\"%s\"" : "%s", cell);
	}
}

static void print_for_people(const json_t *event)
{
	json_int_t at_ms = json_integer_value(json_object_get(event, EVENT_TIME_MS));
	char time[CLOCK_TEXT_MAX], kind[CELL_MAX];

	render_value(json_object_get(event, EVENT_KIND), RENDER_TEXT, kind, sizeof(kind));
	printf("%s  %-20s", clock_format_wall(at_ms, time), kind);
	print_fields(json_object_get(event, EVENT_FIELDS));
	putchar('\n');
}

static void print_event(const json_t *event, bool json)
{
	if (!json) {
		print_for_people(event);
		return;
	}
	json_dumpf(event, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
	putchar('\n');
}

static bool take_event(void *ctx, const json_t *event)
{
	const struct agent_target *target = ctx;

	print_event(event, target->json);
	return fflush(stdout) == 0;
}

static int list(const struct agent_target *target, json_t *args, struct ctrl_error *errp)
{
	CLEANUP(json_decref) json_t *result = NULL;
	int r = agent_target_call(target, AGENT_COMMAND_EVENTS, args, &result, errp);
	const json_t *events = json_object_get(result, EVENTS_EVENTS);

	for (size_t i = 0; i < json_array_size(events); i++)
		print_event(json_array_get(events, i), target->json);
	return r;
}

static int run(struct agent_target *target, json_t *args)
{
	bool follows = json_is_true(json_object_get(args, EVENTS_FOLLOW));
	struct ctrl_error error;
	int r = follows ? ctrl_follow(target->socket, AGENT_COMMAND_EVENTS, args, FIRST_TIMEOUT_MS,
				      take_event, target, &error)
			: list(target, args, &error);

	if (r == 0)
		return EXIT_SUCCESS;
	agent_target_complain(AGENT_COMMAND_EVENTS, &error);
	return EXIT_FAILURE;
}

int cmd_events(int argc, char **argv)
{
	bool follows = false;
	const char *since = NULL;
	const struct option_row rows[] = {
		{.name = "follow",
		 .kind = OPTION_FLAG,
		 .target = &follows,
		 .help = "go on with what happens; ends by SIGINT or with the agent"},
		{.name = "since",
		 .argument = "SEQ",
		 .kind = OPTION_TEXT,
		 .target = &since,
		 .help = "only what came after the event with this number"},
	};
	const struct agent_target_extra extra = {OPTION_ROWS(rows)};
	CLEANUP(json_decref) json_t *args = json_object();
	struct agent_target target;
	int r = agent_target_parse("adit events [OPTIONS]",
				   "Shows what happened to the agent lately: connections, routes, "
				   "reloads, the network.",
				   &extra, &argc, argv, &target);

	if (r != OPTIONS_GO_ON)
		return r;
	if (since && (strlen(since) > 18 || since[strspn(since, "0123456789")])) {
		fprintf(stderr, "adit events: --since takes the number of an event\n");
		return COMMAND_EXIT_USAGE;
	}
	if (since)
		json_object_set_new(args, EVENTS_SINCE, json_integer(strtoll(since, NULL, 10)));
	json_object_set_new(args, EVENTS_FOLLOW, json_boolean(follows));
	return run(&target, args);
}
