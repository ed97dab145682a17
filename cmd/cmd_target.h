/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* cmd_target - which agent a command asks, and how it shows the answer */

#include <stdbool.h>

#include "base/compiler.h"
#include "ctrl/ctrl_client.h"

struct json_t; /* jansson's */

struct agent_target {
	const char *socket;	     /* flag, else ADIT_CONTROL_SOCKET, else the default */
	const char *state_directory; /* flag, else the default */
	bool json;
};

/*
 * Parses the options that all commands to the agent have (no arguments). @usage and
 * @summary: see struct option_spec. Returns OPTIONS_GO_ON or the exit code.
 */
int agent_target_parse(const char *usage, const char *summary, int argc, char **argv,
		       struct agent_target *targetp);

/* ctrl_call() without arguments and with a time limit for people. */
NODISCARD int agent_target_call(const struct agent_target *target, const char *command,
				struct json_t **resultp, struct ctrl_error *errp);

/* "adit COMMAND: reason" on stderr, safe for a terminal, several lines if it has them. */
void agent_target_complain(const char *command, const struct ctrl_error *error);

/* Indented and in ASCII, so that no byte of a peer reaches the terminal. */
void print_json(const struct json_t *value);
