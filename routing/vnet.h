/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * vnet - virtual networks: address spaces of their own, so that two sites may
 * both have a 10.0.0.0/8
 *
 * A table that holds networks has exactly one default, which an empty name means.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/uuid.h"

#define VNET_NAME_MAX	 64   /* with NUL */
#define VNET_COMMENT_MAX 128  /* with NUL */
#define VNETS_MAX	 4096 /* networks in one table */

struct vnet {
	struct uuid id;
	char name[VNET_NAME_MAX];
	char comment[VNET_COMMENT_MAX];
	bool is_default;
};

/* True if @n bytes can be sent as a network's name or id: visible ASCII. Nothing is fine, too. */
bool vnet_name_is_visible(const char *name, size_t n);

/* The empty value is { 0 }. */
struct vnet_table {
	struct vnet *items; /* sorted by name */
	size_t n;
};

void vnet_table_deinit(struct vnet_table *t);

/*
 * Adds @v (copied), or replaces the one with its id. When @v is the default the former
 * one no longer is; the first network of a table always is. 0, -EINVAL (no name), -EEXIST
 * (another network has that name), -ENOSPC (VNETS_MAX) or -ENOMEM.
 */
NODISCARD int vnet_table_put(struct vnet_table *t, const struct vnet *v);

/* 0, -ENOENT, or -EBUSY: the default goes last. */
int vnet_table_remove(struct vnet_table *t, const struct uuid *id);

/* All results point into the table and are valid until it changes; NULL: not there. */
const struct vnet *vnet_table_by_id(const struct vnet_table *t, const struct uuid *id);
const struct vnet *vnet_table_by_name(const struct vnet_table *t, const char *name);
const struct vnet *vnet_table_default(const struct vnet_table *t);
/* @text: a name, an id, or NULL or "" for the default. */
const struct vnet *vnet_table_resolve(const struct vnet_table *t, const char *text);
