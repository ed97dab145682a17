/* SPDX-License-Identifier: Apache-2.0 */
/* One test per rule of what `adit up` captures; the diff against its definition. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "prefix_texts.h"
#include "routing/forbidden.h"
#include "routing/split_tunnel.h"

/* Reports become "PREFIX=REASON " in a text. */
static void note(void *ctx, const struct prefix *p, enum split_tunnel_reason reason)
{
	static const char *const names[] = {
		[SPLIT_TUNNEL_TOO_WIDE] = "wide",
		[SPLIT_TUNNEL_FORBIDDEN] = "forbidden",
		[SPLIT_TUNNEL_TOO_MANY] = "many",
		[SPLIT_TUNNEL_HOLED] = "holed",
	};
	char one[PREFIX_TEXT_MAX];
	char *out = ctx;
	size_t n = strlen(out);

	assert_string_not_equal(split_tunnel_reason_text(reason), "");
	snprintf(out + n, TEXT_MAX - n, "%s%s=%s", n ? " " : "", prefix_format(p, one),
		 names[reason]);
}

/* NULL lists are not given at all. */
struct row {
	enum split_tunnel_mode mode;
	const char *routes, *include, *exclude;
	const char *reports;
};

static void compute(const struct row *row, struct prefix_set *out)
{
	CLEANUP(prefix_set_deinit) struct prefix_set routes = {0};
	CLEANUP(prefix_set_deinit) struct prefix_set include = {0};
	CLEANUP(prefix_set_deinit) struct prefix_set exclude = {0};
	char reports[TEXT_MAX] = "";
	struct split_tunnel_input in = {
		.mode = row->mode,
		.routes = row->routes ? &routes : NULL,
		.include = row->include ? &include : NULL,
		.exclude = row->exclude ? &exclude : NULL,
		.report = note,
		.ctx = reports,
	};

	fill(&routes, row->routes ? row->routes : "");
	fill(&include, row->include ? row->include : "");
	fill(&exclude, row->exclude ? row->exclude : "");
	assert_int_equal(split_tunnel_compute(&in, out), 0);
	assert_string_equal(reports, row->reports ? row->reports : "");
}

static void assert_capture(const struct row *row, const char *expected)
{
	CLEANUP(prefix_set_deinit) struct prefix_set out = {0};
	char text[TEXT_MAX];

	compute(row, &out);
	assert_string_equal(text_of(&out, text), expected);
}

static bool captures(const struct row *row, const char *text)
{
	CLEANUP(prefix_set_deinit) struct prefix_set out = {0};
	struct prefix p = prefix_of(text);

	compute(row, &out);
	/* All of it or nothing, so that a test can't mean the one and see the other. */
	assert_int_equal(prefix_set_contains(&out, &p), prefix_set_overlaps(&out, &p));
	return prefix_set_contains(&out, &p);
}

static void include_is_the_routes_of_the_edge(void **state)
{
	(void)state;
	assert_capture(&(struct row){0}, "");
	assert_capture(&(struct row){.routes = ""}, "");
	assert_capture(&(struct row){.routes = "fd00:1::/48 10.116.0.0/16 10.116.0.3 10.0.0.0/24"},
		       "10.0.0.0/24 10.116.0.0/16 fd00:1::/48");
	assert_capture(&(struct row){.routes = "10.1.0.0/16 10.0.0.0/16", .include = ""},
		       "10.0.0.0/15");
	/* Excludes belong to the other mode. */
	assert_capture(&(struct row){.routes = "10.0.0.0/8", .exclude = "10.0.0.0/8"},
		       "10.0.0.0/8");
}

static void an_include_list_replaces_the_routes(void **state)
{
	(void)state;
	assert_capture(&(struct row){.routes = "10.0.0.0/8 0.0.0.0/0", .include = "10.116.0.0/16"},
		       "10.116.0.0/16");
	/* Wider than the edge may ask for. */
	assert_capture(&(struct row){.include = "2400::/6 8.0.0.0/6"}, "8.0.0.0/6 2400::/6");
}

