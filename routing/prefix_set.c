/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In the order of prefix_compare() a prefix stands before everything inside it. Hence
 *
 *   - one pass over a sorted array finds what lies in its predecessor, and two halves of a prefix
 *     meet as neighbours once everything between them is gone;
 *   - of a minimal set only the last prefix that isn't behind a position can hold it, and what
 *     lies inside a prefix follows its place without a gap.
 */
#include "routing/prefix_set.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"

#define CAPACITY_MIN 16

void prefix_set_deinit(struct prefix_set *s)
{
	free(s->items);
	*s = (struct prefix_set){0};
}

/* Room for @n_more; doubles, so that adding one by one stays linear. */
static int reserve(struct prefix_set *s, size_t n_more, size_t limit)
{
	size_t capacity = s->capacity > CAPACITY_MIN / 2 ? s->capacity * 2 : CAPACITY_MIN;
	struct prefix *items;

	if (s->n > limit || n_more > limit - s->n)
		return PREFIX_SET_E_LIMIT;
	if (n_more <= s->capacity - s->n)
		return 0;
	if (capacity > limit)
		capacity = limit;
	if (capacity < s->n + n_more)
		capacity = s->n + n_more;
	items = reallocarray(s->items, capacity, sizeof(*items));
	if (!items)
		return err_trace(-ENOMEM);
	s->items = items;
	s->capacity = capacity;
	return 0;
}

int prefix_set_add(struct prefix_set *s, const struct prefix *p, size_t limit)
{
	int r = reserve(s, 1, limit);

	if (r)
		return r;
	s->items[s->n++] = *p;
	s->is_unsorted = true;
	return 0;
}

int prefix_set_add_all(struct prefix_set *s, const struct prefix_set *other, size_t limit)
{
	int r = reserve(s, other->n, limit);

	if (r || !other->n)
		return r;
	memcpy(s->items + s->n, other->items, other->n * sizeof(*s->items));
	s->n += other->n;
	s->is_unsorted = true;
	return 0;
}

static int compare(const void *a, const void *b)
{
	return prefix_compare(a, b);
}

/* Puts @p behind the minimal set @s, all of which stands before it. */
static void push_minimal(struct prefix_set *s, const struct prefix *p)
{
	struct prefix last = *p;

	if (s->n && prefix_contains(&s->items[s->n - 1], p))
		return;
	while (s->n && prefix_join(&s->items[s->n - 1], &last, &last))
		s->n--;
	s->items[s->n++] = last;
}

void prefix_set_normalise(struct prefix_set *s)
{
	size_t n = s->n;

	if (!s->is_unsorted)
		return;
	qsort(s->items, n, sizeof(*s->items), compare);
	s->n = 0;
	for (size_t i = 0; i < n; i++) {
		struct prefix p = s->items[i];

		push_minimal(s, &p);
	}
	s->is_unsorted = false;
}

/* How many of the sorted @items stand before @p (@most -1), or before it or are it (@most 0). */
static size_t count_before(const struct prefix *items, size_t n, const struct prefix *p, int most)
{
	size_t low = 0;

	while (low < n) {
		size_t mid = low + (n - low) / 2;

		if (prefix_compare(&items[mid], p) <= most)
			low = mid + 1;
		else
			n = mid;
	}
	return low;
}

/*
 * Appends @node without @holes, all of which lie in it, sorted and apart. What is left of a node
 * with a hole is left of its halves; none is appended whole together with the other, as the hole
 * is in one of them. So the result is minimal as it is. At most 128 deep.
 */
static int append_rest(struct prefix_set *out, const struct prefix *node,
		       const struct prefix *holes, size_t n_holes, size_t limit)
{
	struct prefix lower, upper;
	size_t n_lower;
	int r;

	if (n_holes == 0)
		return prefix_set_add(out, node, limit);
	if (prefix_equal(&holes[0], node))
		return 0;
	lower = prefix_half(node, false);
	upper = prefix_half(node, true);
	n_lower = count_before(holes, n_holes, &upper, -1);
	r = append_rest(out, &lower, holes, n_lower, limit);
	return r ? r : append_rest(out, &upper, holes + n_lower, n_holes - n_lower, limit);
}

/* The same for any @node and the whole of a minimal set of holes. */
static int append_difference(struct prefix_set *out, const struct prefix *node,
			     const struct prefix_set *holes, size_t limit)
{
	size_t first = count_before(holes->items, holes->n, node, 0);
	size_t last = first;

	if (holes->n == 0)
		return prefix_set_add(out, node, limit);
	if (first > 0 && prefix_contains(&holes->items[first - 1], node))
		return 0;
	while (last < holes->n && prefix_contains(node, &holes->items[last]))
		last++;
	return append_rest(out, node, holes->items + first, last - first, limit);
}

int prefix_set_subtract(struct prefix_set *s, const struct prefix_set *holes, size_t limit)
{
	CLEANUP(prefix_set_deinit) struct prefix_set sorted = {0};
	CLEANUP(prefix_set_deinit) struct prefix_set rest = {0};
	int r;

	if (holes->is_unsorted) {
		r = prefix_set_add_all(&sorted, holes, holes->n);
		if (r)
			return r;
		prefix_set_normalise(&sorted);
		holes = &sorted;
	}
	prefix_set_normalise(s);
	for (size_t i = 0; i < s->n; i++) {
		r = append_difference(&rest, &s->items[i], holes, limit);
		if (r)
			return r;
	}
	prefix_set_deinit(s);
	*s = rest;
	s->is_unsorted = false;
	rest = (struct prefix_set){0};
	return 0;
}

bool prefix_set_contains(const struct prefix_set *s, const struct prefix *p)
{
	size_t behind = count_before(s->items, s->n, p, 0);

	assert(!s->is_unsorted);
	return behind > 0 && prefix_contains(&s->items[behind - 1], p);
}

bool prefix_set_contains_ip(const struct prefix_set *s, const struct ip_addr *ip)
{
	struct prefix single = prefix_of_ip(ip);

	return prefix_set_contains(s, &single);
}

bool prefix_set_overlaps(const struct prefix_set *s, const struct prefix *p)
{
	size_t behind = count_before(s->items, s->n, p, 0);

	assert(!s->is_unsorted);
	return (behind > 0 && prefix_contains(&s->items[behind - 1], p)) ||
	       (behind < s->n && prefix_contains(p, &s->items[behind]));
}

size_t prefix_set_family(const struct prefix_set *s, int family, const struct prefix **firstp)
{
	size_t n = 0;

	assert(!s->is_unsorted);
	for (size_t i = 0; i < s->n; i++) {
		if (s->items[i].ip.family != family)
			continue;
		if (n++ == 0)
			*firstp = &s->items[i];
	}
	return n;
}

bool prefix_set_equal(const struct prefix_set *a, const struct prefix_set *b)
{
	assert(!a->is_unsorted && !b->is_unsorted);
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!prefix_equal(&a->items[i], &b->items[i]))
			return false;
	return true;
}
