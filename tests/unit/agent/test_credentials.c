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
#include <unistd.h>

#include "agent/credentials.h"
#include "agent/settings.h"
#include "base/compiler.h"
#include "base/diag.h"
#include "base/file.h"
#include "wire/tls_crypto.h"

#define ID	"6ff42ae2-765d-4adf-8112-31c55c1551ef"
#define ID2	"11111111-2222-3333-4444-555555555555"
#define SECRET	"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=" /* 32 bytes */
#define JSON(s) "{\"AccountTag\":\"acc\",\"TunnelSecret\":\"" s "\",\"TunnelID\":\"" ID "\"}"

static char folder[64];

static int make_folder(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/adit-test-XXXXXX");
	return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int drop_folder(void **state)
{
	(void)state;
	unlink("c");
	unlink("token");
	unlink("credentials.json");
	return rmdir(folder);
}

static int parse(const char *text, struct credentials *c, char out[1024])
{
	struct diag d;
	int r;

	diag_init(&d, NULL);
	memset(c, 0, sizeof(*c));
	r = credentials_parse_json(text, strlen(text), c, &d);
	diag_format(&d, out, 1024);
	diag_deinit(&d);
	return r;
}

static void expect_id(const struct credentials *c, const char *id)
{
	char text[UUID_TEXT_MAX];

	assert_string_equal(uuid_format(&c->tunnel_id, text), id);
}

static void test_json(void **state)
{
	struct credentials c;
	char out[1024];

	(void)state;
	assert_int_equal(parse(JSON(SECRET), &c, out), 0);
	assert_string_equal(out, "");
	assert_string_equal(c.account_tag, "acc");
	assert_string_equal(c.endpoint, "");
	assert_int_equal(c.n_secret, 32);
	assert_memory_equal(c.secret, "0123456789abcdef0123456789abcdef", 32);
	expect_id(&c, ID);
	assert_int_equal(parse("{\"accounttag\":\"a\",\"TUNNELSECRET\":\"" SECRET
			       "\",\"tunnelId\":\"" ID "\",\"Endpoint\":\"fed\",\"TunnelName\":5}",
			       &c, out),
			 0);
	assert_string_equal(c.endpoint, "fed");
	assert_int_equal(parse("{\"TunnelSecret\":\"" SECRET "\",\"Endpoint\":null}", &c, out), 0);
	assert_true(uuid_is_nil(&c.tunnel_id));
}

static const struct {
	const char *json;
	const char *text;
} bad[] = {
	{"", "not a JSON object (line 1)\n"},
	{"{\n\"a\": TOPSECRET}", "not a JSON object (line 2)\n"},
	{"[]", "not a JSON object (line 1)\n"},
	{"{}", "TunnelSecret: missing\n"},
	{JSON(""), "TunnelSecret: must be of 16 to 256 bytes\n"},
	{JSON("MDEyMzQ1Njc4OWFiY2Rl"), "TunnelSecret: must be of 16 to 256 bytes\n"},
	{JSON("TOPSECRET"), "TunnelSecret: not valid base64\n"},
	{JSON("MDEyMzQ1Njc4OWFiY2RlZg"), "TunnelSecret: not valid base64\n"},
	{JSON("MDEyMzQ1Njc4OWFi Y2RlZg=="), "TunnelSecret: not valid base64\n"},
	{"{\"TunnelSecret\":5}", "TunnelSecret: must be a text\n"},
	{"{\"TunnelSecret\":\"" SECRET "\",\"TunnelSecret\":\"" SECRET "\"}",
	 "not a JSON object (line 1)\n"},
	{"{\"TunnelSecret\":\"" SECRET "\",\"tunnelsecret\":\"" SECRET "\"}",
	 "TunnelSecret: given twice\n"},
	{"{\"TunnelSecret\":\"" SECRET "\",\"TunnelID\":\"office\"}",
	 "TunnelID: not a tunnel id (8-4-4-4-12 hex digits)\n"},
	{"{\"TunnelSecret\":\"" SECRET "\",\"TunnelID\":\"00000000-0000-0000-0000-000000000000\"}",
	 "TunnelID: not a tunnel id (8-4-4-4-12 hex digits)\n"},
	{"{\"TunnelSecret\":\"" SECRET "\",\"Endpoint\":\"a.b\"}",
	 "Endpoint: not a region (letters, digits and \"-\")\n"},
	{"{\"TunnelSecret\":\"" SECRET "\",\"AccountTag\":\"a\\nb\"}",
	 "AccountTag: must be of at most 127 printable characters\n"},
	{"{\"TunnelSecret\":\"x\",\"TunnelID\":\"y\"}",
	 "TunnelSecret: not valid base64\nTunnelID: not a tunnel id (8-4-4-4-12 hex digits)\n"},
};

static void test_bad_json(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct credentials c;
		char out[1024];

		assert_int_equal(parse(bad[i].json, &c, out), -EINVAL);
		if (strcmp(out, bad[i].text) != 0)
			fail_msg("%s: %s", bad[i].json, out);
		assert_null(strstr(out, "TOPSECRET"));
		assert_int_equal(c.n_secret, 0);
	}
}

