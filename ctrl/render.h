/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * render - aligned tables for people out of JSON arrays
 *
 * Column widths follow the content (UTF-8 aware, control characters escaped); a missing
 * value prints as "-".
 */

#include <stddef.h>
#include <stdio.h>

struct json_t; /* jansson's */

enum render_kind {
	RENDER_TEXT,
	RENDER_NUMBER, /* right-aligned */
	RENDER_BYTES,  /* 12.3 MiB */
	RENDER_AGE,    /* seconds as 1d2h, 3m05s */
	RENDER_USEC,   /* microseconds as 1.2 ms */
	RENDER_BOOL,   /* yes, no */
};

struct render_column {
	const char *title;
	const char *key; /* member of each row's object */
	enum render_kind kind;
};

/* The header line and a line per element of the array @rows (NULL: none). */
void render_table(FILE *out, const struct json_t *rows, const struct render_column *columns,
		  size_t n_columns);

/* One value as a cell of that kind into @out, which is returned; "-" when it is missing (NULL). */
const char *render_value(const struct json_t *value, enum render_kind kind, char *out,
			 size_t n_out);

/*
 * @text as it may be shown on a terminal: control, bidirectional and broken characters as
 * escapes, cut at a character when @n_out bytes with NUL are too few. Returns @out.
 */
char *render_escape(const char *text, char *out, size_t n_out);
