/* SPDX-License-Identifier: Apache-2.0 */
#include "routing/vnet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool vnet_name_is_visible(const char *name, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (name[i] <= ' ' || name[i] > '~')
			return false;
	}
	return true;
}

void vnet_table_deinit(struct vnet_table *t)
{
	free(t->items);
	*t = (struct vnet_table){0};
}

/* The place of @name, or where it would go. */
static size_t lower_bound(const struct vnet_table *t, const char *name)
{
	size_t low = 0;
	size_t high = t->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(t->items[mid].name, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void remove_at(struct vnet_table *t, size_t i)
{
	t->n--;
	memmove(t->items + i, t->items + i + 1, (t->n - i) * sizeof(*t->items));
}

static size_t index_of(const struct vnet_table *t, const struct uuid *id)
{
	size_t i = 0;

	while (i < t->n && !uuid_equal(&t->items[i].id, id))
		i++;
	return i;
}

static void clear_default(struct vnet_table *t)
{
	for (size_t i = 0; i < t->n; i++)
		t->items[i].is_default = false;
}

int vnet_table_put(struct vnet_table *t, const struct vnet *v)
{
	const struct vnet *same_name = vnet_table_by_name(t, v->name);
	size_t old = index_of(t, &v->id);
	struct vnet copy = *v;
	struct vnet *items;
	size_t place;

	if (!v->name[0])
		return -EINVAL;
	if (same_name && !uuid_equal(&same_name->id, &v->id))
		return -EEXIST;
	if (old == t->n && t->n >= VNETS_MAX)
		return -ENOSPC;
	items = realloc(t->items, (t->n + 1) * sizeof(*items));
	if (!items)
		return -ENOMEM;
	t->items = items;
	if (old < t->n) {
		copy.is_default |= items[old].is_default;
		remove_at(t, old);
	}
	copy.is_default |= t->n == 0;
	if (copy.is_default)
		clear_default(t);
	place = lower_bound(t, copy.name);
	memmove(items + place + 1, items + place, (t->n - place) * sizeof(*items));
	items[place] = copy;
	t->n++;
	return 0;
}

int vnet_table_remove(struct vnet_table *t, const struct uuid *id)
{
	size_t i = index_of(t, id);

	if (i == t->n)
		return -ENOENT;
	if (t->items[i].is_default && t->n > 1)
		return -EBUSY;
	remove_at(t, i);
	return 0;
}

const struct vnet *vnet_table_by_id(const struct vnet_table *t, const struct uuid *id)
{
	size_t i = index_of(t, id);

	return i < t->n ? &t->items[i] : NULL;
}

const struct vnet *vnet_table_by_name(const struct vnet_table *t, const char *name)
{
	size_t i = lower_bound(t, name);

	return i < t->n && strcmp(t->items[i].name, name) == 0 ? &t->items[i] : NULL;
}

const struct vnet *vnet_table_default(const struct vnet_table *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->items[i].is_default)
			return &t->items[i];
	return NULL;
}

const struct vnet *vnet_table_resolve(const struct vnet_table *t, const char *text)
{
	const struct vnet *v;
	struct uuid id;

	if (!text || !*text)
		return vnet_table_default(t);
	v = vnet_table_by_name(t, text);
	if (!v && uuid_parse(text, &id) == 0)
		v = vnet_table_by_id(t, &id);
	return v;
}
