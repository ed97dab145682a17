/* SPDX-License-Identifier: Apache-2.0 */
#include "ctrl/ctrl_proto.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json_depth.h"
#include "base/utf8.h"

DEFINE_CLEANUP(json_t *, json_decref);

static int fail(struct ctrl_error *errp, const char *code, const char *fmt, ...) PRINTF(3, 4);

static int fail(struct ctrl_error *errp, const char *code, const char *fmt, ...)
{
	va_list ap;

	snprintf(errp->code, sizeof(errp->code), "%s", code);
	va_start(ap, fmt);
	vsnprintf(errp->text, sizeof(errp->text), fmt, ap);
	va_end(ap);
	return CTRL_PROTO_E_BAD;
}

static json_t *load_object(const char *line, size_t n, struct ctrl_error *errp)
{
	json_error_t error;
	json_t *root;

	if (json_is_deeper(line, n, CTRL_DEPTH_MAX)) {
		(void)fail(errp, "invalid", "nested deeper than %d", CTRL_DEPTH_MAX);
		return NULL;
	}
	root = json_loadb(line, n, JSON_REJECT_DUPLICATES, &error);
	if (!root) {
		(void)fail(errp, "invalid", "not JSON: column %d: %s", error.column, error.text);
		return NULL;
	}
	if (!json_is_object(root)) {
		json_decref(root);
		(void)fail(errp, "invalid", "a message is a JSON object");
		return NULL;
	}
	return root;
}

static int check_version(const json_t *root, struct ctrl_error *errp)
{
	const json_t *version = json_object_get(root, "v");

	if (!json_is_integer(version))
		return fail(errp, "invalid", "'v' is missing; this is version %d", CTRL_VERSION);
	if (json_integer_value(version) != CTRL_VERSION)
		return fail(errp, "version",
			    "version %" JSON_INTEGER_FORMAT
			    " is not spoken here; this is version %d",
			    json_integer_value(version), CTRL_VERSION);
	return 0;
}

int ctrl_call_parse(const char *line, size_t n, struct ctrl_call *callp, struct ctrl_error *errp)
{
	CLEANUP(json_decref) json_t *root = load_object(line, n, errp);
	const char *command;
	json_t *args;

	if (!root || check_version(root, errp) != 0)
		return CTRL_PROTO_E_BAD;
	command = json_string_value(json_object_get(root, "command"));
	if (!command)
		return fail(errp, "invalid", "'command' is missing or no text");
	args = json_object_get(root, "args");
	if (!args) {
		args = json_object();
		json_object_set_new(root, "args", args);
	}
	if (!json_is_object(args))
		return fail(errp, "invalid", "'args' is not an object");
	*callp = (struct ctrl_call){.command = command, .args = args};
	callp->root = steal_ptr(root);
	return 0;
}

/* The line end is a byte of its own: JSON text in compact form has no raw control characters. */
static char *add_line_end(char *text)
{
	size_t n = strlen(text);
	char *line = realloc(text, n + 2);

	if (!line)
		abort();
	line[n] = '\n';
	line[n + 1] = '\0';
	return line;
}

/* Steals @message, which may be NULL. */
static char *format_line(json_t *message)
{
	char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;

	json_decref(message);
	return text ? add_line_end(text) : NULL;
}

char *ctrl_call_format(const char *command, json_t *args)
{
	if (!args)
		return format_line(json_pack("{s:i, s:s}", "v", CTRL_VERSION, "command", command));
	return format_line(
		json_pack("{s:i, s:s, s:O}", "v", CTRL_VERSION, "command", command, "args", args));
}

/* json_string() refuses what isn't UTF-8, and the text may come from anywhere. */
static char *make_valid_text(const char *text)
{
	char *copy = xstrdup(text);
	size_t left = strlen(copy);
	uint32_t rune;

	for (char *p = copy; left;) {
		size_t n = utf8_next(p, left, &rune);

		if (rune == UTF8_INVALID)
			*p = '?';
		p += n;
		left -= n;
	}
	return copy;
}

char *ctrl_reply_format_error(const char *code, const char *text)
{
	CLEANUP(free) char *valid = make_valid_text(text);
	char *line = format_line(json_pack("{s:i, s:b, s:{s:s, s:s}}", "v", CTRL_VERSION, "ok", 0,
					   "error", "code", code, "text", valid));

	if (!line)
		abort();
	return line;
}

static char *format_good(const char *member, json_t *value)
{
	json_t *message = json_pack("{s:i, s:b}", "v", CTRL_VERSION, "ok", 1);
	char *line;

	json_object_set_new(message, member, value ? json_incref(value) : json_object());
	line = format_line(message);
	if (!line)
		return ctrl_reply_format_error("internal", "the result can't be written as JSON");
	if (strlen(line) > CTRL_REPLY_MAX) {
		free(line);
		return ctrl_reply_format_error("too-large", "the result is too large to send");
	}
	return line;
}

char *ctrl_reply_format_ok(json_t *result)
{
	return format_good("result", result);
}

char *ctrl_reply_format_event(json_t *event)
{
	return format_good("event", event);
}

static int take_error(const json_t *error, struct ctrl_error *errp)
{
	const char *code = json_string_value(json_object_get(error, "code"));
	const char *text = json_string_value(json_object_get(error, "text"));

	if (!code || !text)
		return fail(errp, "protocol", "the answer has neither a result nor an error");
	(void)fail(errp, code, "%s", text);
	return CTRL_PROTO_E_REFUSED;
}

int ctrl_reply_parse(const char *line, size_t n, json_t **resultp, struct ctrl_error *errp)
{
	CLEANUP(json_decref) json_t *root = load_object(line, n, errp);
	json_t *event, *result;

	if (!root || check_version(root, errp) != 0) {
		snprintf(errp->code, sizeof(errp->code), "protocol");
		return CTRL_PROTO_E_BAD;
	}
	if (!json_is_true(json_object_get(root, "ok")))
		return take_error(json_object_get(root, "error"), errp);
	event = json_object_get(root, "event");
	if (json_is_object(event)) {
		*resultp = json_incref(event);
		return CTRL_PROTO_E_EVENT;
	}
	result = json_object_get(root, "result");
	if (!json_is_object(result))
		return fail(errp, "protocol", "the answer's 'result' is not an object");
	*resultp = json_incref(result);
	return 0;
}
