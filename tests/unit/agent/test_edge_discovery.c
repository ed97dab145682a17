/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>

#include "agent/edge_discovery.h"
#include "agent/settings.h"
#include "tests/unit/wire/dns_server.h"
#include "wire/resolve.h"

#define TRY_MS	  50
#define SHOWN_MAX 1024

static const struct dns_record records[] = {
	{"edge.test", DNS_A, "127.0.0.21"},
	{"edge.test", DNS_A, "127.0.0.22"},
	{"edge.test", DNS_AAAA, "::1"},
	{"four.test", DNS_A, "127.0.0.23"},
	{"_v2-origintunneld._tcp.argotunnel.com", DNS_SRV, "1 1 7844 region1.test"},
	{"_v2-origintunneld._tcp.argotunnel.com", DNS_SRV, "2 1 7845 region2.test"},
	{"_us-v2-origintunneld._tcp.argotunnel.com", DNS_SRV, "1 1 7846 region1.test"},
	{"blocked.test", DNS_A, "0.0.0.0"},
	{"blocked.test", DNS_AAAA, "::"},
	{"half-blocked.test", DNS_A, "224.0.0.1"},
	{"half-blocked.test", DNS_A, "127.0.0.41"},
	{"region1.test", DNS_A, "127.0.0.31"},
	{"region1.test", DNS_AAAA, "::1"},
	{"region2.test", DNS_A, "127.0.0.32"},
	{"_adit._tcp.site.test", DNS_SRV, "1 1 443 four.test"},
	{"_half._tcp.site.test", DNS_SRV, "1 1 443 nowhere.test"},
	{"_half._tcp.site.test", DNS_SRV, "2 1 443 four.test"},
	{NULL, 0, NULL},
};

struct fixture {
	uv_loop_t uv;
	struct dns_server dns;
	struct resolver *resolver;
	struct edge_discovery *d;
	struct settings settings;
	unsigned int n_calls;
	bool free_inside;
	int status;
	char *edges[8];
	char edges_text[SHOWN_MAX];
	char shown[SHOWN_MAX]; /* "edge@proxy=server name ..." */
	char text[SHOWN_MAX];
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	uv_loop_init(&f->uv);
	assert_true(dns_server_start(&f->dns, &f->uv, "127.0.0.1", records));
	assert_int_equal(resolver_new(&f->resolver, &f->uv, f->dns.address, TRY_MS), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	edge_discovery_free(f->d);
	resolver_free(f->resolver);
	dns_server_stop(&f->dns);
	uv_run(&f->uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->uv), 0);
	free(f);
	return 0;
}

static void on_found(void *ctx, int status, const struct edge_address *addrs, size_t n,
		     const char *text)
{
	struct fixture *f = ctx;
	char edge[EDGE_ADDRESS_TEXT_MAX], proxy[ENDPOINT_TEXT_MAX];
	size_t used = 0;

	f->n_calls++;
	f->status = status;
	snprintf(f->text, sizeof(f->text), "%s", text);
	f->shown[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		bool has_proxy = addrs[i].proxy.ip.family != 0;

		used += (size_t)snprintf(f->shown + used, sizeof(f->shown) - used, "%s%s%s%s=%s",
					 i ? " " : "", edge_address_format(&addrs[i], edge),
					 has_proxy ? "@" : "",
					 has_proxy ? endpoint_format(&addrs[i].proxy, proxy) : "",
					 addrs[i].server_name);
	}
	uv_stop(&f->uv);
	if (f->free_inside) {
		edge_discovery_free(f->d);
		f->d = NULL;
	}
}

/* @list: entries between commas. */
static void set_edges(struct fixture *f, const char *list)
{
	char *rest = f->edges_text;

	snprintf(f->edges_text, sizeof(f->edges_text), "%s", list);
	f->settings.edges = f->edges;
	f->settings.n_edges = 0;
	while (rest)
		f->edges[f->settings.n_edges++] = strsep(&rest, ",");
}

/* One round over @edges as the settings stand. */
static int discover(struct fixture *f, const char *region, const char *edges)
{
	set_edges(f, edges);
	edge_discovery_free(f->d);
	f->d = NULL;
	assert_int_equal(edge_discovery_new(&f->d, f->resolver, &f->settings, region), 0);
	f->n_calls = 0;
	assert_int_equal(edge_discovery_start(f->d, on_found, f), 0);
	/* The second start joins the first. */
	assert_int_equal(edge_discovery_start(f->d, on_found, f), 0);
	assert_int_equal(f->n_calls, 0);
	uv_run(&f->uv, UV_RUN_DEFAULT);
	assert_int_equal(f->n_calls, 1);
	return f->status;
}

