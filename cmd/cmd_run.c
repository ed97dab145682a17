/* SPDX-License-Identifier: Apache-2.0 */

/* adit run */

#include <stdbool.h>

#include "agent/agent.h"
#include "agent/starter.h"
#include "cmd/commands.h"
#include "cmd/options.h"

static const char usage[] = "adit run [OPTIONS]";
static const char summary[] =
	"Runs the agent: keeps its connections to the edge, carries streams to\n"
	"local servers, until it is told to stop (SIGTERM).";

struct run_options {
	const char *config;
	struct option_list edges;
	const char *credentials_file;
	const char *log_level;
	const char *control_socket;
	const char *state_directory;
	bool replace;
	bool background;
};

static int parse(struct run_options *o, int argc, char **argv)
{
	const struct option_row rows[] = {
		{.name = "background",
		 .kind = OPTION_FLAG,
		 .target = &o->background,
		 .help = "with --replace: return once the new agent is in charge"},
		{.name = "config",
		 .argument = "FILE",
		 .kind = OPTION_TEXT,
		 .target = &o->config,
		 .help = "configuration (" CONFIG_PATH ")"},
		{.name = "edge",
		 .argument = "HOST:PORT",
		 .kind = OPTION_LIST,
		 .target = &o->edges,
		 .help = "edge to connect to; may be repeated"},
		{.name = "credentials-file",
		 .argument = "FILE",
		 .kind = OPTION_TEXT,
		 .target = &o->credentials_file,
		 .help = "the tunnel's credentials"},
		{.name = "loglevel",
		 .argument = "LEVEL",
		 .kind = OPTION_TEXT,
		 .target = &o->log_level,
		 .help = "debug, info, warn or error"},
		{.name = "replace",
		 .kind = OPTION_FLAG,
		 .target = &o->replace,
		 .help = "take the place of the agent that runs, without a gap"},
		{.name = "socket",
		 .argument = "PATH",
		 .kind = OPTION_TEXT,
		 .target = &o->control_socket,
		 .help = "control socket, where commands reach the agent"},
		{.name = "state-directory",
		 .argument = "DIR",
		 .kind = OPTION_TEXT,
		 .target = &o->state_directory,
		 .help = "where it keeps its state"},
	};
	const struct option_spec spec = {
		.usage = usage,
		.summary = summary,
		OPTION_ROWS(rows),
	};

	int r = options_parse(&spec, &argc, argv);

	if (r == OPTIONS_GO_ON && o->background && !o->replace)
		return options_refuse(&spec, "--background goes with --replace");
	return r;
}

int cmd_run(int argc, char **argv)
{
	struct run_options o = {.config = CONFIG_PATH};
	int code = parse(&o, argc, argv);
	struct agent_options agent;

	if (code != OPTIONS_GO_ON)
		return code;
	agent = (struct agent_options){
		.config_path = o.config,
		.overrides =
			{
				.edges = o.edges.items,
				.n_edges = o.edges.n,
				.log_level = o.log_level,
				.credentials_file = o.credentials_file,
				.control_socket = o.control_socket,
				.state_dir = o.state_directory,
			},
		.replace = o.replace,
		.starter_fd = -1,
	};
	return o.background ? starter_run(&agent) : agent_run(&agent);
}
