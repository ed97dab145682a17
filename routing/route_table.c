/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sorted array: by network, family, address, then length (shorter first). In that order
 * a prefix stands before everything inside it, so that
 *
 *   - what lies inside a prefix follows it without a gap;
 *   - what lies around a position is found by going up from its predecessor: each entry knows the
 *     nearest one that holds it (`parent`), and the chain is as long as prefixes are nested.
 */
#include "routing/route_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#define NO_PARENT UINT32_MAX

struct route_table {
	uint64_t version;
	size_t n;
	size_t capacity;
	uint32_t *parents;
	struct route *routes;
};

static int compare_place(const struct route *r, const struct uuid *vnet,
			 const struct prefix *prefix)
{
	int d = memcmp(r->vnet.bytes, vnet->bytes, sizeof(vnet->bytes));

	return d ? d : prefix_compare(&r->prefix, prefix);
}

/* qsort() isn't stable, and of several owners the first one stays. */
struct keyed_route {
	struct route route;
	uint32_t arrival;
};

static int compare_keyed(const void *a, const void *b)
{
	const struct keyed_route *left = a;
	const struct keyed_route *right = b;
	int d = compare_place(&left->route, &right->route.vnet, &right->route.prefix);

	if (d == 0)
		d = (int)right->route.by_operator - (int)left->route.by_operator;
	if (d == 0)
		d = (left->arrival > right->arrival) - (left->arrival < right->arrival);
	return d;
}

/* Appends @r, or joins it with the entry before it when that is the same prefix. */
static void append(struct route_table *t, const struct route *r)
{
	struct route *last = t->n ? &t->routes[t->n - 1] : NULL;

	if (!last || compare_place(last, &r->vnet, &r->prefix) != 0) {
		t->routes[t->n++] = *r;
		return;
	}
	if (uuid_equal(&last->tunnel, &r->tunnel)) {
		last->by_operator |= r->by_operator;
		last->is_advertised |= r->is_advertised;
	}
}

static bool holds(const struct route *outer, const struct uuid *vnet, const struct prefix *inner)
{
	return uuid_equal(&outer->vnet, vnet) && prefix_contains(&outer->prefix, inner);
}

static void link_parents(struct route_table *t)
{
	uint32_t up = NO_PARENT;

	for (uint32_t i = 0; i < t->n; i++) {
		const struct route *r = &t->routes[i];

		while (up != NO_PARENT && !holds(&t->routes[up], &r->vnet, &r->prefix))
			up = t->parents[up];
		t->parents[i] = up;
		up = i;
	}
}

static bool is_sorted(const struct keyed_route *keyed, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (compare_keyed(&keyed[i - 1], &keyed[i]) > 0)
			return false;
	return true;
}

static struct keyed_route *sort_copy(const struct route *routes, size_t n)
{
	struct keyed_route *keyed = calloc(n + 1, sizeof(*keyed));

	if (!keyed)
		return NULL;
	for (size_t i = 0; i < n; i++)
		keyed[i] = (struct keyed_route){routes[i], (uint32_t)i};
	/* Often it is one long list that comes in order. */
	if (!is_sorted(keyed, n))
		qsort(keyed, n, sizeof(*keyed), compare_keyed);
	return keyed;
}

int route_table_new(struct route_table **tablep, const struct route *routes, size_t n)
{
	CLEANUP(route_table_free) struct route_table *t = xnew(struct route_table);
	CLEANUP(free) struct keyed_route *sorted = NULL;

	if (n >= NO_PARENT)
		return err_trace(-E2BIG);
	sorted = sort_copy(routes, n);
	if (!sorted)
		return -ENOMEM;
	t->version = 1;
	t->capacity = n + 1;
	t->routes = calloc(t->capacity, sizeof(*t->routes));
	t->parents = calloc(t->capacity, sizeof(*t->parents));
	if (!t->routes || !t->parents)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		append(t, &sorted[i].route);
	link_parents(t);
	*tablep = steal_ptr(t);
	return 0;
}

int route_table_replace(struct route_table **tablep, const struct route *routes, size_t n)
{
	struct route_table *t = NULL;
	int r = route_table_new(&t, routes, n);

	if (r)
		return r;
	t->version = route_table_version(*tablep) + 1;
	route_table_free(*tablep);
	*tablep = t;
	return 0;
}

