/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "client/capture_private.h"

/* Nothing but a target that refuses may look like one to the application. */
static void test_only_refused_looks_refused(void **state UNUSED)
{
	for (unsigned int e = STREAM_ERROR_NONE + 1; e < STREAM_ERROR_N; e++)
		assert_int_equal(capture_refusal((enum stream_error)e) == NAT_REFUSED,
				 e == STREAM_ERROR_REFUSED);
}

static void test_ping_unavailable_is_prohibited(void **state UNUSED)
{
	assert_int_equal(capture_refusal(STREAM_ERROR_PING_UNAVAILABLE), NAT_FORBIDDEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_refused_looks_refused),
		cmocka_unit_test(test_ping_unavailable_is_prohibited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
