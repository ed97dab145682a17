/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd_target.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cmd/options.h"
#include "ctrl/agent_status.h"
#include "ctrl/render.h"

#define CALL_TIMEOUT_MS 30000

/* At most: the common rows below and a command's own. */
#define ROWS_MAX 16

/* The units name folders after instances: no name may lead elsewhere. */
static bool is_instance_name(const char *name)
{
	return name[0] != '.' && !strchr(name, '/') && strlen(name) < 128;
}

static int find_instance(const struct option_spec *spec, struct agent_target *t)
{
	const char *env = getenv(AGENT_CONTROL_ENV);

	if (t->instance && !is_instance_name(t->instance))
		return options_refuse(spec, "'%s' is no name of an instance", t->instance);
	if (t->instance) {
		snprintf(t->instance_socket, sizeof(t->instance_socket),
			 AGENT_INSTANCE_SOCKET("%s"), t->instance);
		snprintf(t->instance_state, sizeof(t->instance_state), AGENT_INSTANCE_STATE("%s"),
			 t->instance);
	}
	if (!t->socket)
		t->socket = t->instance	  ? t->instance_socket
			    : env && *env ? env
					  : AGENT_CONTROL_SOCKET;
	if (!t->state_directory)
		t->state_directory = t->instance ? t->instance_state : AGENT_STATE_DIRECTORY;
	return OPTIONS_GO_ON;
}

int agent_target_parse(const char *usage, const char *summary,
		       const struct agent_target_extra *extra, int *argcp, char **argv,
		       struct agent_target *targetp)
{
	const struct option_row common[] = {
		{.name = "instance",
		 .argument = "NAME",
		 .kind = OPTION_TEXT,
		 .target = &targetp->instance,
		 .help = "the agent of the unit adit@NAME.service"},
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
	struct option_row rows[ROWS_MAX];
	size_t n_extra = extra ? extra->n_rows : 0;
	const struct option_spec spec = {
		.usage = usage,
		.summary = summary,
		.rows = rows,
		.n_rows = n_extra + ARRAY_SIZE(common),
		.n_arguments_max = extra ? extra->n_arguments_max : 0,
	};
	int r;

	assert(spec.n_rows <= ROWS_MAX);
	if (n_extra)
		memcpy(rows, extra->rows, n_extra * sizeof(rows[0]));
	memcpy(rows + n_extra, common, sizeof(common));
	*targetp = (struct agent_target){0};
	r = options_parse(&spec, argcp, argv);
	return r == OPTIONS_GO_ON ? find_instance(&spec, targetp) : r;
}

int agent_target_call(const struct agent_target *target, const char *command, json_t *args,
		      json_t **resultp, struct ctrl_error *errp)
{
	return ctrl_call(target->socket, command, args, CALL_TIMEOUT_MS, resultp, errp);
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
