/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading goes row by row, not key by key, so that the order of the rows (an
 * alias behind the row it stands for) decides and not the order of the file.
 * What no row asked for is unknown.
 */
#include "base/schema.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/file.h"
#include "base/schema_value.h"
#include "base/yaml_source.h"

#define PATH_TEXT_MAX 160
#define JOINED_MAX    1024

static void load_map(const struct schema *s, void *base, const struct conf_node *map,
		     const char *path, struct diag *diag);

/* One value on its way from the file into its struct. */
struct place {
	const struct schema_row *row;
	void *base;
	const struct conf_node *node;
	char path[PATH_TEXT_MAX]; /* "routes[2].network" */
	struct diag *diag;
};

static void blame(const struct place *at, const struct conf_node *node, const char *why)
{
	diag_add(at->diag, DIAG_ERROR, node->line, "%s: %s", at->path, why);
}

static const char *name_of_kind(enum conf_kind kind)
{
	static const char *const names[] = {
		[CONF_NULL] = "nothing",
		[CONF_TEXT] = "a single value",
		[CONF_LIST] = "a list",
		[CONF_MAP] = "a group of keys",
	};

	return names[kind];
}

static void blame_kind(const struct place *at, const struct conf_node *node, enum conf_kind wanted)
{
	char why[SCHEMA_WHY_MAX];

	if (node->kind == CONF_NULL)
		snprintf(why, sizeof(why), "has no value: give one or remove the line");
	else
		snprintf(why, sizeof(why), "must be %s, not %s", name_of_kind(wanted),
			 name_of_kind(node->kind));
	blame(at, node, why);
}

/* ---- single values and items ---- */

static bool join_texts(const struct conf_node *list, char out[JOINED_MAX])
{
	size_t used = 0;

	out[0] = '\0';
	for (const struct conf_node *item = list->first; item; item = item->next) {
		if (item->kind != CONF_TEXT)
			return false;
		used += (size_t)snprintf(out + used, JOINED_MAX - used, "%s%s", used ? "," : "",
					 item->text);
		if (used >= JOINED_MAX)
			return false;
	}
	return used > 0;
}

static void load_single(const struct place *at)
{
	char why[SCHEMA_WHY_MAX], joined[JOINED_MAX];
	const char *text = at->node->text;

	if (at->node->kind == CONF_LIST && (at->row->flags & SCHEMA_JOIN) &&
	    join_texts(at->node, joined))
		text = joined;
	if (!text)
		blame_kind(at, at->node, CONF_TEXT);
	else if (schema_value_set(at->row, at->base, text, why) < 0)
		blame(at, at->node, why);
}

static void load_item(const struct place *at, const struct conf_node *item)
{
	char why[SCHEMA_WHY_MAX];

	if (item->kind != CONF_TEXT)
		blame_kind(at, item, CONF_TEXT);
	else if (schema_value_add(at->row, at->base, item->text, why) < 0)
		blame(at, item, why);
}

static void load_items(const struct place *at)
{
	char why[SCHEMA_WHY_MAX];

	if (at->node->kind == CONF_TEXT) {
		load_single(at);
		return;
	}
	if (at->node->kind != CONF_LIST) {
		blame_kind(at, at->node, CONF_LIST);
		return;
	}
	if (schema_value_reserve(at->row, at->base, at->node->n_children, why) < 0) {
		blame(at, at->node, why);
		return;
	}
	for (const struct conf_node *item = at->node->first; item; item = item->next)
		load_item(at, item);
}

/* ---- groups and lists of groups ---- */

static void load_group(const struct place *at)
{
	if (at->node->kind == CONF_MAP)
		load_map(at->row->nested, schema_field(at->row, at->base), at->node, at->path,
			 at->diag);
	else if (at->node->kind != CONF_NULL)
		blame_kind(at, at->node, CONF_MAP);
}

static void load_entry(const struct place *at, const struct conf_node *node, size_t i)
{
	const struct schema *nested = at->row->nested;
	char *entry = *(char **)schema_field(at->row, at->base) + i * at->row->item_size;
	char path[PATH_TEXT_MAX + 24];

	if (node->kind != CONF_MAP) {
		blame_kind(at, node, CONF_MAP);
		return;
	}
	snprintf(path, sizeof(path), "%s[%zu]", at->path, i);
	schema_set_fallbacks(nested, entry);
	if (nested->line_offset)
		memcpy(entry + nested->line_offset, &node->line, sizeof(node->line));
	load_map(nested, entry, node, path, at->diag);
}

static void load_list(const struct place *at)
{
	size_t *np = (void *)((char *)at->base + at->row->count_offset);
	char why[SCHEMA_WHY_MAX];

	if (at->node->kind == CONF_NULL)
		return;
	if (at->node->kind != CONF_LIST) {
		blame_kind(at, at->node, CONF_LIST);
		return;
	}
	if (schema_value_reserve(at->row, at->base, at->node->n_children, why) < 0) {
		blame(at, at->node, why);
		return;
	}
	for (const struct conf_node *node = at->node->first; node; node = node->next)
		load_entry(at, node, (*np)++);
}

static void load_foreign(const struct place *at)
{
	diag_add(at->diag, DIAG_WARNING, at->node->line, "%s: ignored: %s", at->path, at->row->doc);
}

/* ---- keys ---- */

