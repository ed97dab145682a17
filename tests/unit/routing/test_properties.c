/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A million random operations against models that are too plain to be wrong.
 *
 * Prefixes are drawn from a small universe: the 256 addresses that differ in eight bits in a row,
 * at a random place of a random family, all other bits being zero. A set of addresses is then two
 * bitmaps, and so few prefixes are possible that they collide, nest and complete each other.
 *
 * Each test prints its seed when it fails; ADIT_TEST_SEED=N runs it again from there.
 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "routing/prefix_set.h"
#include "routing/route_table.h"
#include "routing/vnet.h"

#define N_PREFIX_OPS 200000
#define N_SET_OPS    350000
#define N_TABLE_OPS  350000
#define N_VNET_OPS   100000

#define WINDOW_BITS 8
#define N_POINTS    (1u << WINDOW_BITS)

/* ---- the universe ---- */

struct world {
	uint64_t random;
	unsigned int offset[2]; /* bits before the window: IPv4, IPv6 */
	uint64_t n_ops;
	uint64_t seed; /* of this round */
};

static uint64_t draw(struct world *w)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return w->random;
}

static unsigned int below(struct world *w, unsigned int n)
{
	return (unsigned int)(draw(w) >> 20) % n;
}

static struct world world_of(uint64_t seed)
{
	const char *again = getenv("ADIT_TEST_SEED");

	return (struct world){.random = again ? strtoull(again, NULL, 10) : seed};
}

/* A round starts from a seed of its own, which is all that is needed to see it again. */
static void begin_round(struct world *w)
{
	w->seed = w->random;
	w->offset[0] = below(w, 32 - WINDOW_BITS + 1);
	w->offset[1] = below(w, 128 - WINDOW_BITS + 1);
}

#define require(w, condition)                                                                      \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail_msg("%s; ADIT_TEST_SEED=%llu", #condition,                            \
				 (unsigned long long)(w)->seed);                                   \
	} while (0)

static unsigned int offset_of(const struct world *w, int family)
{
	return w->offset[family == AF_INET6];
}

static void set_bit(struct ip_addr *ip, unsigned int i)
{
	ip->bytes[i / 8] |= (uint8_t)(0x80u >> i % 8);
}

static bool bit_of(const struct ip_addr *ip, unsigned int i)
{
	return ip->bytes[i / 8] >> (7 - i % 8) & 1;
}

/* The address that has the bits of @point in the window. */
static struct ip_addr address_of(const struct world *w, int family, unsigned int point)
{
	struct ip_addr ip = {.family = (uint8_t)family};

	for (unsigned int i = 0; i < WINDOW_BITS; i++)
		if (point >> (WINDOW_BITS - 1 - i) & 1)
			set_bit(&ip, offset_of(w, family) + i);
	return ip;
}

/* The prefix of @length bits in the window (0: all of it) that holds @point. */
static struct prefix prefix_at(const struct world *w, int family, unsigned int point,
			       unsigned int length)
{
	unsigned int kept = point & (0xff00u >> length);

	return (struct prefix){address_of(w, family, kept),
			       (uint8_t)(offset_of(w, family) + length)};
}

static int random_family(struct world *w)
{
	return below(w, 2) ? AF_INET : AF_INET6;
}

static struct prefix random_prefix(struct world *w)
{
	int family = random_family(w);
	unsigned int point = below(w, N_POINTS);

	return prefix_at(w, family, point, below(w, WINDOW_BITS + 1));
}

/* ---- prefixes ---- */

static bool plain_contains(const struct prefix *outer, const struct ip_addr *ip)
{
	if (outer->ip.family != ip->family)
		return false;
	for (unsigned int i = 0; i < outer->bits; i++)
		if (bit_of(&outer->ip, i) != bit_of(ip, i))
			return false;
	return true;
}

static int sign(int n)
{
	return (n > 0) - (n < 0);
}

/* By family, then bit by bit, then length. */
static int plain_compare(const struct prefix *a, const struct prefix *b)
{
	if (a->ip.family != b->ip.family)
		return a->ip.family == AF_INET ? -1 : 1;
	for (unsigned int i = 0; i < ip_bits(&a->ip); i++)
		if (bit_of(&a->ip, i) != bit_of(&b->ip, i))
			return bit_of(&a->ip, i) ? 1 : -1;
	return sign((int)a->bits - (int)b->bits);
}

