/* SPDX-License-Identifier: Apache-2.0 */
#include "base/nearest.h"

#include <ctype.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define ROW_MAX (NEAREST_NAME_MAX + 1)

static bool same(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

static unsigned int least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

/* One cell of the optimal string alignment table: rows i-2, i-1 and i are at hand. */
static unsigned int cell(unsigned int rows[3][ROW_MAX], const char *a, const char *b, size_t i,
			 size_t j)
{
	const unsigned int *above = rows[(i + 2) % 3];
	unsigned int d = above[j - 1] + (same(a[i - 1], b[j - 1]) ? 0 : 1);

	d = least(d, above[j] + 1);
	d = least(d, rows[i % 3][j - 1] + 1);
	if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
		d = least(d, rows[(i + 1) % 3][j - 2] + 1);
	return d;
}

unsigned int name_distance(const char *a, const char *b)
{
	size_t n_a = strlen(a), n_b = strlen(b);
	unsigned int rows[3][ROW_MAX] = {0};

	if (n_a > NEAREST_NAME_MAX || n_b > NEAREST_NAME_MAX)
		return UINT_MAX;
	for (size_t j = 0; j <= n_b; j++)
		rows[0][j] = (unsigned int)j;
	for (size_t i = 1; i <= n_a; i++) {
		rows[i % 3][0] = (unsigned int)i;
		for (size_t j = 1; j <= n_b; j++)
			rows[i % 3][j] = cell(rows, a, b, i, j);
	}
	return rows[n_a % 3][n_b];
}

void nearest_offer(struct nearest *n, const char *candidate)
{
	unsigned int distance = name_distance(n->wanted, candidate);

	if (distance > strlen(n->wanted) / 3 + 1 || distance >= strlen(n->wanted))
		return;
	if (n->best && n->distance <= distance)
		return;
	n->best = candidate;
	n->distance = distance;
}
