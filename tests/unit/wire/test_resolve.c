/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <malloc.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/wire/dns_server.h"
#include "wire/resolve.h"

/* c-ares waits at least a quarter of a second whatever it is told. */
#define TRY_MS 50

static const struct dns_record records[] = {
	{"one.test", DNS_A, "127.0.0.11"},
	{"six.test", DNS_AAAA, "::1"},
	{"both.test", DNS_A, "127.0.0.12"},
	{"both.test", DNS_AAAA, "::1"},
	{"three.test", DNS_A, "127.0.0.13"},
	{"three.test", DNS_A, "127.0.0.14"},
	{"three.test", DNS_A, "127.0.0.15"},
	{"alias.test", DNS_CNAME, "one.test"},
	{"one.forged", DNS_A, "127.0.0.16"},
	{"one.truncated", DNS_A, "127.0.0.17"},
	{"text.test", DNS_CNAME, "nowhere.test"},
	{"_t._tcp.test", DNS_SRV, "10 0 7844 b.test"},
	{"_t._tcp.test", DNS_SRV, "5 3 7843 a.test"},
	{"_none._tcp.test", DNS_SRV, "0 0 0 ."},
	{"_cut._tcp.truncated", DNS_SRV, "1 1 7845 c.test"},
	{"many.test", DNS_A, "127.0.1.1"},
	{"many.test", DNS_A, "127.0.1.2"},
	{"many.test", DNS_A, "127.0.1.3"},
	{"many.test", DNS_A, "127.0.1.4"},
	{"many.test", DNS_A, "127.0.1.5"},
	{"many.test", DNS_A, "127.0.1.6"},
	{"many.test", DNS_A, "127.0.1.7"},
	{"many.test", DNS_A, "127.0.1.8"},
	{"many.test", DNS_A, "127.0.1.9"},
	{"many.test", DNS_A, "127.0.1.10"},
	{"many.test", DNS_A, "127.0.1.11"},
	{"many.test", DNS_A, "127.0.1.12"},
	{"many.test", DNS_A, "127.0.1.13"},
	{"many.test", DNS_A, "127.0.1.14"},
	{"many.test", DNS_A, "127.0.1.15"},
	{"many.test", DNS_A, "127.0.1.16"},
	{"many.test", DNS_A, "127.0.1.17"},
	{"many.test", DNS_A, "127.0.1.18"},
	{NULL, 0, NULL},
};

struct fixture {
	uv_loop_t uv;
	struct dns_server dns;
	struct resolver *r;
	struct resolve_query *query;
	unsigned int n_calls;
	bool free_resolver; /* from the callback */
	int status;
	size_t n;
	struct ip_addr ips[RESOLVE_MAX];
	struct resolve_srv srv[RESOLVE_MAX];
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	uv_loop_init(&f->uv);
	assert_true(dns_server_start(&f->dns, &f->uv, "127.0.0.1", records));
	assert_int_equal(resolver_new(&f->r, &f->uv, f->dns.address, TRY_MS), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	resolver_free(f->r);
	dns_server_stop(&f->dns);
	uv_run(&f->uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->uv), 0);
	free(f);
	return 0;
}

static void note(struct fixture *f, int status, size_t n)
{
	f->n_calls++;
	f->status = status;
	f->n = n;
	uv_stop(&f->uv);
	if (f->free_resolver) {
		resolver_free(f->r);
		f->r = NULL;
	}
}

static void on_host(void *ctx, int status, const struct ip_addr *ips, size_t n)
{
	struct fixture *f = ctx;

	memcpy(f->ips, ips, n * sizeof(*ips));
	note(f, status, n);
}

static void on_srv(void *ctx, int status, const struct resolve_srv *srv, size_t n)
{
	struct fixture *f = ctx;

	memcpy(f->srv, srv, n * sizeof(*srv));
	note(f, status, n);
}

static void run_until_called(struct fixture *f)
{
	uv_run(&f->uv, UV_RUN_DEFAULT);
	assert_int_equal(f->n_calls, 1);
}

