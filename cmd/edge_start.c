/* SPDX-License-Identifier: Apache-2.0 */
/* `adit-edge run` */
#include <stdio.h>
#include <stdlib.h>

#include "base/diag.h"
#include "cmd/commands.h"
#include "cmd/options.h"
#include "edge/edge.h"
#include "edge/edge_settings.h"
#include "edge/paths.h"

struct run_options {
	const char *config;
	struct option_list listen;
	struct edge_settings_overrides overrides;
};

static int load(struct run_options *o, struct edge_settings **settingsp)
{
	struct diag diag;
	int r;

	o->overrides.listen = o->listen.items;
	o->overrides.n_listen = o->listen.n;
	diag_init(&diag, o->config);
	r = edge_settings_load(settingsp, o->config, &o->overrides, &diag);
	diag_print(&diag);
	diag_deinit(&diag);
	return r < 0 ? COMMAND_EXIT_CONFIG : OPTIONS_GO_ON;
}

int edge_start(int argc, char **argv)
{
	struct run_options o = {.config = EDGE_CONFIG_FILE};
	const struct option_row rows[] = {
		{"config", "FILE", OPTION_TEXT, &o.config, "config file (" EDGE_CONFIG_FILE ")", 0,
		 0},
		{"listen", "IP:PORT", OPTION_LIST, &o.listen, "instead of the file's", 0, 0},
		{"loglevel", "LEVEL", OPTION_TEXT, &o.overrides.log_level,
		 "debug, info, warn or error", 0, 0},
		{"socket", "PATH", OPTION_TEXT, &o.overrides.control_socket, "control socket", 0,
		 0},
		{"state-directory", "DIR", OPTION_TEXT, &o.overrides.state_dir,
		 "database and certificates", 0, 0},
	};
	const struct option_spec spec = {
		.usage = "adit-edge run [OPTIONS]",
		.summary =
			"Runs the edge until SIGTERM; streams that run then have drain-timeout to "
			"end.",
		OPTION_ROWS(rows),
	};
	struct edge_source source = {.overrides = &o.overrides};
	struct edge_settings *settings = NULL;
	int r = options_parse(&spec, &argc, argv);

	if (r == OPTIONS_GO_ON)
		r = load(&o, &settings);
	source.config_path = o.config;
	return r == OPTIONS_GO_ON ? (int)edge_run(settings, &source) : r;
}
