/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * commands - the subcommands of a program as a table
 *
 * main() hands its argv to commands_main(); a row whose command has subcommands of
 * its own calls commands_run() again with its own table ("adit-edge tunnel create").
 */

#include <stddef.h>

#include "base/compiler.h"

/* Exit codes that mean the same everywhere, as in sysexits.h. */
enum command_exit {
	COMMAND_EXIT_USAGE = 64,
	COMMAND_EXIT_CONFIG = 78,
};

/* argv[0] is the command's own name; the result is the exit code. */
typedef int (*command_fn)(int argc, char **argv);

struct command {
	const char *name;
	command_fn run;
	const char *help; /* one line */
};

struct command_set {
	const char *program; /* as typed: "adit", "adit-edge tunnel" */
	const char *summary;
	const struct command *rows;
	size_t n_rows;
};

#define COMMAND_ROWS(table) .rows = (table), .n_rows = ARRAY_SIZE(table)

/*
 * Runs the row named by argv[1]. --help, --version and the words help and version are
 * served here; "help NAME" explains a row, for which argv is reordered. No name or an
 * unknown one: a message with the nearest name on stderr and COMMAND_EXIT_USAGE.
 */
int commands_run(const struct command_set *set, int argc, char **argv);

/* main() of a program: the same, and what couldn't be written to stdout is a failure. */
int commands_main(const struct command_set *set, int argc, char **argv);

/* The commands of `adit`; each lives in cmd_<family>.c and has a row in adit.c. */
int cmd_cidr(int argc, char **argv);
int cmd_config(int argc, char **argv);
int cmd_connect(int argc, char **argv);
int cmd_connections(int argc, char **argv);
int cmd_down(int argc, char **argv);
int cmd_events(int argc, char **argv);
int cmd_exec(int argc, char **argv);
int cmd_log_level(int argc, char **argv);
int cmd_proxy(int argc, char **argv);
int cmd_reload(int argc, char **argv);
int cmd_routes(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_up(int argc, char **argv);

/* The commands of `adit-edge`; each lives in edge_<family>.c and has a row in adit_edge.c. */
int edge_cert(int argc, char **argv);
int edge_client(int argc, char **argv);
int edge_config(int argc, char **argv);
int edge_connection(int argc, char **argv);
int edge_connections(int argc, char **argv);
int edge_grant(int argc, char **argv);
int edge_init(int argc, char **argv);
int edge_log_level(int argc, char **argv);
int edge_policy(int argc, char **argv);
int edge_reload_config(int argc, char **argv);
int edge_route(int argc, char **argv);
int edge_start(int argc, char **argv);
int edge_status(int argc, char **argv);
int edge_tunnel(int argc, char **argv);
int edge_vnet(int argc, char **argv);
