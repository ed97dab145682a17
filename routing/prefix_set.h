/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * prefix_set - sets of addresses of both families, written as prefixes
 *
 * A set is minimal when no prefix lies in another, no two are the halves of a third, and they
 * stand in the order of prefix_compare(). Each set of addresses has exactly one minimal form, so
 * two minimal sets with the same prefixes hold the same addresses and the other way round.
 *
 * Every function that can make a set grow takes the number of prefixes that it may hold and tests
 * it before it allocates: 0, PREFIX_SET_E_LIMIT or -ENOMEM. What fails leaves the addresses of its
 * set as they were. IPv6 prefixes never stand for IPv4 addresses: ::/0 takes nothing
 * from 10.0.0.0/8.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "routing/prefix.h"

/* The empty value is { 0 }. @items belongs to the set and moves when it grows. */
struct prefix_set {
	struct prefix *items;
	size_t n;
	size_t capacity;
	bool is_unsorted; /* added to since it was last minimal */
};

enum prefix_set_outcome {
	PREFIX_SET_E_LIMIT = 1, /* the result has more prefixes than the limit */
};

void prefix_set_deinit(struct prefix_set *s);
/* CLEANUP(prefix_set_deinit) on a local set. */
static inline void prefix_set_deinit_at(struct prefix_set *s)
{
	prefix_set_deinit(s);
}

/* Appends a copy of @p behind the others; prefix_set_normalise() when all are there. */
NODISCARD int prefix_set_add(struct prefix_set *s, const struct prefix *p, size_t limit);
/* Appends all of @other. The limit counts before anything is merged. */
NODISCARD int prefix_set_add_all(struct prefix_set *s, const struct prefix_set *other,
				 size_t limit);
/* Makes @s minimal: a set that prefixes were added to becomes their union. Never grows. */
void prefix_set_normalise(struct prefix_set *s);
/* Takes the addresses of @holes (in any state, unchanged) out of @s, which becomes minimal. */
NODISCARD int prefix_set_subtract(struct prefix_set *s, const struct prefix_set *holes,
				  size_t limit);

/*
 * Questions to a minimal set (asserted). True if every address of @p is in @s; in a minimal set
 * that means: in one of its prefixes.
 */
bool prefix_set_contains(const struct prefix_set *s, const struct prefix *p);
bool prefix_set_contains_ip(const struct prefix_set *s, const struct ip_addr *ip);
/* True if any address of @p is in @s. */
bool prefix_set_overlaps(const struct prefix_set *s, const struct prefix *p);
/* The prefixes of one family (AF_INET, AF_INET6): how many; *@firstp is the first, if any. */
size_t prefix_set_family(const struct prefix_set *s, int family, const struct prefix **firstp);
bool prefix_set_equal(const struct prefix_set *a, const struct prefix_set *b);
