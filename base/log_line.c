/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log_line.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

#define TAIL_MAX 24 /* room kept for the mark of a cut line and the last brace */

static const char level_tags[][4] = {
	[LOG_LEVEL_DEBUG] = "DBG",
	[LOG_LEVEL_INFO] = "INF",
	[LOG_LEVEL_WARN] = "WRN",
	[LOG_LEVEL_ERROR] = "ERR",
};

static void put(struct log_line *line, const char *text, size_t n)
{
	if (n > LOG_LINE_MAX - TAIL_MAX - line->n) {
		line->full = true;
		return;
	}
	memcpy(line->bytes + line->n, text, n);
	line->n += n;
}

static void put_text(struct log_line *line, const char *text)
{
	put(line, text, strlen(text));
}

/* The tail has its own room, so it always fits. */
static void put_tail(struct log_line *line, const char *text)
{
	size_t n = strlen(text);

	memcpy(line->bytes + line->n, text, n);
	line->n += n;
}

static void put_short_escape(struct log_line *line, char c)
{
	const char escape[2] = {'\\', c};

	put(line, escape, sizeof(escape));
}

/* JSON knows no \x: a stray byte becomes the replacement character there. */
static void put_code_escape(struct log_line *line, enum log_format format, uint32_t rune,
			    uint8_t byte)
{
	char escape[16];

	if (rune == UTF8_INVALID)
		snprintf(escape, sizeof(escape), format == LOG_FORMAT_JSON ? "\\ufffd" : "\\x%02x",
			 byte);
	else if (rune > 0xffff)
		snprintf(escape, sizeof(escape), "\\u%04x\\u%04x",
			 (unsigned int)(0xd7c0 + (rune >> 10)),
			 (unsigned int)(0xdc00 | (rune & 0x3ff)));
	else
		snprintf(escape, sizeof(escape), "\\u%04x", (unsigned int)rune);
	put_text(line, escape);
}

static void put_rune(struct log_line *line, enum log_format format, const char *s, size_t n,
		     uint32_t rune)
{
	if (rune == '"' || rune == '\\')
		put_short_escape(line, (char)rune);
	else if (rune == '\n')
		put_short_escape(line, 'n');
	else if (rune == '\r')
		put_short_escape(line, 'r');
	else if (rune == '\t')
		put_short_escape(line, 't');
	else if (utf8_is_printable(rune))
		put(line, s, n);
	else
		put_code_escape(line, format, rune, (uint8_t)s[0]);
}

static void put_quoted(struct log_line *line, enum log_format format, const char *s)
{
	size_t left = strnlen(s, LOG_VALUE_MAX + 1);
	bool cut = left > LOG_VALUE_MAX;

	put(line, "\"", 1);
	for (size_t n; left > (cut ? 1 : 0); s += n, left -= n) {
		uint32_t rune;

		n = utf8_next(s, left, &rune);
		put_rune(line, format, s, n, rune);
	}
	put_text(line, cut ? "...\"" : "\"");
}

/* What may stand unquoted: no space, quote, backslash, '=' or anything outside ASCII. */
static bool is_plain(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
			     "._:/@+,-[]%");

	return n > 0 && s[n] == '\0' && n <= LOG_VALUE_MAX;
}

static void put_value(struct log_line *line, enum log_format format, const struct log_field *field)
{
	char number[24];

	if (!field->text) {
		snprintf(number, sizeof(number), "%" PRId64, field->number);
		put_text(line, number);
	} else if (format == LOG_FORMAT_TEXT && is_plain(field->text)) {
		put_text(line, field->text);
	} else {
		put_quoted(line, format, field->text);
	}
}

/* A field is there whole or not at all. */
static void put_field(struct log_line *line, enum log_format format, const struct log_field *field)
{
	size_t before = line->n;

	if (format == LOG_FORMAT_JSON) {
		put(line, ",", 1);
		put_quoted(line, format, field->key);
		put(line, ":", 1);
	} else {
		put(line, " ", 1);
		put_text(line, field->key);
		put(line, "=", 1);
	}
	put_value(line, format, field);
	if (line->full)
		line->n = before;
}

void log_line_build(struct log_line *line, enum log_format format, enum log_level level,
		    const char *message, const struct log_field *fields)
{
	bool json = format == LOG_FORMAT_JSON;

	line->n = 0;
	line->full = false;
	put_text(line, json ? "\"level\":\"" : level_tags[level]);
	put_text(line, json ? log_level_name(level) : " ");
	if (json) {
		put_text(line, "\",\"message\":");
		put_quoted(line, format, message);
	} else {
		put_text(line, message);
	}
	for (; fields->key && !line->full; fields++)
		put_field(line, format, fields);
	if (line->full)
		put_tail(line, json ? ",\"truncated\":true" : " truncated=yes");
	if (json)
		put_tail(line, "}");
}
