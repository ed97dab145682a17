/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/commands.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"

static void print_help(const struct command_set *set, FILE *out)
{
	fprintf(out, "Usage: %s COMMAND [OPTIONS]\n\n%s\n\nCommands:\n", set->program,
		set->summary);
	for (size_t i = 0; i < set->n_rows; i++)
		fprintf(out, "  %-12s %s\n", set->rows[i].name, set->rows[i].help);
	fprintf(out, "\n'%s COMMAND --help' explains one.\n", set->program);
}

static int run_help(const struct command_set *set, int argc UNUSED, char **argv UNUSED)
{
	print_help(set, stdout);
	return EXIT_SUCCESS;
}

/* "help tunnel create" is "tunnel create --help". */
static int run_help_of(const struct command_set *set, int argc, char **argv)
{
	static char help[] = "--help";

	for (int i = 1; i + 1 < argc; i++)
		argv[i] = argv[i + 1];
	argv[argc - 1] = help;
	return commands_run(set, argc, argv);
}

static int run_version(const struct command_set *set, int argc UNUSED, char **argv UNUSED)
{
	printf("%s %s\n", set->program, ADIT_VERSION);
	return EXIT_SUCCESS;
}

static const struct {
	const char *name;
	int (*run)(const struct command_set *set, int argc, char **argv);
} common[] = {
	{"--help", run_help},	    {"-h", run_help},	      {"help", run_help_of},
	{"--version", run_version}, {"version", run_version},
};

static int refuse_name(const struct command_set *set, const char *name)
{
	struct nearest nearest = {.wanted = name};

	for (size_t i = 0; i < set->n_rows; i++)
		nearest_offer(&nearest, set->rows[i].name);
	if (name[0] == '-') {
		fprintf(stderr,
			"%s: options like '%s' stand behind the command; '%s --help' lists them\n",
			set->program, name, set->program);
		return COMMAND_EXIT_USAGE;
	}
	fprintf(stderr, "%s: no command '%s'", set->program, name);
	if (nearest.best)
		fprintf(stderr, "; did you mean '%s'?\n", nearest.best);
	else
		fprintf(stderr, "; '%s --help' lists them\n", set->program);
	return COMMAND_EXIT_USAGE;
}

int commands_run(const struct command_set *set, int argc, char **argv)
{
	if (argc < 2) {
		print_help(set, stderr);
		return COMMAND_EXIT_USAGE;
	}
	for (size_t i = 0; i < set->n_rows; i++)
		if (strcmp(argv[1], set->rows[i].name) == 0)
			return set->rows[i].run(argc - 1, argv + 1);
	for (size_t i = 0; i < ARRAY_SIZE(common); i++)
		if (strcmp(argv[1], common[i].name) == 0)
			return common[i].run(set, argc, argv);
	return refuse_name(set, argv[1]);
}

int commands_main(const struct command_set *set, int argc, char **argv)
{
	int code = commands_run(set, argc, argv);

	if (fflush(stdout) != 0 && code == EXIT_SUCCESS) {
		fprintf(stderr, "%s: stdout: %s\n", set->program, strerror(errno));
		return EXIT_FAILURE;
	}
	return code;
}
