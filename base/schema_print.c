/* SPDX-License-Identifier: Apache-2.0 */
#include "base/schema.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/schema_value.h"

#define PLAIN_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-:,@+"

static void show_map(const struct schema *s, const void *base, unsigned int indent, bool is_entry,
		     FILE *out);

/* ---- YAML ---- */

/* ": " and a trailing ":" can't pass: no blank is plain, and a last ":" is quoted. */
static bool is_plain(const char *text)
{
	size_t n = strlen(text);

	return n && strspn(text, PLAIN_CHARS) == n && text[n - 1] != ':' &&
	       !strchr("-:,@+.", text[0]) && strcasecmp(text, "null") != 0;
}

static void put_quoted(const char *text, FILE *out)
{
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
	fputc('"', out);
}

static void put_text(const char *text, FILE *out)
{
	if (is_plain(text))
		fputs(text, out);
	else
		put_quoted(text, out);
}

static void show_items(const struct schema_row *row, const void *base, FILE *out)
{
	char scratch[SCHEMA_WHY_MAX];

	fprintf(out, "%s: [", row->key);
	for (size_t i = 0; i < schema_value_count(row, base); i++) {
		fputs(i ? ", " : "", out);
		/* Inside [] a comma would part the text. */
		put_quoted(schema_value_format(row, base, i, scratch), out);
	}
	fputs("]\n", out);
}

static void show_list(const struct schema_row *row, const void *base, unsigned int indent,
		      FILE *out)
{
	const char *array = *(char *const *)schema_field_const(row, base);
	size_t n = schema_value_count(row, base);

	fprintf(out, "%s:%s\n", row->key, n ? "" : " []");
	for (size_t i = 0; i < n; i++)
		show_map(row->nested, array + i * row->item_size, indent + 2, true, out);
}

static void show_row(const struct schema_row *row, const void *base, unsigned int indent, FILE *out)
{
	char scratch[SCHEMA_WHY_MAX];
	const char *text;

	if (schema_value_is_items(row)) {
		show_items(row, base, out);
	} else if (row->type == SCHEMA_LIST) {
		show_list(row, base, indent, out);
	} else if (row->type == SCHEMA_MAP) {
		fprintf(out, "%s:\n", row->key);
		show_map(row->nested, schema_field_const(row, base), indent + 2, false, out);
	} else if ((text = schema_value_format(row, base, 0, scratch))) {
		fprintf(out, "%s: ", row->key);
		put_text(text, out);
		fputc('\n', out);
	} else {
		fprintf(out, "# %s: %s\n", row->key, row->absent ? row->absent : "not set");
	}
}

static bool is_shown(const struct schema_row *row)
{
	return row->type != SCHEMA_FOREIGN && !(row->flags & SCHEMA_ALIAS);
}

static bool is_absent(const struct schema_row *row, const void *base)
{
	char scratch[SCHEMA_WHY_MAX];

	return row->type != SCHEMA_MAP && row->type != SCHEMA_LIST && !schema_value_is_items(row) &&
	       !schema_value_format(row, base, 0, scratch);
}

/* Entries of a list leave out what is absent; their first line carries the dash. */
static void show_map(const struct schema *s, const void *base, unsigned int indent, bool is_entry,
		     FILE *out)
{
	bool wants_dash = is_entry;

	for (size_t i = 0; i < s->n_rows; i++) {
		const struct schema_row *row = &s->rows[i];

		if (!is_shown(row) || (is_entry && is_absent(row, base)))
			continue;
		fprintf(out, "%*s%s", (int)indent, "", wants_dash ? "- " : is_entry ? "  " : "");
		wants_dash = false;
		show_row(row, base, indent + (is_entry ? 2 : 0), out);
	}
}

void schema_show(const struct schema *s, const void *base, FILE *out)
{
	show_map(s, base, 0, false, out);
}

/* ---- difference ---- */

static bool differs(const struct schema_row *row, const void *a, const void *b);

static bool map_differs(const struct schema *s, const void *a, const void *b)
{
	for (size_t i = 0; i < s->n_rows; i++)
		if (is_shown(&s->rows[i]) && differs(&s->rows[i], a, b))
			return true;
	return false;
}

static bool list_differs(const struct schema_row *row, const void *a, const void *b)
{
	const char *entries_a = *(char *const *)schema_field_const(row, a);
	const char *entries_b = *(char *const *)schema_field_const(row, b);
	size_t n = schema_value_count(row, a);

	if (schema_value_count(row, b) != n)
		return true;
	for (size_t i = 0; i < n; i++)
		if (map_differs(row->nested, entries_a + i * row->item_size,
				entries_b + i * row->item_size))
			return true;
	return false;
}

/* Item @i, or the single value. */
static bool value_differs(const struct schema_row *row, const void *a, const void *b, size_t i)
{
	char scratch_a[SCHEMA_WHY_MAX], scratch_b[SCHEMA_WHY_MAX];
	const char *text_a = schema_value_format(row, a, i, scratch_a);
	const char *text_b = schema_value_format(row, b, i, scratch_b);

	return text_a && text_b ? strcmp(text_a, text_b) != 0 : text_a != text_b;
}

