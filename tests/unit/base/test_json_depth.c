/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/compiler.h"
#include "base/json_depth.h"

static const struct {
	const char *text;
	unsigned int depth; /* what is reached */
} rows[] = {
	{"", 0},
	{"1", 0},
	{"{}", 1},
	{"[[],[[]],[]]", 3},
	{"{\"a\":{\"b\":[1]}}", 3},
	{"[{},{},{}]", 2},
	{"\"[[[[\"", 0},
	{"[\"a\\\"[[\"]", 1},
	{"[\"a\\\\\",[1]]", 2},
	/* not JSON */
	{"]]]][", 1},
	{"[\"[[[", 1},
	{"[\"\\", 1},
	{"{{{", 3},
};

static void the_deepest_point_counts(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *text = rows[i].text;

		assert_false(json_is_deeper(text, strlen(text), rows[i].depth));
		if (rows[i].depth)
			assert_true(json_is_deeper(text, strlen(text), rows[i].depth - 1));
	}
}

static void text_behind_the_end_does_not_count(void **state UNUSED)
{
	assert_false(json_is_deeper("[[[[", 2, 2));
	assert_true(json_is_deeper("[[[[", 3, 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_deepest_point_counts),
		cmocka_unit_test(text_behind_the_end_does_not_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
