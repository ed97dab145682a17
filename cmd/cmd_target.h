/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* cmd_target - which agent a command asks, and how it shows the answer */

#include <stdbool.h>

#include "base/compiler.h"
#include "cmd/options.h"
#include "ctrl/ctrl_client.h"

struct json_t; /* jansson's */

struct agent_target {
	const char *socket; /* flag, else the instance's, else ADIT_CONTROL_SOCKET or the default */
	const char *state_directory; /* flag, else the instance's or the default */
	const char *instance;	     /* of adit@.service; NULL: the plain unit */
	bool json;
	char instance_socket[256];
	char instance_state[256];
};

/* What a command has besides. */
struct agent_target_extra {
	const struct option_row *rows;
	size_t n_rows;
	int n_arguments_max;
};

/*
 * Parses the options that all commands to the agent have, and those of @extra (NULL: none).
 * @usage and @summary: see struct option_spec; *@argcp: see options_parse(). *@targetp must
 * stay where it is. Returns OPTIONS_GO_ON or the exit code.
 */
int agent_target_parse(const char *usage, const char *summary,
		       const struct agent_target_extra *extra, int *argcp, char **argv,
		       struct agent_target *targetp);

/* ctrl_call() with a time limit for people; @args may be NULL. */
NODISCARD int agent_target_call(const struct agent_target *target, const char *command,
				struct json_t *args, struct json_t **resultp,
				struct ctrl_error *errp);

/* "adit COMMAND: reason" on stderr, safe for a terminal, several lines if it has them. */
void agent_target_complain(const char *command, const struct ctrl_error *error);

/* Indented and in ASCII, so that no byte of a peer reaches the terminal. */
void print_json(const struct json_t *value);
