/* SPDX-License-Identifier: Apache-2.0 */
#include "base/schema_value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/log.h"
#include "base/quantity.h"
#include "base/utf8.h"

int schema_refuse(char *why, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, SCHEMA_WHY_MAX, fmt, args);
	va_end(args);
	return -EINVAL;
}

/* ---- limits ---- */

static const char *format_number(const struct schema_row *row, uint64_t n,
				 char out[QUANTITY_TEXT_MAX])
{
	if (row->type == SCHEMA_DURATION)
		return duration_format(n, out);
	if (row->type == SCHEMA_SIZE)
		return size_format(n, out);
	snprintf(out, QUANTITY_TEXT_MAX, "%" PRIu64, n);
	return out;
}

static uint64_t max_of(const struct schema_row *row)
{
	if (row->max)
		return row->max;
	return row->type == SCHEMA_SIZE ? UINT64_MAX : UINT32_MAX;
}

void schema_value_limits(const struct schema_row *row, char out[SCHEMA_WHY_MAX])
{
	char min[QUANTITY_TEXT_MAX], max[QUANTITY_TEXT_MAX];

	out[0] = '\0';
	if (row->type != SCHEMA_U32 && row->type != SCHEMA_DURATION && row->type != SCHEMA_SIZE)
		return;
	if (row->max)
		snprintf(out, SCHEMA_WHY_MAX, "from %s to %s", format_number(row, row->min, min),
			 format_number(row, row->max, max));
	else if (row->min)
		snprintf(out, SCHEMA_WHY_MAX, "at least %s", format_number(row, row->min, min));
}

static int check_number(const struct schema_row *row, int r, uint64_t n, const char *shape,
			char *why)
{
	char limits[SCHEMA_WHY_MAX];

	if (r == -EINVAL)
		return schema_refuse(why, "must be %s", shape);
	if (r == 0 && n >= row->min && n <= max_of(row))
		return 0;
	schema_value_limits(row, limits);
	return schema_refuse(why, "must be %s", limits[0] ? limits : "smaller");
}

static int check_text(const struct schema_row *row, const char *text, char *why)
{
	if (row->max && strlen(text) > row->max)
		return schema_refuse(why, "longer than %" PRIu64 " characters", row->max);
	for (const char *p = text, *end = text + strlen(text); p < end;) {
		uint32_t rune;

		p += utf8_next(p, (size_t)(end - p), &rune);
		if (!utf8_is_printable(rune))
			return schema_refuse(why, "holds a control character or broken UTF-8");
	}
	return row->check ? row->check(text, why) : 0;
}

/* "a, b or c" */
static void list_names(const struct schema_name *names, char *out, size_t n_out)
{
	size_t used = 0;

	out[0] = '\0';
	for (; names->name && used < n_out; names++) {
		const char *joint = !used ? "" : names[1].name ? ", " : " or ";

		used += (size_t)snprintf(out + used, n_out - used, "%s%s", joint, names->name);
	}
}

static const struct schema_name *find_name(const struct schema_row *row, const char *text,
					   char *why)
{
	char list[SCHEMA_WHY_MAX / 2];

	for (const struct schema_name *name = row->names; name->name; name++) {
		if (strcmp(name->name, text) == 0)
			return name;
	}
	list_names(row->names, list, sizeof(list));
	schema_refuse(why, "must be %s", list);
	return NULL;
}

/* ---- text to value ---- */

static int set_bool(const struct schema_row *row, void *field, const char *text, char *why)
{
	static const struct schema_name words[] = {
		{"true", true},	  {"on", true},	  {"yes", true},
		{"false", false}, {"off", false}, {"no", false},
	};

	(void)row;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcasecmp(words[i].name, text) == 0) {
			*(bool *)field = words[i].value;
			return 0;
		}
	}
	return schema_refuse(why, "must be on or off");
}

static int set_u32(const struct schema_row *row, void *field, const char *text, char *why)
{
	uint64_t n = 0;
	/* A bare number of a size is a whole number without sign. */
	int r = text[strspn(text, "0123456789")] ? -EINVAL : size_parse(text, &n);

	r = check_number(row, r, n, "a whole number", why);
	if (!r)
		*(uint32_t *)field = (uint32_t)n;
	return r;
}

static int set_duration(const struct schema_row *row, void *field, const char *text, char *why)
{
	uint64_t ms = 0;
	int r = duration_parse(text, &ms);

	r = check_number(row, r, ms, "a duration with its unit, like 30s, 1m30s or 500ms", why);
	if (!r)
		*(uint32_t *)field = (uint32_t)ms;
	return r;
}

