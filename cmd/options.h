/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * options - the command line of one command as a table
 *
 *	struct status_options o = { .timeout_s = 5 };
 *	const struct option_row rows[] = {
 *		{ "json", NULL, OPTION_FLAG, &o.json, "print JSON" },
 *		{ "socket", "PATH", OPTION_TEXT, &o.socket, "control socket" },
 *	};
 *	const struct option_spec spec = {
 *		.usage = "adit status [OPTIONS]", .summary = "...", OPTION_ROWS(rows),
 *	};
 *	int exit_code = options_parse(&spec, &argc, argv);
 *	if (exit_code != OPTIONS_GO_ON)
 *		return exit_code;
 *
 * "--name value", "--name=value", "--" and options after arguments are understood. An
 * option given twice is an error unless it is a list. Values are borrowed from argv.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

enum option_kind {
	OPTION_FLAG,  /* bool: becomes true */
	OPTION_TEXT,  /* const char *: not empty */
	OPTION_COUNT, /* unsigned int: decimal, min..max of the row */
	OPTION_LIST,  /* struct option_list: may be repeated */
};

#define OPTION_LIST_MAX 64

struct option_list {
	const char *items[OPTION_LIST_MAX];
	size_t n;
};

struct option_row {
	const char *name;     /* without dashes */
	const char *argument; /* its name in --help; NULL for a flag */
	enum option_kind kind;
	void *target;
	const char *help;
	unsigned int min; /* OPTION_COUNT; max 0 means no maximum */
	unsigned int max;
};

struct option_spec {
	const char *usage;   /* "adit connect [OPTIONS] HOST PORT" */
	const char *summary; /* what the command does; may be several lines */
	const struct option_row *rows;
	size_t n_rows;
	int n_arguments_min; /* that aren't options */
	int n_arguments_max;
	bool stop_at_argument; /* the rest belongs to another command */
};

#define OPTION_ROWS(table) .rows = (table), .n_rows = ARRAY_SIZE(table)

#define OPTIONS_GO_ON (-1)

/* At most 64 rows. */
#define OPTION_ROWS_MAX 64

/*
 * Fills the targets and moves the arguments to argv[1]..argv[*@argcp - 1]. Returns
 * OPTIONS_GO_ON, or the exit code: 0 after --help (on stdout), COMMAND_EXIT_USAGE after a
 * message on stderr that says what is wrong.
 */
int options_parse(const struct option_spec *spec, int *argcp, char **argv);

/* "adit status: TEXT" and a pointer to --help on stderr; returns COMMAND_EXIT_USAGE. */
int options_refuse(const struct option_spec *spec, const char *fmt, ...) PRINTF(2, 3);
