/* SPDX-License-Identifier: Apache-2.0 */
#include "ctrl/render.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/err.h"
#include "base/utf8.h"

#define CELL_MAX     1024 /* bytes of one cell, escapes included */
#define SEC_PER_MIN  60
#define SEC_PER_HOUR 3600
#define SEC_PER_DAY  86400

static void escape_rune(const char *s, size_t n, uint32_t rune, char out[16])
{
	if (utf8_is_printable(rune))
		snprintf(out, 16, "%.*s", (int)n, s);
	else if (rune == UTF8_INVALID)
		snprintf(out, 16, "\\x%02x", (unsigned int)(uint8_t)s[0]);
	else if (rune < 0x80)
		snprintf(out, 16, "\\x%02x", (unsigned int)rune);
	else
		snprintf(out, 16, "\\u{%x}", (unsigned int)rune);
}

char *render_escape(const char *text, char *out, size_t n_out)
{
	size_t left = strlen(text);
	size_t used = 0;
	char piece[16];

	while (left) {
		uint32_t rune;
		size_t n = utf8_next(text, left, &rune);

		escape_rune(text, n, rune, piece);
		if (used + strlen(piece) >= n_out)
			break;
		memcpy(out + used, piece, strlen(piece));
		used += strlen(piece);
		text += n;
		left -= n;
	}
	out[used] = '\0';
	return out;
}

static void format_text(const json_t *value, char *out, size_t n)
{
	if (json_is_string(value))
		render_escape(json_string_value(value), out, n);
	else if (json_is_integer(value))
		snprintf(out, n, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
}

static void format_bytes(const json_t *value, char *out, size_t n)
{
	static const char units[][4] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	double amount = json_number_value(value);
	size_t unit = 0;

	/* From 1023.95 on, one decimal would round up to a four-digit 1024.0. */
	while (amount >= 1023.95 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		amount /= 1024;
		unit++;
	}
	snprintf(out, n, unit ? "%.1f %s" : "%.0f %s", amount, units[unit]);
}

static void format_age(const json_t *value, char *out, size_t n)
{
	int64_t s = (int64_t)json_number_value(value);

	if (s < 0)
		s = 0;
	if (s < SEC_PER_MIN)
		snprintf(out, n, "%" PRId64 "s", s);
	else if (s < SEC_PER_HOUR)
		snprintf(out, n, "%" PRId64 "m%02" PRId64 "s", s / SEC_PER_MIN, s % SEC_PER_MIN);
	else if (s < SEC_PER_DAY)
		snprintf(out, n, "%" PRId64 "h%02" PRId64 "m", s / SEC_PER_HOUR,
			 s % SEC_PER_HOUR / SEC_PER_MIN);
	else
		snprintf(out, n, "%" PRId64 "d%" PRId64 "h", s / SEC_PER_DAY,
			 s % SEC_PER_DAY / SEC_PER_HOUR);
}

static void format_usec(const json_t *value, char *out, size_t n)
{
	double usec = json_number_value(value);

	if (usec < 1000)
		snprintf(out, n, "%.0f us", usec);
	else if (usec < 1000000)
		snprintf(out, n, "%.1f ms", usec / 1000);
	else
		snprintf(out, n, "%.1f s", usec / 1000000);
}

static void format_bool(const json_t *value, char *out, size_t n)
{
	if (json_is_boolean(value))
		snprintf(out, n, "%s", json_is_true(value) ? "yes" : "no");
}

static const struct {
	void (*format)(const json_t *value, char *out, size_t n);
	bool is_number; /* of the JSON value: anything else prints as missing */
	bool right;
} kinds[] = {
	[RENDER_TEXT] = {format_text, false, false}, [RENDER_NUMBER] = {format_text, true, true},
	[RENDER_BYTES] = {format_bytes, true, true}, [RENDER_AGE] = {format_age, true, true},
	[RENDER_USEC] = {format_usec, true, true},   [RENDER_BOOL] = {format_bool, false, false},
};

const char *render_value(const json_t *value, enum render_kind kind, char *out, size_t n_out)
{
	out[0] = '\0';
	if (value && (!kinds[kind].is_number || json_is_number(value)))
		kinds[kind].format(value, out, n_out);
	if (out[0] == '\0')
		snprintf(out, n_out, "-");
	return out;
}

/* What a terminal will show, so that names in any script stay aligned. */
static size_t display_width(const char *text)
{
	size_t left = strlen(text);
	size_t width = 0;

	while (left) {
		uint32_t rune;
		size_t n = utf8_next(text, left, &rune);

		width += utf8_width(rune);
		text += n;
		left -= n;
	}
	return width;
}

static void put_cell(FILE *out, const char *text, size_t width, bool right, bool last)
{
	size_t used = display_width(text);
	int pad = used < width ? (int)(width - used) : 0;

	if (right)
		fprintf(out, "%*s%s", pad, "", text);
	else
		fprintf(out, "%s%*s", text, last ? 0 : pad, "");
	fprintf(out, "%s", last ? "\n" : "  ");
}

static size_t column_width(const json_t *rows, const struct render_column *column)
{
	size_t width = display_width(column->title);
	char cell[CELL_MAX];

	for (size_t i = 0; i < json_array_size(rows); i++) {
		const json_t *value = json_object_get(json_array_get(rows, i), column->key);
		size_t used;

		render_value(value, column->kind, cell, sizeof(cell));
		used = display_width(cell);
		if (used > width)
			width = used;
	}
	return width;
}

static void put_row(FILE *out, const json_t *row, const struct render_column *columns, size_t n,
		    const size_t *widths)
{
	char cell[CELL_MAX];

	for (size_t i = 0; i < n; i++) {
		render_value(json_object_get(row, columns[i].key), columns[i].kind, cell,
			     sizeof(cell));
		put_cell(out, cell, widths[i], kinds[columns[i].kind].right, i + 1 == n);
	}
}

void render_table(FILE *out, const json_t *rows, const struct render_column *columns,
		  size_t n_columns)
{
	size_t *widths = xzalloc(n_columns * sizeof(*widths));

	for (size_t i = 0; i < n_columns; i++)
		widths[i] = column_width(rows, &columns[i]);
	for (size_t i = 0; i < n_columns; i++)
		put_cell(out, columns[i].title, widths[i], kinds[columns[i].kind].right,
			 i + 1 == n_columns);
	for (size_t i = 0; i < json_array_size(rows); i++)
		put_row(out, json_array_get(rows, i), columns, n_columns, widths);
	free(widths);
}