static int set_size(const struct schema_row *row, void *field, const char *text, char *why)
{
	uint64_t n = 0;
	int r = size_parse(text, &n);

	r = check_number(row, r, n, "a size in bytes, KiB, MiB or GiB, like 64MiB", why);
	if (!r)
		*(uint64_t *)field = n;
	return r;
}

static int set_string(const struct schema_row *row, void *field, const char *text, char *why)
{
	int r = check_text(row, text, why);

	if (r < 0)
		return r;
	if (!*text)
		return schema_refuse(why, "is empty: give a value or remove the line");
	if (row->names && !find_name(row, text, why))
		return -EINVAL;
	free(*(char **)field);
	*(char **)field = xstrdup(text);
	return 0;
}

static int set_inline_text(const struct schema_row *row, void *field, const char *text, char *why)
{
	int r = check_text(row, text, why);

	if (!r)
		memcpy(field, text, strlen(text) + 1);
	return r;
}

static int set_enum(const struct schema_row *row, void *field, const char *text, char *why)
{
	const struct schema_name *name = find_name(row, text, why);

	if (!name)
		return -EINVAL;
	memcpy(field, &name->value, sizeof(name->value));
	return 0;
}

static int set_value(const struct schema_row *row, void *field, const char *text, char *why)
{
	return row->codec->parse(text, field, why);
}

/* ---- value to text ---- */

static const char *format_bool(const struct schema_row *row, const void *field, char *scratch)
{
	(void)row;
	(void)scratch;
	return *(const bool *)field ? "on" : "off";
}

static const char *format_u32(const struct schema_row *row, const void *field, char *scratch)
{
	return format_number(row, *(const uint32_t *)field, scratch);
}

static const char *format_size(const struct schema_row *row, const void *field, char *scratch)
{
	return format_number(row, *(const uint64_t *)field, scratch);
}

static const char *format_string(const struct schema_row *row, const void *field, char *scratch)
{
	(void)row;
	(void)scratch;
	return *(char *const *)field;
}

static const char *format_inline_text(const struct schema_row *row, const void *field,
				      char *scratch)
{
	(void)row;
	(void)scratch;
	return *(const char *)field ? field : NULL;
}

static const char *format_enum(const struct schema_row *row, const void *field, char *scratch)
{
	unsigned int value;

	(void)scratch;
	memcpy(&value, field, sizeof(value));
	for (const struct schema_name *name = row->names; name->name; name++) {
		if (name->value == value)
			return name->name;
	}
	return NULL;
}

static const char *format_value(const struct schema_row *row, const void *field, char *scratch)
{
	row->codec->format(field, scratch);
	return *scratch ? scratch : NULL;
}

static const struct value_ops {
	const char *type_name;
	int (*set)(const struct schema_row *row, void *field, const char *text, char *why);
	const char *(*format)(const struct schema_row *row, const void *field, char *scratch);
} ops_of[SCHEMA_TYPE_N] = {
	[SCHEMA_BOOL] = {"on or off", set_bool, format_bool},
	[SCHEMA_U32] = {"number", set_u32, format_u32},
	[SCHEMA_DURATION] = {"duration", set_duration, format_u32},
	[SCHEMA_SIZE] = {"size", set_size, format_size},
	[SCHEMA_STRING] = {"text", set_string, format_string},
	[SCHEMA_PATH] = {"path", set_string, format_string},
	[SCHEMA_TEXT] = {"text", set_inline_text, format_inline_text},
	[SCHEMA_ENUM] = {"word", set_enum, format_enum},
	[SCHEMA_STRINGS] = {"text or list", set_string, format_string},
	[SCHEMA_VALUE] = {NULL, set_value, format_value},
	[SCHEMA_VALUES] = {NULL, set_value, format_value},
	[SCHEMA_MAP] = {.type_name = "keys"},
	[SCHEMA_LIST] = {.type_name = "list"},
	[SCHEMA_FOREIGN] = {.type_name = "ignored"},
};

const char *schema_value_type_name(const struct schema_row *row)
{
	return row->codec ? row->codec->type_name : ops_of[row->type].type_name;
}

/* ---- items ---- */

bool schema_value_is_items(const struct schema_row *row)
{
	return row->type == SCHEMA_STRINGS || row->type == SCHEMA_VALUES;
}

static size_t item_size(const struct schema_row *row)
{
	return row->type == SCHEMA_STRINGS ? sizeof(char *) : row->item_size;
}

static size_t *count_field(const struct schema_row *row, void *base)
{
	return (void *)((char *)base + row->count_offset);
}

size_t schema_value_count(const struct schema_row *row, const void *base)
{
	return *(const size_t *)(const void *)((const char *)base + row->count_offset);
}

