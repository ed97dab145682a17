/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes are collected as they come and sorted at their commit, so that an edge that sends them
 * in the worst order costs no more than one that sends them in the best.
 */
#include "client/feed_lines.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/err.h"
#include "base/json_depth.h"

#define DEPTH_MAX 4
#define ERROR_MAX 160

DEFINE_CLEANUP(json_t *, json_decref);

struct change {
	struct feed_route route;
	bool is_delete;
	uint32_t seq; /* the last one for a key counts */
};

struct feed_lines {
	feed_lines_cb on_set;
	void *ctx;
	char line[FEED_LINE_MAX];
	size_t n_line;
	struct feed_route *set;
	size_t n_set;
	struct change *changes;
	size_t n_changes;
	size_t cap_changes;
	bool has_begun; /* there was a reset */
	bool is_reset;	/* the changes start from nothing */
	char error[ERROR_MAX];
};

static int refuse(struct feed_lines *f, const char *fmt, ...) PRINTF(2, 3);

static int refuse(struct feed_lines *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->error, sizeof(f->error), fmt, ap);
	va_end(ap);
	return FEED_LINES_E_BAD;
}

/* ---- life ---- */

struct feed_lines *feed_lines_new(feed_lines_cb on_set, void *ctx)
{
	struct feed_lines *f = xnew(struct feed_lines);

	f->on_set = on_set;
	f->ctx = ctx;
	return f;
}

struct feed_lines *feed_lines_free(struct feed_lines *f)
{
	if (f) {
		free(f->set);
		free(f->changes);
		free(f);
	}
	return NULL;
}

const char *feed_lines_error(const struct feed_lines *f)
{
	return f->error;
}

/* ---- changes ---- */

static int compare_keys(const struct feed_route *a, const struct feed_route *b)
{
	int d = strcmp(a->network, b->network);

	return d ? d : prefix_compare(&a->prefix, &b->prefix);
}

static int compare_changes(const void *a, const void *b)
{
	const struct change *left = a;
	const struct change *right = b;
	int d = compare_keys(&left->route, &right->route);

	return d ? d : (left->seq > right->seq) - (left->seq < right->seq);
}

static int append_change(struct feed_lines *f, const struct change *c)
{
	struct change *changes;
	size_t cap;

	if (f->n_changes >= FEED_BATCH_MAX)
		return refuse(f, "more than %d changes at once", FEED_BATCH_MAX);
	if (f->n_changes == f->cap_changes) {
		cap = f->cap_changes ? 2 * f->cap_changes : 64;
		changes = reallocarray(f->changes, cap, sizeof(*changes));
		if (!changes)
			return -ENOMEM;
		f->changes = changes;
		f->cap_changes = cap;
	}
	f->changes[f->n_changes] = *c;
	f->changes[f->n_changes].seq = (uint32_t)f->n_changes;
	f->n_changes++;
	return 0;
}

static void drop_changes(struct feed_lines *f)
{
	free(f->changes);
	f->changes = NULL;
	f->n_changes = 0;
	f->cap_changes = 0;
}

/* Sorts them and keeps the last one for each key. */
static void settle_changes(struct feed_lines *f)
{
	size_t n = 0;

	if (f->n_changes == 0)
		return;
	qsort(f->changes, f->n_changes, sizeof(*f->changes), compare_changes);
	for (size_t i = 1; i < f->n_changes; i++) {
		if (compare_keys(&f->changes[n].route, &f->changes[i].route) != 0)
			n++;
		f->changes[n] = f->changes[i];
	}
	f->n_changes = n + 1;
}

/* Old routes and changes into @merged; the count. */
static size_t merge(const struct feed_lines *f, struct feed_route *merged)
{
	size_t n_old = f->is_reset ? 0 : f->n_set;
	size_t old = 0, changed = 0, n = 0;

	while (old < n_old || changed < f->n_changes) {
		int d = old == n_old ? 1
			: changed == f->n_changes
				? -1
				: compare_keys(&f->set[old], &f->changes[changed].route);

		if (d < 0)
			merged[n++] = f->set[old];
		else if (!f->changes[changed].is_delete)
			merged[n++] = f->changes[changed].route;
		old += d <= 0;
		changed += d >= 0;
	}
	return n;
}

