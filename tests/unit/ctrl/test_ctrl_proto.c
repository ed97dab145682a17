/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "ctrl/ctrl_proto.h"

static void test_call_lines(void **state)
{
	json_t *args = json_pack("{s:s}", "text", "two\nlines");
	char *plain = ctrl_call_format("status", NULL), *line = ctrl_call_format("x", args);
	struct ctrl_error error;
	struct ctrl_call call;

	(void)state;
	assert_string_equal(plain, "{\"v\":1,\"command\":\"status\"}\n");
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
	assert_int_equal(ctrl_call_parse(line, strlen(line) - 1, &call, &error), 0);
	assert_string_equal(call.command, "x");
	assert_true(json_equal(call.args, args));
	json_decref(call.root);
	assert_int_equal(ctrl_call_parse(plain, strlen(plain), &call, &error), 0);
	assert_int_equal(json_object_size(call.args), 0);
	json_decref(call.root);
	assert_null(ctrl_call_format("\xff", NULL));
	json_decref(args);
	free(plain);
	free(line);
}

static void test_reply_lines(void **state)
{
	char *empty = ctrl_reply_format_ok(NULL);
	char *error = ctrl_reply_format_error("not-found", "no \"x\"\n");

	(void)state;
	assert_string_equal(empty, "{\"v\":1,\"ok\":true,\"result\":{}}\n");
	assert_string_equal(error, "{\"v\":1,\"ok\":false,\"error\":{\"code\":\"not-found\","
				   "\"text\":\"no \\\"x\\\"\\n\"}}\n");
	free(empty);
	free(error);
}

static void expect_code(char *line, const char *code)
{
	struct ctrl_error error;
	json_t *result;

	assert_int_equal(ctrl_reply_parse(line, strlen(line), &result, &error),
			 CTRL_PROTO_E_REFUSED);
	assert_string_equal(error.code, code);
	free(line);
}

static void test_results_that_cannot_be_sent(void **state)
{
	char *text = malloc(CTRL_REPLY_MAX + 1);
	json_t *result;

	(void)state;
	memset(text, 'x', CTRL_REPLY_MAX);
	text[CTRL_REPLY_MAX] = '\0';
	result = json_pack("{s:s}", "text", text);
	expect_code(ctrl_reply_format_ok(result), "too-large");
	json_decref(result);
	free(text);

	result = json_object();
	json_object_set_new_nocheck(result, "text", json_string_nocheck("\xff"));
	expect_code(ctrl_reply_format_ok(result), "internal");
	json_decref(result);
}

static void test_long_error_is_cut(void **state)
{
	struct ctrl_error error;
	char text[6000];
	char *line;
	json_t *result;

	(void)state;
	memset(text, 'e', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	line = ctrl_reply_format_error("invalid", text);
	assert_int_equal(ctrl_reply_parse(line, strlen(line), &result, &error),
			 CTRL_PROTO_E_REFUSED);
	assert_int_equal(strlen(error.text), sizeof(error.text) - 1);
	free(line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_call_lines),
		cmocka_unit_test(test_reply_lines),
		cmocka_unit_test(test_results_that_cannot_be_sent),
		cmocka_unit_test(test_long_error_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
