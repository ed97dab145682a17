/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "client/exit_code.h"

static void test_every_refusal_has_one(void **state)
{
	(void)state;
	for (unsigned int e = STREAM_ERROR_NONE + 1; e < STREAM_ERROR_N; e++) {
		int code = (int)client_exit_of_stream_error((enum stream_error)e);

		assert_true(code >= 10 && code <= 24);
		assert_non_null(client_exit_text(code));
	}
}

static void test_every_link_end_has_one(void **state)
{
	(void)state;
	for (unsigned int why = 0; why < LINK_END_N; why++)
		assert_non_null(client_exit_text((int)client_exit_of_link_end((enum link_end)why)));
	assert_int_equal(client_exit_of_link_end(LINK_END_CERTIFICATE), CLIENT_EXIT_CERTIFICATE);
}

static void test_list(void **state)
{
	char text[4096], cut[20];

	(void)state;
	assert_null(client_exit_text(9));
	client_exit_list(text, sizeof(text));
	assert_int_equal(strncmp(text, "  0  both", 9), 0);
	assert_non_null(strstr(text, "\n 20  the edge's certificate is not valid\n"));
	client_exit_list(cut, sizeof(cut));
	assert_int_equal(strlen(cut), sizeof(cut) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_refusal_has_one),
		cmocka_unit_test(test_every_link_end_has_one),
		cmocka_unit_test(test_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
