/* SPDX-License-Identifier: Apache-2.0 */
#include "base/diag.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#define TEXT_MAX 1024

void diag_init(struct diag *d, const char *file)
{
	*d = (struct diag){.file = file};
}

void diag_deinit(struct diag *d)
{
	for (size_t i = 0; i < d->n_items; i++)
		free(d->items[i].text);
	free(d->items);
	diag_init(d, d->file);
}

/* Parts of a text may come from a file that somebody else wrote. */
static void mask_controls(char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < 0x20 || c == 0x7f)
			*text = '?';
	}
}

void diag_add(struct diag *d, enum diag_kind kind, unsigned int line, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list args;

	if (!d)
		return;
	if (kind == DIAG_ERROR)
		d->n_errors++;
	if (d->n_items == DIAG_ITEMS_MAX) {
		d->n_dropped++;
		return;
	}
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	mask_controls(text);
	if (!d->items)
		d->items = xzalloc(DIAG_ITEMS_MAX * sizeof(*d->items));
	d->items[d->n_items++] =
		(struct diag_item){.kind = kind, .line = line, .text = xstrdup(text)};
}

void diag_sort(struct diag *d)
{
	for (size_t i = 1; i < d->n_items; i++) {
		struct diag_item item = d->items[i];
		size_t at = i;

		for (; at > 0 && d->items[at - 1].line > item.line; at--)
			d->items[at] = d->items[at - 1];
		d->items[at] = item;
	}
}

static int format_item(const struct diag *d, const struct diag_item *item, char *out, size_t n_out)
{
	const char *mark = item->kind == DIAG_WARNING ? "warning: " : "";

	if (!d->file)
		return snprintf(out, n_out, "%s%s\n", mark, item->text);
	if (!item->line)
		return snprintf(out, n_out, "%s: %s%s\n", d->file, mark, item->text);
	return snprintf(out, n_out, "%s:%u: %s%s\n", d->file, item->line, mark, item->text);
}

void diag_format(const struct diag *d, char *out, size_t n_out)
{
	size_t used = 0;

	if (!n_out)
		return;
	out[0] = '\0';
	for (size_t i = 0; i < d->n_items; i++) {
		int n = format_item(d, &d->items[i], out + used, n_out - used);

		if (n < 0 || (size_t)n >= n_out - used) {
			out[used] = '\0';
			return;
		}
		used += (size_t)n;
	}
}

void diag_print(const struct diag *d)
{
	char line[TEXT_MAX + 4096];

	for (size_t i = 0; i < d->n_items; i++) {
		format_item(d, &d->items[i], line, sizeof(line));
		fputs(line, stderr);
	}
	if (d->n_dropped)
		fprintf(stderr, "%zu more problems are not shown\n", d->n_dropped);
}
