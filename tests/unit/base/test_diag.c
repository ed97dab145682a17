/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/compiler.h"
#include "base/diag.h"

static void test_format_names_place_and_kind(void **state)
{
	char text[256];
	struct diag d;

	(void)state;
	diag_init(&d, "x.yml");
	diag_add(&d, DIAG_ERROR, 3, "edge: %s", "missing");
	diag_add(&d, DIAG_WARNING, 0, "old");
	diag_format(&d, text, sizeof(text));
	assert_string_equal(text, "x.yml:3: edge: missing\nx.yml: warning: old\n");
	assert_int_equal(d.n_errors, 1);
	diag_sort(&d);
	diag_format(&d, text, sizeof(text));
	assert_string_equal(text, "x.yml: warning: old\nx.yml:3: edge: missing\n");
	diag_deinit(&d);
}

static void test_format_cuts_at_a_line(void **state)
{
	char text[12];
	struct diag d;

	(void)state;
	diag_init(&d, NULL);
	diag_add(&d, DIAG_ERROR, 1, "first");
	diag_add(&d, DIAG_ERROR, 2, "second");
	diag_format(&d, text, sizeof(text));
	assert_string_equal(text, "first\n");
	diag_deinit(&d);
}

static void test_controls_are_masked_and_floods_counted(void **state)
{
	struct diag d;

	(void)state;
	diag_init(&d, "f");
	diag_add(&d, DIAG_ERROR, 1, "%s", "a\x1b[31m\nb");
	assert_string_equal(d.items[0].text, "a?[31m?b");
	for (int i = 0; i < DIAG_ITEMS_MAX + 4; i++)
		diag_add(&d, DIAG_ERROR, 1, "again");
	assert_int_equal(d.n_items, DIAG_ITEMS_MAX);
	assert_int_equal(d.n_dropped, 5);
	assert_int_equal(d.n_errors, DIAG_ITEMS_MAX + 5);
	diag_deinit(&d);
	diag_add(NULL, DIAG_ERROR, 1, "nowhere");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format_names_place_and_kind),
		cmocka_unit_test(test_format_cuts_at_a_line),
		cmocka_unit_test(test_controls_are_masked_and_floods_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
