/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd_target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cmd/options.h"
#include "ctrl/agent_status.h"
#include "ctrl/render.h"

#define CALL_TIMEOUT_MS 30000

int agent_target_parse(const char *usage, const char *summary, int argc, char **argv,
		       struct agent_target *targetp)
{
	const char *env = getenv(AGENT_CONTROL_ENV);
	const struct option_row rows[] = {
		{.name = "json",
		 .kind = OPTION_FLAG,
		 .target = &targetp->json,
		 .help = "print JSON"},
		{.name = "socket",
		 .argument = "PATH",
		 .kind = OPTION_TEXT,
		 .target = &targetp->socket,
		 .help = "the agent's control socket (" AGENT_CONTROL_SOCKET ")"},
		{.name = "state-directory",
		 .argument = "DIR",
		 .kind = OPTION_TEXT,
		 .target = &targetp->state_directory,
		 .help = "where the agent keeps its state (" AGENT_STATE_DIRECTORY ")"},
	};
	const struct option_spec spec = {
		.usage = usage,
		.summary = summary,
		OPTION_ROWS(rows),
	};

	*targetp = (struct agent_target){
		.socket = env && *env ? env : AGENT_CONTROL_SOCKET,
		.state_directory = AGENT_STATE_DIRECTORY,
	};
	return options_parse(&spec, &argc, argv);
}

int agent_target_call(const struct agent_target *target, const char *command, json_t **resultp,
		      struct ctrl_error *errp)
{
	return ctrl_call(target->socket, command, NULL, CALL_TIMEOUT_MS, resultp, errp);
}

void agent_target_complain(const char *command, const struct ctrl_error *error)
{
	char line[1024], safe[4096];
	const char *text = error->text;
	size_t n;

	for (; *text; text += n + (text[n] == '\n')) {
		n = strcspn(text, "\n");
		snprintf(line, sizeof(line), "%.*s", (int)n, text);
		fprintf(stderr, "adit %s: %s\n", command, render_escape(line, safe, sizeof(safe)));
	}
}

void print_json(const json_t *value)
{
	json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
	putchar('\n');
}
