/* SPDX-License-Identifier: Apache-2.0 */

/* adit as one static file: the agent and what asks it, without the user's side of the tunnel */

#include "cmd/commands.h"

static const struct command rows[] = {
	{"cidr", cmd_cidr, "subtract prefixes, or ask what lies in one"},
	{"config", cmd_config, "check or show a config file"},
	{"connections", cmd_connections, "the agent's connections to the edge"},
	{"events", cmd_events, "what happened lately, or happens"},
	{"log-level", cmd_log_level, "show or set how much the agent logs"},
	{"reload", cmd_reload, "make the agent read its config again"},
	{"routes", cmd_routes, "the routes that the agent advertises"},
	{"run", cmd_run, "run the agent"},
	{"status", cmd_status, "state of the tunnel; exit status for monitoring"},
};

static const struct command_set adit = {
	.program = "adit",
	.summary = "adit is a tunnel connector: it dials out and lets your networks be reached.\n"
		   "This is the static build, the agent alone.",
	COMMAND_ROWS(rows),
};

int main(int argc, char **argv)
{
	return commands_main(&adit, argc, argv);
}
