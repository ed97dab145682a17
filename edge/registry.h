/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * registry - which tunnel has which live connections, and which one takes a stream; pure
 *
 * A connector is one process of an agent (its client id); it has connections by index.
 * Entries are embedded in their owners, who keep the facts in them current.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/uuid.h"

struct registry;

struct registry_entry {
	struct list node;
	uint64_t serial; /* given by registry_add(), never again to another */
	struct uuid tunnel;
	struct uuid connector;
	uint8_t index;
	bool accepts;	      /* takes new streams: not draining */
	bool suspect;	      /* liveness doubts it */
	bool takes_datagrams; /* allows extended CONNECT; refreshed as last_read_ms */
	uint32_t n_streams;
	uint64_t last_read_ms; /* clock_boot_ms(); refreshed by the owner before a pick */
};

struct registry *registry_new(void);
/* All entries must have been removed. Returns NULL. */
struct registry *registry_free(struct registry *r);

void registry_add(struct registry *r, struct registry_entry *e);
/* Idempotent. */
void registry_remove(struct registry_entry *e);

/* The accepting entry with this place, or NULL. */
struct registry_entry *registry_find(const struct registry *r, const struct uuid *tunnel,
				     const struct uuid *connector, uint8_t index);

/* Entries of @connector, draining ones included. */
size_t registry_count(const struct registry *r, const struct uuid *tunnel,
		      const struct uuid *connector);

typedef void (*registry_each_cb)(void *ctx, struct registry_entry *e);
/* All entries of @tunnel. @cb must not add or remove entries. */
void registry_each(const struct registry *r, const struct uuid *tunnel, registry_each_cb cb,
		   void *ctx);

struct registry_query {
	const struct uuid *tunnel;
	const struct uuid *connectors; /* only theirs */
	size_t n_connectors;
	const uint64_t *tried; /* serials of entries that are left out */
	size_t n_tried;
	bool datagrams; /* only entries that take them */
};

/*
 * The entry that takes a stream: accepting, not suspect, fewest streams. When all are
 * suspect: the one read from last. NULL: none accepts.
 */
struct registry_entry *registry_pick(const struct registry *r, const struct registry_query *q);
/* Why it is that one, or why it is none, for people: a literal. */
const char *registry_pick_reason(const struct registry *r, const struct registry_query *q);