/* The order of the addresses of one name is the resolver's business. */
static void assert_shown(const struct fixture *f, const char *part)
{
	if (!strstr(f->shown, part))
		fail_msg("\"%s\" is not in \"%s\"", part, f->shown);
}

static void test_literals(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(discover(f, "", "127.0.0.1:7844,[::1]:443,127.0.0.1:7844"), 0);
	assert_string_equal(f->shown, "127.0.0.1:7844=127.0.0.1 [::1]:443=::1");
	assert_string_equal(f->text, "");
	assert_int_equal(f->dns.n_queries, 0);
}

static void test_names(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(discover(f, "", "edge.test:7844,four.test:443"), 0);
	assert_shown(f, "127.0.0.21:7844=edge.test");
	assert_shown(f, "127.0.0.22:7844=edge.test");
	assert_shown(f, "[::1]:7844=edge.test");
	assert_shown(f, " 127.0.0.23:443=four.test");
}

static void test_cloudflare(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(discover(f, "", "cloudflare"), 0);
	assert_shown(f, "127.0.0.31:7844=h2.cftunnel.com");
	assert_shown(f, "[::1]:7844=h2.cftunnel.com");
	assert_shown(f, " 127.0.0.32:7845=h2.cftunnel.com");
	/* A region has other names; one record suffices. */
	assert_int_equal(discover(f, "us", "cloudflare"), 0);
	assert_shown(f, "127.0.0.31:7846=h2.cftunnel.com");
	assert_int_equal(discover(f, "fed", "cloudflare"), -ENOENT);
	assert_string_equal(f->text,
			    "_fed-v2-origintunneld._tcp.argotunnel.com (SRV): no such name");
}

static void test_srv(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(discover(f, "us", "srv:_adit._tcp.site.test"), 0);
	assert_string_equal(f->shown, "127.0.0.23:443=site.test");
	assert_int_equal(discover(f, "", "srv:_half._tcp.site.test"), 0);
	assert_string_equal(f->shown, "127.0.0.23:443=site.test");
	assert_string_equal(f->text, "nowhere.test: no such name");
}

static void test_server_name(void **state)
{
	struct fixture *f = *state;
	char name[] = "set.example.com";

	f->settings.edge_server_name = name;
	assert_int_equal(
		discover(f, "us", "127.0.0.1:1,four.test:2,cloudflare,srv:_adit._tcp.site.test"),
		0);
	assert_shown(f, "127.0.0.1:1=set.example.com 127.0.0.23:2=set.example.com ");
	assert_shown(f, "127.0.0.31:7846=set.example.com");
	assert_shown(f, "127.0.0.23:443=set.example.com");
}

static void test_families(void **state)
{
	struct fixture *f = *state;
	char four[] = "4";
	char six[] = "6";

	f->settings.edge_ip_version = six;
	assert_int_equal(discover(f, "", "edge.test:7844"), 0);
	assert_string_equal(f->shown, "[::1]:7844=edge.test");
	assert_int_equal(discover(f, "", "four.test:7844"), -EADDRNOTAVAIL);
	assert_non_null(strstr(f->text, "edge-ip-version"));
	f->settings.edge_ip_version = four;
	assert_int_equal(discover(f, "", "[::1]:7844,four.test:7844"), 0);
	assert_string_equal(f->shown, "127.0.0.23:7844=four.test");
	/* The address to bind to decides. */
	assert_int_equal(ip_parse("::1", &f->settings.edge_bind_address), 0);
	assert_int_equal(discover(f, "", "edge.test:7844"), 0);
	assert_string_equal(f->shown, "[::1]:7844=edge.test");
}

static void test_lies(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(discover(f, "", "blocked.test:1"), -EADDRNOTAVAIL);
	assert_non_null(strstr(f->text, "blocked.test: the name server says 0.0.0.0, which is no "
					"edge's address"));
	assert_non_null(strstr(f->text, "says ::,"));
	assert_int_equal(discover(f, "", "half-blocked.test:1"), 0);
	assert_string_equal(f->shown, "127.0.0.41:1=half-blocked.test");
	/* The file says these; no name server was asked. */
	assert_int_equal(discover(f, "", "0.0.0.0:1"), -EADDRNOTAVAIL);
	assert_string_equal(f->text, "0.0.0.0: no server can be reached at this address");
	assert_int_equal(discover(f, "", "[ff02::1]:1"), -EADDRNOTAVAIL);
	assert_string_equal(f->text, "ff02::1: no server can be reached at this address");
}

static void test_failures(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(discover(f, "", "nowhere.test:1,four.test:7844"), 0);
	assert_string_equal(f->shown, "127.0.0.23:7844=four.test");
	assert_string_equal(f->text, "nowhere.test: no such name");
	assert_int_equal(discover(f, "", "nowhere.test:1,x.silent:1"), -ENOENT);
	assert_string_equal(f->text,
			    "nowhere.test: no such name; x.silent: the name server did not answer");
	assert_string_equal(f->shown, "");
}

