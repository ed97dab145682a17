/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * diag - findings for the user: where, which key, what is wrong, what to do
 *
 * Collected, not printed, so that a file's problems are shown all at once.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

enum diag_kind {
	DIAG_ERROR,
	DIAG_WARNING,
};

struct diag_item {
	enum diag_kind kind;
	unsigned int line; /* 0: the whole file */
	char *text;	   /* "key: reason" */
};

struct diag {
	const char *file; /* borrowed; NULL when there is none */
	struct diag_item *items;
	size_t n_items;
	size_t n_errors;  /* dropped ones included */
	size_t n_dropped; /* found when there was no room for more */
};

#define DIAG_ITEMS_MAX 100 /* more are counted, not kept */

void diag_init(struct diag *d, const char *file);
void diag_deinit(struct diag *d);

/*
 * @d may be NULL: then nothing happens. Control characters become '?', so that
 * what a file says can be quoted; texts are cut at 1023 bytes.
 */
void diag_add(struct diag *d, enum diag_kind kind, unsigned int line, const char *fmt, ...)
	PRINTF(4, 5);

/* By line, keeping the order in which those of one line were found. */
void diag_sort(struct diag *d);

/* "file:line: [warning: ]text" per item into @out of @n_out bytes, NUL-terminated, cut at a line.
 */
void diag_format(const struct diag *d, char *out, size_t n_out);
/* The same to stderr, with a last line about those that were dropped. */
void diag_print(const struct diag *d);