static void check_pair(struct world *w, const struct prefix *a, const struct prefix *b)
{
	require(w, prefix_contains_ip(a, &b->ip) == plain_contains(a, &b->ip));
	require(w, prefix_contains(a, b) == (a->bits <= b->bits && plain_contains(a, &b->ip)));
	require(w, sign(prefix_compare(a, b)) == plain_compare(a, b));
	require(w, prefix_equal(a, b) == (plain_compare(a, b) == 0));
}

static void check_halves(struct world *w, const struct prefix *p)
{
	struct prefix lower, upper, whole = {0};

	if (prefix_is_single(p))
		return;
	lower = prefix_half(p, false);
	upper = prefix_half(p, true);
	require(w, prefix_contains(p, &lower) && prefix_contains(p, &upper));
	require(w, !prefix_contains_ip(&lower, &upper.ip));
	require(w, prefix_join(&lower, &upper, &whole) && prefix_equal(&whole, p));
	require(w, !prefix_join(&upper, &lower, &whole) && !prefix_join(&lower, p, &whole));
}

/* What is printed is read again; with a host bit the prefix is named. */
static void check_text(struct world *w, const struct prefix *p)
{
	struct prefix again, spoilt = *p;
	char text[PREFIX_TEXT_MAX];

	require(w, prefix_parse(prefix_format(p, text), &again) == 0 && prefix_equal(&again, p));
	if (prefix_is_single(p))
		return;
	set_bit(&spoilt.ip, p->bits + below(w, ip_bits(&p->ip) - p->bits));
	require(w, prefix_parse(prefix_format(&spoilt, text), &again) == PREFIX_E_HOST_BITS);
	require(w, prefix_equal(&again, p));
}

static void prefixes(void **state)
{
	struct world w = world_of(11400714819323198485u);

	(void)state;
	while (w.n_ops < N_PREFIX_OPS) {
		struct prefix a, b;

		begin_round(&w);
		a = random_prefix(&w);
		b = random_prefix(&w);
		check_pair(&w, &a, &b);
		check_halves(&w, &a);
		check_text(&w, &a);
		w.n_ops += 10;
	}
}

/* ---- sets ---- */

/* Whether each address is in: IPv4, IPv6. */
struct bitmap {
	bool has[2][N_POINTS];
};

static void mark(struct bitmap *m, const struct world *w, const struct prefix *p, bool value)
{
	unsigned int offset = offset_of(w, p->ip.family);
	unsigned int length = p->bits - offset;
	unsigned int first = 0;

	for (unsigned int i = 0; i < WINDOW_BITS; i++)
		first = first << 1 | bit_of(&p->ip, offset + i);
	for (unsigned int i = 0; i < N_POINTS >> length; i++)
		m->has[p->ip.family == AF_INET6][first + i] = value;
}

static bool is_full(const bool *points, unsigned int first, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (!points[first + i])
			return false;
	return true;
}

/* The minimal form by its definition: every prefix that is in while the one around it isn't. */
static size_t expect_minimal(const struct world *w, const struct bitmap *m, int family,
			     struct prefix *out)
{
	const bool *points = m->has[family == AF_INET6];
	size_t n = 0;
	unsigned int point = 0;

	while (point < N_POINTS) {
		unsigned int length = 0;

		/* The widest one that starts here and is in. */
		while (length <= WINDOW_BITS &&
		       (point & (0xffu >> length) || !is_full(points, point, N_POINTS >> length)))
			length++;
		if (length <= WINDOW_BITS)
			out[n++] = prefix_at(w, family, point, length);
		point += length <= WINDOW_BITS ? N_POINTS >> length : 1;
	}
	return n;
}

static void check_set(struct world *w, const struct prefix_set *s, const struct bitmap *m)
{
	struct prefix expected[2 * N_POINTS];
	size_t n = expect_minimal(w, m, AF_INET, expected);

	n += expect_minimal(w, m, AF_INET6, expected + n);
	require(w, s->n == n);
	for (size_t i = 0; i < n; i++)
		require(w, prefix_equal(&s->items[i], &expected[i]));
	w->n_ops++;
}