static void load_row(const struct place *at)
{
	static void (*const load_of[SCHEMA_TYPE_N])(const struct place *at) = {
		[SCHEMA_STRINGS] = load_items,	 [SCHEMA_VALUES] = load_items,
		[SCHEMA_MAP] = load_group,	 [SCHEMA_LIST] = load_list,
		[SCHEMA_FOREIGN] = load_foreign,
	};

	if (load_of[at->row->type])
		load_of[at->row->type](at);
	else
		load_single(at);
}

static size_t append(char out[PATH_TEXT_MAX], size_t used, const char *text)
{
	size_t n = strnlen(text, PATH_TEXT_MAX - 1 - used);

	memcpy(out + used, text, n);
	out[used + n] = '\0';
	return used + n;
}

/* For each key of each entry of long lists: printf() would take most of a load. */
static void join_path(char out[PATH_TEXT_MAX], const char *path, const char *key)
{
	size_t used = append(out, 0, path);

	if (used)
		used = append(out, used, ".");
	append(out, used, key);
}

static void refuse_unknown(const struct schema *s, const struct conf_node *child, const char *path,
			   struct diag *diag)
{
	const char *near;
	char full[PATH_TEXT_MAX];

	for (size_t i = 0; i < s->n_rows; i++) {
		if (strcmp(s->rows[i].key, child->key) == 0)
			return;
	}
	near = schema_nearest(s, child->key);
	join_path(full, path, child->key);
	if (near)
		diag_add(diag, DIAG_ERROR, child->line, "%s: unknown key; did you mean \"%s\"?",
			 full, near);
	else
		diag_add(diag, DIAG_ERROR, child->line, "%s: unknown key", full);
}

static void load_map(const struct schema *s, void *base, const struct conf_node *map,
		     const char *path, struct diag *diag)
{
	for (size_t i = 0; i < s->n_rows; i++) {
		struct place at;

		at.row = &s->rows[i];
		at.base = base;
		at.diag = diag;
		at.node = conf_node_child(map, at.row->key);
		if (!at.node && !(at.row->flags & SCHEMA_REQUIRED))
			continue;
		join_path(at.path, path, at.row->key);
		if (at.node)
			load_row(&at);
		else
			diag_add(diag, DIAG_ERROR, map->line, "%s: missing", at.path);
	}
	for (const struct conf_node *child = map->first; child; child = child->next)
		refuse_unknown(s, child, path, diag);
}

/* ---- entry points ---- */

void schema_set_fallbacks(const struct schema *s, void *base)
{
	char why[SCHEMA_WHY_MAX];

	for (size_t i = 0; i < s->n_rows; i++) {
		const struct schema_row *row = &s->rows[i];

		if (row->type == SCHEMA_MAP)
			schema_set_fallbacks(row->nested, schema_field(row, base));
		else if (row->fallback && schema_value_set(row, base, row->fallback, why) < 0)
			abort(); /* a mistake in the table, found by its test */
	}
}

int schema_load_text(const struct schema *s, void *base, const char *text, size_t n,
		     struct diag *diag)
{
	struct conf_node *root;
	int r = yaml_source_parse(text, n, diag, &root);

	if (r < 0)
		return r;
	load_map(s, base, root, "", diag);
	conf_node_free(root);
	return 0;
}

int schema_load_file(const struct schema *s, void *base, const char *path, struct diag *diag)
{
	char *text;
	size_t n;
	int r = file_read(path, YAML_BYTES_MAX, &text, &n);

	if (r == -EFBIG)
		diag_add(diag, DIAG_ERROR, 0, "larger than 1 MiB");
	else if (r < 0)
		diag_add(diag, DIAG_ERROR, 0, "can't be read: %s", strerror(-r));
	if (r < 0)
		return r;
	r = schema_load_text(s, base, text, n, diag);
	free(text);
	return r;
}

static void set_row(const struct schema_row *row, void *base, const char *text, const char *origin,
		    struct diag *diag)
{
	char why[SCHEMA_WHY_MAX];

	if (schema_value_set(row, base, text, why) < 0)
		diag_add(diag, DIAG_ERROR, 0, "%s: %s", origin, why);
}

void schema_load_env(const struct schema *s, void *base, struct diag *diag)
{
	for (size_t i = 0; i < s->n_rows; i++) {
		const struct schema_row *row = &s->rows[i];
		const char *text = row->env ? getenv(row->env) : NULL;
		char origin[PATH_TEXT_MAX];

		if (!text || !*text)
			continue;
		snprintf(origin, sizeof(origin), "environment variable %s", row->env);
		set_row(row, base, text, origin, diag);
	}
}

void schema_set(const struct schema *s, void *base, const char *key, const char *text,
		const char *origin, struct diag *diag)
{
	for (size_t i = 0; text && i < s->n_rows; i++) {
		if (strcmp(s->rows[i].key, key) == 0)
			set_row(&s->rows[i], base, text, origin, diag);
	}
}

void schema_set_list(const struct schema *s, void *base, const char *key, const char *const *texts,
		     size_t n_texts, const char *origin, struct diag *diag)
{
	CLEANUP(free) char *joined = NULL;
	size_t n;
	FILE *out;

	if (!n_texts)
		return;
	out = open_memstream(&joined, &n);
	if (!out)
		abort();
	for (size_t i = 0; i < n_texts; i++)
		fprintf(out, "%s%s", i ? "," : "", texts[i]);
	fclose(out);
	schema_set(s, base, key, joined, origin, diag);
}

void schema_deinit(const struct schema *s, void *base)
{
	for (size_t i = 0; i < s->n_rows; i++) {
		if (!(s->rows[i].flags & SCHEMA_ALIAS))
			schema_value_clear(&s->rows[i], base);
	}
}
