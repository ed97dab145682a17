/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/diag.h"
#include "client/up_settings.h"

static const struct up_overrides none;

/* A file with @text is loaded; on failure all findings are in @why. */
static int load(const char *text, const struct up_overrides *o, struct up_settings **sp, char *why,
		size_t n_why)
{
	char path[] = "/tmp/adit-test-up-XXXXXX";
	struct diag diag;
	int fd = mkstemp(path);
	int r;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	diag_init(&diag, "client.yml");
	r = up_settings_load(sp, path, o, &diag);
	diag_format(&diag, why, n_why);
	diag_deinit(&diag);
	unlink(path);
	return r;
}

static void test_defaults(void **state UNUSED)
{
	CLEANUP(up_settings_free) struct up_settings *s = NULL;
	struct diag diag;

	diag_init(&diag, NULL);
	assert_int_equal(up_settings_load(&s, NULL, &none, &diag), 0);
	diag_deinit(&diag);
	assert_int_equal(s->mode, UP_MODE_INCLUDE);
	assert_int_equal(s->n_includes, 0);
	assert_int_equal(s->instance, 0);
	assert_true(s->local_networks_win);
	assert_string_equal(s->runtime_dir, UP_RUNTIME_DIRECTORY);
	assert_string_equal(s->resolvectl, "/usr/bin/resolvectl");
}

static void test_a_whole_file(void **state UNUSED)
{
	static const char text[] = "virtual-networks: [prod, staging]\n"
				   "include: [10.1.0.0/16, 10.2.0.7]\n"
				   "local-networks-win: off\n"
				   "instance: 5\n"
				   "addresses: [100.97.4.0/24, fd12:3456::/64]\n"
				   "dns:\n"
				   "  - domain: Corp.Example\n"
				   "    servers: [10.1.0.53, \"[fd00::53]:5353\"]\n"
				   "    virtual-network: prod\n";
	CLEANUP(up_settings_free) struct up_settings *s = NULL;
	char why[2048];

	assert_int_equal(load(text, &none, &s, why, sizeof(why)), 0);
	assert_int_equal(s->n_networks, 2);
	assert_int_equal(s->n_includes, 2);
	assert_int_equal(s->includes[1].bits, 32);
	assert_false(s->local_networks_win);
	assert_int_equal(s->instance, 5);
	assert_int_equal(s->n_addresses, 2);
	assert_int_equal(s->n_dns, 1);
	assert_string_equal(s->dns[0].domain, "corp.example");
	assert_int_equal(s->dns[0].n_servers, 2);
	assert_int_equal(s->dns[0].servers[0].port, 53);
	assert_int_equal(s->dns[0].servers[1].port, 5353);
}

static void test_flags_beat_the_file(void **state UNUSED)
{
	const char *const excludes[] = {"default"};
	const struct up_overrides o = {
		.excludes = excludes, .n_excludes = 1, .instance = "7", .log_level = "debug"};
	CLEANUP(up_settings_free) struct up_settings *s = NULL;
	char why[2048];

	assert_int_equal(load("instance: 1\n", &o, &s, why, sizeof(why)), 0);
	assert_int_equal(s->instance, 7);
	assert_int_equal(s->mode, UP_MODE_EXCLUDE);
	assert_int_equal(s->n_excludes, 0);
	assert_int_equal(s->log_level, LOG_LEVEL_DEBUG);
}

static void test_bad_values_say_where_and_why(void **state UNUSED)
{
	static const struct {
		const char *text;
		const char *why;
	} rows[] = {
		{"exclude: 10.0.0.0/8\n", "mode: exclude"},
		{"include: 10.0.0.1/8\n", "10.0.0.0/8 is meant"},
		{"addresses: 10.0.0.0/24\n", "100.96.0.0/12"},
		{"addresses: [100.96.0.0/24, 100.97.0.0/24]\n", "one network per family"},
		{"instance: 64\n", "instance"},
		{"dns: [{domain: a..b, servers: 10.0.0.1}]\n", "domain"},
		{"dns: [{domain: -a.b, servers: 10.0.0.1}]\n", "domain"},
		{"dns: [{domain: a.b-, servers: 10.0.0.1}]\n", "domain"},
		{"dns: [{domain: a.b}]\n", "servers"},
		{"dns: [{domain: a.b, servers: 100.96.0.2}]\n", "adit up itself"},
		{"dns: [{domain: a.b, servers: \"100.96.0.1:5353\"}]\n", "adit up itself"},
		{"instance: 3\ndns: [{domain: a.b, servers: 100.96.3.2}]\n", "adit up itself"},
		{"addresses: fd00:7::/64\ndns: [{domain: a.b, servers: \"fd00:7::2\"}]\n",
		 "adit up itself"},
		{"dns:\n- {domain: a.b, servers: 10.0.0.1}\n- {domain: A.b, servers: 10.0.0.2}\n",
		 "client.yml:3: dns: domain: a.b is there twice"},
		{"resolvectl: bin/resolvectl\n", "absolute"},
		{"dns: [{domain: a.b, servers: ns.example}]\n", "servers"},
		{"edge: edge.example\n", "HOST:PORT"},
		{"virtual-networks: [\"a b\"]\n", "virtual-networks"},
		{"includes: 10.0.0.0/8\n", "did you mean \"include\""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct up_settings *s = NULL;
		char why[2048];

		assert_true(load(rows[i].text, &none, &s, why, sizeof(why)) < 0);
		if (!strstr(why, rows[i].why))
			fail_msg("%s: %s", rows[i].text, why);
	}
}

static void test_socket_paths(void **state UNUSED)
{
	char path[UP_SOCKET_PATH_MAX], folder[200];

	assert_int_equal(up_socket_path("/run/adit-client", 12, path), 0);
	assert_string_equal(path, "/run/adit-client/12/up.sock");
	memset(folder, 'a', sizeof(folder));
	folder[sizeof(folder) - 1] = '\0';
	assert_true(up_socket_path(folder, 0, path) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_a_whole_file),
		cmocka_unit_test(test_flags_beat_the_file),
		cmocka_unit_test(test_bad_values_say_where_and_why),
		cmocka_unit_test(test_socket_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
