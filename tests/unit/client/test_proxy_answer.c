/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "client/http_connect.h"
#include "client/proxy_answer.h"

static void test_rows(void **state UNUSED)
{
	static const struct {
		enum client_exit why;
		unsigned int socks;
		unsigned int http;
	} rows[] = {
		{CLIENT_EXIT_OK, 0, 200},	   {CLIENT_EXIT_NOT_GRANTED, 2, 403},
		{CLIENT_EXIT_FORBIDDEN, 2, 403},   {CLIENT_EXIT_NO_NETWORK, 2, 403},
		{CLIENT_EXIT_NO_ROUTE, 3, 502},	   {CLIENT_EXIT_CONNECTOR_DOWN, 3, 503},
		{CLIENT_EXIT_UNREACHABLE, 4, 502}, {CLIENT_EXIT_NAME, 4, 502},
		{CLIENT_EXIT_REFUSED, 5, 502},	   {CLIENT_EXIT_TIMEOUT, 6, 504},
		{CLIENT_EXIT_EDGE, 1, 502},	   {CLIENT_EXIT_LIMIT, 1, 503},
		{CLIENT_EXIT_USAGE, 1, 500},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(proxy_answer_socks(rows[i].why), rows[i].socks);
		assert_int_equal(proxy_answer_http(rows[i].why), rows[i].http);
	}
}

/* Only success looks like success, and every refusal has its reason phrase. */
static void test_all(void **state UNUSED)
{
	for (int code = 1; code < 100; code++) {
		unsigned int status = proxy_answer_http((enum client_exit)code);
		char out[HTTP_RESPONSE_MAX], head[32];

		assert_int_not_equal(proxy_answer_socks((enum client_exit)code), SOCKS_REPLY_OK);
		assert_true(status >= 400);
		(void)http_response_format(status, "x", out);
		snprintf(head, sizeof(head), "HTTP/1.1 %u ", status);
		assert_int_equal(strncmp(out, head, strlen(head)), 0);
		assert_int_equal(!!strstr(out, "HTTP Version"), status == 505);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
