/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In both modes:  (what the mode captures − forbidden ranges) ∪ include entries inside such ranges.
 * An include entry is added after the excludes were taken away, hence it wins over them.
 */
#include "routing/split_tunnel.h"

#include <assert.h>

#include "base/cleanup.h"
#include "routing/forbidden.h"

/* On the way to a result there may be more prefixes than in it: they merge at the end. */
#define WORK_MAX ((size_t)4 * SPLIT_TUNNEL_PREFIXES_MAX)

const struct split_tunnel_exclude split_tunnel_default_excludes[] = {
	{PREFIX_V4(0, 0, 8), "this host (RFC 791)"},
	{PREFIX_V4(10, 0, 8), "private (RFC 1918)"},
	{PREFIX_V4(100, 64, 10), "carrier-grade NAT (RFC 6598)"},
	{PREFIX_V4(127, 0, 8), "loopback (RFC 1122)"},
	{PREFIX_V4(169, 254, 16), "link-local (RFC 3927)"},
	{PREFIX_V4(172, 16, 12), "private (RFC 1918)"},
	{PREFIX_V4(192, 0, 24), "protocol assignments, DS-Lite (RFC 6890)"},
	{PREFIX_V4(192, 168, 16), "private (RFC 1918)"},
	{PREFIX_V4(224, 0, 4), "multicast (RFC 5771)"},
	{PREFIX_V4(240, 0, 4), "reserved and broadcast (RFC 1112)"},
	{PREFIX_V6(0, 0, 127), "unspecified and loopback (RFC 4291)"},
	{PREFIX_V6(0xfc, 0, 7), "unique local (RFC 4193)"},
	{PREFIX_V6(0xfe, 0x80, 10), "link-local (RFC 4291)"},
	{PREFIX_V6(0xff, 0, 8), "multicast (RFC 4291)"},
	{.name = NULL},
};

static const struct prefix everything[] = {PREFIX_V4(0, 0, 0), PREFIX_V6(0, 0, 0)};

const char *split_tunnel_reason_text(enum split_tunnel_reason reason)
{
	static const char *const texts[] = {
		[SPLIT_TUNNEL_TOO_WIDE] = "left out: shorter than /8 (IPv6: /16); name it under "
					  "'include' to capture it",
		[SPLIT_TUNNEL_FORBIDDEN] = "left out: loopback, link-local, multicast or reserved; "
					   "name it under 'include' to capture it",
		[SPLIT_TUNNEL_TOO_MANY] = "left out: the edge shows more than 16384 routes",
		[SPLIT_TUNNEL_HOLED] = "captured without the loopback, link-local, multicast or "
				       "reserved range in it",
	};

	return texts[reason];
}

static size_t size_of(const struct prefix_set *s)
{
	return s ? s->n : 0;
}

static int load_forbidden(struct prefix_set *s)
{
	struct prefix ranges[FORBIDDEN_RANGES_MAX];
	size_t n = forbidden_ranges(ranges);
	int r = 0;

	for (size_t i = 0; i < n && !r; i++)
		r = prefix_set_add(s, &ranges[i], FORBIDDEN_RANGES_MAX);
	prefix_set_normalise(s);
	return r;
}

static int load_default_excludes(struct prefix_set *s)
{
	int r = 0;

	for (const struct split_tunnel_exclude *e = split_tunnel_default_excludes; e->name && !r;
	     e++)
		r = prefix_set_add(s, &e->prefix, WORK_MAX);
	return r;
}

static bool is_too_wide(const struct prefix *p)
{
	return p->bits <
	       (p->ip.family == AF_INET ? SPLIT_TUNNEL_BITS_MIN_V4 : SPLIT_TUNNEL_BITS_MIN_V6);
}

static void report(const struct split_tunnel_input *in, const struct prefix *p,
		   enum split_tunnel_reason reason)
{
	if (in->report)
		in->report(in->ctx, p, reason);
}

/* Says what is wrong with @p, a route of the edge; true if it is captured all the same. */
static bool is_acceptable(const struct split_tunnel_input *in, const struct prefix *p,
			  const struct prefix_set *forbidden, size_t n_accepted)
{
	if (is_too_wide(p)) {
		report(in, p, SPLIT_TUNNEL_TOO_WIDE);
		return false;
	}
	if (prefix_set_contains(forbidden, p)) {
		report(in, p, SPLIT_TUNNEL_FORBIDDEN);
		return false;
	}
	if (n_accepted == SPLIT_TUNNEL_PREFIXES_MAX) {
		report(in, p, SPLIT_TUNNEL_TOO_MANY);
		return false;
	}
	if (prefix_set_overlaps(forbidden, p))
		report(in, p, SPLIT_TUNNEL_HOLED);
	return true;
}

