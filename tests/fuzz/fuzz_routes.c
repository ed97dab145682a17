/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A route table made of bytes, compared with a plain search. Each seven bytes are a route: network,
 * owner, origins and family in one, where its bits stand, its length, four bytes of address. Every
 * first and last address is looked up, and every route's prefix offered by every owner, in each
 * network.
 */

#include <string.h>

#include "base/cleanup.h"
#include "routing/route_table.h"
#include "tests/fuzz/require.h"

#define RECORD	    7
#define RECORDS_MAX 64
#define N_VNETS	    2
#define N_OWNERS    4
#define KIND_V6	    0x80

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct uuid id_of(unsigned int n)
{
	return (struct uuid){.bytes = {[15] = (uint8_t)n}};
}

static struct prefix read_prefix(const uint8_t *record)
{
	struct prefix p = {.ip.family = record[0] & KIND_V6 ? AF_INET6 : AF_INET};

	memcpy(p.ip.bytes + (record[0] & KIND_V6 ? record[1] % 13 : 0), record + 3, 4);
	p.bits = (uint8_t)(record[2] % (ip_bits(&p.ip) + 1));
	for (unsigned int i = p.bits; i < ip_bits(&p.ip); i++)
		p.ip.bytes[i / 8] &= (uint8_t) ~(0x80u >> (i % 8));
	return p;
}

static struct route read_route(const uint8_t *record)
{
	return (struct route){
		.vnet = id_of(record[0] % N_VNETS),
		.tunnel = id_of(record[0] / 2 % N_OWNERS),
		.prefix = read_prefix(record),
		.by_operator = record[0] & 0x20,
		.is_advertised = record[0] & 0x40,
	};
}

static const struct route *plain_match(const struct route_table *t, const struct uuid *vnet,
				       const struct ip_addr *ip)
{
	struct ip_addr canonical = ip_canonical(ip);
	const struct route *best = NULL;

	for (size_t i = 0; i < route_table_size(t); i++) {
		const struct route *r = route_table_at(t, i);

		if (uuid_equal(&r->vnet, vnet) && prefix_contains_ip(&r->prefix, &canonical) &&
		    (!best || r->prefix.bits > best->prefix.bits))
			best = r;
	}
	return best;
}

static enum route_conflict relation(const struct route *r, const struct prefix *p)
{
	if (prefix_equal(&r->prefix, p))
		return ROUTE_CONFLICT_OWNED;
	if (prefix_contains(&r->prefix, p))
		return ROUTE_CONFLICT_INSIDE;
	return prefix_contains(p, &r->prefix) ? ROUTE_CONFLICT_AROUND : ROUTE_CONFLICT_NONE;
}

static void check_conflict(const struct route_table *t, const struct uuid *vnet,
			   const struct prefix *p, const struct uuid *owner)
{
	enum route_conflict expected = ROUTE_CONFLICT_NONE;
	const struct route *other = NULL;

	for (size_t i = 0; i < route_table_size(t); i++) {
		const struct route *r = route_table_at(t, i);
		enum route_conflict kind = relation(r, p);

		if (kind == ROUTE_CONFLICT_NONE || !uuid_equal(&r->vnet, vnet) ||
		    uuid_equal(&r->tunnel, owner))
			continue;
		if (expected == ROUTE_CONFLICT_NONE || kind < expected)
			expected = kind;
	}
	require(route_table_conflict(t, vnet, p, owner, &other) == expected);
	require((other != NULL) == (expected != ROUTE_CONFLICT_NONE));
	require(!other || (relation(other, p) == expected && !uuid_equal(&other->tunnel, owner)));
}

static void check_around(const struct route_table *t, const struct prefix *p)
{
	struct ip_addr last = p->ip;

	for (unsigned int i = p->bits; i < ip_bits(&last); i++)
		last.bytes[i / 8] |= (uint8_t)(0x80u >> (i % 8));
	for (unsigned int v = 0; v < N_VNETS; v++) {
		struct uuid vnet = id_of(v);

		require(route_table_match(t, &vnet, &p->ip) == plain_match(t, &vnet, &p->ip));
		require(route_table_match(t, &vnet, &last) == plain_match(t, &vnet, &last));
		for (unsigned int o = 0; o < N_OWNERS; o++) {
			struct uuid owner = id_of(o);

			check_conflict(t, &vnet, p, &owner);
		}
	}
}

/* What went in is there, under an owner that asked for it. */
static void check_route(const struct route_table *t, const struct route *in, size_t n, size_t i)
{
	const struct route *r = route_table_find(t, &in[i].vnet, &in[i].prefix);
	bool is_owner_known = false;

	require(r && uuid_equal(&r->vnet, &in[i].vnet) && prefix_equal(&r->prefix, &in[i].prefix));
	require(r->by_operator || !in[i].by_operator);
	for (size_t k = 0; k < n; k++)
		is_owner_known |= uuid_equal(&in[k].vnet, &r->vnet) &&
				  prefix_equal(&in[k].prefix, &r->prefix) &&
				  uuid_equal(&in[k].tunnel, &r->tunnel);
	require(is_owner_known);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	CLEANUP(route_table_free) struct route_table *t = NULL;
	struct route routes[RECORDS_MAX] = {0};
	size_t n_routes = 0;

	for (size_t i = 0; i + RECORD <= n && n_routes < RECORDS_MAX; i += RECORD)
		routes[n_routes++] = read_route(data + i);
	require(route_table_new(&t, routes, n_routes) == 0);
	require(route_table_size(t) <= n_routes);
	for (size_t i = 0; i < n_routes; i++) {
		check_route(t, routes, n_routes, i);
		check_around(t, &routes[i].prefix);
	}
	return 0;
}