static void test_secret_sizes(void **state)
{
	static const struct {
		size_t n;
		int r;
	} sizes[] = {{15, -EINVAL}, {16, 0},	    {17, 0},	    {255, 0},
		     {256, 0},	    {257, -EINVAL}, {300, -EINVAL}, {2000, -EINVAL}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		char base64[2800], json[3000], out[1024];
		uint8_t bytes[2000];
		struct credentials c;

		memset(bytes, 'x', sizeof(bytes));
		base64_encode(bytes, sizes[i].n, base64);
		snprintf(json, sizeof(json), "{\"TunnelSecret\":\"%s\"}", base64);
		assert_int_equal(parse(json, &c, out), sizes[i].r);
		if (sizes[i].r)
			assert_string_equal(out, "TunnelSecret: must be of 16 to 256 bytes\n");
		else
			assert_int_equal(c.n_secret, sizes[i].n);
	}
}

static void token_of(const char *json, char out[1024])
{
	base64_encode(json, strlen(json), out);
}

static int parse_token(const char *text, struct credentials *c, char out[1024])
{
	struct diag d;
	int r;

	diag_init(&d, NULL);
	memset(c, 0, sizeof(*c));
	r = credentials_parse_token(text, strlen(text), c, &d);
	diag_format(&d, out, 1024);
	diag_deinit(&d);
	return r;
}

static void test_token(void **state)
{
	char token[1024], spaced[1100], out[1024];
	struct credentials c;

	(void)state;
	token_of("{\"a\":\"acc\",\"t\":\"" ID "\",\"s\":\"" SECRET "\",\"e\":\"us\"}", token);
	snprintf(spaced, sizeof(spaced), " %s\r\n", token);
	assert_int_equal(parse_token(spaced, &c, out), 0);
	assert_string_equal(c.account_tag, "acc");
	assert_string_equal(c.endpoint, "us");
	assert_int_equal(c.n_secret, 32);
	expect_id(&c, ID);
	token[strlen(token) / 2] = '\0';
	assert_int_equal(parse_token(token, &c, out), -EINVAL);
	token_of("{\"a\":\"acc\",\"s\":\"" SECRET "\"}", token);
	assert_int_equal(parse_token(token, &c, out), -EINVAL);
	assert_string_equal(out, "t: missing\n");
	assert_int_equal(c.n_secret, 0);
	assert_int_equal(parse_token("", &c, out), -EINVAL);
	assert_string_equal(out, "not a token (base64): is it copied whole?\n");
	assert_int_equal(parse_token("TOPSECRET", &c, out), -EINVAL);
	assert_string_equal(out, "not a token (base64): is it copied whole?\n");
	assert_int_equal(parse_token("dG9wLXNlY3JldA==", &c, out), -EINVAL);
	assert_string_equal(out, "not a token\n");
}

/* ---- sources ---- */

static int load(const struct settings *s, struct credentials *c, char out[1024])
{
	struct diag d;
	int r;

	diag_init(&d, NULL);
	memset(c, 0, sizeof(*c));
	r = credentials_load(c, s, &d);
	diag_format(&d, out, 1024);
	assert_int_equal(r != 0, d.n_errors > 0);
	diag_deinit(&d);
	return r;
}

static void put(const char *path, unsigned int mode, const char *text)
{
	assert_int_equal(file_replace(path, mode, text, strlen(text)), 0);
}