static int capture_routes(const struct split_tunnel_input *in, const struct prefix_set *forbidden,
			  struct prefix_set *out)
{
	int r = 0;

	for (size_t i = 0; i < size_of(in->routes) && !r; i++) {
		const struct prefix *p = &in->routes->items[i];

		if (is_acceptable(in, p, forbidden, out->n))
			r = prefix_set_add(out, p, SPLIT_TUNNEL_PREFIXES_MAX);
	}
	return r;
}

static int capture_all_but_excludes(const struct split_tunnel_input *in, struct prefix_set *out)
{
	CLEANUP(prefix_set_deinit) struct prefix_set defaults = {0};
	int r = 0;

	if (!in->exclude)
		r = load_default_excludes(&defaults);
	for (size_t i = 0; i < ARRAY_SIZE(everything) && !r; i++)
		r = prefix_set_add(out, &everything[i], WORK_MAX);
	return r ? r : prefix_set_subtract(out, in->exclude ? in->exclude : &defaults, WORK_MAX);
}

/* The include entries that name forbidden addresses and nothing else. */
static int add_named(const struct prefix_set *include, const struct prefix_set *forbidden,
		     struct prefix_set *out)
{
	int r = 0;

	for (size_t i = 0; i < size_of(include) && !r; i++)
		if (prefix_set_contains(forbidden, &include->items[i]))
			r = prefix_set_add(out, &include->items[i], WORK_MAX);
	return r;
}

static int capture(const struct split_tunnel_input *in, struct prefix_set *out)
{
	CLEANUP(prefix_set_deinit) struct prefix_set forbidden = {0};
	int r = load_forbidden(&forbidden);

	if (!r && in->mode == SPLIT_TUNNEL_EXCLUDE)
		r = capture_all_but_excludes(in, out);
	else if (!r && !size_of(in->include))
		r = capture_routes(in, &forbidden, out);
	if (!r && size_of(in->include))
		r = prefix_set_add_all(out, in->include, WORK_MAX);
	if (!r)
		r = prefix_set_subtract(out, &forbidden, WORK_MAX);
	return r ? r : add_named(in->include, &forbidden, out);
}

static void replace(struct prefix_set *s, struct prefix_set *by)
{
	prefix_set_deinit(s);
	*s = *by;
	*by = (struct prefix_set){0};
}

int split_tunnel_compute(const struct split_tunnel_input *in, struct prefix_set *capturep)
{
	CLEANUP(prefix_set_deinit) struct prefix_set out = {0};
	int r;

	if (size_of(in->include) > SPLIT_TUNNEL_PREFIXES_MAX ||
	    size_of(in->exclude) > SPLIT_TUNNEL_PREFIXES_MAX)
		return SPLIT_TUNNEL_E_LIMIT;
	r = capture(in, &out);
	if (r)
		return r < 0 ? r : SPLIT_TUNNEL_E_LIMIT;
	prefix_set_normalise(&out);
	if (out.n > SPLIT_TUNNEL_PREFIXES_MAX)
		return SPLIT_TUNNEL_E_LIMIT;
	replace(capturep, &out);
	return 0;
}

/* Gives @a and @b what is only in one of them. Parts of a minimal set are minimal themselves. */
static int compare_sets(const struct prefix_set *a, const struct prefix_set *b,
			struct prefix_set *only_a, struct prefix_set *only_b)
{
	size_t i = 0, k = 0;
	int r = 0;

	while ((i < a->n || k < b->n) && !r) {
		int order = i == a->n	? 1
			    : k == b->n ? -1
					: prefix_compare(&a->items[i], &b->items[k]);

		if (order < 0)
			r = prefix_set_add(only_a, &a->items[i], a->n);
		if (order > 0)
			r = prefix_set_add(only_b, &b->items[k], b->n);
		i += order <= 0;
		k += order >= 0;
	}
	prefix_set_normalise(only_a);
	prefix_set_normalise(only_b);
	return r;
}

int split_tunnel_diff(const struct prefix_set *old, const struct prefix_set *new,
		      struct prefix_set *addp, struct prefix_set *deletep)
{
	CLEANUP(prefix_set_deinit) struct prefix_set add = {0};
	CLEANUP(prefix_set_deinit) struct prefix_set delete = {0};
	int r;

	assert(!old->is_unsorted && !new->is_unsorted);
	r = compare_sets(old, new, &delete, &add);
	if (r)
		return r;
	replace(addp, &add);
	replace(deletep, &delete);
	return 0;
}
