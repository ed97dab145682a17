/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/commands.h"

static const struct command rows[] = {
	{"cert", edge_cert, "renew the edge's certificate"},
	{"client", edge_client, "users: add, revoke, what they may reach"},
	{"config", edge_config, "check or show a config file"},
	{"connection", edge_connection, "close a connection"},
	{"connections", edge_connections, "connections of agents and clients"},
	{"grant", edge_grant, "what tunnels may advertise"},
	{"init", edge_init, "make the edge's CA and certificate"},
	{"log-level", edge_log_level, "show or set how much the edge logs"},
	{"policy", edge_policy, "network policies, asked before grants"},
	{"reload", edge_reload_config, "make the edge read its config again"},
	{"route", edge_route, "which tunnel a destination goes to"},
	{"run", edge_start, "run the edge"},
	{"status", edge_status, "the edge at a glance"},
	{"tunnel", edge_tunnel, "tunnels and their secrets"},
	{"vnet", edge_vnet, "virtual networks"},
};

static const struct command_set adit_edge = {
	.program = "adit-edge",
	.summary = "adit-edge accepts tunnels of agents and leads users into the networks behind "
		   "them.",
	COMMAND_ROWS(rows),
};

int main(int argc, char **argv)
{
	return commands_main(&adit_edge, argc, argv);
}
