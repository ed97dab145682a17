/* SPDX-License-Identifier: Apache-2.0 */

#include "edge/registry.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

/* Tunnels hash by their random ids; a chain is as long as a few tunnels' connections. */
#define BUCKETS 1024

struct registry {
	uint64_t last_serial;
	struct list buckets[BUCKETS];
};

static size_t bucket_of(const struct uuid *tunnel)
{
	uint32_t h;

	memcpy(&h, tunnel->bytes, sizeof(h));
	return h % BUCKETS;
}

static struct registry_entry *entry_of(struct list *node)
{
	return list_entry(node, struct registry_entry, node);
}

struct registry *registry_new(void)
{
	struct registry *r = xnew(struct registry);

	for (size_t i = 0; i < BUCKETS; i++)
		list_init(&r->buckets[i]);
	return r;
}

struct registry *registry_free(struct registry *r)
{
	free(r);
	return NULL;
}

void registry_add(struct registry *r, struct registry_entry *e)
{
	e->serial = ++r->last_serial;
	list_append(&r->buckets[bucket_of(&e->tunnel)], &e->node);
}

void registry_remove(struct registry_entry *e)
{
	list_remove(&e->node);
}

struct registry_entry *registry_find(const struct registry *r, const struct uuid *tunnel,
				     const struct uuid *connector, uint8_t index)
{
	const struct list *head = &r->buckets[bucket_of(tunnel)];
	struct list *pos;

	list_for_each (pos, head) {
		struct registry_entry *e = entry_of(pos);

		if (e->accepts && e->index == index && uuid_equal(&e->tunnel, tunnel) &&
		    uuid_equal(&e->connector, connector))
			return e;
	}
	return NULL;
}

size_t registry_count(const struct registry *r, const struct uuid *tunnel,
		      const struct uuid *connector)
{
	const struct list *head = &r->buckets[bucket_of(tunnel)];
	struct list *pos;
	size_t n = 0;

	list_for_each (pos, head) {
		struct registry_entry *e = entry_of(pos);

		n += uuid_equal(&e->tunnel, tunnel) && uuid_equal(&e->connector, connector);
	}
	return n;
}

void registry_each(const struct registry *r, const struct uuid *tunnel, registry_each_cb cb,
		   void *ctx)
{
	const struct list *head = &r->buckets[bucket_of(tunnel)];
	struct list *pos;

	list_for_each (pos, head) {
		if (uuid_equal(&entry_of(pos)->tunnel, tunnel))
			cb(ctx, entry_of(pos));
	}
}

static bool has_connector(const struct registry_query *q, const struct uuid *connector)
{
	for (size_t i = 0; i < q->n_connectors; i++) {
		if (uuid_equal(connector, &q->connectors[i]))
			return true;
	}
	return false;
}

static bool was_tried(const struct registry_query *q, uint64_t serial)
{
	for (size_t i = 0; i < q->n_tried; i++) {
		if (q->tried[i] == serial)
			return true;
	}
	return false;
}

static bool fits(const struct registry_query *q, const struct registry_entry *e)
{
	return e->accepts && (e->takes_datagrams || !q->datagrams) &&
	       uuid_equal(&e->tunnel, q->tunnel) && has_connector(q, &e->connector) &&
	       !was_tried(q, e->serial);
}

static bool is_better(const struct registry_entry *e, const struct registry_entry *best)
{
	if (!best)
		return true;
	if (e->suspect != best->suspect)
		return !e->suspect;
	if (e->suspect)
		return e->last_read_ms > best->last_read_ms;
	return e->n_streams < best->n_streams;
}

struct registry_entry *registry_pick(const struct registry *r, const struct registry_query *q)
{
	const struct list *head = &r->buckets[bucket_of(q->tunnel)];
	struct registry_entry *best = NULL;
	struct list *pos;

	list_for_each (pos, head) {
		struct registry_entry *e = entry_of(pos);

		if (fits(q, e) && is_better(e, best))
			best = e;
	}
	return best;
}

/* What registry_pick() chose from. */
struct field {
	size_t n;	  /* that fit */
	size_t n_healthy; /* of these, not suspect */
	size_t n_equal;	  /* of these, with as few streams as the one picked */
};

static struct field field_of(const struct registry *r, const struct registry_query *q,
			     const struct registry_entry *picked)
{
	const struct list *head = &r->buckets[bucket_of(q->tunnel)];
	struct field field = {0};
	struct list *pos;

	list_for_each (pos, head) {
		const struct registry_entry *e = entry_of(pos);

		if (!fits(q, e))
			continue;
		field.n++;
		field.n_healthy += !e->suspect;
		field.n_equal += !e->suspect && e->n_streams == picked->n_streams;
	}
	return field;
}

const char *registry_pick_reason(const struct registry *r, const struct registry_query *q)
{
	const struct registry_entry *picked = registry_pick(r, q);
	struct field field;

	if (!picked)
		return "no connection takes streams";
	field = field_of(r, q, picked);
	if (field.n == 1)
		return "the only connection that takes streams";
	if (picked->suspect)
		return "all are suspect: the one that was read from last";
	if (field.n_healthy == 1)
		return "the only one that isn't suspect";
	return field.n_equal == 1 ? "fewest streams among those not suspect"
				  : "fewest streams among those not suspect, the oldest of several";
}