static int commit(struct feed_lines *f)
{
	struct feed_route *merged;
	size_t n;

	if (!f->has_begun)
		return refuse(f, "commit before the first reset");
	settle_changes(f);
	merged = calloc(f->n_set + f->n_changes + 1, sizeof(*merged));
	if (!merged)
		return -ENOMEM;
	n = merge(f, merged);
	free(f->set);
	f->set = merged;
	f->n_set = n;
	f->is_reset = false;
	drop_changes(f);
	if (n > FEED_ROUTES_MAX)
		return refuse(f, "%zu routes, more than %d", n, FEED_ROUTES_MAX);
	return f->on_set(f->ctx, f->set, f->n_set) ? 0 : FEED_LINES_E_STOPPED;
}

/* ---- lines ---- */

static int op_reset(struct feed_lines *f, const json_t *line UNUSED)
{
	f->has_begun = true;
	f->is_reset = true;
	drop_changes(f);
	return 0;
}

static int op_commit(struct feed_lines *f, const json_t *line UNUSED)
{
	return commit(f);
}

/* It goes into a header, and to people's terminals. */
static bool is_name(const char *text)
{
	size_t n = strlen(text);

	return n > 0 && n < VNET_NAME_MAX && vnet_name_is_visible(text, n);
}

static int read_key(struct feed_lines *f, const json_t *line, struct feed_route *route)
{
	const char *network = json_string_value(json_object_get(line, "network"));
	const char *vnet = json_string_value(json_object_get(line, "virtual_network"));

	if (!f->has_begun)
		return refuse(f, "a route before the first reset");
	if (!network || prefix_parse(network, &route->prefix) != 0)
		return refuse(f, "a route without a valid network");
	if (!vnet || !is_name(vnet))
		return refuse(f, "a route without a valid virtual_network");
	snprintf(route->network, sizeof(route->network), "%s", vnet);
	return 0;
}

static int op_add(struct feed_lines *f, const json_t *line)
{
	const json_t *up = json_object_get(line, "up");
	struct change c = {0};
	int r = read_key(f, line, &c.route);

	if (r != 0)
		return r;
	if (!json_is_boolean(up))
		return refuse(f, "a route without up");
	c.route.up = json_is_true(up);
	return append_change(f, &c);
}

static int op_delete(struct feed_lines *f, const json_t *line)
{
	struct change c = {.is_delete = true};
	int r = read_key(f, line, &c.route);

	return r == 0 ? append_change(f, &c) : r;
}

static const struct {
	const char *name;
	int (*run)(struct feed_lines *f, const json_t *line);
} ops[] = {
	{"add", op_add},
	{"commit", op_commit},
	{"delete", op_delete},
	{"reset", op_reset},
};

static int run_line(struct feed_lines *f)
{
	CLEANUP(json_decref) json_t *line = NULL;
	const char *op;

	if (f->n_line == 0)
		return 0;
	if (json_is_deeper(f->line, f->n_line, DEPTH_MAX))
		return refuse(f, "a line that is nested too deep");
	line = json_loadb(f->line, f->n_line, JSON_REJECT_DUPLICATES, NULL);
	op = json_string_value(json_object_get(line, "op"));
	if (!op)
		return refuse(f, "a line that is no JSON object with an op");
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		if (strcmp(ops[i].name, op) == 0)
			return ops[i].run(f, line);
	return 0;
}

int feed_lines_push(struct feed_lines *f, const uint8_t *data, size_t n)
{
	int r = f->error[0] ? FEED_LINES_E_BAD : 0;

	while (r == 0 && n > 0) {
		const uint8_t *end = memchr(data, '\n', n);
		size_t piece = end ? (size_t)(end - data) : n;

		if (f->n_line + piece >= FEED_LINE_MAX)
			return refuse(f, "a line of more than %d bytes", FEED_LINE_MAX);
		memcpy(f->line + f->n_line, data, piece);
		f->n_line += piece;
		if (!end)
			break;
		r = run_line(f);
		f->n_line = 0;
		data += piece + 1;
		n -= piece + 1;
	}
	return r;
}
