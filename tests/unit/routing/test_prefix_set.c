/* SPDX-License-Identifier: Apache-2.0 */
/* Union and subtraction by hand; test_properties.c compares them with bitmaps. */

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
#include "routing/prefix_set.h"

#define LIMIT 1000

static void assert_set(const struct prefix_set *s, const char *expected)
{
	char text[TEXT_MAX];

	assert_string_equal(text_of(s, text), expected);
}

static void union_is_minimal_and_sorted(void **state)
{
	static const struct {
		const char *in;
		const char *out;
	} cases[] = {
		{"", ""},
		{"10.0.0.0/8", "10.0.0.0/8"},
		{"10.1.0.0/16 10.0.0.0/8 10.0.0.0/8", "10.0.0.0/8"},
		{"10.128.0.0/9 10.0.0.0/9", "10.0.0.0/8"},
		{"0.0.0.0/1 128.0.0.0/1", "0.0.0.0/0"},
		{"10.0.0.3 10.0.0.1 10.0.0.2 10.0.0.0", "10.0.0.0/30"},
		{"10.0.0.1 10.0.0.2", "10.0.0.1/32 10.0.0.2/32"},
		{"10.0.0.0/9 10.192.0.0/10 10.128.0.0/10 10.7.0.0/16 11.0.0.0/8", "10.0.0.0/7"},
		{"fd00::/9 10.0.0.0/8 fd80::/9", "10.0.0.0/8 fd00::/8"},
		{"::/1 8000::/1 0.0.0.0/1", "0.0.0.0/1 ::/0"},
		{"::1 ::", "::/127"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(prefix_set_deinit) struct prefix_set s = {0};

		fill(&s, cases[i].in);
		prefix_set_normalise(&s);
		assert_set(&s, cases[i].out);
	}
}

static void subtraction(void **state)
{
	static const struct {
		const char *bases;
		const char *holes;
		const char *rest;
	} cases[] = {
		{"172.16.0.0/12", "172.31.0.0/16",
		 "172.16.0.0/13 172.24.0.0/14 172.28.0.0/15 172.30.0.0/16"},
		{"10.0.0.0/8", "", "10.0.0.0/8"},
		{"", "10.0.0.0/8", ""},
		/* fully covered */
		{"10.0.0.0/8", "10.0.0.0/8", ""},
		{"10.0.0.0/8", "0.0.0.0/0", ""},
		{"10.0.0.0/8", "10.128.0.0/9 10.0.0.0/9", ""},
		{"10.0.0.0/8 10.0.0.0/9", "10.0.0.0/8", ""},
		/* disjoint, other family */
		{"10.0.0.0/8", "11.0.0.0/8 9.0.0.0/8", "10.0.0.0/8"},
		{"10.0.0.0/8", "::/0", "10.0.0.0/8"},
		{"::/0", "0.0.0.0/0", "::/0"},
		/* both at once, several holes, holes in holes */
		{"fd00::/8 10.0.0.0/8", "fd80::/9 10.0.0.0/9 10.0.0.0/10", "10.128.0.0/9 fd00::/9"},
		{"10.0.0.0/30", "10.0.0.1 10.0.0.2", "10.0.0.0/32 10.0.0.3/32"},
		{"10.0.0.0/30 10.0.0.4/30", "10.0.0.7", "10.0.0.0/30 10.0.0.4/31 10.0.0.6/32"},
		/* halves around a hole elsewhere merge */
		{"10.0.0.0/9 10.128.0.0/9 12.0.0.0/8", "12.0.0.0/9", "10.0.0.0/8 12.128.0.0/9"},
		{"0.0.0.0/0", "128.0.0.0/1", "0.0.0.0/1"},
		{"fd00::/126", "fd00::/128", "fd00::1/128 fd00::2/127"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(prefix_set_deinit) struct prefix_set s = {0};
		CLEANUP(prefix_set_deinit) struct prefix_set holes = {0};

		fill(&s, cases[i].bases);
		fill(&holes, cases[i].holes);
		assert_int_equal(prefix_set_subtract(&s, &holes, LIMIT), 0);
		assert_set(&s, cases[i].rest);
		/* Nothing of the holes is left, and twice changes nothing. */
		assert_int_equal(prefix_set_subtract(&s, &holes, LIMIT), 0);
		assert_set(&s, cases[i].rest);
	}
}

static void a_set_minus_itself_is_empty(void **state)
{
	CLEANUP(prefix_set_deinit) struct prefix_set s = {0};

	(void)state;
	fill(&s, "10.0.0.1 fd00::/8 10.0.0.0");
	assert_int_equal(prefix_set_subtract(&s, &s, LIMIT), 0);
	assert_int_equal(s.n, 0);
}

static void limits_leave_the_set(void **state)
{
	CLEANUP(prefix_set_deinit) struct prefix_set s = {0};
	CLEANUP(prefix_set_deinit) struct prefix_set hole = {0};
	struct prefix more = prefix_of("12.0.0.0/8");

	(void)state;
	fill(&s, "0.0.0.0/0");
	fill(&hole, "10.1.2.3");
	assert_int_equal(prefix_set_subtract(&s, &hole, 31), PREFIX_SET_E_LIMIT);
	assert_set(&s, "0.0.0.0/0");
	assert_int_equal(prefix_set_subtract(&s, &hole, 32), 0);
	assert_int_equal(s.n, 32);
	assert_int_equal(prefix_set_add(&s, &more, 32), PREFIX_SET_E_LIMIT);
	assert_int_equal(prefix_set_add(&s, &more, 3), PREFIX_SET_E_LIMIT);
	assert_int_equal(prefix_set_add_all(&s, &hole, 32), PREFIX_SET_E_LIMIT);
	assert_int_equal(s.n, 32);
	assert_int_equal(prefix_set_add_all(&s, &hole, 33), 0);
	prefix_set_normalise(&s);
	assert_set(&s, "0.0.0.0/0");
}

/* The limit holds for memory, too: what is allocated never exceeds it. */
static void growth_stays_in_the_limit(void **state)
{
	CLEANUP(prefix_set_deinit) struct prefix_set s = {0};
	struct prefix p = prefix_of("10.0.0.0/32");

	(void)state;
	for (unsigned int i = 0; i < 100; i++) {
		p.ip.bytes[3] = (uint8_t)(2 * i);
		assert_int_equal(prefix_set_add(&s, &p, 100), 0);
		assert_in_range(s.capacity, s.n, 100);
	}
	assert_int_equal(prefix_set_add(&s, &p, 100), PREFIX_SET_E_LIMIT);
	assert_int_equal(s.capacity, 100);
}

static void questions(void **state)
{
	static const struct {
		const char *prefix;
		bool inside, touches;
	} cases[] = {
		{"10.0.0.0/8", true, true},    {"10.1.0.0/16", true, true},
		{"10.0.0.0/7", false, true},   {"0.0.0.0/0", false, true},
		{"11.0.0.0/8", false, false},  {"9.255.255.255", false, false},
		{"172.16.0.0/13", true, true}, {"172.16.0.0/12", false, true},
		{"fd00::1", true, true},       {"::/0", false, true},
		{"fe00::/8", false, false},
	};
	CLEANUP(prefix_set_deinit) struct prefix_set s = {0};
	CLEANUP(prefix_set_deinit) struct prefix_set other = {0};
	const struct prefix *first = NULL;

	(void)state;
	fill(&s, "10.0.0.0/8 172.16.0.0/13 172.24.0.0/14 fd00::/8");
	prefix_set_normalise(&s);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct prefix p = prefix_of(cases[i].prefix);

		assert_int_equal(prefix_set_contains(&s, &p), cases[i].inside);
		assert_int_equal(prefix_set_overlaps(&s, &p), cases[i].touches);
	}
	assert_int_equal(prefix_set_family(&s, AF_INET, &first), 3);
	assert_ptr_equal(first, &s.items[0]);
	assert_int_equal(prefix_set_family(&s, AF_INET6, &first), 1);
	assert_ptr_equal(first, &s.items[3]);
	assert_false(prefix_set_equal(&s, &other));
	fill(&other, "fd00::/8 10.0.0.0/8 172.24.0.0/14 172.16.0.0/13");
	prefix_set_normalise(&other);
	assert_true(prefix_set_equal(&s, &other));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(union_is_minimal_and_sorted),
		cmocka_unit_test(subtraction),
		cmocka_unit_test(a_set_minus_itself_is_empty),
		cmocka_unit_test(limits_leave_the_set),
		cmocka_unit_test(growth_stays_in_the_limit),
		cmocka_unit_test(questions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
