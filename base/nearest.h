/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * nearest - the known name that someone probably meant
 *
 *	struct nearest n = { .wanted = "conections" };
 *	for each name: nearest_offer(&n, name);
 *	if (n.best) ... "did you mean 'connections'?"
 */

struct nearest {
	const char *wanted;
	const char *best;      /* NULL: nothing is near enough to be worth showing */
	unsigned int distance; /* of `best` */
};

#define NEAREST_NAME_MAX 48 /* longer names are never near */

/* Inserted, left out, changed or swapped neighbouring characters; case counts as equal. */
unsigned int name_distance(const char *a, const char *b);

/* @candidate is borrowed. At most one edit per three characters of `wanted` is near. */
void nearest_offer(struct nearest *n, const char *candidate);
