/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/store_batch.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "edge/store.h"

/* clang-format off */
#define TEXT(column)   {column, STORE_TEXT}
#define NUMBER(column) {column, STORE_INT}
#define BLOB(column)   {column, STORE_BLOB}
#define TABLE(table, key, ...)                                                                     \
	{                                                                                          \
		.name = (table), .n_key = (key), .columns = {__VA_ARGS__},                         \
		.n_columns = sizeof((struct store_column[]){__VA_ARGS__}) /                        \
			     sizeof(struct store_column),                                          \
	}

/* Names of tables and columns are those of the schema in store_sqlite.c. */
const struct store_table store_tables[STORE_TABLE_N] = {
	[STORE_META] = TABLE("meta", 1, TEXT("key"), TEXT("value")),
	[STORE_VNET] = TABLE("vnet", 1, TEXT("id"), TEXT("name"), TEXT("comment"),
		NUMBER("is_default")),
	[STORE_TUNNEL] = TABLE("tunnel", 1, TEXT("id"), TEXT("name"), TEXT("account_tag"),
		NUMBER("created_ms")),
	[STORE_TUNNEL_SEEN] = TABLE("tunnel_seen", 1, TEXT("tunnel"), NUMBER("seen_ms")),
	[STORE_TUNNEL_SECRET] = TABLE("tunnel_secret", 2, TEXT("tunnel"), TEXT("id"),
		BLOB("sha256"), NUMBER("created_ms"), NUMBER("expires_ms")),
	[STORE_TUNNEL_GRANT] = TABLE("tunnel_grant", 3, TEXT("tunnel"), TEXT("vnet"),
		TEXT("prefix"), NUMBER("override")),
	[STORE_TUNNEL_NETWORK] = TABLE("tunnel_network", 2, TEXT("tunnel"), TEXT("name")),
	[STORE_CLIENT] = TABLE("client", 1, TEXT("id"), TEXT("name"), TEXT("email"),
		NUMBER("created_ms"), NUMBER("revoked_ms")),
	[STORE_CLIENT_TOKEN] = TABLE("client_token", 2, TEXT("client"), TEXT("id"),
		BLOB("sha256"), NUMBER("created_ms")),
	[STORE_CLIENT_GRANT] = TABLE("client_grant", 3, TEXT("client"), TEXT("vnet"),
		TEXT("prefix"), TEXT("ports"), TEXT("protocols")),
	[STORE_ROUTE] = TABLE("route", 2, TEXT("vnet"), TEXT("prefix"), TEXT("tunnel"),
		TEXT("comment"), NUMBER("created_ms")),
	[STORE_ADVERT] = TABLE("advert", 2, TEXT("tunnel"), TEXT("connector"), TEXT("instance"),
		BLOB("hash"), NUMBER("held_until_ms")),
	[STORE_ADVERT_ENTRY] = TABLE("advert_entry", 3, TEXT("tunnel"), TEXT("connector"),
		NUMBER("seq"), NUMBER("kind"), TEXT("network"), TEXT("vnet"), TEXT("comment"),
		TEXT("reason")),
	[STORE_POLICY] = TABLE("policy", 1, TEXT("id"), NUMBER("position"), TEXT("name"),
		TEXT("action"), TEXT("client"), TEXT("email"), TEXT("vnet"), TEXT("prefix"),
		TEXT("ports"), TEXT("protocols"), NUMBER("created_ms")),
};
/* clang-format on */

/* A change and the bytes that its values point to, in one allocation. */
struct held_change {
	struct store_change change;
	uint8_t bytes[];
};

struct store_batch {
	struct held_change **items;
	size_t n;
	size_t cap;
	bool is_incomplete;
};

struct store_batch *store_batch_new(void)
{
	return xnew(struct store_batch);
}

struct store_batch *store_batch_free(struct store_batch *b)
{
	if (b) {
		for (size_t i = 0; i < b->n; i++)
			free(b->items[i]);
		free(b->items);
		free(b);
	}
	return NULL;
}

bool store_batch_is_incomplete(const struct store_batch *b)
{
	return b->is_incomplete;
}

static bool is_number(const struct store_change *c, unsigned int column)
{
	return store_tables[c->table].columns[column].type == STORE_INT;
}

/* A copy of @c that owns its bytes, or NULL. Each text gets its NUL, blobs don't mind one. */
static struct held_change *hold(const struct store_change *c)
{
	struct held_change *h;
	size_t n_bytes = 0;

	for (unsigned int i = 0; i < c->n_values; i++)
		n_bytes += is_number(c, i) ? 0 : c->values[i].n_data + 1;
	h = malloc(sizeof(*h) + n_bytes);
	if (!h)
		return NULL;
	h->change = *c;
	n_bytes = 0;
	for (unsigned int i = 0; i < c->n_values; i++) {
		struct store_value *v = &h->change.values[i];

		if (is_number(c, i))
			continue;
		if (v->n_data > 0)
			memcpy(h->bytes + n_bytes, v->data, v->n_data);
		h->bytes[n_bytes + v->n_data] = '\0';
		v->data = h->bytes + n_bytes;
		n_bytes += v->n_data + 1;
	}
	return h;
}

static bool make_room(struct store_batch *b)
{
	size_t cap = b->cap ? 2 * b->cap : 8;
	struct held_change **items;

	if (b->n < b->cap)
		return true;
	items = reallocarray(b->items, cap, sizeof(struct held_change *));
	if (!items)
		return false;
	b->items = items;
	b->cap = cap;
	return true;
}

static void add(struct store_batch *b, const struct store_change *c)
{
	struct held_change *h = make_room(b) ? hold(c) : NULL;

	if (h)
		b->items[b->n++] = h;
	else
		b->is_incomplete = true;
}

void store_batch_put(struct store_batch *b, enum store_table_id table,
		     const struct store_value *values)
{
	struct store_change c = {.table = table, .n_values = store_tables[table].n_columns};

	memcpy(c.values, values, c.n_values * sizeof(*values));
	add(b, &c);
}

void store_batch_delete(struct store_batch *b, enum store_table_id table,
			const struct store_value *values, unsigned int n_values)
{
	struct store_change c = {.table = table, .n_values = n_values, .is_delete = true};

	memcpy(c.values, values, n_values * sizeof(*values));
	add(b, &c);
}

size_t store_batch_size(const struct store_batch *b)
{
	return b->n;
}

const struct store_change *store_batch_at(const struct store_batch *b, size_t i)
{
	return &b->items[i]->change;
}
