/* SPDX-License-Identifier: Apache-2.0 */
/* `adit-edge reload` */
#include <stdio.h>

#include <jansson.h>

#include "cmd/commands.h"
#include "cmd/edge_ask.h"
#include "ctrl/render.h"

#define LINE_MAX_SAFE 1200

static void print_lines(FILE *out, const char *title, const json_t *lines)
{
	char safe[LINE_MAX_SAFE];

	for (size_t i = 0; i < json_array_size(lines); i++)
		fprintf(out, "%s: %s\n", title,
			render_value(json_array_get(lines, i), RENDER_TEXT, safe, sizeof(safe)));
}

static void print_result(const json_t *result)
{
	const json_t *changed = json_object_get(result, "changed");

	print_lines(stderr, "warning", json_object_get(result, "warnings"));
	print_lines(stdout, "changed", changed);
	if (json_array_size(changed) == 0)
		puts("reloaded; nothing changed");
}

EDGE_COMMAND(ask_reload, .command = "reload", .usage = "adit-edge reload [OPTIONS]",
	     .summary = "Makes the edge read its config again. A bad file changes nothing and is "
			"reported;\nrunning streams go on.",
	     .print = print_result)

int edge_reload_config(int argc, char **argv)
{
	return ask_reload(argc, argv);
}
