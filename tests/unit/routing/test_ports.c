/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "routing/ports.h"

static const struct {
	const char *text;
	int r;
	const char *canonical;
} spellings[] = {
	{"", 0, "*"},
	{"*", 0, "*"},
	{"22", 0, "22"},
	{"443,80", 0, "80,443"},
	{"80, 443", 0, "80,443"},
	{"8000-8100", 0, "8000-8100"},
	{"1-65535", 0, "1-65535"},
	{"8000-8100,8101,8050-9000", 0, "8000-9000"},
	{"10,12,11", 0, "10-12"},
	{"1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31", 0,
	 "1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31"},
	{"1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31,2-30", 0, "1-31"},
	{"1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31,33", -E2BIG, NULL},
	{"0", -EINVAL, NULL},
	{"65536", -EINVAL, NULL},
	{"22,", -EINVAL, NULL},
	{",22", -EINVAL, NULL},
	{"22 ", -EINVAL, NULL},
	{"022", -EINVAL, NULL},
	{"90-80", -EINVAL, NULL},
	{"80-", -EINVAL, NULL},
	{"-80", -EINVAL, NULL},
	{"1-2-3", -EINVAL, NULL},
	{"ssh", -EINVAL, NULL},
	{"1000000000000000000", -EINVAL, NULL},
};

static void test_parse(void **state)
{
	char out[PORTS_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(spellings); i++) {
		struct ports p;
		int r = ports_parse(spellings[i].text, &p);

		if (r != spellings[i].r)
			fail_msg("\"%s\": %d", spellings[i].text, r);
		if (spellings[i].canonical)
			assert_string_equal(ports_format(&p, out), spellings[i].canonical);
	}
}

static void test_longest_text_fits(void **state)
{
	char out[PORTS_TEXT_MAX], text[PORTS_TEXT_MAX] = "";
	struct ports p;

	(void)state;
	for (int i = 0; i < PORTS_RANGES_MAX; i++) {
		char part[16];

		snprintf(part, sizeof(part), "%s%d-%d", i ? "," : "", 10000 + i * 10,
			 10005 + i * 10);
		strcat(text, part);
	}
	assert_int_equal(ports_parse(text, &p), 0);
	assert_string_equal(ports_format(&p, out), text);
}

static void test_contain(void **state)
{
	struct ports p;

	(void)state;
	assert_int_equal(ports_parse("22,8000-8100", &p), 0);
	assert_true(ports_contain(&p, 22));
	assert_true(ports_contain(&p, 8000));
	assert_true(ports_contain(&p, 8100));
	assert_false(ports_contain(&p, 23));
	assert_false(ports_contain(&p, 8101));
	assert_int_equal(ports_parse("*", &p), 0);
	assert_true(ports_contain(&p, 65535));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_longest_text_fits),
		cmocka_unit_test(test_contain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
