/* SPDX-License-Identifier: Apache-2.0 */

#include "wire/route_msg.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "wire/tls_crypto.h"

/* Kind, up to three texts with their NUL. */
#define CANONICAL_MAX (1 + ROUTE_NETWORK_MAX + ROUTE_VNET_MAX + ROUTE_COMMENT_MAX)

_Static_assert(ROUTE_HASH_BYTES == SHA256_BYTES, "the hash of a set is a SHA-256");

void route_set_deinit(struct route_set *set)
{
	free(set->vnets);
	free(set->routes);
	*set = (struct route_set){0};
}

struct canonical {
	char bytes[CANONICAL_MAX];
	size_t n;
};

static void add_text(struct canonical *c, const char *text)
{
	size_t n = strlen(text) + 1;

	memcpy(c->bytes + c->n, text, n);
	c->n += n;
}

static void hash_vnet(const struct vnet_entry *e, uint8_t out[SHA256_BYTES])
{
	struct canonical c = {.bytes = "v", .n = 1};

	add_text(&c, e->name);
	add_text(&c, e->comment);
	sha256(c.bytes, c.n, out);
}

static void hash_route(const struct route_entry *e, uint8_t out[SHA256_BYTES])
{
	struct canonical c = {.bytes = "r", .n = 1};

	add_text(&c, e->network);
	add_text(&c, e->virtual_network);
	add_text(&c, e->comment);
	sha256(c.bytes, c.n, out);
}

static int compare_digests(const void *a, const void *b)
{
	return memcmp(a, b, SHA256_BYTES);
}

/* SHA-256 over the sorted SHA-256 of the entries; an entry is its kind and its texts. */
void route_set_hash(const struct route_set *set, uint8_t out[ROUTE_HASH_BYTES])
{
	size_t n = set->n_vnets + set->n_routes;
	uint8_t(*digests)[SHA256_BYTES];

	if (set->has_hash) {
		memcpy(out, set->hash, ROUTE_HASH_BYTES);
		return;
	}
	digests = xzalloc((n + 1) * SHA256_BYTES);
	for (size_t i = 0; i < set->n_vnets; i++)
		hash_vnet(&set->vnets[i], digests[i]);
	for (size_t i = 0; i < set->n_routes; i++)
		hash_route(&set->routes[i], digests[set->n_vnets + i]);
	qsort(digests, n, SHA256_BYTES, compare_digests);
	sha256(digests, n * SHA256_BYTES, out);
	free(digests);
}

void route_set_keep_hash(struct route_set *set)
{
	set->has_hash = false;
	route_set_hash(set, set->hash);
	set->has_hash = true;
}
