/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Selection of RFC 2782 page 3: within one priority the records of weight 0 come
 * first, a number up to the sum of all weights is drawn, and the first record
 * whose running sum reaches it is next. So weight 0 has a small chance, not none.
 */
#include "wire/resolve.h"

#include <stdbool.h>

static void swap(struct resolve_srv *a, struct resolve_srv *b)
{
	struct resolve_srv tmp = *a;

	*a = *b;
	*b = tmp;
}

static bool goes_before(const struct resolve_srv *a, const struct resolve_srv *b)
{
	if (a->priority != b->priority)
		return a->priority < b->priority;
	return a->weight == 0 && b->weight != 0;
}

/* Stable, and n is small. */
static void sort(struct resolve_srv *srv, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		for (size_t j = i; j > 0 && goes_before(&srv[j], &srv[j - 1]); j--)
			swap(&srv[j], &srv[j - 1]);
	}
}

static size_t draw(const struct resolve_srv *group, size_t n, uint32_t random)
{
	uint32_t sum = 0;
	uint32_t target;
	size_t i;

	for (i = 0; i < n; i++)
		sum += group[i].weight;
	target = (uint32_t)((uint64_t)random * ((uint64_t)sum + 1) >> 32);
	sum = 0;
	for (i = 0; i + 1 < n; i++) {
		sum += group[i].weight;
		if (sum >= target)
			break;
	}
	return i;
}

static void shuffle(struct resolve_srv *group, size_t n, const uint32_t *randoms)
{
	for (size_t i = 0; i + 1 < n; i++) {
		/* Moved down one by one: the others keep weight 0 in front. */
		for (size_t j = i + draw(group + i, n - i, randoms[i]); j > i; j--)
			swap(&group[j], &group[j - 1]);
	}
}

void resolve_srv_order(struct resolve_srv *srv, size_t n, const uint32_t *randoms)
{
	size_t end;

	sort(srv, n);
	for (size_t start = 0; start < n; start = end) {
		end = start + 1;
		while (end < n && srv[end].priority == srv[start].priority)
			end++;
		shuffle(srv + start, end - start, randoms + start);
	}
}
