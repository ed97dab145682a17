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

#include "agent/settings.h"
#include "agent/settings_rows.h"
#include "base/compiler.h"
#include "base/diag.h"
#include "base/file.h"
#include "wire/proto.h"

#define EDGE "edge: localhost:7844\n"

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

/* The messages, without the file's name, into @out. */
static int load(const char *yaml, struct settings **sp, char out[4096])
{
	struct diag d;
	int r;

	assert_int_equal(file_replace(file, 0600, yaml, strlen(yaml)), 0);
	diag_init(&d, "f");
	*sp = NULL;
	r = settings_load(sp, file, NULL, &d);
	diag_format(&d, out, 4096);
	assert_int_equal(r != 0, d.n_errors > 0);
	diag_deinit(&d);
	return r;
}

static struct settings *load_well(const char *yaml)
{
	struct settings *s;
	char out[4096];

	if (load(yaml, &s, out) != 0)
		fail_msg("%s", out);
	assert_string_equal(out, "");
	return s;
}

static void test_defaults(void **state)
{
	struct settings *s = load_well(EDGE);

	(void)state;
	assert_null(s->tunnel);
	assert_null(s->credentials_file);
	assert_int_equal(s->n_edges, 1);
	assert_string_equal(s->edges[0], "localhost:7844");
	assert_int_equal(s->edge_bind_address.family, 0);
	assert_string_equal(s->edge_ip_version, "auto");
	assert_int_equal(s->ha_connections, 4);
	assert_int_equal(s->grace_period_ms, 30000);
	assert_false(s->exit_on_auth_failure);
	assert_true(s->remote_config);
	assert_int_equal(s->warp_routing.connect_timeout_ms, 5000);
	assert_int_equal(s->warp_routing.tcp_keep_alive_ms, 30000);
	assert_int_equal(s->warp_routing.max_active_flows, 32768);
	assert_int_equal(s->max_dials, 4096);
	assert_int_equal(s->max_udp_flows, 16384);
	assert_int_equal(s->log_level, LOG_LEVEL_INFO);
	assert_int_equal(s->log_format, LOG_FORMAT_TEXT);
	assert_string_equal(s->control_socket, "/run/adit/adit.sock");
	assert_string_equal(s->state_dir, "/var/lib/adit");
	assert_int_equal(s->buffer_budget_bytes, 64 << 20);
	assert_int_equal(s->window_budget_bytes, 256 << 20);
	assert_int_equal(s->max_frame_bytes, 256 << 10);
	settings_free(s);
}

static void test_routes(void **state)
{
	struct settings *s = load_well(EDGE "virtual-networks:\n"
					    "  - {name: lab, comment: Test machines}\n"
					    "routes:\n"
					    "  - network: 10.0.0.0/8\n"
					    "  - network: 10.116.0.3\n"
					    "    virtual-network: lab\n"
					    "    comment: the ssh host\n"
					    "    via: 127.0.0.1:2222\n"
					    "    ports: [22, 8000-8100]\n"
					    "  - {network: fd00::1, via: ':22'}\n"
					    "  - {network: 10.116.0.4, via: '::1', ports: 22}\n"
					    "  - {network: 127.0.0.1}\n"
					    "  - {network: 0.0.0.0/0}\n"
					    "allow:\n"
					    "  - {network: 192.168.0.0/16, ports: '443'}\n");
	struct route_setting *r = s->routes;

	(void)state;
	assert_int_equal(s->n_vnets, 1);
	assert_string_equal(s->vnets[0].comment, "Test machines");
	assert_int_equal(s->n_routes, 6);
	assert_false(r[0].has_via);
	assert_int_equal(r[0].network.bits, 8);
	assert_int_equal(r[0].ports.n, 0);
	assert_int_equal(r[1].network.bits, 32);
	assert_string_equal(r[1].virtual_network, "lab");
	assert_string_equal(r[1].comment, "the ssh host");
	assert_true(r[1].has_via);
	assert_int_equal(r[1].via.port, 2222);
	assert_int_equal(r[1].ports.n, 2);
	assert_int_equal(r[1].line, 6);
	assert_int_equal(r[2].via.ip.family, 0);
	assert_int_equal(r[2].via.port, 22);
	assert_int_equal(r[3].via.ip.family, AF_INET6);
	assert_int_equal(s->n_allows, 1);
	assert_true(ports_contain(&s->allows[0].ports, 443));
	settings_free(s);
}

