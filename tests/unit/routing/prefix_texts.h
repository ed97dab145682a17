/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* prefix_texts - prefixes and sets of them as text; behind cmocka.h */

#include <stdio.h>
#include <string.h>

#include "routing/prefix_set.h"

#define TEXT_MAX 4096

static inline struct prefix prefix_of(const char *text)
{
	struct prefix p;

	assert_int_equal(prefix_parse(text, &p), 0);
	return p;
}

/* @text: prefixes with one space between them. */
static inline void fill(struct prefix_set *s, const char *text)
{
	char copy[TEXT_MAX];
	char *rest = NULL;

	snprintf(copy, sizeof(copy), "%s", text);
	for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		struct prefix p = prefix_of(word);

		assert_int_equal(prefix_set_add(s, &p, SIZE_MAX / sizeof(p)), 0);
	}
}

/* The prefixes in their order, with one space between them. */
static inline const char *text_of(const struct prefix_set *s, char out[TEXT_MAX])
{
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < s->n; i++) {
		char one[PREFIX_TEXT_MAX];

		n += (size_t)snprintf(out + n, TEXT_MAX - n, "%s%s", i ? " " : "",
				      prefix_format(&s->items[i], one));
	}
	return out;
}