static void test_sources_in_their_order(void **state)
{
	char credentials_file[] = "c", token[1024], out[1024];
	struct settings s = {.credentials_file = credentials_file};
	struct credentials c;

	(void)state;
	put("c", 0600, JSON(SECRET));
	assert_int_equal(load(&s, &c, out), 0);
	assert_string_equal(c.account_tag, "acc");
	put("credentials.json", 0440,
	    "{\"AccountTag\":\"dir\",\"TunnelSecret\":\"" SECRET "\",\"TunnelID\":\"" ID "\"}");
	setenv("CREDENTIALS_DIRECTORY", folder, 1);
	assert_int_equal(load(&s, &c, out), 0);
	assert_string_equal(c.account_tag, "dir");
	token_of("{\"a\":\"tok\",\"t\":\"" ID "\",\"s\":\"" SECRET "\"}", token);
	put("token", 0400, token);
	assert_int_equal(load(&s, &c, out), 0);
	assert_string_equal(c.account_tag, "tok");
	token_of("{\"a\":\"env\",\"t\":\"" ID "\",\"s\":\"" SECRET "\"}", token);
	setenv("TUNNEL_TOKEN", token, 1);
	assert_int_equal(load(&s, &c, out), 0);
	assert_string_equal(c.account_tag, "env");
	assert_null(getenv("TUNNEL_TOKEN"));
	setenv("TUNNEL_TOKEN", "", 1);
	assert_int_equal(load(&s, &c, out), 0);
	assert_string_equal(c.account_tag, "tok");
	put("token", 0400, "broken");
	assert_int_equal(load(&s, &c, out), -EINVAL);
	assert_non_null(strstr(out, "/token: not a token (base64)"));
	unsetenv("CREDENTIALS_DIRECTORY");
	put("c", 0600, token);
	assert_int_equal(load(&s, &c, out), 0);
	assert_string_equal(c.account_tag, "env");
	credentials_wipe(&c);
	assert_int_equal(c.n_secret, 0);
}

static void test_bad_sources_are_named(void **state)
{
	char credentials_file[] = "c";
	struct settings s = {0};
	struct credentials c;
	char out[1024];

	(void)state;
	assert_int_equal(load(&s, &c, out), -EINVAL);
	assert_non_null(strstr(out, "no credentials: add the line \"credentials-file: FILE\""));
	s.credentials_file = credentials_file;
	put("c", 0644, JSON(SECRET));
	assert_int_equal(load(&s, &c, out), -EPERM);
	assert_non_null(strstr(out, "run: chmod 600 'c'"));
	put("c", 0600, JSON("TOPSECRET"));
	assert_int_equal(load(&s, &c, out), -EINVAL);
	assert_string_equal(out, "c: TunnelSecret: not valid base64\n");
	unlink("c");
	assert_int_equal(load(&s, &c, out), -ENOENT);
	assert_string_equal(out, "c: can't be opened: No such file or directory\n");
}

static void test_home_folder(void **state)
{
	char credentials_file[] = "~/c";
	struct settings s = {.credentials_file = credentials_file};
	struct credentials c;
	char out[1024];

	(void)state;
	put("c", 0600, JSON(SECRET));
	setenv("HOME", folder, 1);
	assert_int_equal(load(&s, &c, out), 0);
}

static void test_tunnel_must_fit(void **state)
{
	char credentials_file[] = "c", id[] = ID, other[] = ID2, name[] = "office";
	struct settings s = {.credentials_file = credentials_file, .tunnel = id};
	struct credentials c;
	char out[1024];

	(void)state;
	put("c", 0600, JSON(SECRET));
	assert_int_equal(load(&s, &c, out), 0);
	s.tunnel = name;
	assert_int_equal(load(&s, &c, out), 0);
	s.tunnel = other;
	assert_int_equal(load(&s, &c, out), -EINVAL);
	assert_string_equal(out, "tunnel: " ID2 ", but the credentials are those of tunnel " ID
				 ": remove the line or use the other credentials\n");
	assert_int_equal(c.n_secret, 0);
	put("c", 0600, "{\"TunnelSecret\":\"" SECRET "\"}");
	assert_int_equal(load(&s, &c, out), 0);
	expect_id(&c, ID2);
	s.tunnel = name;
	assert_int_equal(load(&s, &c, out), -EINVAL);
	assert_string_equal(
		out, "tunnel: the credentials have no TunnelID: add the line \"tunnel: ID\"\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_bad_json),
		cmocka_unit_test(test_secret_sizes),
		cmocka_unit_test(test_token),
		cmocka_unit_test(test_sources_in_their_order),
		cmocka_unit_test(test_bad_sources_are_named),
		cmocka_unit_test(test_home_folder),
		cmocka_unit_test(test_tunnel_must_fit),
	};

	return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