struct route_table *route_table_free(struct route_table *t)
{
	if (t) {
		free(t->parents);
		free(t->routes);
		free(t);
	}
	return NULL;
}

size_t route_table_size(const struct route_table *t)
{
	return t ? t->n : 0;
}

uint64_t route_table_version(const struct route_table *t)
{
	return t ? t->version : 0;
}

size_t route_table_bytes(const struct route_table *t)
{
	return t ? sizeof(*t) + t->capacity * (sizeof(*t->routes) + sizeof(*t->parents)) : 0;
}

const struct route *route_table_at(const struct route_table *t, size_t i)
{
	return &t->routes[i];
}

/* The first entry that is not before (@vnet, @prefix). */
static size_t lower_bound(const struct route_table *t, const struct uuid *vnet,
			  const struct prefix *prefix)
{
	size_t low = 0;
	size_t high = route_table_size(t);

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (compare_place(&t->routes[mid], vnet, prefix) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* The nearest entry at or above the one before @place that holds @inner; NO_PARENT: none. */
static uint32_t climb(const struct route_table *t, size_t place, const struct uuid *vnet,
		      const struct prefix *inner)
{
	uint32_t up = place > 0 ? (uint32_t)(place - 1) : NO_PARENT;

	while (up != NO_PARENT && !holds(&t->routes[up], vnet, inner))
		up = t->parents[up];
	return up;
}

const struct route *route_table_find(const struct route_table *t, const struct uuid *vnet,
				     const struct prefix *prefix)
{
	size_t i = lower_bound(t, vnet, prefix);

	if (i == route_table_size(t) || compare_place(&t->routes[i], vnet, prefix) != 0)
		return NULL;
	return &t->routes[i];
}

const struct route *route_table_match(const struct route_table *t, const struct uuid *vnet,
				      const struct ip_addr *ip)
{
	struct prefix single = prefix_of_ip(ip);
	size_t place = lower_bound(t, vnet, &single);
	uint32_t up;

	if (place < route_table_size(t) && compare_place(&t->routes[place], vnet, &single) == 0)
		return &t->routes[place];
	up = climb(t, place, vnet, &single);
	return up == NO_PARENT ? NULL : &t->routes[up];
}

static const struct route *other_around(const struct route_table *t, size_t place,
					const struct uuid *vnet, const struct prefix *prefix,
					const struct uuid *tunnel)
{
	uint32_t up = climb(t, place, vnet, prefix);

	while (up != NO_PARENT && uuid_equal(&t->routes[up].tunnel, tunnel))
		up = t->parents[up];
	return up == NO_PARENT ? NULL : &t->routes[up];
}

static const struct route *other_inside(const struct route_table *t, size_t place,
					const struct uuid *vnet, const struct prefix *prefix,
					const struct uuid *tunnel)
{
	for (size_t i = place; i < route_table_size(t); i++) {
		const struct route *r = &t->routes[i];

		if (!uuid_equal(&r->vnet, vnet) || !prefix_contains(prefix, &r->prefix))
			break;
		if (!uuid_equal(&r->tunnel, tunnel))
			return r;
	}
	return NULL;
}

enum route_conflict route_table_conflict(const struct route_table *t, const struct uuid *vnet,
					 const struct prefix *prefix, const struct uuid *tunnel,
					 const struct route **otherp)
{
	size_t place = lower_bound(t, vnet, prefix);
	const struct route *same = route_table_find(t, vnet, prefix);
	const struct route *other;

	if (same && !uuid_equal(&same->tunnel, tunnel)) {
		*otherp = same;
		return ROUTE_CONFLICT_OWNED;
	}
	other = other_around(t, place, vnet, prefix, tunnel);
	if (other) {
		*otherp = other;
		return ROUTE_CONFLICT_INSIDE;
	}
	other = other_inside(t, place, vnet, prefix, tunnel);
	if (other) {
		*otherp = other;
		return ROUTE_CONFLICT_AROUND;
	}
	return ROUTE_CONFLICT_NONE;
}