static void wide_routes_of_the_edge_are_refused(void **state)
{
	(void)state;
	assert_capture(&(struct row){.routes = "0.0.0.0/0 10.0.0.0/8 12.0.0.0/7 fd00::/15 "
					       "fd00::/16 ::/0 fc00::/17",
				     .reports = "0.0.0.0/0=wide 12.0.0.0/7=wide fd00::/15=wide "
						"::/0=wide"},
		       "10.0.0.0/8 fc00::/17 fd00::/16");
}

static void forbidden_routes_of_the_edge_are_refused(void **state)
{
	(void)state;
	assert_capture(&(struct row){.routes = "127.0.0.1 169.254.169.254 224.0.0.0/8 10.0.0.0/8 "
					       "fe80::/16 ff02::1 ::1 64:ff9b::7f00:1 "
					       "2002:7f00::/24 250.0.0.0/8 0.0.0.0/8",
				     .reports = "127.0.0.1/32=forbidden "
						"169.254.169.254/32=forbidden "
						"224.0.0.0/8=forbidden fe80::/16=forbidden "
						"ff02::1/128=forbidden ::1/128=forbidden "
						"64:ff9b::7f00:1/128=forbidden "
						"2002:7f00::/24=forbidden "
						"250.0.0.0/8=forbidden 0.0.0.0/8=forbidden"},
		       "10.0.0.0/8");
	/* What is shorter than such a range doesn't bring it along. */
	assert_capture(&(struct row){.routes = "169.0.0.0/8", .reports = "169.0.0.0/8=holed"},
		       "169.0.0.0/9 169.128.0.0/10 169.192.0.0/11 169.224.0.0/12 169.240.0.0/13 "
		       "169.248.0.0/14 169.252.0.0/15 169.255.0.0/16");
}

static void include_entries_may_name_forbidden_ranges(void **state)
{
	const struct row excluding = {.mode = SPLIT_TUNNEL_EXCLUDE, .include = "224.1.0.0/16"};
	const struct row wide = {.include = "0.0.0.0/0 127.0.0.0/9"};

	(void)state;
	assert_capture(&(struct row){.include = "169.254.169.254 224.0.0.0/3 ff05::/16 ::1"},
		       "169.254.169.254/32 224.0.0.0/3 ::1/128 ff05::/16");
	assert_true(captures(&excluding, "224.1.0.0/16"));
	assert_false(captures(&excluding, "224.0.0.0/16"));
	assert_true(captures(&wide, "8.8.8.8"));
	assert_true(captures(&wide, "127.0.0.0/9"));
	assert_false(captures(&wide, "127.128.0.0/9"));
	assert_false(captures(&wide, "169.254.169.254"));
}

static void routes_past_the_limit_are_refused(void **state)
{
	CLEANUP(prefix_set_deinit) struct prefix_set routes = {0};
	CLEANUP(prefix_set_deinit) struct prefix_set out = {0};
	char reports[TEXT_MAX] = "";
	struct split_tunnel_input in = {.routes = &routes, .report = note, .ctx = reports};

	(void)state;
	for (unsigned int i = 0; i <= SPLIT_TUNNEL_PREFIXES_MAX; i++) {
		struct prefix p = {{AF_INET, {10, (uint8_t)(i >> 8), (uint8_t)i}}, 25};

		assert_int_equal(prefix_set_add(&routes, &p, SPLIT_TUNNEL_PREFIXES_MAX + 2), 0);
	}
	assert_int_equal(split_tunnel_compute(&in, &out), 0);
	assert_int_equal(out.n, SPLIT_TUNNEL_PREFIXES_MAX);
	assert_string_equal(reports, "10.64.0.0/25=many");

	/* Holes that would make the result longer: nothing changes. */
	routes.n -= 2;
	fill(&routes, "169.0.0.0/8");
	assert_int_equal(split_tunnel_compute(&in, &out), SPLIT_TUNNEL_E_LIMIT);
	assert_int_equal(out.n, SPLIT_TUNNEL_PREFIXES_MAX);
	in = (struct split_tunnel_input){.include = &routes};
	fill(&routes, "10.64.0.0/25");
	assert_int_equal(split_tunnel_compute(&in, &out), SPLIT_TUNNEL_E_LIMIT);
	in = (struct split_tunnel_input){.mode = SPLIT_TUNNEL_EXCLUDE, .exclude = &routes};
	assert_int_equal(split_tunnel_compute(&in, &out), SPLIT_TUNNEL_E_LIMIT);
}

