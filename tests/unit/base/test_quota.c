/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/quota.h"

static void test_so_many_a_minute(void **state)
{
	struct quota q = {0};

	(void)state;
	for (unsigned int minute = 0; minute < 3; minute++) {
		uint64_t now_ms = 1000 + minute * (uint64_t)QUOTA_WINDOW_MS;

		for (unsigned int i = 0; i < 5; i++)
			assert_true(quota_take(&q, 5, now_ms + i));
		assert_false(quota_take(&q, 5, now_ms + 5));
		assert_false(quota_take(&q, 5, now_ms + QUOTA_WINDOW_MS - 1000 - 1));
	}
}

static void test_none(void **state)
{
	struct quota q = {0};

	(void)state;
	assert_false(quota_take(&q, 0, 0));
	assert_false(quota_take(&q, 0, UINT64_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_so_many_a_minute),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
