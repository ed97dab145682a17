/* SPDX-License-Identifier: Apache-2.0 */

/* `adit log-level`: shows or sets the running agent's level */

#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "cmd/cmd_target.h"
#include "cmd/commands.h"
#include "ctrl/ctrl_log_level.h"
#include "ctrl/render.h"

#define CELL_MAX 64

DEFINE_CLEANUP(json_t *, json_decref);

int cmd_log_level(int argc, char **argv)
{
	const struct agent_target_extra extra = {.n_arguments_max = 1};
	CLEANUP(json_decref) json_t *result = NULL;
	CLEANUP(json_decref) json_t *args = NULL;
	struct agent_target target;
	char level[CELL_MAX];
	struct ctrl_error error;
	int r = agent_target_parse("adit log-level [OPTIONS] [LEVEL]",
				   "Shows how much the running agent logs, or sets it until the "
				   "next reload or restart:\ndebug, info, warn or error.",
				   &extra, &argc, argv, &target);

	if (r != OPTIONS_GO_ON)
		return r;
	/* Escaped, because JSON takes no text that isn't UTF-8. */
	if (argc > 1)
		args = json_pack("{s:s}", CTRL_LOG_LEVEL_LEVEL,
				 render_escape(argv[1], level, sizeof(level)));
	if (agent_target_call(&target, CTRL_LOG_LEVEL, args, &result, &error) != 0) {
		agent_target_complain(CTRL_LOG_LEVEL, &error);
		return EXIT_FAILURE;
	}
	if (target.json)
		print_json(result);
	else
		ctrl_log_level_print(result);
	return EXIT_SUCCESS;
}
