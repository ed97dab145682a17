/* SPDX-License-Identifier: Apache-2.0 */
/* `adit-edge log-level` */
#include <stdio.h>

#include <jansson.h>

#include "cmd/commands.h"
#include "cmd/edge_ask.h"
#include "ctrl/ctrl_log_level.h"
#include "ctrl/render.h"

#define CELL_MAX 64

static void print_level(const json_t *result)
{
	const json_t *before = json_object_get(result, CTRL_LOG_LEVEL_BEFORE);
	char level[CELL_MAX], old[CELL_MAX];

	render_value(json_object_get(result, CTRL_LOG_LEVEL_LEVEL), RENDER_TEXT, level,
		     sizeof(level));
	if (before)
		printf("%s until the next reload; it was %s\n", level,
		       render_value(before, RENDER_TEXT, old, sizeof(old)));
	else
		puts(level);
}

EDGE_COMMAND(ask_log_level, .command = CTRL_LOG_LEVEL,
	     .usage = "adit-edge log-level [OPTIONS] [LEVEL]",
	     .summary = "Shows how much the running edge logs, or sets it until the next reload or "
			"restart:\ndebug, info, warn or error.",
	     .arguments = {CTRL_LOG_LEVEL_LEVEL}, .print = print_level)

int edge_log_level(int argc, char **argv)
{
	return ask_log_level(argc, argv);
}