int schema_value_reserve(const struct schema_row *row, void *base, size_t n,
			 char why[SCHEMA_WHY_MAX])
{
	void **array = schema_field(row, base);

	schema_value_clear(row, base);
	if (n > row->max)
		return schema_refuse(why, "%zu entries, at most %" PRIu64 " are possible", n,
				     row->max);
	if (!n)
		return 0;
	*array = calloc(n, item_size(row));
	return *array ? 0 : schema_refuse(why, "no memory for %zu entries", n);
}

int schema_value_add(const struct schema_row *row, void *base, const char *text,
		     char why[SCHEMA_WHY_MAX])
{
	char *array = *(char **)schema_field(row, base);
	size_t *np = count_field(row, base);
	/* The limits of the row count items, not characters. */
	struct schema_row item = {.type = row->type, .check = row->check, .codec = row->codec};
	int r = ops_of[row->type].set(&item, array + *np * item_size(row), text, why);

	if (!r)
		(*np)++;
	return r;
}

static int set_items(const struct schema_row *row, void *base, const char *text, char *why)
{
	char *copy = xstrdup(text), *rest = copy, *part;
	size_t n = 1;
	int r;

	for (const char *p = text; *p; p++)
		n += *p == ',';
	r = schema_value_reserve(row, base, n, why);
	while (!r && (part = strsep(&rest, ",")))
		r = schema_value_add(row, base, part + strspn(part, " "), why);
	free(copy);
	return r;
}

int schema_value_set(const struct schema_row *row, void *base, const char *text,
		     char why[SCHEMA_WHY_MAX])
{
	if (schema_value_is_items(row))
		return set_items(row, base, text, why);
	return ops_of[row->type].set(row, schema_field(row, base), text, why);
}

const char *schema_value_format(const struct schema_row *row, const void *base, size_t i,
				char scratch[SCHEMA_WHY_MAX])
{
	const void *field = schema_field_const(row, base);

	if (schema_value_is_items(row))
		field = *(char *const *)field + i * item_size(row);
	return ops_of[row->type].format(row, field, scratch);
}

/* ---- freeing ---- */

static void clear_list(const struct schema_row *row, void *base)
{
	char **array = schema_field(row, base);
	size_t *np = count_field(row, base);

	for (size_t i = 0; i < *np; i++) {
		if (row->nested)
			schema_deinit(row->nested, *array + i * row->item_size);
		else if (row->type == SCHEMA_STRINGS)
			free(((char **)(void *)*array)[i]);
	}
	free(*array);
	*array = NULL;
	*np = 0;
}

static void clear_string(const struct schema_row *row, void *base)
{
	char **text = schema_field(row, base);

	free(*text);
	*text = NULL;
}

static void clear_map(const struct schema_row *row, void *base)
{
	schema_deinit(row->nested, schema_field(row, base));
}

void schema_value_clear(const struct schema_row *row, void *base)
{
	static void (*const clear_of[SCHEMA_TYPE_N])(const struct schema_row *row, void *base) = {
		[SCHEMA_STRING] = clear_string, [SCHEMA_PATH] = clear_string,
		[SCHEMA_STRINGS] = clear_list,	[SCHEMA_VALUES] = clear_list,
		[SCHEMA_LIST] = clear_list,	[SCHEMA_MAP] = clear_map,
	};

	if (clear_of[row->type])
		clear_of[row->type](row, base);
}

/* ---- codecs and names ---- */

static int parse_ip(const char *text, void *field, char *why)
{
	return ip_parse(text, field) < 0 ? schema_refuse(why, "must be an IPv4 or IPv6 address")
					 : 0;
}

static void format_ip(const void *field, char *out)
{
	const struct ip_addr *ip = field;

	out[0] = '\0';
	if (ip->family)
		ip_format(ip, out);
}

static int parse_endpoint(const char *text, void *field, char *why)
{
	if (endpoint_parse(text, field) < 0)
		return schema_refuse(
			why, "must be an address and a port, like 127.0.0.1:7844 or [::]:7844");
	return 0;
}

static void format_endpoint(const void *field, char *out)
{
	endpoint_format(field, out);
}

const struct schema_codec schema_ip = {"IP address", parse_ip, format_ip};
const struct schema_codec schema_endpoint = {"address:port", parse_endpoint, format_endpoint};

const struct schema_name schema_log_levels[] = {
	{"debug", LOG_LEVEL_DEBUG}, {"info", LOG_LEVEL_INFO},	{"warn", LOG_LEVEL_WARN},
	{"error", LOG_LEVEL_ERROR}, {"fatal", LOG_LEVEL_ERROR}, {NULL, 0},
};

const struct schema_name schema_log_formats[] = {
	{"text", LOG_FORMAT_TEXT},
	{"json", LOG_FORMAT_JSON},
	{NULL, 0},
};