static void test_bad_entries(void **state)
{
	static const char *const bad[] = {"", "edge.test", "edge.test:0",
					  "srv:", "http://edge.test:1"};
	struct fixture *f = *state;
	char region[80];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		set_edges(f, bad[i]);
		assert_int_equal(edge_discovery_new(&f->d, f->resolver, &f->settings, ""), -EINVAL);
	}
	f->settings.n_edges = 0;
	assert_int_equal(edge_discovery_new(&f->d, f->resolver, &f->settings, ""), -EINVAL);
	memset(region, 'r', sizeof(region));
	region[sizeof(region) - 1] = '\0';
	set_edges(f, "cloudflare");
	assert_int_equal(edge_discovery_new(&f->d, f->resolver, &f->settings, region), -EINVAL);
	assert_null(f->d);
}

/* Names of the edge aren't looked up: "x.silent" would never be answered. */
static void test_proxy(void **state)
{
	static char literal[] = "socks5://127.0.0.9:1080", name[] = "http://edge.test:3128";
	static char nowhere[] = "http://nowhere.test:1", garbage[] = "http://edge.test";
	struct fixture *f = *state;

	f->settings.edge_proxy = literal;
	assert_int_equal(discover(f, "", "x.silent:7844,[::1]:1,10.0.0.1:2,x.silent:7844"), 0);
	assert_string_equal(f->shown, "x.silent:7844@127.0.0.9:1080=x.silent "
				      "[::1]:1@127.0.0.9:1080=::1 "
				      "10.0.0.1:2@127.0.0.9:1080=10.0.0.1");
	/* Each address of the proxy is a way. */
	f->settings.edge_proxy = name;
	assert_int_equal(discover(f, "", "x.silent:7844"), 0);
	assert_shown(f, "x.silent:7844@127.0.0.21:3128=x.silent");
	assert_shown(f, "x.silent:7844@127.0.0.22:3128=x.silent");
	assert_shown(f, "x.silent:7844@[::1]:3128=x.silent");
	/* The family is about the proxy. */
	assert_int_equal(ip_parse("::1", &f->settings.edge_bind_address), 0);
	assert_int_equal(discover(f, "", "x.silent:7844,10.0.0.1:1"), 0);
	assert_string_equal(f->shown, "x.silent:7844@[::1]:3128=x.silent "
				      "10.0.0.1:1@[::1]:3128=10.0.0.1");
	f->settings.edge_proxy = literal;
	assert_int_equal(discover(f, "", "x.silent:7844"), -EADDRNOTAVAIL);
	f->settings.edge_bind_address.family = 0;
	/* SRV records are ours to look up, their targets not. */
	assert_int_equal(discover(f, "", "srv:_half._tcp.site.test"), 0);
	assert_string_equal(f->shown, "nowhere.test:443@127.0.0.9:1080=site.test "
				      "four.test:443@127.0.0.9:1080=site.test");
	f->settings.edge_proxy = nowhere;
	assert_int_equal(discover(f, "", "four.test:1,10.0.0.1:1"), -ENOENT);
	assert_string_equal(f->text, "nowhere.test (edge-proxy): no such name");
	f->settings.edge_proxy = garbage;
	edge_discovery_free(f->d);
	f->d = NULL;
	assert_int_equal(edge_discovery_new(&f->d, f->resolver, &f->settings, ""), -EINVAL);
}

static void test_again_and_free(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(discover(f, "", "four.test:1"), 0);
	f->n_calls = 0;
	assert_int_equal(edge_discovery_start(f->d, on_found, f), 0);
	uv_run(&f->uv, UV_RUN_DEFAULT);
	assert_int_equal(f->n_calls, 1);
	assert_string_equal(f->shown, "127.0.0.23:1=four.test");
	f->free_inside = true;
	assert_int_equal(discover(f, "", "four.test:1"), 0);
	assert_null(f->d);
	/* Freed half-way. */
	set_edges(f, "edge.test:7844,cloudflare,x.silent:1");
	f->n_calls = 0;
	assert_int_equal(edge_discovery_new(&f->d, f->resolver, &f->settings, ""), 0);
	assert_int_equal(edge_discovery_start(f->d, on_found, f), 0);
	uv_run(&f->uv, UV_RUN_ONCE);
	edge_discovery_free(f->d);
	f->d = NULL;
	for (int i = 0; i < 5; i++)
		uv_run(&f->uv, UV_RUN_NOWAIT);
	assert_int_equal(f->n_calls, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_literals, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_names, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cloudflare, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_srv, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_server_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_families, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lies, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_failures, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_entries, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_proxy, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_again_and_free, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
