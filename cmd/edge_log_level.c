/* SPDX-License-Identifier: Apache-2.0 */
/* `adit-edge log-level` */
#include "cmd/commands.h"
#include "cmd/edge_ask.h"
#include "ctrl/ctrl_log_level.h"

EDGE_COMMAND(ask_log_level, .command = CTRL_LOG_LEVEL,
	     .usage = "adit-edge log-level [OPTIONS] [LEVEL]",
	     .summary = "Shows how much the running edge logs, or sets it until the next reload or "
			"restart:\ndebug, info, warn or error.",
	     .arguments = {CTRL_LOG_LEVEL_LEVEL}, .print = ctrl_log_level_print)

int edge_log_level(int argc, char **argv)
{
	return ask_log_level(argc, argv);
}