static void add_some(struct world *w, struct prefix_set *s, struct bitmap *m)
{
	unsigned int shortest = below(w, WINDOW_BITS + 1);

	for (unsigned int n = below(w, 24); n > 0; n--) {
		struct prefix p = prefix_at(w, random_family(w), below(w, N_POINTS),
					    shortest + below(w, WINDOW_BITS + 1 - shortest));

		require(w, prefix_set_add(s, &p, SIZE_MAX) == 0);
		mark(m, w, &p, true);
		w->n_ops++;
	}
}

static void ask(struct world *w, const struct prefix_set *s, const struct bitmap *m)
{
	for (unsigned int n = 0; n < 10; n++) {
		struct prefix p = random_prefix(w);
		struct bitmap asked = {0};
		bool all = true, any = false;

		mark(&asked, w, &p, true);
		for (unsigned int i = 0; i < 2 * N_POINTS; i++) {
			bool in = m->has[i / N_POINTS][i % N_POINTS];

			all = all && (in || !asked.has[i / N_POINTS][i % N_POINTS]);
			any = any || (in && asked.has[i / N_POINTS][i % N_POINTS]);
		}
		require(w, prefix_set_contains(s, &p) == all);
		require(w, prefix_set_overlaps(s, &p) == any);
		w->n_ops += 2;
	}
}

/* With a limit of what it needs it goes through, with one less nothing changes. */
static void subtract_at_the_limit(struct world *w, struct prefix_set *s,
				  const struct prefix_set *holes, const struct bitmap *before,
				  const struct bitmap *after)
{
	struct prefix expected[2 * N_POINTS];
	size_t n = expect_minimal(w, after, AF_INET, expected);

	n += expect_minimal(w, after, AF_INET6, expected + n);
	if (n > 0) {
		require(w, prefix_set_subtract(s, holes, n - 1) == PREFIX_SET_E_LIMIT);
		check_set(w, s, before);
	}
	require(w, prefix_set_subtract(s, holes, n) == 0);
	check_set(w, s, after);
	w->n_ops += 2;
}

static void sets(void **state)
{
	struct world w = world_of(88172645463325252u);

	(void)state;
	while (w.n_ops < N_SET_OPS) {
		CLEANUP(prefix_set_deinit) struct prefix_set s = {0};
		CLEANUP(prefix_set_deinit) struct prefix_set holes = {0};
		struct bitmap in = {0}, out = {0}, rest;

		begin_round(&w);
		add_some(&w, &s, &in);
		prefix_set_normalise(&s);
		check_set(&w, &s, &in);
		add_some(&w, &s, &in);
		add_some(&w, &holes, &out);
		if (below(&w, 2))
			prefix_set_normalise(&holes);
		for (unsigned int i = 0; i < 2 * N_POINTS; i++)
			rest.has[i / N_POINTS][i % N_POINTS] = in.has[i / N_POINTS][i % N_POINTS] &&
							       !out.has[i / N_POINTS][i % N_POINTS];
		subtract_at_the_limit(&w, &s, &holes, &in, &rest);
		ask(&w, &s, &rest);
	}
}

/* ---- route tables ---- */

#define N_ROUTES_MAX 48
#define N_LOOKUPS    150

static struct uuid id_of(unsigned int n)
{
	return (struct uuid){.bytes = {[7] = (uint8_t)n, [15] = (uint8_t)(n >> 8)}};
}

static struct uuid random_id(struct world *w, unsigned int n)
{
	return id_of(1 + below(w, n));
}

static bool is_place(const struct route *r, const struct uuid *vnet, const struct prefix *p)
{
	return uuid_equal(&r->vnet, vnet) && plain_compare(&r->prefix, p) == 0;
}

/* One owner: the first of the operator's, else the first; what it says twice is joined. */
static size_t expect_table(const struct route *in, size_t n_in, struct route *out)
{
	size_t n = 0;

	for (unsigned int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < n_in; i++) {
			size_t k = 0;

			if (in[i].by_operator != (pass == 0))
				continue;
			while (k < n && !is_place(&out[k], &in[i].vnet, &in[i].prefix))
				k++;
			if (k == n)
				out[n++] = in[i];
			else if (uuid_equal(&out[k].tunnel, &in[i].tunnel))
				out[k].is_advertised |= in[i].is_advertised;
		}
	}
	return n;
}

static bool same_route(const struct route *a, const struct route *b)
{
	return a == b ||
	       (a && b && is_place(a, &b->vnet, &b->prefix) && uuid_equal(&a->tunnel, &b->tunnel) &&
		a->by_operator == b->by_operator && a->is_advertised == b->is_advertised);
}

