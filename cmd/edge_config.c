/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "base/diag.h"
#include "cmd/commands.h"
#include "cmd/options.h"
#include "edge/edge_settings.h"
#include "edge/paths.h"

/* What check and show have in common; a file that loads comes back in *@settingsp. */
static int load(const char *usage, const char *summary, int argc, char **argv,
		struct edge_settings **settingsp, const char **pathp)
{
	const struct option_spec spec = {
		.usage = usage,
		.summary = summary,
		.n_arguments_max = 1,
	};
	struct diag diag;
	int r = options_parse(&spec, &argc, argv);

	if (r != OPTIONS_GO_ON)
		return r;
	*pathp = argc > 1 ? argv[1] : EDGE_CONFIG_FILE;
	diag_init(&diag, *pathp);
	r = edge_settings_load(settingsp, *pathp, NULL, &diag);
	diag_print(&diag);
	diag_deinit(&diag);
	return r < 0 ? COMMAND_EXIT_CONFIG : OPTIONS_GO_ON;
}

static int check(int argc, char **argv)
{
	struct edge_settings *settings = NULL;
	const char *path;
	int r = load("adit-edge config check [FILE]",
		     "Names all problems of a config file (" EDGE_CONFIG_FILE ").", argc, argv,
		     &settings, &path);

	if (r != OPTIONS_GO_ON)
		return r;
	printf("%s: ok\n", path);
	edge_settings_free(settings);
	return EXIT_SUCCESS;
}

static int show(int argc, char **argv)
{
	struct edge_settings *settings = NULL;
	const char *path;
	int r = load("adit-edge config show [FILE]",
		     "Prints what is in force: file (" EDGE_CONFIG_FILE "), environment, defaults.",
		     argc, argv, &settings, &path);

	if (r != OPTIONS_GO_ON)
		return r;
	edge_settings_show(settings, stdout);
	edge_settings_free(settings);
	return EXIT_SUCCESS;
}

int edge_config(int argc, char **argv)
{
	static const struct command rows[] = {
		{"check", check, "name all problems of a config file"},
		{"show", show, "print the configuration with its defaults"},
	};
	static const struct command_set set = {
		.program = "adit-edge config",
		.summary = "Looks at the configuration of the edge.",
		COMMAND_ROWS(rows),
	};

	return commands_run(&set, argc, argv);
}
