/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "agent/settings.h"
#include "base/diag.h"
#include "cmd/commands.h"
#include "cmd/options.h"

/* What check and show have in common; a file that loads comes back in *@settingsp. */
static int load(const char *usage, const char *summary, int argc, char **argv,
		struct settings **settingsp, const char **pathp)
{
	struct option_list edges = {0};
	const struct option_row rows[] = {
		{.name = "edge",
		 .argument = "HOST:PORT",
		 .kind = OPTION_LIST,
		 .target = &edges,
		 .help = "as if the file had it (may be repeated)"},
	};
	const struct option_spec spec = {
		.usage = usage,
		.summary = summary,
		.n_arguments_max = 1,
		OPTION_ROWS(rows),
	};
	struct settings_overrides overrides = {.edges = edges.items};
	struct diag diag;
	int r = options_parse(&spec, &argc, argv);

	if (r != OPTIONS_GO_ON)
		return r;
	*pathp = argc > 1 ? argv[1] : CONFIG_PATH;
	overrides.n_edges = edges.n;
	diag_init(&diag, *pathp);
	r = settings_load(settingsp, *pathp, &overrides, &diag);
	diag_print(&diag);
	diag_deinit(&diag);
	return r < 0 ? COMMAND_EXIT_CONFIG : OPTIONS_GO_ON;
}

static int check(int argc, char **argv)
{
	struct settings *settings = NULL;
	const char *path;
	int r = load("adit config check [OPTIONS] [FILE]",
		     "Names all problems of the agent's config file (" CONFIG_PATH ").\n"
		     "'adit up' checks its own file when it starts.",
		     argc, argv, &settings, &path);

	if (r != OPTIONS_GO_ON)
		return r;
	printf("%s: ok\n", path);
	settings_free(settings);
	return EXIT_SUCCESS;
}

static int show(int argc, char **argv)
{
	struct settings *settings = NULL;
	const char *path;
	int r = load("adit config show [OPTIONS] [FILE]",
		     "Prints what is in force: file (" CONFIG_PATH "), environment, defaults.",
		     argc, argv, &settings, &path);

	if (r != OPTIONS_GO_ON)
		return r;
	settings_show(settings, stdout);
	settings_free(settings);
	return EXIT_SUCCESS;
}

int cmd_config(int argc, char **argv)
{
	static const struct command rows[] = {
		{"check", check, "name all problems of a config file"},
		{"show", show, "print the configuration with its defaults"},
	};
	static const struct command_set set = {
		.program = "adit config",
		.summary = "Looks at the agent's configuration.",
		COMMAND_ROWS(rows),
	};

	return commands_run(&set, argc, argv);
}
