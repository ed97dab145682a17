/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/compiler.h"
#include "routing/prefix.h"

static const struct {
	const char *text;
	int r;
	const char *canonical;
} spellings[] = {
	{"10.0.0.0/8", 0, "10.0.0.0/8"},
	{"10.116.0.3", 0, "10.116.0.3/32"},
	{"0.0.0.0/0", 0, "0.0.0.0/0"},
	{"::/0", 0, "::/0"},
	{"fd00:1::/48", 0, "fd00:1::/48"},
	{"FD00::1", 0, "fd00::1/128"},
	{"::ffff:10.0.0.0/104", 0, "10.0.0.0/8"},
	{"::ffff:10.1.2.3", 0, "10.1.2.3/32"},
	{"10.1.2.3/8", PREFIX_E_HOST_BITS, "10.0.0.0/8"},
	{"192.168.1.129/25", PREFIX_E_HOST_BITS, "192.168.1.128/25"},
	{"fd00::1/64", PREFIX_E_HOST_BITS, "fd00::/64"},
	{"::ffff:0.0.0.0/90", PREFIX_E_HOST_BITS, "::ffc0:0:0/90"},
	{"10.0.0.0/33", PREFIX_E_SYNTAX, NULL},
	{"10.0.0.0/08", PREFIX_E_SYNTAX, NULL},
	{"10.0.0.0/", PREFIX_E_SYNTAX, NULL},
	{"10.0.0.0/-1", PREFIX_E_SYNTAX, NULL},
	{"10.0.0.0/8 ", PREFIX_E_SYNTAX, NULL},
	{"10.0.0.0/1000000000000", PREFIX_E_SYNTAX, NULL},
	{"fd00::/129", PREFIX_E_SYNTAX, NULL},
	{"10.0/8", PREFIX_E_SYNTAX, NULL},
	{"host/8", PREFIX_E_SYNTAX, NULL},
	{"/8", PREFIX_E_SYNTAX, NULL},
	{"", PREFIX_E_SYNTAX, NULL},
};

static void test_parse(void **state)
{
	char out[PREFIX_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(spellings); i++) {
		struct prefix p;
		int r = prefix_parse(spellings[i].text, &p);

		if (r != spellings[i].r)
			fail_msg("\"%s\": %d", spellings[i].text, r);
		if (spellings[i].canonical)
			assert_string_equal(prefix_format(&p, out), spellings[i].canonical);
	}
}

static struct prefix of(const char *text)
{
	struct prefix p;

	assert_int_equal(prefix_parse(text, &p), 0);
	return p;
}

static bool within(const char *outer, const char *inner)
{
	struct prefix o = of(outer), i = of(inner);

	return prefix_contains(&o, &i);
}

static void test_contains(void **state)
{
	(void)state;
	assert_true(within("10.0.0.0/8", "10.116.0.3"));
	assert_true(within("10.0.0.0/8", "10.0.0.0/8"));
	assert_true(within("0.0.0.0/0", "10.0.0.0/8"));
	assert_true(within("172.16.0.0/12", "172.31.255.255"));
	assert_false(within("172.16.0.0/12", "172.32.0.0"));
	assert_false(within("10.0.0.0/9", "10.0.0.0/8"));
	assert_false(within("::/0", "10.0.0.0/8"));
	assert_true(within("fc00::/7", "fd00::1"));
	assert_false(within("fd00::/127", "fd00::2"));
}

static void test_order(void **state)
{
	struct prefix a = of("10.0.0.0/8"), b = of("10.0.0.0/16"), c = of("fd00::/8");

	(void)state;
	assert_true(prefix_compare(&a, &b) < 0);
	assert_true(prefix_compare(&b, &a) > 0);
	assert_true(prefix_compare(&b, &c) < 0);
	assert_int_equal(prefix_compare(&a, &a), 0);
	assert_true(prefix_equal(&a, &a));
	assert_false(prefix_equal(&a, &b));
	assert_false(prefix_is_single(&b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_contains),
		cmocka_unit_test(test_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
