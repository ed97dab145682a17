/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "agent/edge_proxy.h"
#include "base/compiler.h"
#include "base/schema.h"

static void test_urls(void **state UNUSED)
{
	static const struct {
		const char *url;
		enum proxy_kind kind;
		const char *host;
		uint16_t port;
	} rows[] = {
		{"http://10.0.0.1:3128", PROXY_KIND_HTTP, "10.0.0.1", 3128},
		{"http://proxy.example:80", PROXY_KIND_HTTP, "proxy.example", 80},
		{"socks5://[2001:db8::1]:1080", PROXY_KIND_SOCKS5, "2001:db8::1", 1080},
	};
	char why[SCHEMA_WHY_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct edge_proxy p;

		assert_int_equal(edge_proxy_check(rows[i].url, why), 0);
		assert_int_equal(edge_proxy_parse(rows[i].url, &p), 0);
		assert_int_equal(p.kind, rows[i].kind);
		assert_string_equal(p.host, rows[i].host);
		assert_int_equal(p.port, rows[i].port);
		assert_string_equal(p.user, "");
	}
}

static void test_bad_urls(void **state UNUSED)
{
	static const struct {
		const char *url;
		const char *why;
	} rows[] = {
		{"", "must be http://"},
		{"10.0.0.1:3128", "must be http://"},
		{"https://proxy.example:443", "must be http://"},
		{"socks5h://proxy.example:1080", "must be http://"},
		{"http://proxy.example", "must be http://"},
		{"http://proxy.example:0", "must be http://"},
		{"http://:3128", "must be http://"},
		{"http:/proxy.example:3128", "must be http://"},
		{"http://u:hush@proxy.example:3128", "edge-proxy-credentials-file"},
		{"socks5://hush@proxy.example:1080", "edge-proxy-credentials-file"},
	};
	char why[SCHEMA_WHY_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(edge_proxy_check(rows[i].url, why), -EINVAL);
		assert_non_null(strstr(why, rows[i].why));
		assert_null(strstr(why, "hush"));
	}
}

static void test_files(void **state UNUSED)
{
	static const char *const good[] = {"proxy.cred", "/etc/adit/a:b", "./a:b", "../a:b"};
	char why[SCHEMA_WHY_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(edge_proxy_check_file(good[i], why), 0);
	assert_int_equal(edge_proxy_check_file("user:hu/sh", why), -EINVAL);
	assert_non_null(strstr(why, "path of a file"));
	assert_null(strstr(why, "hu/sh"));
}

static int parse(const char *text, struct edge_proxy *p)
{
	const char *why = NULL;
	int r;

	memset(p, 0, sizeof(*p));
	r = edge_proxy_parse_credentials(text, strlen(text), p, &why);
	if (r < 0) {
		assert_non_null(why);
		assert_string_equal(p->user, "");
		assert_string_equal(p->password, "");
	}
	return r;
}

static void test_credentials(void **state UNUSED)
{
	static const char *const good[] = {"u:p:w d", "u:p:w d\n", "u:p:w d\r\n"};
	static const char *const bad[] = {"",	  "\n",	     "user",	  "u:",	   ":p",
					  "u:\n", "u:p\n\n", "u:p\nmore", "u\t:p", "u:p\x7f"};
	char longest[2 * PROXY_CREDENTIAL_MAX + 3];
	struct edge_proxy p;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(parse(good[i], &p), 0);
		assert_string_equal(p.user, "u");
		assert_string_equal(p.password, "p:w d");
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse(bad[i], &p), -EINVAL);
	memset(longest, 'x', sizeof(longest));
	longest[PROXY_CREDENTIAL_MAX] = ':';
	longest[2 * PROXY_CREDENTIAL_MAX + 1] = '\0';
	assert_int_equal(parse(longest, &p), 0);
	longest[2 * PROXY_CREDENTIAL_MAX + 1] = 'x';
	longest[2 * PROXY_CREDENTIAL_MAX + 2] = '\0';
	assert_int_equal(parse(longest, &p), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_urls),
		cmocka_unit_test(test_bad_urls),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_credentials),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