static const struct {
	const char *yaml;
	const char *text;
} bad[] = {
	{"tunnel: x\n",
	 "f: edge: missing; add the line \"edge: HOST:7844\" with the host of your adit-edge "
	 "(or \"edge: cloudflare\"), or give --edge HOST:7844 or TUNNEL_EDGE\n"},
	{"edge: edge.example.com\n", "f:1: edge: needs a port: edge.example.com:7844\n"},
	{"edge: ['a:1', 'fd00::1']\n", "f:1: edge: needs a port: [fd00::1]:7844\n"},
	{"edge: https://edge.example.com\n",
	 "f:1: edge: must be HOST:PORT, cloudflare or srv:NAME\n"},
	{"edge: 'srv:'\n", "f:1: edge: srv: needs a name, like srv:example.com\n"},
	{EDGE "edge-server-name: a:1\n",
	 "f:2: edge-server-name: must be a host name or an address, without a port\n"},
	{EDGE "edge-ip-version: 5\n", "f:2: edge-ip-version: must be auto, 4 or 6\n"},
	{EDGE "edge-bind-address: 10.0.0.1\nedge-ip-version: 6\n",
	 "f: edge-bind-address: is not an IPv6 address, which edge-ip-version asks for\n"},
	{EDGE "resolver: dns.example.com\n",
	 "f:2: resolver: must be addresses with or without a port, like 10.0.0.53 or "
	 "[::1]:5353\n"},
	{EDGE "ha-connections: 0\n", "f:2: ha-connections: must be from 1 to 16\n"},
	{EDGE "grace-period: 3m1s\n", "f:2: grace-period: must be from 0s to 3m\n"},
	{EDGE "loglevel: loud\n", "f:2: loglevel: must be debug, info, warn, error or fatal\n"},
	{EDGE "credential-file: x\n",
	 "f:2: credential-file: unknown key; did you mean \"credentials-file\"?\n"},
	{EDGE "warpRouting: {}\n",
	 "f:2: warpRouting: unknown key; did you mean \"warp-routing\"?\n"},
	{EDGE "warp-routing: {connect-timeout: 1s}\n",
	 "f:2: warp-routing.connect-timeout: unknown key; did you mean \"connectTimeout\"?\n"},
	{EDGE "routes:\n - network: 10.1.2.3/8\n",
	 "f:3: routes[0].network: 10.1.2.3/8 has bits set behind the prefix: 10.0.0.0/8 is "
	 "meant, or the single address 10.1.2.3\n"},
	{EDGE "routes:\n - network: office\n",
	 "f:3: routes[0].network: must be an address or a prefix, like 10.116.0.3 or "
	 "10.0.0.0/8\n"},
	{EDGE "routes:\n - network: 127.0.0.0/8\n",
	 "f:3: routes[0].network: 127.0.0.0/8 is never served as a whole (loopback): name "
	 "single addresses\n"},
	{EDGE "routes:\n - network: fe80::/64\n",
	 "f:3: routes[0].network: fe80::/64 is never served as a whole (link-local): name "
	 "single addresses\n"},
	{EDGE "allow:\n - network: 64:ff9b::e000:0/110\n",
	 "f:3: allow[0].network: 64:ff9b::e000:0/110 is never served as a whole (multicast): "
	 "name single addresses\n"},
	{EDGE "routes:\n - comment: none\n", "f:3: routes[0].network: missing\n"},
	{EDGE "routes:\n - network: 10.0.0.0/8\n   via: 10.1.1.1\n",
	 "f:3: routes[0].via: 10.0.0.0/8 is not a single address, so it can't have one "
	 "target\n"},
	{EDGE "routes:\n - network: 10.0.0.1\n   via: 127.0.0.1\n",
	 "f:3: routes[0].via: would open every port of this host itself: name one (via: "
	 "\"...:22\") or list ports\n"},
	{EDGE "routes:\n - network: 10.0.0.1\n   via: localhost:22\n",
	 "f:4: routes[0].via: must be an address, an address and a port, or a port, like "
	 "10.0.0.1, 127.0.0.1:22 or :2222\n"},
	{EDGE "routes:\n - network: 10.0.0.1\n   via: 224.0.0.1:22\n",
	 "f:4: routes[0].via: 224.0.0.1:22 can't be a target (multicast)\n"},
	{EDGE "routes:\n - network: 10.0.0.1\n   via: 0.0.0.0:22\n",
	 "f:4: routes[0].via: 0.0.0.0:22 can't be a target (this host)\n"},
	{EDGE "routes:\n - network: 10.0.0.1\n   ports: 0\n",
	 "f:4: routes[0].ports: must be ports from 1 to 65535 or ranges, like 22,8000-8100\n"},
	{EDGE "routes:\n - network: 10.0.0.0/8\n - network: fd00::/8\n - network: 10.0.0.0/8\n",
	 "f:5: routes[2].network: 10.0.0.0/8 is on line 3 already\n"},
	{EDGE "routes:\n - {network: 10.0.0.1, virtual-network: a}\n"
	      " - {network: 10.0.0.1/32, virtual-network: a}\n - {network: 10.0.0.1}\n",
	 "f:4: routes[1].network: 10.0.0.1/32 of virtual network a is on line 3 already\n"},
	{EDGE "virtual-networks: [{name: a}, {name: b}, {name: a}]\n",
	 "f:2: virtual-networks[2].name: a is on line 2 already\n"},
	{EDGE "virtual-networks: [{name: 'a b'}]\n",
	 "f:2: virtual-networks[0].name: must be of letters, digits, \".\", \"_\" and \"-\"\n"},
	{"edge: [\n", "f:2: not valid YAML: did not find expected node content\n"},
	{"tunnel: 5\nha-connections: 99\nedge: nowhere\nodd: 1\n",
	 "f:2: ha-connections: must be from 1 to 16\nf:3: edge: needs a port: nowhere:7844\n"
	 "f:4: odd: unknown key\n"},
};

