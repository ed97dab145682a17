/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Look-ups in a route table: bench-routes [N_ROUTES]
 *
 * Addresses are drawn beforehand, half of them inside a route, in random order, so that each
 * look-up takes another way through the table. Flat: prefixes of both families and all lengths, two
 * virtual networks. Nested: each prefix in the one before as deep as IPv6 goes, the worst case.
 */
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "routing/route_table.h"

#define N_ROUTES_DEFAULT 10000
#define N_ROUTES_MAX	 1000000
#define N_ADDRESSES	 65536
#define N_ROUNDS	 40
#define N_RUNS		 5

struct probe {
	struct uuid vnet;
	struct ip_addr ip;
};

static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void fill_random(uint8_t *bytes, size_t n, uint64_t *seed)
{
	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)(next(seed) >> 24);
}

static void cut(struct prefix *p)
{
	for (unsigned int i = p->bits; i < ip_bits(&p->ip); i++)
		p->ip.bytes[i / 8] &= (uint8_t) ~(0x80u >> (i % 8));
}

static struct route flat_route(size_t i, uint64_t *seed)
{
	struct route r = {.vnet.bytes = {(uint8_t)(1 + i % 2)}, .is_advertised = true};
	bool is_v4 = next(seed) % 2;

	r.prefix.ip.family = is_v4 ? AF_INET : AF_INET6;
	r.prefix.bits = (uint8_t)(is_v4 ? 16 + next(seed) % 17 : 32 + next(seed) % 97);
	fill_random(r.prefix.ip.bytes, is_v4 ? 4 : 16, seed);
	fill_random(r.tunnel.bytes, sizeof(r.tunnel.bytes), seed);
	cut(&r.prefix);
	return r;
}

static struct route nested_route(size_t i, uint64_t *seed)
{
	struct route r = {.vnet.bytes = {1}, .is_advertised = true};

	r.prefix.ip.family = AF_INET6;
	r.prefix.bits = (uint8_t)(16 + i % 113);
	r.prefix.ip.bytes[0] = (uint8_t)(i / 113 >> 8);
	r.prefix.ip.bytes[1] = (uint8_t)(i / 113);
	fill_random(r.tunnel.bytes, sizeof(r.tunnel.bytes), seed);
	return r;
}

static struct probe probe_for(const struct route *r, uint64_t *seed)
{
	struct probe probe = {.vnet = r->vnet, .ip = r->prefix.ip};
	unsigned int from = next(seed) % 2 ? r->prefix.bits : 0;

	for (unsigned int i = from; i < ip_bits(&probe.ip); i++)
		if (next(seed) >> 40 & 1)
			probe.ip.bytes[i / 8] ^= (uint8_t)(0x80u >> (i % 8));
	return probe;
}

/* The last bit differs from that of all routes of a chain: a look-up that ends at its foot. */
static struct probe probe_nested(const struct route *r, uint64_t *seed)
{
	struct probe probe = {.vnet = r->vnet, .ip = r->prefix.ip};

	probe.ip.bytes[2 + next(seed) % 2] = 0x80;
	return probe;
}

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Nanoseconds per look-up, the best of some runs; *@n_hitsp: how many of the probes found a route.
 */
static double time_lookups(const struct route_table *t, const struct probe *probes, size_t *n_hitsp)
{
	double best = 0;

	for (unsigned int run = 0; run < N_RUNS; run++) {
		double began = now_ns();
		double ns;

		*n_hitsp = 0;
		for (size_t i = 0; i < (size_t)N_ADDRESSES * N_ROUNDS; i++)
			*n_hitsp += route_table_match(t, &probes[i % N_ADDRESSES].vnet,
						      &probes[i % N_ADDRESSES].ip) != NULL;
		ns = (now_ns() - began) / ((double)N_ADDRESSES * N_ROUNDS);
		if (run == 0 || ns < best)
			best = ns;
	}
	return best;
}

static const struct shape {
	const char *name;
	struct route (*route)(size_t i, uint64_t *seed);
	struct probe (*probe)(const struct route *r, uint64_t *seed);
} shapes[] = {
	{"flat", flat_route, probe_for},
	{"nested", nested_route, probe_nested},
};

static int measure(const struct shape *shape, size_t n)
{
	CLEANUP(free) struct route *routes = calloc(n, sizeof(*routes));
	CLEANUP(free) struct probe *probes = calloc(N_ADDRESSES, sizeof(*probes));
	CLEANUP(route_table_free) struct route_table *t = NULL;
	uint64_t seed = 88172645463325252u;
	size_t before, after, n_hits;
	double ns;

	if (!routes || !probes)
		return EXIT_FAILURE;
	for (size_t i = 0; i < n; i++)
		routes[i] = shape->route(i, &seed);
	for (size_t i = 0; i < N_ADDRESSES; i++)
		probes[i] = shape->probe(&routes[next(&seed) % n], &seed);
	before = mallinfo2().uordblks + mallinfo2().hblkhd;
	if (route_table_new(&t, routes, n) < 0)
		return EXIT_FAILURE;
	after = mallinfo2().uordblks + mallinfo2().hblkhd;
	ns = time_lookups(t, probes, &n_hits);
	printf("  %-8s %8zu routes %8.0f ns per look-up %8.1f bytes per route %8.0f %% found\n",
	       shape->name, route_table_size(t), ns,
	       (double)(after - before) / (double)route_table_size(t),
	       100.0 * (double)n_hits / ((double)N_ADDRESSES * N_ROUNDS));
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	char *end = NULL;
	unsigned long n = argc > 1 ? strtoul(argv[1], &end, 10) : N_ROUTES_DEFAULT;

	if (argc > 2 || n == 0 || n > N_ROUTES_MAX || (end && *end)) {
		fprintf(stderr, "Usage: bench-routes [N_ROUTES], up to %d\n", N_ROUTES_MAX);
		return EXIT_FAILURE;
	}
	printf("route table (aims: ≤ 1000 ns per look-up, ≤ 200 bytes per route, of 10000)\n");
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
		if (measure(&shapes[i], n) != EXIT_SUCCESS)
			return EXIT_FAILURE;
	return EXIT_SUCCESS;
}