struct model {
	struct route routes[N_ROUTES_MAX];
	size_t n;
};

static void check_match(struct world *w, const struct route_table *t, const struct model *m)
{
	struct uuid vnet = random_id(w, 3);
	struct ip_addr ip = address_of(w, random_family(w), below(w, N_POINTS));
	const struct route *best = NULL;

	for (size_t i = 0; i < m->n; i++) {
		const struct route *r = &m->routes[i];

		if (uuid_equal(&r->vnet, &vnet) && plain_contains(&r->prefix, &ip) &&
		    (!best || r->prefix.bits > best->prefix.bits))
			best = r;
	}
	require(w, same_route(route_table_match(t, &vnet, &ip), best));
}

static void check_find(struct world *w, const struct route_table *t, const struct model *m)
{
	struct uuid vnet = random_id(w, 3);
	struct prefix p = random_prefix(w);
	size_t i = 0;

	while (i < m->n && !is_place(&m->routes[i], &vnet, &p))
		i++;
	require(w, same_route(route_table_find(t, &vnet, &p), i < m->n ? &m->routes[i] : NULL));
}

/* Which of two that stand in the way in the same manner is to be named. */
static bool is_nearer(enum route_conflict kind, const struct route *a, const struct route *b)
{
	return kind == ROUTE_CONFLICT_INSIDE ? a->prefix.bits > b->prefix.bits
					     : plain_compare(&a->prefix, &b->prefix) < 0;
}

static enum route_conflict relation(const struct route *r, const struct prefix *p)
{
	if (plain_compare(&r->prefix, p) == 0)
		return ROUTE_CONFLICT_OWNED;
	if (r->prefix.bits < p->bits && plain_contains(&r->prefix, &p->ip))
		return ROUTE_CONFLICT_INSIDE;
	if (p->bits < r->prefix.bits && plain_contains(p, &r->prefix.ip))
		return ROUTE_CONFLICT_AROUND;
	return ROUTE_CONFLICT_NONE;
}

static void check_conflict(struct world *w, const struct route_table *t, const struct model *m)
{
	struct uuid vnet = random_id(w, 3), tunnel = random_id(w, 4);
	struct prefix p = random_prefix(w);
	enum route_conflict expected = ROUTE_CONFLICT_NONE;
	const struct route *other = NULL, *named = NULL;

	for (size_t i = 0; i < m->n; i++) {
		const struct route *r = &m->routes[i];
		enum route_conflict kind = relation(r, &p);

		if (!uuid_equal(&r->vnet, &vnet) || uuid_equal(&r->tunnel, &tunnel) ||
		    kind == ROUTE_CONFLICT_NONE)
			continue;
		if (!other || kind < expected || (kind == expected && is_nearer(kind, r, other))) {
			expected = kind;
			other = r;
		}
	}
	require(w, route_table_conflict(t, &vnet, &p, &tunnel, &named) == expected);
	require(w, same_route(named, other));
}

static void fill_model(struct world *w, struct route *routes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned int origin = 1 + below(w, 3);

		routes[i] = (struct route){
			.vnet = random_id(w, 3),
			.tunnel = random_id(w, 4),
			.prefix = random_prefix(w),
			.by_operator = origin & 1,
			.is_advertised = origin & 2,
		};
	}
}

static void route_tables(void **state)
{
	static void (*const checks[])(struct world * w, const struct route_table *t,
				      const struct model *m) = {check_match, check_find,
								check_conflict};
	CLEANUP(route_table_free) struct route_table *t = NULL;
	struct world w = world_of(2685821657736338717u);
	uint64_t version = 0;

	(void)state;
	while (w.n_ops < N_TABLE_OPS) {
		struct route routes[N_ROUTES_MAX];
		struct model m;
		size_t n;

		begin_round(&w);
		n = below(&w, N_ROUTES_MAX + 1);
		fill_model(&w, routes, n);
		m.n = expect_table(routes, n, m.routes);
		require(&w, route_table_replace(&t, routes, n) == 0);
		require(&w, route_table_version(t) == ++version);
		require(&w, route_table_size(t) == m.n);
		for (unsigned int i = 0; i < N_LOOKUPS; i++)
			checks[i % ARRAY_SIZE(checks)](&w, t, &m);
		w.n_ops += 1 + N_LOOKUPS;
	}
}

