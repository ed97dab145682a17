/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "agent/dispatch.h"
#include "base/compiler.h"

struct kind_case {
	const char *upgrade;
	const char *proxy_src;
	enum stream_kind kind;
};

/* First match wins; values are exact. */
static const struct kind_case cases[] = {
	{NULL, NULL, STREAM_KIND_HTTP},
	{"control-stream", NULL, STREAM_KIND_CONTROL},
	{"control-stream", "", STREAM_KIND_CONTROL},
	{"control-stream", "1.2.3.4", STREAM_KIND_TCP},
	{NULL, "1.2.3.4", STREAM_KIND_TCP},
	{NULL, "", STREAM_KIND_HTTP},
	{"", "x", STREAM_KIND_TCP},
	{"bogus", "x", STREAM_KIND_TCP},
	{"bogus", NULL, STREAM_KIND_HTTP},
	{"websocket", NULL, STREAM_KIND_WEBSOCKET},
	{"websocket", "1.2.3.4", STREAM_KIND_WEBSOCKET},
	{"WebSocket", NULL, STREAM_KIND_HTTP},
	{"update-configuration", NULL, STREAM_KIND_CONFIG},
	{"update-configuration", "1.2.3.4", STREAM_KIND_CONFIG},
	{"update-configuration ", NULL, STREAM_KIND_HTTP},
	{"Control-Stream", NULL, STREAM_KIND_HTTP},
	{"control-stream2", NULL, STREAM_KIND_HTTP},
};

static void test_precedence(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(stream_kind_of(cases[i].upgrade, cases[i].proxy_src),
				 cases[i].kind);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_precedence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
