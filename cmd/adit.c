/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/commands.h"

static const struct command rows[] = {
	{"cidr", cmd_cidr, "subtract prefixes, or ask what lies in one"},
	{"config", cmd_config, "check or show a config file"},
	{"connect", cmd_connect, "reach a host through the tunnel, for ssh's ProxyCommand"},
	{"connections", cmd_connections, "the agent's connections to the edge"},
	{"down", cmd_down, "end adit up"},
	{"events", cmd_events, "what happened lately, or happens"},
	{"exec", cmd_exec, "run a command in a virtual network"},
	{"log-level", cmd_log_level, "show or set how much the agent logs"},
	{"proxy", cmd_proxy, "SOCKS5 and HTTP CONNECT for local programs"},
	{"reload", cmd_reload, "make the agent read its config again"},
	{"routes", cmd_routes, "the routes that the agent advertises"},
	{"run", cmd_run, "run the agent"},
	{"status", cmd_status, "state of the tunnel; exit status for monitoring"},
	{"up", cmd_up, "reach networks behind the edge from every program of this machine"},
};

static const struct command_set adit = {
	.program = "adit",
	.summary = "adit is a tunnel connector: it dials out and lets your networks be reached.",
	COMMAND_ROWS(rows),
};

int main(int argc, char **argv)
{
	return commands_main(&adit, argc, argv);
}
