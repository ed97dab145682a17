/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/edge_ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/quantity.h"
#include "cmd/commands.h"
#include "ctrl/ctrl_client.h"
#include "ctrl/render.h"
#include "edge/paths.h"

#define TIMEOUT_MS 30000 /* a disk may be slow; the edge answers after the commit */
#define CELL_MAX   4096

DEFINE_CLEANUP(json_t *, json_decref);

/* ---- parsing ---- */

static struct option_row row_of(struct edge_request *request, size_t i)
{
	const struct edge_option *o = &request->question->options[i];
	struct option_row row = {.name = o->name, .argument = o->argument, .help = o->help};

	switch (o->kind) {
	case EDGE_OPTION_FLAG:
		row.kind = OPTION_FLAG;
		row.target = &request->flags[i];
		break;
	case EDGE_OPTION_TEXT:
	case EDGE_OPTION_DURATION:
		row.kind = OPTION_TEXT;
		row.target = &request->texts[i];
		break;
	case EDGE_OPTION_LIST:
		row.kind = OPTION_LIST;
		row.target = &request->lists[i];
		break;
	}
	return row;
}

static int count_arguments(const struct edge_question *question)
{
	int n = 0;

	while (n < EDGE_ARGUMENTS_MAX && question->arguments[n])
		n++;
	return n;
}

/* A text that isn't UTF-8 can't be sent. */
static int set_text(json_t *args, const char *key, const char *text, const struct option_spec *spec)
{
	if (json_object_set_new(args, key, json_string(text)) < 0)
		return options_refuse(spec, "%s is not UTF-8 text", key);
	return OPTIONS_GO_ON;
}

static int set_duration(json_t *args, const char *key, const char *text,
			const struct option_spec *spec)
{
	uint64_t ms;

	if (duration_parse(text, &ms) < 0)
		return options_refuse(spec, "\"%s\" is no duration: write 90s, 30m or 1h", text);
	json_object_set_new(args, key, json_integer((json_int_t)ms));
	return OPTIONS_GO_ON;
}

static int set_option(struct edge_request *request, size_t i, const struct option_spec *spec)
{
	const struct edge_option *o = &request->question->options[i];

	if (o->key && o->kind == EDGE_OPTION_FLAG && request->flags[i])
		json_object_set_new(request->args, o->key, json_true());
	if (!o->key || !request->texts[i])
		return OPTIONS_GO_ON;
	if (o->kind == EDGE_OPTION_DURATION)
		return set_duration(request->args, o->key, request->texts[i], spec);
	return set_text(request->args, o->key, request->texts[i], spec);
}

static int build_args(struct edge_request *request, int argc, char **argv,
		      const struct option_spec *spec)
{
	int r = OPTIONS_GO_ON;

	request->args = json_object();
	for (int i = 1; i < argc && r == OPTIONS_GO_ON; i++)
		r = set_text(request->args, request->question->arguments[i - 1], argv[i], spec);
	for (size_t i = 0; i < request->question->n_options && r == OPTIONS_GO_ON; i++)
		r = set_option(request, i, spec);
	return r;
}

int edge_request_parse(const struct edge_question *question, int argc, char **argv,
		       struct edge_request *request)
{
	struct option_row rows[EDGE_OPTIONS_MAX + 2];
	struct option_spec spec = {
		.usage = question->usage,
		.summary = question->summary,
		.rows = rows,
		.n_arguments_min = question->n_required,
		.n_arguments_max = count_arguments(question),
	};
	int r;

	*request = (struct edge_request){.question = question};
	for (size_t i = 0; i < question->n_options; i++)
		rows[spec.n_rows++] = row_of(request, i);
	rows[spec.n_rows++] = (struct option_row){
		"json", NULL, OPTION_FLAG, &request->json, "print the answer as JSON", 0, 0};
	rows[spec.n_rows++] = (struct option_row){"socket",
						  "PATH",
						  OPTION_TEXT,
						  &request->socket,
						  "control socket (" EDGE_CONTROL_ENV
						  ", " EDGE_CONTROL_SOCKET ")",
						  0,
						  0};
	r = options_parse(&spec, &argc, argv);
	return r == OPTIONS_GO_ON ? build_args(request, argc, argv, &spec) : r;
}

void edge_request_deinit(struct edge_request *request)
{
	json_decref(request->args);
	request->args = NULL;
}

static size_t index_of(const struct edge_request *request, const char *name)
{
	size_t i = 0;

	while (strcmp(request->question->options[i].name, name) != 0)
		i++;
	return i;
}

const char *edge_request_text(const struct edge_request *request, const char *name)
{
	return request->texts[index_of(request, name)];
}

const struct option_list *edge_request_list(const struct edge_request *request, const char *name)
{
	return &request->lists[index_of(request, name)];
}

/* ---- asking ---- */

static const char *socket_of(const struct edge_request *request)
{
	const char *from_env = getenv(EDGE_CONTROL_ENV);

	if (request->socket)
		return request->socket;
	return from_env && *from_env ? from_env : EDGE_CONTROL_SOCKET;
}

/* "adit-edge route add", the words of the usage that name the command. */
static int name_length(const char *usage)
{
	size_t n = 0;

	while (usage[n] && strchr("abcdefghijklmnopqrstuvwxyz- ", usage[n]))
		n++;
	while (n > 0 && usage[n - 1] == ' ')
		n--;
	return (int)n;
}

/* One line each. */
static void complain(const char *usage, const char *text)
{
	char line[CELL_MAX], safe[CELL_MAX];
	size_t n;

	for (; *text; text += n + (text[n] == '\n')) {
		n = strcspn(text, "\n");
		snprintf(line, sizeof(line), "%.*s", (int)n, text);
		fprintf(stderr, "%.*s: %s\n", name_length(usage), usage,
			render_escape(line, safe, sizeof(safe)));
	}
}

int edge_request_send(const struct edge_request *request, struct json_t **resultp)
{
	const struct edge_question *q = request->question;
	struct ctrl_error error;

	if (ctrl_call(socket_of(request), q->command, request->args, TIMEOUT_MS, resultp, &error) ==
	    0)
		return 0;
	complain(q->usage, error.text);
	return EXIT_FAILURE;
}

void edge_request_show(const struct edge_request *request, const struct json_t *result)
{
	if (request->json) {
		json_dumpf(result, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
		putchar('\n');
	} else if (request->question->print) {
		request->question->print(result);
	} else {
		puts(request->question->done);
	}
}

int edge_ask(const struct edge_question *question, int argc, char **argv)
{
	CLEANUP(json_decref) json_t *result = NULL;
	struct edge_request request;
	int r = edge_request_parse(question, argc, argv, &request);

	if (r == OPTIONS_GO_ON)
		r = edge_request_send(&request, &result);
	if (r == 0 && result)
		edge_request_show(&request, result);
	edge_request_deinit(&request);
	return r;
}
