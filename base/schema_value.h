/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* schema_value - one row's value: from text, to text, freed. Part of schema */

#include <stdbool.h>
#include <stddef.h>

#include "base/schema.h"

/* True for STRINGS and VALUES. */
bool schema_value_is_items(const struct schema_row *row);
const char *schema_value_type_name(const struct schema_row *row);

/*
 * Replaces the value in @base by what @text says; items are comma-separated.
 * Not for MAP, LIST, FOREIGN. 0, or -EINVAL with the reason in @why.
 */
int schema_value_set(const struct schema_row *row, void *base, const char *text,
		     char why[SCHEMA_WHY_MAX]);
/* Makes room for @n items at most; the list is empty then. The same results. */
int schema_value_reserve(const struct schema_row *row, void *base, size_t n,
			 char why[SCHEMA_WHY_MAX]);
/* Appends one item; room must have been made. The same results. */
int schema_value_add(const struct schema_row *row, void *base, const char *text,
		     char why[SCHEMA_WHY_MAX]);

/* Text of a single value, or of item @i; NULL when absent. @scratch may hold it. */
const char *schema_value_format(const struct schema_row *row, const void *base, size_t i,
				char scratch[SCHEMA_WHY_MAX]);
/* The limits as a text for people ("from 1 to 16"), "" when there are none. */
void schema_value_limits(const struct schema_row *row, char out[SCHEMA_WHY_MAX]);

/* Number of items or entries. */
size_t schema_value_count(const struct schema_row *row, const void *base);
/* Frees what the row owns in @base, entries of lists included. */
void schema_value_clear(const struct schema_row *row, void *base);

/* The field of @row in @base. */
static inline void *schema_field(const struct schema_row *row, void *base)
{
	return (char *)base + row->offset;
}

static inline const void *schema_field_const(const struct schema_row *row, const void *base)
{
	return (const char *)base + row->offset;
}
