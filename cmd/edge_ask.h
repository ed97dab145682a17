/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * edge_ask - a command of adit-edge that asks the running edge, as a table row
 *
 *	static const struct edge_question question = {
 *		.command = "route.get", .usage = "adit-edge route get [OPTIONS] IP",
 *		.summary = "...", .arguments = {"address"}, .n_required = 1,
 *		EDGE_OPTIONS(options), .print = print_route,
 *	};
 *	return edge_ask(&question, argc, argv);
 *
 * --socket and --json are there without a row. Arguments and options go to the edge under
 * their keys, unless an option has none.
 */

#include <stdbool.h>

#include "base/compiler.h"
#include "cmd/options.h"

struct json_t; /* jansson's */

#define EDGE_ARGUMENTS_MAX 3
#define EDGE_OPTIONS_MAX   8

enum edge_option_kind {
	EDGE_OPTION_FLAG,
	EDGE_OPTION_TEXT,
	EDGE_OPTION_DURATION, /* "1h", sent in ms */
	EDGE_OPTION_LIST,     /* never sent */
};

struct edge_option {
	const char *name;     /* without dashes */
	const char *argument; /* its name in --help; NULL for a flag */
	enum edge_option_kind kind;
	const char *key; /* towards the edge; NULL: for this side only */
	const char *help;
};

struct edge_question {
	const char *command; /* of the control socket */
	const char *usage;
	const char *summary;
	const char *arguments[EDGE_ARGUMENTS_MAX]; /* their keys */
	int n_required;				   /* of these */
	const struct edge_option *options;
	size_t n_options;
	void (*print)(const struct json_t *result); /* NULL: `done` is all there is to say */
	const char *done;
};

#define EDGE_OPTIONS(table) .options = (table), .n_options = ARRAY_SIZE(table)

/* What was typed. */
struct edge_request {
	const struct edge_question *question;
	const char *socket;
	bool json;
	bool flags[EDGE_OPTIONS_MAX];
	const char *texts[EDGE_OPTIONS_MAX];
	struct option_list lists[EDGE_OPTIONS_MAX];
	struct json_t *args; /* to send; owned */
};

/* Parses the command line. OPTIONS_GO_ON, or the exit code. Call edge_request_deinit() then. */
int edge_request_parse(const struct edge_question *question, int argc, char **argv,
		       struct edge_request *request);
void edge_request_deinit(struct edge_request *request);
/* Value of the text or list option @name, which the question has. */
const char *edge_request_text(const struct edge_request *request, const char *name);
const struct option_list *edge_request_list(const struct edge_request *request, const char *name);

/* Asks. 0 with a new reference; else the exit code, after a message on stderr. */
NODISCARD int edge_request_send(const struct edge_request *request, struct json_t **resultp);
/* Prints what came as the question says. */
void edge_request_show(const struct edge_request *request, const struct json_t *result);

/* All of it: the exit code. */
int edge_ask(const struct edge_question *question, int argc, char **argv);

/* Defines the static function `name` (a command_fn) that asks the question after it. */
#define EDGE_COMMAND(name, ...)                                                                    \
	static int name(int argc, char **argv)                                                     \
	{                                                                                          \
		static const struct edge_question question = {__VA_ARGS__};                        \
                                                                                                   \
		return edge_ask(&question, argc, argv);                                            \
	}