static void test_bad_input_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct settings *s;
		char out[4096];

		assert_int_equal(load(bad[i].yaml, &s, out), -EINVAL);
		if (strcmp(out, bad[i].text) != 0)
			fail_msg("\"%s\":\n%snot\n%s", bad[i].yaml, out, bad[i].text);
		assert_null(s);
	}
}

static void test_missing_file(void **state)
{
	struct settings *s = NULL;
	struct diag d;
	char out[256];

	(void)state;
	diag_init(&d, "/nowhere/config.yml");
	assert_int_equal(settings_load(&s, "/nowhere/config.yml", NULL, &d), -EINVAL);
	diag_format(&d, out, sizeof(out));
	assert_string_equal(out, "/nowhere/config.yml: can't be read: No such file or directory\n");
	diag_deinit(&d);
}

/* ---- cloudflared's files ---- */

static const struct {
	const char *name;
	const char *const *warnings; /* keys, in the order of the lines */
} shapes[] = {
	{"ingress", (const char *const[]){"originRequest", "ingress", NULL}},
	{"warp-routing", (const char *const[]){"protocol", "warp-routing.enabled", NULL}},
	{"service", (const char *const[]){"metrics", "no-autoupdate", "protocol", "post-quantum",
					  "ingress", NULL}},
	{"ssh", (const char *const[]){"url", "ingress", NULL}},
	{"logging",
	 (const char *const[]){"logfile", "log-directory", "transport-loglevel", "retries",
			       "autoupdate-freq", "pidfile", "tag", "region", "icmpv4-src", NULL}},
};