static int host(struct fixture *f, const char *name)
{
	f->n_calls = 0;
	assert_int_equal(resolve_host(f->r, name, on_host, f, &f->query), 0);
	assert_int_equal(f->n_calls, 0);
	run_until_called(f);
	return f->status;
}

static int srv(struct fixture *f, const char *name)
{
	f->n_calls = 0;
	assert_int_equal(resolve_srv(f->r, name, on_srv, f, &f->query), 0);
	assert_int_equal(f->n_calls, 0);
	run_until_called(f);
	return f->status;
}

static bool found(const struct fixture *f, const char *text)
{
	struct ip_addr ip;

	assert_int_equal(ip_parse(text, &ip), 0);
	for (size_t i = 0; i < f->n; i++) {
		if (ip_equal(&f->ips[i], &ip))
			return true;
	}
	return false;
}

static void test_addresses(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(host(f, "one.test"), 0);
	assert_int_equal(f->n, 1);
	assert_true(found(f, "127.0.0.11"));
	assert_int_equal(host(f, "six.test"), 0);
	assert_int_equal(f->n, 1);
	assert_true(found(f, "::1"));
	assert_int_equal(host(f, "both.test"), 0);
	assert_int_equal(f->n, 2);
	assert_true(found(f, "::1") && found(f, "127.0.0.12"));
	assert_int_equal(host(f, "three.test"), 0);
	assert_int_equal(f->n, 3);
	assert_int_equal(host(f, "alias.test"), 0);
	assert_int_equal(f->n, 1);
	assert_true(found(f, "127.0.0.11"));
	assert_int_equal(host(f, "many.test"), 0);
	assert_int_equal(f->n, RESOLVE_MAX);
}

static void test_literal(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(host(f, "127.0.0.9"), 0);
	assert_true(f->n == 1 && found(f, "127.0.0.9"));
	assert_int_equal(host(f, "::1"), 0);
	assert_true(f->n == 1 && found(f, "::1"));
	assert_int_equal(f->dns.n_queries, 0);
}

static void test_localhost_is_nobodys_to_say(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(host(f, "localhost"), 0);
	assert_int_equal(f->n, 2);
	assert_true(found(f, "127.0.0.1") && found(f, "::1"));
	assert_int_equal(host(f, "a.LocalHost"), 0);
	assert_int_equal(f->n, 2);
	assert_true(found(f, "127.0.0.1") && found(f, "::1"));
	assert_int_equal(f->dns.n_queries, 0);
	/* Others only look like it. */
	assert_int_equal(host(f, "notlocalhost"), -ENOENT);
	assert_int_equal(host(f, "localhost.test"), -ENOENT);
	assert_true(f->dns.n_queries > 0);
}

static void test_failures(void **state)
{
	struct fixture *f = *state;
	char long_name[300];

	assert_int_equal(host(f, "nowhere.test"), -ENOENT);
	assert_string_equal(resolve_status_text(f->status), "no such name");
	assert_int_equal(f->n, 0);
	assert_int_equal(host(f, "_t._tcp.test"), -ENODATA);
	assert_int_equal(host(f, "text.test"), -ENODATA);
	assert_int_equal(host(f, "a..b"), -EINVAL);
	assert_int_equal(host(f, "x.servfail"), -ECONNREFUSED);
	assert_int_equal(host(f, "x.refused"), -ECONNREFUSED);
	assert_int_equal(host(f, "x.silent"), -ETIMEDOUT);
	assert_true(host(f, "x.garbage") < 0);
	memset(long_name, 'a', sizeof(long_name));
	long_name[sizeof(long_name) - 1] = '\0';
	assert_int_equal(resolve_host(f->r, long_name, on_host, f, &f->query), -EINVAL);
	/* And it still works. */
	assert_int_equal(host(f, "one.test"), 0);
}

static void test_forged_answer_is_ignored(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(host(f, "one.forged"), 0);
	assert_int_equal(f->n, 1);
	assert_true(found(f, "127.0.0.16"));
}