static void exclude_is_everything_but_the_default_list(void **state)
{
	static const char *const outside[] = {
		"0.0.0.0/8",
		"10.0.0.0/8",
		"100.64.0.0/10",
		"127.0.0.0/8",
		"169.254.0.0/16",
		"224.0.0.0/4",
		"240.0.0.0/4",
		"172.16.0.0/12",
		"192.0.0.0/24",
		"192.168.0.0/16",
		"::",
		"::1",
		"fc00::/7",
		"fe80::/10",
		"ff00::/8",
		"64:ff9b::7f00:0/104",
	};
	static const char *const inside[] = {
		"1.1.1.1",	  "9.0.0.0/8",	  "11.0.0.0/8",	     "100.0.0.0/10",
		"172.32.0.0/11",  "192.0.1.0/24", "223.255.255.255", "2001:db8::/32",
		"64:ff9b::a00:1", "::2",
	};
	const struct row row = {.mode = SPLIT_TUNNEL_EXCLUDE, .routes = "10.116.0.0/16"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(outside); i++)
		assert_false(captures(&row, outside[i]));
	for (size_t i = 0; i < ARRAY_SIZE(inside); i++)
		assert_true(captures(&row, inside[i]));
}

static void a_list_replaces_the_default_excludes(void **state)
{
	const struct row row = {.mode = SPLIT_TUNNEL_EXCLUDE, .exclude = "192.168.7.0/24 fd00::/8"};
	const struct row nothing = {.mode = SPLIT_TUNNEL_EXCLUDE, .exclude = ""};

	(void)state;
	assert_false(captures(&row, "192.168.7.0/24"));
	assert_false(captures(&row, "fd00::/8"));
	assert_true(captures(&row, "192.168.6.0/24"));
	assert_true(captures(&row, "10.0.0.0/8"));
	assert_true(captures(&row, "fc00::/8"));
	assert_true(captures(&nothing, "192.168.7.0/24"));
	/* Never those that an agent would refuse in any case. */
	assert_false(captures(&nothing, "127.0.0.0/8"));
	assert_false(captures(&nothing, "fe80::/10"));
	assert_capture(&(struct row){.mode = SPLIT_TUNNEL_EXCLUDE, .exclude = "0.0.0.0/0 ::/0"},
		       "");
}

static void include_wins_over_exclude(void **state)
{
	const struct row row = {.mode = SPLIT_TUNNEL_EXCLUDE,
				.include = "10.116.0.0/16 fd00:1::/48"};

	(void)state;
	assert_true(captures(&row, "10.116.0.0/16"));
	assert_true(captures(&row, "fd00:1::/48"));
	assert_false(captures(&row, "10.117.0.0/16"));
	assert_true(captures(&row, "1.1.1.1"));
	assert_capture(&(struct row){.mode = SPLIT_TUNNEL_EXCLUDE,
				     .exclude = "0.0.0.0/0 ::/0",
				     .include = "10.1.0.0/16"},
		       "10.1.0.0/16");
}

/* 100.96.0.0/12 is where the device's own addresses come from; no rule treats it apart. */
static void own_addresses_are_no_part_of_it(void **state)
{
	const struct row excluding = {.mode = SPLIT_TUNNEL_EXCLUDE, .exclude = "10.0.0.0/8"};

	(void)state;
	assert_capture(&(struct row){.routes = "100.64.0.0/10"}, "100.64.0.0/10");
	assert_capture(&(struct row){.routes = "100.96.0.0/12"}, "100.96.0.0/12");
	assert_capture(&(struct row){.routes = "100.96.0.1"}, "100.96.0.1/32");
	assert_capture(&(struct row){.routes = "10.0.0.0/8"}, "10.0.0.0/8");
	assert_true(captures(&excluding, "100.96.0.0/12"));
}