static struct settings *load_shape(const char *name, const struct settings_overrides *o,
				   struct diag *d, int *rp)
{
	struct settings *s = NULL;
	char path[512];

	snprintf(path, sizeof(path), "%s/data/cloudflared/%s.yml", TEST_DIR, name);
	diag_init(d, "f");
	*rp = settings_load(&s, path, o, d);
	return s;
}

static void test_cloudflared_shapes(void **state)
{
	static const char *const edges[] = {"localhost:7844"};
	const struct settings_overrides o = {.edges = edges, .n_edges = 1};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		struct settings *s;
		struct diag d;
		size_t n = 0;
		int r;

		s = load_shape(shapes[i].name, &o, &d, &r);
		assert_int_equal(r, 0);
		for (; shapes[i].warnings[n]; n++) {
			size_t n_key = strlen(shapes[i].warnings[n]);

			assert_true(n < d.n_items);
			assert_int_equal(d.items[n].kind, DIAG_WARNING);
			assert_memory_equal(d.items[n].text, shapes[i].warnings[n], n_key);
			assert_int_equal(d.items[n].text[n_key], ':');
		}
		assert_int_equal(d.n_items, n);
		assert_non_null(s->tunnel);
		assert_non_null(s->credentials_file);
		settings_free(s);
		diag_deinit(&d);
	}
}

static void test_cloudflared_shapes_lack_only_the_edge(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		struct diag d;
		int r;

		assert_null(load_shape(shapes[i].name, NULL, &d, &r));
		assert_int_equal(r, -EINVAL);
		assert_int_equal(d.n_errors, 1);
		assert_memory_equal(d.items[0].text, "edge: missing; add the line", 27);
		diag_deinit(&d);
	}
}