static void test_long_answer_comes_by_tcp(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(host(f, "one.truncated"), 0);
	assert_true(f->n == 1 && found(f, "127.0.0.17"));
	assert_true(f->dns.n_tcp_queries > 0);
	assert_int_equal(srv(f, "_cut._tcp.truncated"), 0);
	assert_int_equal(f->n, 1);
	assert_int_equal(f->srv[0].port, 7845);
}

static void test_srv(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(srv(f, "_t._tcp.test"), 0);
	assert_int_equal(f->n, 2);
	assert_string_equal(f->srv[0].target, "a.test");
	assert_int_equal(f->srv[0].port, 7843);
	assert_int_equal(f->srv[0].priority, 5);
	assert_int_equal(f->srv[0].weight, 3);
	assert_string_equal(f->srv[1].target, "b.test");
	assert_int_equal(srv(f, "_none._tcp.test"), -ENODATA);
	assert_int_equal(srv(f, "_missing._tcp.test"), -ENOENT);
	assert_int_equal(srv(f, "one.test"), -ENODATA);
	assert_int_equal(srv(f, "_x.servfail"), -ECONNREFUSED);
	assert_int_equal(srv(f, "_x.silent"), -ETIMEDOUT);
	assert_true(srv(f, "_x.garbage") < 0);
}

static void test_cancel(void **state)
{
	struct fixture *f = *state;
	struct resolve_query *silent;
	struct resolve_query *answered;

	assert_int_equal(resolve_host(f->r, "x.silent", on_host, f, &silent), 0);
	/* A literal is answered before the return, but not delivered yet. */
	assert_int_equal(resolve_host(f->r, "127.0.0.1", on_host, f, &answered), 0);
	resolve_cancel(silent);
	resolve_cancel(answered);
	resolve_cancel(NULL);
	assert_int_equal(host(f, "one.test"), 0);
}

static void test_freed_while_running(void **state)
{
	struct fixture *f = *state;
	struct resolve_query *q;

	assert_int_equal(resolve_host(f->r, "x.silent", on_host, f, &q), 0);
	assert_int_equal(resolve_srv(f->r, "_x.silent", on_srv, f, &q), 0);
	assert_int_equal(resolve_host(f->r, "127.0.0.1", on_host, f, &q), 0);
	assert_int_equal(resolve_host(f->r, "y.silent", on_host, f, &q), 0);
	resolve_cancel(q);
	uv_run(&f->uv, UV_RUN_NOWAIT);
	f->n_calls = 0;
	resolver_free(f->r);
	f->r = NULL;
	for (int i = 0; i < 5; i++)
		uv_run(&f->uv, UV_RUN_NOWAIT);
	assert_int_equal(f->n_calls, 0);
}

/* Under a sanitizer mallinfo2() counts nothing; elsewhere a channel would show. */
static void test_idle_costs_little(void **state)
{
	struct fixture *f = *state;
	size_t before = mallinfo2().uordblks;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(host(f, "one.test"), 0);
		assert_in_range(mallinfo2().uordblks, 0, before + 4096);
	}
	assert_int_equal(srv(f, "_x.silent"), -ETIMEDOUT);
	assert_in_range(mallinfo2().uordblks, 0, before + 4096);
}

static void test_freed_from_callback(void **state)
{
	struct fixture *f = *state;
	struct resolve_query *q;

	f->free_resolver = true;
	assert_int_equal(resolve_host(f->r, "127.0.0.1", on_host, f, &q), 0);
	assert_int_equal(resolve_host(f->r, "::1", on_host, f, &q), 0);
	assert_int_equal(host(f, "one.test"), 0);
	assert_null(f->r);
}