static void forbidden_stays_outside(void **state)
{
	static const struct row rows[] = {
		{.mode = SPLIT_TUNNEL_EXCLUDE},
		{.mode = SPLIT_TUNNEL_EXCLUDE, .exclude = ""},
		{.include = "0.0.0.0/0 ::/0"},
	};
	struct prefix ranges[FORBIDDEN_RANGES_MAX];
	size_t n = forbidden_ranges(ranges);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(prefix_set_deinit) struct prefix_set out = {0};

		compute(&rows[i], &out);
		for (size_t k = 0; k < n; k++)
			assert_false(prefix_set_overlaps(&out, &ranges[k]));
	}
}

static void default_excludes_are_prefixes(void **state)
{
	const struct split_tunnel_exclude *e = split_tunnel_default_excludes;
	char text[PREFIX_TEXT_MAX];
	struct prefix p;

	(void)state;
	for (; e->name; e++) {
		assert_int_equal(prefix_parse(prefix_format(&e->prefix, text), &p), 0);
		assert_true(prefix_equal(&p, &e->prefix));
		if (e[1].name)
			assert_true(prefix_compare(&e[0].prefix, &e[1].prefix) < 0);
	}
}

static struct prefix_set random_set(uint32_t *seed)
{
	struct prefix_set s = {0};

	for (unsigned int n = (*seed >> 9) % 40; n > 0; n--) {
		struct prefix p = {{AF_INET, {10}}, 0};

		*seed = *seed * 1664525u + 1013904223u;
		p.bits = (uint8_t)(25 + (*seed >> 8) % 8);
		p.ip.bytes[3] = (uint8_t)(*seed >> 16 & 0xff00u >> (p.bits - 24));
		p.ip.family = *seed >> 31 ? AF_INET : AF_INET6;
		assert_int_equal(prefix_set_add(&s, &p, 100), 0);
	}
	*seed = *seed * 1664525u + 1013904223u;
	prefix_set_normalise(&s);
	return s;
}

static bool has(const struct prefix_set *s, const struct prefix *p)
{
	for (size_t i = 0; i < s->n; i++)
		if (prefix_equal(&s->items[i], p))
			return true;
	return false;
}

/* old − delete + add = new, route by route; nothing is added that was there. */
static void diff_applied_to_old_gives_new(void **state)
{
	uint32_t seed = 7;

	(void)state;
	for (unsigned int round = 0; round < 2000; round++) {
		CLEANUP(prefix_set_deinit) struct prefix_set old = random_set(&seed);
		CLEANUP(prefix_set_deinit) struct prefix_set new = random_set(&seed);
		CLEANUP(prefix_set_deinit) struct prefix_set add = {0};
		CLEANUP(prefix_set_deinit) struct prefix_set delete = {0};
		CLEANUP(prefix_set_deinit) struct prefix_set applied = {0};

		assert_int_equal(split_tunnel_diff(&old, &new, &add, &delete), 0);
		for (size_t i = 0; i < add.n; i++)
			assert_false(has(&old, &add.items[i]));
		for (size_t i = 0; i < delete.n; i++)
			assert_true(has(&old, &delete.items[i]));
		for (size_t i = 0; i < old.n; i++)
			if (!has(&delete, &old.items[i]))
				assert_int_equal(prefix_set_add(&applied, &old.items[i], 200), 0);
		assert_int_equal(prefix_set_add_all(&applied, &add, 200), 0);
		assert_int_equal(applied.n, new.n);
		prefix_set_normalise(&applied);
		assert_true(prefix_set_equal(&applied, &new));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(include_is_the_routes_of_the_edge),
		cmocka_unit_test(an_include_list_replaces_the_routes),
		cmocka_unit_test(wide_routes_of_the_edge_are_refused),
		cmocka_unit_test(forbidden_routes_of_the_edge_are_refused),
		cmocka_unit_test(include_entries_may_name_forbidden_ranges),
		cmocka_unit_test(routes_past_the_limit_are_refused),
		cmocka_unit_test(exclude_is_everything_but_the_default_list),
		cmocka_unit_test(a_list_replaces_the_default_excludes),
		cmocka_unit_test(include_wins_over_exclude),
		cmocka_unit_test(own_addresses_are_no_part_of_it),
		cmocka_unit_test(forbidden_stays_outside),
		cmocka_unit_test(default_excludes_are_prefixes),
		cmocka_unit_test(diff_applied_to_old_gives_new),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