static bool items_differ(const struct schema_row *row, const void *a, const void *b)
{
	size_t n = schema_value_count(row, a);

	if (schema_value_count(row, b) != n)
		return true;
	for (size_t i = 0; i < n; i++)
		if (value_differs(row, a, b, i))
			return true;
	return false;
}

static bool differs(const struct schema_row *row, const void *a, const void *b)
{
	if (schema_value_is_items(row))
		return items_differ(row, a, b);
	if (row->type == SCHEMA_LIST)
		return list_differs(row, a, b);
	if (row->type == SCHEMA_MAP)
		return map_differs(row->nested, schema_field_const(row, a),
				   schema_field_const(row, b));
	return value_differs(row, a, b, 0);
}

const char *schema_next_difference(const struct schema *s, const void *old, const void *new_,
				   bool reloadable, size_t *atp)
{
	while (*atp < s->n_rows) {
		const struct schema_row *row = &s->rows[(*atp)++];
		bool is_reloadable = (row->flags & SCHEMA_RELOADABLE) != 0;

		if (is_shown(row) && is_reloadable == reloadable && differs(row, old, new_))
			return row->key;
	}
	return NULL;
}

int schema_diff_restart(const struct schema *s, const void *old, const void *new_, char *out,
			size_t n_out)
{
	const char *key;
	size_t used = 0;
	size_t at = 0;
	int n = 0;

	if (n_out)
		out[0] = '\0';
	while ((key = schema_next_difference(s, old, new_, false, &at)) != NULL) {
		if (used < n_out)
			used += (size_t)snprintf(out + used, n_out - used, "%s%s", n ? ", " : "",
						 key);
		n++;
	}
	return n;
}

/* ---- reference ---- */

static void write_type(const struct schema_row *row, FILE *out)
{
	char limits[SCHEMA_WHY_MAX];

	if (row->names) {
		for (const struct schema_name *name = row->names; name->name; name++)
			fprintf(out, "%s`%s`", name == row->names ? "" : ", ", name->name);
		return;
	}
	fputs(schema_value_type_name(row), out);
	if (row->type == SCHEMA_VALUES)
		fputs(", or a list", out);
	schema_value_limits(row, limits);
	if (limits[0])
		fprintf(out, ", %s", limits);
}

static void write_fallback(const struct schema_row *row, FILE *out)
{
	if (row->fallback)
		fprintf(out, "`%s`", row->fallback);
	else if (row->flags & SCHEMA_REQUIRED)
		fputs("required", out);
	else if (row->absent)
		fputs(row->absent, out);
	else
		fputs("none", out);
}

static void write_row(const struct schema_row *row, FILE *out)
{
	fprintf(out, "| `%s` | ", row->key);
	write_type(row, out);
	fputs(" | ", out);
	write_fallback(row, out);
	fprintf(out, " | %s | %s", row->flags & SCHEMA_RELOADABLE ? "reload" : "restart", row->doc);
	if (row->env)
		fprintf(out, " Environment: `%s`.", row->env);
	fputs(" |\n", out);
}

static void write_nested_row(const struct schema_row *row, FILE *out)
{
	fprintf(out, "| `%s` | ", row->key);
	write_type(row, out);
	fputs(" | ", out);
	write_fallback(row, out);
	fprintf(out, " | %s |\n", row->doc);
}

static void write_nested(const struct schema_row *row, FILE *out)
{
	fprintf(out, "\n### %s%s\n\n%s\n\n", row->key, row->type == SCHEMA_LIST ? "[]" : "",
		row->doc);
	fputs("| key | value | default | meaning |\n|---|---|---|---|\n", out);
	for (size_t i = 0; i < row->nested->n_rows; i++) {
		if (row->nested->rows[i].type != SCHEMA_FOREIGN)
			write_nested_row(&row->nested->rows[i], out);
	}
}

static void write_foreign(const struct schema *s, FILE *out)
{
	bool any = false;

	for (size_t i = 0; i < s->n_rows; i++) {
		if (s->rows[i].type != SCHEMA_FOREIGN)
			continue;
		if (!any)
			fputs("\n### Keys of cloudflared that are ignored, with one warning "
			      "each\n\n| key | why |\n|---|---|\n",
			      out);
		any = true;
		fprintf(out, "| `%s` | %s |\n", s->rows[i].key, s->rows[i].doc);
	}
}

void schema_write_reference(const struct schema *s, const char *name, FILE *out)
{
	fprintf(out, "## %s\n\n", name);
	fputs("| key | value | default | changes take effect at | meaning |\n"
	      "|---|---|---|---|---|\n",
	      out);
	for (size_t i = 0; i < s->n_rows; i++) {
		if (s->rows[i].type != SCHEMA_FOREIGN)
			write_row(&s->rows[i], out);
	}
	for (size_t i = 0; i < s->n_rows; i++) {
		if (s->rows[i].nested)
			write_nested(&s->rows[i], out);
	}
	write_foreign(s, out);
}