static void test_cloudflared_values_count(void **state)
{
	struct settings *s;
	struct diag d;
	int r;

	(void)state;
	setenv("TUNNEL_EDGE", "a:1,b:2", 1);
	s = load_shape("logging", NULL, &d, &r);
	assert_int_equal(r, 0);
	assert_int_equal(s->n_edges, 2);
	assert_int_equal(s->log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(s->log_format, LOG_FORMAT_JSON);
	assert_int_equal(s->warp_routing.max_active_flows, 500);
	settings_free(s);
	diag_deinit(&d);
	s = load_shape("warp-routing", NULL, &d, &r);
	assert_int_equal(s->warp_routing.connect_timeout_ms, 10000);
	assert_int_equal(s->warp_routing.tcp_keep_alive_ms, 90000);
	assert_int_equal(s->warp_routing.max_active_flows, 1000);
	settings_free(s);
	diag_deinit(&d);
	unsetenv("TUNNEL_EDGE");
}

/* What a newcomer starts from has no problem and no warning. */
static void test_shipped_example(void **state)
{
	struct settings *s = NULL;
	struct diag d;

	(void)state;
	diag_init(&d, NULL);
	assert_int_equal(settings_load(&s, TEST_DIR "/../docs/config.yml.example", NULL, &d), 0);
	assert_int_equal(d.n_items, 0);
	assert_true(s->n_routes > 0);
	settings_free(s);
	diag_deinit(&d);
}

/* ---- sources ---- */

static void test_flags_beat_environment_beats_file(void **state)
{
	static const char *const edges[] = {"flag:1", "[::1]:2"};
	const struct settings_overrides o = {
		.edges = edges, .n_edges = 2, .log_level = "error", .control_socket = "/tmp/s"};
	static const char yaml[] = "edge: file:1\nloglevel: debug\ngrace-period: 1s\n"
				   "credentials-file: /file\ncacert: /file.pem\n";
	struct settings *s = NULL;
	struct diag d;

	(void)state;
	setenv("TUNNEL_EDGE", "env:1", 1);
	setenv("TUNNEL_LOGLEVEL", "warn", 1);
	setenv("TUNNEL_GRACE_PERIOD", "2s", 1);
	setenv("TUNNEL_CRED_FILE", "/env", 1);
	setenv("TUNNEL_CACERT", "", 1);
	s = load_well(yaml);
	assert_string_equal(s->edges[0], "env:1");
	assert_int_equal(s->log_level, LOG_LEVEL_WARN);
	settings_free(s);
	diag_init(&d, NULL);
	assert_int_equal(settings_load(&s, file, &o, &d), 0);
	assert_int_equal(s->n_edges, 2);
	assert_string_equal(s->edges[1], "[::1]:2");
	assert_int_equal(s->log_level, LOG_LEVEL_ERROR);
	assert_int_equal(s->grace_period_ms, 2000);
	assert_string_equal(s->credentials_file, "/env");
	assert_string_equal(s->edge_ca_file, "/file.pem");
	assert_string_equal(s->control_socket, "/tmp/s");
	settings_free(s);
	setenv("TUNNEL_EDGE", "nowhere", 1);
	assert_int_equal(settings_load(&s, NULL, NULL, &d), -EINVAL);
	assert_int_equal(d.n_items, 1);
	assert_string_equal(d.items[0].text,
			    "environment variable TUNNEL_EDGE: needs a port: nowhere:7844");
	diag_deinit(&d);
	unsetenv("TUNNEL_EDGE");
	unsetenv("TUNNEL_LOGLEVEL");
	unsetenv("TUNNEL_GRACE_PERIOD");
	unsetenv("TUNNEL_CRED_FILE");
	unsetenv("TUNNEL_CACERT");
}

static void test_shown_settings_load_again(void **state)
{
	struct settings *s =
		load_well(EDGE "routes:\n"
			       "  - {network: 10.0.0.1, via: '[::1]:22', comment: 'a: b'}\n"
			       "  - {network: 10.0.0.2, via: ':22', ports: 1-2}\n"
			       "virtual-networks: [{name: lab}]\n"
			       "allow: [{network: 10.0.0.0/8}]\n"
			       "resolver: ['10.0.0.53', '[::1]:53']\n");
	char *shown[2] = {NULL, NULL};
	char restart[64];

	(void)state;
	for (int i = 0; i < 2; i++) {
		size_t n;
		FILE *out = open_memstream(&shown[i], &n);
		struct settings *again;

		settings_show(s, out);
		fclose(out);
		again = load_well(shown[i]);
		assert_int_equal(settings_diff_restart(s, again, restart, sizeof(restart)), 0);
		settings_free(s);
		s = again;
	}
	assert_string_equal(shown[0], shown[1]);
	assert_non_null(strstr(shown[0], "edge: [\"localhost:7844\"]\n"));
	assert_non_null(strstr(shown[0], "# cacert: the system's roots\n"));
	settings_free(s);
	free(shown[0]);
	free(shown[1]);
}

static void test_restart_keys(void **state)
{
	struct settings *a = load_well(EDGE "routes: [{network: 10.0.0.1}]\nloglevel: debug\n");
	struct settings *b = load_well("edge: other:1\nroutes: []\nha-connections: 2\n"
				       "max-active-flows: 5\ngrace-period: 1s\n");
	char out[64];

	(void)state;
	assert_int_equal(settings_diff_restart(a, b, out, sizeof(out)), 2);
	assert_string_equal(out, "edge, ha-connections");
	settings_free(a);
	settings_free(b);
}

/* Every reloadable key, once: what `adit reload` tells. */
static void test_changed_keys(void **state)
{
	static const struct {
		const char *key;
		const char *from;
		const char *to;
	} rows[] = {
		{"grace-period", "grace-period: 1s\n", "grace-period: 2s\n"},
		{"exit-on-auth-failure", "", "exit-on-auth-failure: on\n"},
		{"remote-config", "", "remote-config: off\n"},
		{"warp-routing", "", "warp-routing: {connectTimeout: 3s}\n"},
		{"warp-routing", "max-active-flows: 1\n", "max-active-flows: 2\n"},
		{"max-udp-flows", "", "max-udp-flows: 7\n"},
		{"max-dials", "", "max-dials: 7\n"},
		{"virtual-networks", "", "virtual-networks: [{name: a}]\n"},
		{"virtual-networks", "virtual-networks: [{name: a}]\n",
		 "virtual-networks: [{name: a, comment: b}]\n"},
		{"routes", "routes: [{network: 10.0.0.1}]\n", "routes: [{network: 10.0.0.2}]\n"},
		{"routes", "routes: [{network: 10.0.0.1}]\n",
		 "routes: [{network: 10.0.0.1, comment: c}]\n"},
		{"routes", "routes: [{network: 10.0.0.1}]\n",
		 "routes: [{network: 10.0.0.1, virtual-network: v}]\n"},
		{"routes", "routes: [{network: 10.0.0.1, via: '127.0.0.1:22'}]\n",
		 "routes: [{network: 10.0.0.1, via: '127.0.0.1:23'}]\n"},
		{"routes", "routes: [{network: 10.0.0.1}]\n",
		 "routes: [{network: 10.0.0.1, ports: [22]}]\n"},
		{"allow", "", "allow: [{network: 10.0.0.0/8}]\n"},
		{"allow", "allow: [{network: 10.0.0.0/8}]\n",
		 "allow: [{network: 10.0.0.0/8, ports: '80'}]\n"},
		{"loglevel", "", "loglevel: warn\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char from[256], to[256];
		struct settings *a, *b;
		size_t at = 0;

		snprintf(from, sizeof(from), EDGE "%s", rows[i].from);
		snprintf(to, sizeof(to), EDGE "%s", rows[i].to);
		a = load_well(from);
		b = load_well(to);
		assert_string_equal(settings_next_change(a, b, &at), rows[i].key);
		assert_null(settings_next_change(a, b, &at));
		settings_free(a);
		settings_free(b);
	}
}

static void test_route_limit(void **state)
{
	struct settings *s;
	char *yaml, out[4096];
	size_t n;
	FILE *f;

	(void)state;
	f = open_memstream(&yaml, &n);
	fputs(EDGE "virtual-networks: [{name: a}]\nroutes:\n", f);
	for (int i = 0; i < ROUTES_MAX; i++)
		fprintf(f, "- network: 10.0.%d.%d\n", i / 256, i % 256);
	fclose(f);
	assert_int_equal(load(yaml, &s, out), -EINVAL);
	assert_string_equal(out, "f: routes: 16385 with the virtual networks, at most 16384 are "
				 "possible\n");
	yaml[strlen(EDGE "virtual-networks: [")] = ']';
	yaml[strlen(EDGE "virtual-networks: [") + 1] = '#';
	if (load(yaml, &s, out) != 0)
		fail_msg("%s", out);
	assert_int_equal(s->n_routes, ROUTES_MAX);
	settings_free(s);
	free(yaml);
}

/* ---- the tables themselves ---- */

static void check_table(const struct schema *s)
{
	for (size_t i = 0; i < s->n_rows; i++) {
		const struct schema_row *row = &s->rows[i];

		assert_true(row->doc && strlen(row->doc) > 3);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(row->key, s->rows[j].key);
		if (row->nested)
			check_table(row->nested);
	}
}

static void test_table(void **state)
{
	(void)state;
	check_table(&settings_schema);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_bad_input_is_named),
		cmocka_unit_test(test_missing_file),
		cmocka_unit_test(test_cloudflared_shapes),
		cmocka_unit_test(test_cloudflared_shapes_lack_only_the_edge),
		cmocka_unit_test(test_cloudflared_values_count),
		cmocka_unit_test(test_shipped_example),
		cmocka_unit_test(test_flags_beat_environment_beats_file),
		cmocka_unit_test(test_shown_settings_load_again),
		cmocka_unit_test(test_restart_keys),
		cmocka_unit_test(test_changed_keys),
		cmocka_unit_test(test_route_limit),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, make_file, drop_file);
}
