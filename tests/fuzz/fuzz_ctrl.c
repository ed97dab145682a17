/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The control protocol's two parsers on one line each. What a parser takes must survive
 * being written and read again, in one line.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "ctrl/ctrl_proto.h"
#include "tests/fuzz/require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The one line end of a written line is its last byte. */
static size_t line_length(const char *line)
{
	size_t n = strlen(line);

	require(n > 0 && strchr(line, '\n') == line + n - 1);
	return n - 1;
}

static void check_call(const char *line, size_t n)
{
	struct ctrl_call call, again;
	struct ctrl_error error;
	char *text;

	if (ctrl_call_parse(line, n, &call, &error) != 0) {
		require(error.code[0] && error.text[0]);
		free(ctrl_reply_format_error(error.code, error.text));
		return;
	}
	text = ctrl_call_format(call.command, json_object_get(call.root, "args"));
	require(text != NULL);
	require(ctrl_call_parse(text, line_length(text), &again, &error) == 0);
	require(strcmp(again.command, call.command) == 0 && json_equal(again.args, call.args));
	json_decref(again.root);
	json_decref(call.root);
	free(text);
}

static void check_reply(const char *line, size_t n)
{
	json_t *result, *again;
	struct ctrl_error error;
	char *text;
	int r = ctrl_reply_parse(line, n, &result, &error);

	if (r != 0 && r != CTRL_PROTO_E_EVENT)
		return;
	text = r == 0 ? ctrl_reply_format_ok(result) : ctrl_reply_format_event(result);
	require(ctrl_reply_parse(text, line_length(text), &again, &error) == r);
	require(json_equal(result, again));
	json_decref(again);
	json_decref(result);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_call((const char *)data, size);
	check_reply((const char *)data, size);
	return 0;
}
