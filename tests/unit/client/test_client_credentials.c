/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "client/client_credentials.h"

#define CA    "-----BEGIN CERTIFICATE-----\\nMIIB\\n-----END CERTIFICATE-----\\n"
#define TOKEN "adit_0123456789abcdef.5555555555555555"
#define FULL                                                                                       \
	"{\"version\":1,\"name\":\"eve\",\"email\":\"eve@example.com\","                           \
	"\"edges\":[\"edge.example.com:443\",\"[::1]:7844\"],\"ca\":\"" CA "\","                   \
	"\"token\":\"" TOKEN "\",\"server_name\":\"h2.example.com\",\"later\":{}}"

static struct client_credentials *parse(const char *text, char *why, size_t n_why)
{
	struct client_credentials *c = NULL;
	struct diag diag;
	int r;

	diag_init(&diag, NULL);
	r = client_credentials_parse(text, strlen(text), &c, &diag);
	assert_int_equal(r, c ? 0 : -EINVAL);
	assert_int_equal(diag.n_errors > 0, c == NULL);
	diag_format(&diag, why, n_why);
	diag_deinit(&diag);
	return c;
}

static void test_full(void **state)
{
	char why[1024];
	struct client_credentials *c = parse(FULL, why, sizeof(why));

	(void)state;
	assert_non_null(c);
	assert_string_equal(c->name, "eve");
	assert_string_equal(c->email, "eve@example.com");
	assert_int_equal(c->n_edges, 2);
	assert_string_equal(c->edges[0].host, "edge.example.com");
	assert_int_equal(c->edges[0].port, 443);
	assert_string_equal(c->edges[1].host, "::1");
	assert_int_equal(c->edges[1].port, 7844);
	assert_string_equal(c->token, TOKEN);
	assert_string_equal(c->server_name, "h2.example.com");
	assert_non_null(strstr(c->ca_pem, "MIIB"));
	client_credentials_free(c);
	client_credentials_free(NULL);
}

static void test_least(void **state)
{
	char why[1024];
	struct client_credentials *c =
		parse("{\"version\":1,\"name\":\"eve\",\"email\":null,"
		      "\"edges\":[\"127.0.0.1:1\"],\"ca\":\"" CA "\",\"token\":\"" TOKEN "\"}",
		      why, sizeof(why));

	(void)state;
	assert_non_null(c);
	assert_string_equal(c->email, "");
	assert_string_equal(c->server_name, "");
	client_credentials_free(c);
}

/* FULL with the value of @key replaced; "" takes the key out. */
static void replace(const char *key, const char *value, char *out, size_t n_out)
{
	static const char *const keys[] = {"version", "name",  "email",	     "edges",
					   "ca",      "token", "server_name"};
	static const char *const values[] = {
		"1", "\"eve\"", "\"e\"", "[\"e:1\"]", "\"" CA "\"", "\"" TOKEN "\"", "\"h2\"",
	};
	size_t used = (size_t)snprintf(out, n_out, "{");

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const char *v = strcmp(keys[i], key) == 0 ? value : values[i];

		if (*v)
			used += (size_t)snprintf(out + used, n_out - used, "%s\"%s\":%s",
						 used > 1 ? "," : "", keys[i], v);
	}
	snprintf(out + used, n_out - used, "}");
}

static const struct {
	const char *key;
	const char *value;
	bool is_good;
} rows[] = {
	{"", "", true},
	{"version", "", false},
	{"version", "2", false},
	{"version", "\"1\"", false},
	{"name", "", false},
	{"name", "7", false},
	{"name", "\"a\\nb\"", false},
	{"email", "", true},
	{"email", "[]", false},
	{"edges", "", false},
	{"edges", "[]", false},
	{"edges", "\"e:1\"", false},
	{"edges", "[\"e\"]", false},
	{"edges", "[\"e:0\"]", false},
	{"edges", "[\"e:1\",7]", false},
	{"edges", "[\"https://e:1\"]", false},
	{"edges", "[\"::1:443\"]", false},
	{"ca", "", false},
	{"ca", "\"\"", false},
	{"ca", "\"/etc/ssl/ca.pem\"", false},
	{"token", "", false},
	{"token", "null", false},
	{"token", "\"secretive\"", false},
	{"token", "\"adit_secretive x\"", false},
	{"token", "\"adit_secretive\\r\\nx: y\"", false},
	{"token", "\"adit_secretive\\u00e9\"", false},
	{"server_name", "", true},
	{"server_name", "\"::1\"", true},
	{"server_name", "\"192.0.2.1\"", true},
	{"server_name", "\"a b\"", false},
	{"server_name", "\"a:1\"", false},
};

static void test_fields(void **state)
{
	char text[1024], why[1024];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct client_credentials *c;

		replace(rows[i].key, rows[i].value, text, sizeof(text));
		c = parse(text, why, sizeof(why));
		if ((c != NULL) != rows[i].is_good)
			fail_msg("%s = %s", rows[i].key, rows[i].value);
		if (!c)
			assert_int_equal(strncmp(why, rows[i].key, strlen(rows[i].key)), 0);
		assert_null(strstr(why, "secretive"));
		client_credentials_free(c);
	}
}

static void test_not_an_object(void **state)
{
	static const char *const texts[] = {"", "[]", "7", "{", "{}x", "{\"a\":1,\"a\":2}", "\xff"};
	char why[1024];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_null(parse(texts[i], why, sizeof(why)));
}

static void test_too_long(void **state)
{
	char value[400], text[1024], why[1024];

	(void)state;
	memset(value, 'x', sizeof(value));
	memcpy(value, "\"adit_", 6);
	memcpy(value + sizeof(value) - 2, "\"", 2);
	replace("token", value, text, sizeof(text));
	assert_null(parse(text, why, sizeof(why)));
	replace("name", value, text, sizeof(text));
	assert_null(parse(text, why, sizeof(why)));
	replace("server_name", value, text, sizeof(text));
	assert_null(parse(text, why, sizeof(why)));
}

static void test_path(void **state)
{
	char path[CLIENT_PATH_MAX];

	(void)state;
	setenv("HOME", "/home/eve", 1);
	unsetenv("ADIT_CLIENT_CREDENTIALS");
	assert_int_equal(client_credentials_path(path), 0);
	assert_string_equal(path, "/home/eve/.config/adit/client.json");
	setenv("ADIT_CLIENT_CREDENTIALS", "/x/y.json", 1);
	assert_int_equal(client_credentials_path(path), 0);
	assert_string_equal(path, "/x/y.json");
	setenv("ADIT_CLIENT_CREDENTIALS", "", 1);
	unsetenv("HOME");
	assert_int_equal(client_credentials_path(path), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full),	 cmocka_unit_test(test_least),
		cmocka_unit_test(test_fields),	 cmocka_unit_test(test_not_an_object),
		cmocka_unit_test(test_too_long), cmocka_unit_test(test_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
