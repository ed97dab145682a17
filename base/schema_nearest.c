/* SPDX-License-Identifier: Apache-2.0 */
#include "base/schema.h"

#include <ctype.h>
#include <string.h>

#define KEY_MAX 48

static unsigned int min3(unsigned int a, unsigned int b, unsigned int c)
{
	unsigned int m = a < b ? a : b;

	return m < c ? m : c;
}

/* Keys differ in style between programs: case, "_" and "-" don't count. */
static size_t fold(const char *key, char out[KEY_MAX])
{
	size_t n = 0;

	for (; *key && n < KEY_MAX; key++) {
		if (*key != '-' && *key != '_')
			out[n++] = (char)tolower((unsigned char)*key);
	}
	return n;
}

/* Insertions, deletions, replacements (Levenshtein), one row of the matrix at a time. */
static unsigned int distance(const char *a, size_t n_a, const char *b, size_t n_b)
{
	unsigned int row[KEY_MAX + 1];

	for (unsigned int j = 0; j <= n_b; j++)
		row[j] = j;
	for (unsigned int i = 1; i <= n_a; i++) {
		unsigned int diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= n_b; j++) {
			unsigned int above = row[j];

			row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[n_b];
}

const char *schema_nearest(const struct schema *s, const char *key)
{
	char wanted[KEY_MAX], other[KEY_MAX];
	size_t n_wanted = fold(key, wanted);
	/* More than about a third wrong is another word. */
	unsigned int best = n_wanted < 4 ? 1 : (unsigned int)n_wanted / 3 + 1;
	const char *nearest = NULL;

	for (size_t i = 0; i < s->n_rows; i++) {
		size_t n_other = fold(s->rows[i].key, other);
		unsigned int d = distance(wanted, n_wanted, other, n_other);

		if (d < best || (d == best && !nearest)) {
			best = d;
			nearest = s->rows[i].key;
		}
	}
	return nearest;
}