static void test_server_list(void **state)
{
	static const char *const bad[] = {
		"",
		",",
		"dns.test",
		"127.0.0.1:0",
		"127.0.0.1:99999",
		"::1:",
		"127.0.0.1,",
		"[::1]",
		"1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1,1.1.1.1",
	};
	struct fixture *f = *state;
	struct resolver *r = NULL;
	char list[128];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(resolver_new(&r, &f->uv, bad[i], TRY_MS), -EINVAL);
	assert_null(r);
	assert_int_equal(resolver_new(&r, &f->uv, "::1, 127.0.0.1", TRY_MS), 0);
	resolver_free(r);
	/* The second server is asked when the first is not there. */
	snprintf(list, sizeof(list), "127.0.0.1:1,%s", f->dns.address);
	resolver_free(f->r);
	assert_int_equal(resolver_new(&f->r, &f->uv, list, TRY_MS), 0);
	assert_int_equal(host(f, "one.test"), 0);
	assert_true(found(f, "127.0.0.11"));
}

static void test_no_server(void **state)
{
	struct fixture *f = *state;

	resolver_free(f->r);
	assert_int_equal(resolver_new(&f->r, &f->uv, "127.0.0.1:1", TRY_MS), 0);
	/* Which of the two depends on what the last of the tries met. */
	assert_true(host(f, "one.test") == -ECONNREFUSED || f->status == -ETIMEDOUT);
}

static void test_server_on_ipv6(void **state)
{
	struct fixture *f = *state;
	struct dns_server dns;

	if (!dns_server_start(&dns, &f->uv, "::1", records)) {
		dns_server_stop(&dns);
		uv_run(&f->uv, UV_RUN_NOWAIT);
		skip();
	}
	resolver_free(f->r);
	assert_int_equal(resolver_new(&f->r, &f->uv, dns.address, TRY_MS), 0);
	assert_int_equal(host(f, "both.test"), 0);
	assert_int_equal(f->n, 2);
	assert_int_equal(f->dns.n_queries, 0);
	dns_server_stop(&dns);
	uv_run(&f->uv, UV_RUN_NOWAIT);
}

/* ---- the order of SRV records ---- */

static void test_srv_order_by_priority(void **state)
{
	const uint32_t randoms[4] = {0};
	struct resolve_srv r[4] = {
		{.port = 1, .priority = 20},
		{.port = 2, .priority = 10},
		{.port = 3, .priority = 65535},
		{.port = 4, .priority = 0},
	};
	static const uint16_t ports[] = {4, 2, 1, 3};

	(void)state;
	resolve_srv_order(r, 4, randoms);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(r[i].port, ports[i]);
	resolve_srv_order(r, 0, randoms);
}

static void test_srv_order_by_weight(void **state)
{
	static const struct {
		uint32_t randoms[3];
		uint16_t ports[3];
	} rows[] = {
		/* Weights 0 (port 3), 1 (port 1), 3 (port 2): sums 0, 1, 4 of 5 equal parts. */
		{{0, 0, 0}, {3, 1, 2}},
		{{0x33333334, 0, 0}, {1, 3, 2}},
		{{0x66666667, 0, 0}, {2, 3, 1}},
		{{0xffffffff, 0xffffffff, 0}, {2, 1, 3}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct resolve_srv r[3] = {
			{.port = 1, .weight = 1},
			{.port = 2, .weight = 3},
			{.port = 3, .weight = 0},
		};

		resolve_srv_order(r, 3, rows[i].randoms);
		for (size_t j = 0; j < 3; j++)
			assert_int_equal(r[j].port, rows[i].ports[j]);
	}
}

static void test_srv_order_greatest_weights(void **state)
{
	const uint32_t randoms[2] = {0xffffffff, 0xffffffff};
	struct resolve_srv r[2] = {
		{.port = 1, .weight = 65535},
		{.port = 2, .weight = 65535},
	};

	(void)state;
	resolve_srv_order(r, 2, randoms);
	assert_int_equal(r[0].port, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_addresses, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_literal, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_localhost_is_nobodys_to_say, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_failures, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_forged_answer_is_ignored, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_long_answer_comes_by_tcp, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_srv, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cancel, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_freed_while_running, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_idle_costs_little, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_freed_from_callback, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_server_list, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_server, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_server_on_ipv6, set_up, tear_down),
		cmocka_unit_test(test_srv_order_by_priority),
		cmocka_unit_test(test_srv_order_by_weight),
		cmocka_unit_test(test_srv_order_greatest_weights),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
