/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Union and subtraction of prefixes. The first byte is the limit of the result, then each six bytes
 * are a prefix: what it is and where its bits stand, its length, four bytes of address. The result
 * is minimal, and at the rims of everything that went in, where mistakes are, it holds exactly the
 * addresses that are in a base and in no hole.
 */

#include <string.h>

#include "base/cleanup.h"
#include "routing/prefix_set.h"
#include "tests/fuzz/require.h"

#define RECORD	    6
#define RECORDS_MAX 200
#define KIND_V6	    0x01
#define KIND_HOLE   0x02
#define KIND_PLACE  4 /* and up: the byte of an IPv6 address where the four stand */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void cut(struct prefix *p)
{
	for (unsigned int i = p->bits; i < ip_bits(&p->ip); i++)
		p->ip.bytes[i / 8] &= (uint8_t) ~(0x80u >> (i % 8));
}

static struct prefix read_prefix(const uint8_t *record)
{
	struct prefix p = {.ip.family = record[0] & KIND_V6 ? AF_INET6 : AF_INET};
	unsigned int place = record[0] & KIND_V6 ? record[0] >> KIND_PLACE : 0;

	memcpy(p.ip.bytes + (place > 12 ? 12 : place), record + 2, 4);
	p.bits = (uint8_t)(record[1] % (ip_bits(&p.ip) + 1));
	cut(&p);
	return p;
}

static struct ip_addr last_of(const struct prefix *p)
{
	struct ip_addr ip = p->ip;

	for (unsigned int i = p->bits; i < ip_bits(&ip); i++)
		ip.bytes[i / 8] |= (uint8_t)(0x80u >> (i % 8));
	return ip;
}

/* The next address (@by 1) or the one before (@by 255); goes round at the ends. */
static struct ip_addr step(struct ip_addr ip, uint8_t by)
{
	unsigned int i = ip_bits(&ip) / 8;

	while (i-- > 0) {
		ip.bytes[i] = (uint8_t)(ip.bytes[i] + by);
		if (by == 1 ? ip.bytes[i] != 0 : ip.bytes[i] != 255)
			break;
	}
	return ip;
}

static bool any_holds(const struct prefix_set *s, const struct ip_addr *ip)
{
	for (size_t i = 0; i < s->n; i++)
		if (prefix_contains_ip(&s->items[i], ip))
			return true;
	return false;
}

static void check_rims(const struct prefix_set *of, const struct prefix_set *bases,
		       const struct prefix_set *holes, const struct prefix_set *rest)
{
	for (size_t i = 0; i < of->n; i++) {
		struct ip_addr first = of->items[i].ip, last = last_of(&of->items[i]);
		struct ip_addr points[] = {first, last, step(first, 255), step(last, 1)};

		for (size_t k = 0; k < sizeof(points) / sizeof(*points); k++) {
			bool in = any_holds(bases, &points[k]) && !any_holds(holes, &points[k]);

			require(any_holds(rest, &points[k]) == in);
			/* The set's own answer is about the address as it stands, unmapped. */
			if (ip_canonical(&points[k]).family == points[k].family)
				require(prefix_set_contains_ip(rest, &points[k]) == in);
		}
	}
}

static void check_minimal(const struct prefix_set *s)
{
	for (size_t i = 1; i < s->n; i++) {
		struct prefix whole;

		require(prefix_compare(&s->items[i - 1], &s->items[i]) < 0);
		require(!prefix_contains(&s->items[i - 1], &s->items[i]));
		require(!prefix_join(&s->items[i - 1], &s->items[i], &whole));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	CLEANUP(prefix_set_deinit) struct prefix_set bases = {0};
	CLEANUP(prefix_set_deinit) struct prefix_set holes = {0};
	CLEANUP(prefix_set_deinit) struct prefix_set rest = {0};
	size_t limit = n ? 64 * (size_t)data[0] : 0;

	for (size_t i = 1; i + RECORD <= n && i < RECORD * RECORDS_MAX; i += RECORD) {
		struct prefix p = read_prefix(data + i);

		require(prefix_set_add(data[i] & KIND_HOLE ? &holes : &bases, &p, RECORDS_MAX) ==
			0);
	}
	require(prefix_set_add_all(&rest, &bases, RECORDS_MAX) == 0);
	prefix_set_normalise(&rest);
	check_minimal(&rest);
	check_rims(&bases, &bases, &(struct prefix_set){0}, &rest);
	if (prefix_set_subtract(&rest, &holes, limit) == PREFIX_SET_E_LIMIT) {
		check_rims(&bases, &bases, &(struct prefix_set){0}, &rest);
		return 0;
	}
	require(rest.n <= limit);
	check_minimal(&rest);
	check_rims(&bases, &bases, &holes, &rest);
	check_rims(&holes, &bases, &holes, &rest);
	return 0;
}
