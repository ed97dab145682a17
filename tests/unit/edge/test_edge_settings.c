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

#include "base/diag.h"
#include "base/file.h"
#include "edge/edge_settings.h"

static char file[64];

static int make_file(void **state)
{
	int fd;

	(void)state;
	snprintf(file, sizeof(file), "/tmp/adit-test-XXXXXX");
	fd = mkstemp(file);
	return fd < 0 ? -1 : close(fd);
}

static int drop_file(void **state)
{
	(void)state;
	return unlink(file);
}

static struct edge_settings *load(const char *yaml, const struct edge_settings_overrides *o,
				  char out[2048])
{
	struct edge_settings *s = NULL;
	struct diag d;
	int r;

	assert_int_equal(file_replace(file, 0600, yaml, strlen(yaml)), 0);
	diag_init(&d, "f");
	r = edge_settings_load(&s, file, o, &d);
	diag_format(&d, out, 2048);
	assert_int_equal(r, d.n_errors ? -EINVAL : 0);
	diag_deinit(&d);
	return s;
}

static void test_defaults(void **state)
{
	char out[2048], text[ENDPOINT_TEXT_MAX];
	struct edge_settings *s = load("# nothing\n", NULL, out);

	(void)state;
	assert_string_equal(out, "");
	assert_int_equal(s->n_listen, 1);
	assert_string_equal(endpoint_format(&s->listen[0], text), "[::]:7844");
	assert_string_equal(s->state_dir, "/var/lib/adit-edge");
	assert_string_equal(s->control_socket, "/run/adit-edge/edge.sock");
	assert_string_equal(s->certificate_file, "/var/lib/adit-edge/cert.pem");
	assert_string_equal(s->key_file, "/var/lib/adit-edge/key.pem");
	assert_string_equal(s->ca_file, "/var/lib/adit-edge/ca.pem");
	assert_string_equal(s->location, "adit");
	assert_int_equal(s->duplicates, EDGE_DUPLICATES_REPLACE);
	assert_int_equal(s->drain_timeout_ms, 30000);
	assert_int_equal(s->route_hold_ms, 86400000);
	assert_int_equal(s->limits.handshakes_per_second, 200);
	assert_int_equal(s->limits.max_streams, 65536);
	assert_int_equal(s->limits.max_dials, 8192);
	assert_int_equal(s->limits.max_handshakes, 1024);
	assert_int_equal(s->limits.failures.burst, 20);
	assert_int_equal(s->limits.failures.per_minute, 10);
	edge_settings_free(s);
}

static void test_values_and_overrides(void **state)
{
	static const char *const listen[] = {"127.0.0.1:1", "[::1]:1"};
	const struct edge_settings_overrides o = {
		.listen = listen, .n_listen = 2, .state_dir = "/s", .log_level = "debug"};
	char out[2048];
	struct edge_settings *s = load("listen: [0.0.0.0:443]\nduplicates: reject\n"
				       "limits: {max-clients: 5}\nkey: /k.pem\nlocation: fra1\n",
				       &o, out);

	(void)state;
	assert_string_equal(out, "");
	assert_int_equal(s->n_listen, 2);
	assert_int_equal(s->listen[1].ip.family, AF_INET6);
	assert_int_equal(s->duplicates, EDGE_DUPLICATES_REJECT);
	assert_int_equal(s->limits.max_clients, 5);
	assert_int_equal(s->limits.max_connections, 4096);
	assert_string_equal(s->key_file, "/k.pem");
	assert_string_equal(s->certificate_file, "/s/cert.pem");
	assert_string_equal(s->location, "fra1");
	assert_int_equal(s->log_level, LOG_LEVEL_DEBUG);
	edge_settings_free(s);
}

static void test_bad_input_is_named(void **state)
{
	char out[2048];

	(void)state;
	assert_null(load("listen: edge.example.com:7844\nlimits: {max-clients: 0}\nroute-hld: 1h\n"
			 "drain-timeout: 11m\nduplicates: allow\n",
			 NULL, out));
	assert_string_equal(
		out,
		"f:1: listen: must be an address and a port, like 127.0.0.1:7844 or [::]:7844\n"
		"f:2: limits.max-clients: must be from 1 to 1000000\n"
		"f:3: route-hld: unknown key; did you mean \"route-hold\"?\n"
		"f:4: drain-timeout: must be from 0s to 10m\n"
		"f:5: duplicates: must be replace or reject\n");
	assert_null(load("listen: []\n", NULL, out));
	assert_string_equal(out, "f: listen: empty: give an address or remove the line\n");
	assert_null(load("listen: ['[::1]:1', '[0::1]:1']\n", NULL, out));
	assert_string_equal(out, "f: listen: [::1]:1 is given twice\n");
	assert_null(load("window-budget: 64MiB\nlimits: {max-connections: 1000, max-clients: 25}\n",
			 NULL, out));
	assert_string_equal(
		out, "f: window-budget: too small for the 1025 connections that limits allow: give "
		     "69MiB or lower max-connections and max-clients\n");
}

static void test_shown_settings_load_again(void **state)
{
	char out[2048], *shown[2] = {NULL, NULL};
	struct edge_settings *s = load("listen: ['127.0.0.1:1', '[::1]:2']\n", NULL, out);

	(void)state;
	for (int i = 0; i < 2; i++) {
		size_t n;
		FILE *f = open_memstream(&shown[i], &n);

		edge_settings_show(s, f);
		fclose(f);
		edge_settings_free(s);
		s = load(shown[i], NULL, out);
		assert_string_equal(out, "");
	}
	assert_string_equal(shown[0], shown[1]);
	edge_settings_free(s);
	free(shown[0]);
	free(shown[1]);
}

static void test_shipped_example(void **state)
{
	struct edge_settings *s = NULL;
	struct diag d;

	(void)state;
	diag_init(&d, NULL);
	assert_int_equal(edge_settings_load(&s, TEST_DIR "/../docs/edge.yml.example", NULL, &d), 0);
	assert_int_equal(d.n_items, 0);
	assert_int_equal(s->n_listen, 1);
	edge_settings_free(s);
	diag_deinit(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_values_and_overrides),
		cmocka_unit_test(test_bad_input_is_named),
		cmocka_unit_test(test_shown_settings_load_again),
		cmocka_unit_test(test_shipped_example),
	};

	return cmocka_run_group_tests(tests, make_file, drop_file);
}
