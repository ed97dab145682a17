/* SPDX-License-Identifier: Apache-2.0 */
/* Exactly one default, unique names, look-up by name, id or nothing. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "routing/vnet.h"

static int put(struct vnet_table *t, uint8_t id, const char *name, bool is_default)
{
	struct vnet v = {.id = {.bytes = {id}}, .is_default = is_default};

	snprintf(v.name, sizeof(v.name), "%s", name);
	return vnet_table_put(t, &v);
}

static void there_is_one_default(void **state)
{
	struct vnet_table t = {0};
	struct uuid first = {.bytes = {1}};
	struct uuid second = {.bytes = {2}};

	(void)state;
	assert_null(vnet_table_default(&t));
	assert_int_equal(put(&t, 1, "office", false), 0);
	assert_string_equal(vnet_table_default(&t)->name, "office");
	assert_int_equal(put(&t, 2, "lab", true), 0);
	assert_string_equal(vnet_table_default(&t)->name, "lab");
	assert_int_equal(put(&t, 2, "lab", false), 0);
	assert_string_equal(vnet_table_default(&t)->name, "lab");
	assert_int_equal(vnet_table_remove(&t, &second), -EBUSY);
	assert_int_equal(vnet_table_remove(&t, &first), 0);
	assert_int_equal(vnet_table_remove(&t, &first), -ENOENT);
	assert_int_equal(vnet_table_remove(&t, &second), 0);
	vnet_table_deinit(&t);
}

static void names_are_unique_and_found(void **state)
{
	struct vnet_table t = {0};

	(void)state;
	assert_int_equal(put(&t, 1, "", false), -EINVAL);
	assert_int_equal(put(&t, 1, "b", false), 0);
	assert_int_equal(put(&t, 2, "a", false), 0);
	assert_int_equal(put(&t, 3, "c", false), 0);
	assert_int_equal(put(&t, 4, "b", false), -EEXIST);
	assert_int_equal(put(&t, 1, "d", false), 0);
	assert_int_equal(t.n, 3);
	assert_null(vnet_table_by_name(&t, "b"));
	assert_string_equal(vnet_table_resolve(&t, "d")->name, "d");
	assert_string_equal(vnet_table_resolve(&t, "")->name, "d");
	assert_string_equal(vnet_table_resolve(&t, NULL)->name, "d");
	assert_string_equal(vnet_table_resolve(&t, "02000000-0000-0000-0000-000000000000")->name,
			    "a");
	assert_null(vnet_table_resolve(&t, "nowhere"));
	vnet_table_deinit(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_is_one_default),
		cmocka_unit_test(names_are_unique_and_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