/* ---- virtual networks ---- */

#define N_IDS	20
#define N_NAMES 20

/* By id; a name of 0 is "not there". */
struct networks {
	unsigned int names[N_IDS];
	unsigned int default_id; /* N_IDS: none */
	size_t n;
};

static const char *name_of(unsigned int i, char out[VNET_NAME_MAX])
{
	snprintf(out, VNET_NAME_MAX, "net-%u", i * 7919 % 1000);
	return out;
}

static unsigned int id_with_name(const struct networks *m, unsigned int name)
{
	unsigned int id = 0;

	while (id < N_IDS && m->names[id] != name)
		id++;
	return id;
}

static void put_network(struct world *w, struct vnet_table *t, struct networks *m)
{
	unsigned int id = below(w, N_IDS), name = 1 + below(w, N_NAMES);
	unsigned int holder = id_with_name(m, name);
	struct vnet v = {.id = id_of(id), .is_default = below(w, 4) == 0};
	int expected = holder < N_IDS && holder != id ? -EEXIST : 0;

	name_of(name, v.name);
	snprintf(v.comment, sizeof(v.comment), "comment %u of %u", name, id);
	require(w, vnet_table_put(t, &v) == expected);
	if (expected)
		return;
	m->n += m->names[id] == 0;
	m->names[id] = name;
	if (v.is_default || m->n == 1)
		m->default_id = id;
}

static void remove_network(struct world *w, struct vnet_table *t, struct networks *m)
{
	unsigned int id = below(w, N_IDS);
	struct uuid uuid = id_of(id);
	int expected = !m->names[id] ? -ENOENT : id == m->default_id && m->n > 1 ? -EBUSY : 0;

	require(w, vnet_table_remove(t, &uuid) == expected);
	if (expected)
		return;
	m->names[id] = 0;
	m->n--;
	if (m->n == 0)
		m->default_id = N_IDS;
}

static void check_network(struct world *w, const struct vnet_table *t, const struct networks *m,
			  unsigned int id)
{
	struct uuid uuid = id_of(id);
	const struct vnet *v = vnet_table_by_id(t, &uuid);
	char text[VNET_COMMENT_MAX], name[VNET_NAME_MAX];

	require(w, (v != NULL) == (m->names[id] != 0));
	if (!v)
		return;
	snprintf(text, sizeof(text), "comment %u of %u", m->names[id], id);
	require(w, strcmp(v->comment, text) == 0);
	require(w, strcmp(v->name, name_of(m->names[id], name)) == 0);
	require(w, vnet_table_by_name(t, name) == v);
	require(w, vnet_table_resolve(t, name) == v);
	require(w, vnet_table_resolve(t, uuid_format(&uuid, text)) == v);
	require(w, v->is_default == (id == m->default_id));
}

static void check_networks(struct world *w, const struct vnet_table *t, const struct networks *m)
{
	const struct vnet *d = vnet_table_default(t);
	size_t n_defaults = 0;

	for (size_t i = 0; i < t->n; i++) {
		n_defaults += t->items[i].is_default;
		require(w, i == 0 || strcmp(t->items[i - 1].name, t->items[i].name) < 0);
	}
	require(w, t->n == m->n);
	require(w, n_defaults == (m->n > 0));
	require(w, (d != NULL) == (m->n > 0) && vnet_table_resolve(t, "") == d);
	check_network(w, t, m, below(w, N_IDS));
}

static void virtual_networks(void **state)
{
	struct world w = world_of(1181783497276652981u);

	(void)state;
	while (w.n_ops < N_VNET_OPS) {
		struct networks m = {.default_id = N_IDS};
		struct vnet_table t = {0};
		unsigned int n_puts_of_8;

		begin_round(&w);
		/* Some rounds fill the table, others keep it nearly empty. */
		n_puts_of_8 = 2 + below(&w, 5);
		for (unsigned int i = 0; i < 500; i++) {
			if (below(&w, 8) < n_puts_of_8)
				put_network(&w, &t, &m);
			else
				remove_network(&w, &t, &m);
			check_networks(&w, &t, &m);
			w.n_ops += 2;
		}
		vnet_table_deinit(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prefixes),
		cmocka_unit_test(sets),
		cmocka_unit_test(route_tables),
		cmocka_unit_test(virtual_networks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
