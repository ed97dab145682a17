/* SPDX-License-Identifier: Apache-2.0 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "wire/peer_text.h"
#include "wire/proto.h"

static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < STREAM_ERROR_N; i++) {
		const struct stream_error_info *info = stream_error_info((enum stream_error)i);

		assert_non_null(info->name);
		assert_int_equal(strlen(info->status), 3);
		assert_true(info->text[0]);
		if (i == STREAM_ERROR_NONE)
			continue;
		assert_int_equal(stream_error_parse(info->name), i);
		assert_true(!strcmp(info->agent_status, "502") ||
			    !strcmp(info->agent_status, "503"));
	}
}

static void test_parse(void **state)
{
	(void)state;
	assert_int_equal(stream_error_parse(NULL), STREAM_ERROR_NONE);
	assert_int_equal(stream_error_parse(""), STREAM_ERROR_INTERNAL);
	assert_int_equal(stream_error_parse("Refused"), STREAM_ERROR_INTERNAL);
}

static void test_errno(void **state)
{
	(void)state;
	assert_int_equal(stream_error_of_errno(-ECONNREFUSED), STREAM_ERROR_REFUSED);
	assert_int_equal(stream_error_of_errno(-ETIMEDOUT), STREAM_ERROR_TIMEOUT);
	assert_int_equal(stream_error_of_errno(-EHOSTUNREACH), STREAM_ERROR_UNREACHABLE);
	assert_int_equal(stream_error_of_errno(-EINVAL), STREAM_ERROR_INTERNAL);
}

static void test_peer_text(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{"", ""},
		{"plain", "plain"},
		{"größer", "größer"},
		{"a\nb\x7f", "a?b?"},
		{"\xff\xc3", "??"},
		{"1234567890", "123456789"},
		{"12345678ö", "12345678"}, /* not half a character */
	};
	char out[10];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(peer_text_copy(out, sizeof(out), rows[i].in), rows[i].out);
	assert_true(peer_text_is_safe("größer"));
	assert_false(peer_text_is_safe("a\nb"));
	assert_false(peer_text_is_safe("\xc3"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_errno),
		cmocka_unit_test(test_peer_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
