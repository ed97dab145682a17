/* SPDX-License-Identifier: Apache-2.0 */
/* What the helper may be asked: each forbidden request is a permitted one with one thing changed.
 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "client/net_request.h"

#define DEVICE 7

static const uint8_t id[TUN_ULA_ID_SIZE] = {1, 2, 3, 4, 5, 6, 7};
static struct prefix bound_prefixes[2];
static struct net_bounds bounds;

static struct prefix prefix_of(const char *text)
{
	struct prefix p;

	assert_int_equal(prefix_parse(text, &p), 0);
	return p;
}

static int set_up(void **state)
{
	(void)state;
	bound_prefixes[0] = prefix_of("10.0.0.0/8");
	bound_prefixes[1] = prefix_of("2001:db8::/32");
	bounds = (struct net_bounds){.numbers = tun_numbers_of(2),
				     .index = DEVICE,
				     .device = "adit0",
				     .addresses = tun_addresses_default(2, id),
				     .prefixes = bound_prefixes,
				     .n_prefixes = 2};
	return 0;
}

static const char *check(const struct net_request *request)
{
	struct net_request out;

	return net_request_check(&bounds, request, net_request_size(request->kind), &out);
}

static void expect(const struct net_request *request, const char *reason)
{
	const char *why = check(request);

	if (!reason && why)
		fail_msg("refused: %s", why);
	if (reason && (!why || strcmp(why, reason) != 0))
		fail_msg("%s, not %s", why ? why : "allowed", reason);
}

static struct net_request route(enum netlink_route_kind kind, const char *prefix)
{
	struct prefix p = prefix_of(prefix);
	struct net_request request;

	net_request_route(&request, NET_REQUEST_ROUTE_ADD, &bounds, kind, &p);
	return request;
}

static const struct {
	enum netlink_route_kind kind;
	const char *prefix;
	const char *reason;
} routes[] = {
	{NETLINK_ROUTE_DEVICE, "10.0.0.0/8", NULL},
	{NETLINK_ROUTE_DEVICE, "10.1.2.3/32", NULL},
	{NETLINK_ROUTE_DEVICE, "2001:db8:7::/48", NULL},
	{NETLINK_ROUTE_DEVICE, "100.96.2.2/32", NULL}, /* P */
	{NETLINK_ROUTE_DEVICE, "fd01:203:405:607::2/128", NULL},
	{NETLINK_ROUTE_DEVICE, "100.96.2.2/31", "outside the configured prefixes"}, /* P too */
	{NETLINK_ROUTE_DEVICE, "100.96.2.1/32", "outside the configured prefixes"},
	{NETLINK_ROUTE_DEVICE, "8.0.0.0/7", "outside the configured prefixes"},
	{NETLINK_ROUTE_DEVICE, "0.0.0.0/0", "outside the configured prefixes"},
	{NETLINK_ROUTE_DEVICE, "::/0", "outside the configured prefixes"},
	{NETLINK_ROUTE_DEVICE, "192.0.2.1/32", "outside the configured prefixes"},
	{NETLINK_ROUTE_DEVICE, "2001:db9::/48", "outside the configured prefixes"},
	{NETLINK_ROUTE_THROW, "192.0.2.1/32", NULL}, /* an edge is anywhere */
	{NETLINK_ROUTE_THROW, "2001:db9::1/128", NULL},
	{NETLINK_ROUTE_THROW, "192.0.2.0/31", "throw of more than one address"},
	{NETLINK_ROUTE_THROW, "0.0.0.0/0", "throw of more than one address"},
	{NETLINK_ROUTE_THROW, "2001:db8::/127", "throw of more than one address"},
	{NETLINK_ROUTE_UNREACHABLE, "10.1.0.0/16", "kind of route"},
};

static void test_routes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		struct net_request request = route(routes[i].kind, routes[i].prefix);

		expect(&request, routes[i].reason);
		request.kind = NET_REQUEST_ROUTE_DELETE;
		expect(&request, routes[i].reason);
	}
}

static void test_route_fields(void **state)
{
	struct net_request good = route(NETLINK_ROUTE_DEVICE, "10.1.0.0/16");
	struct net_request r = good;

	(void)state;
	r.route.table = 254;
	expect(&r, "another table");
	r.route.table = TUN_TABLE; /* another instance's */
	expect(&r, "another table");
	r = good;
	r.route.protocol = 4;
	expect(&r, "another protocol number");
	r = good;
	r.route.index = DEVICE + 1;
	expect(&r, "another device");
	r.route.index = 0;
	expect(&r, "another device");
	r = good;
	r.route.family = 0;
	expect(&r, "neither IPv4 nor IPv6");
	r.route.family = AF_UNIX;
	expect(&r, "neither IPv4 nor IPv6");
	r = good;
	r.route.bits = 33;
	expect(&r, "prefix length");
	r = good;
	r.route.bits = 8; /* 10.1.0.0/8 */
	expect(&r, "host bits");
	r = good;
	r.route.ip[4] = 1;
	expect(&r, "bytes behind the address");
	r = good;
	r.route.route_kind = 99;
	expect(&r, "kind of route");
	r = route(NETLINK_ROUTE_THROW, "192.0.2.1/32");
	r.route.index = DEVICE;
	expect(&r, "throw with a device");
}

static void test_rules(void **state)
{
	struct net_request r;

	(void)state;
	net_request_rule(&r, NET_REQUEST_RULE_ADD, &bounds, NETLINK_RULE_CAPTURE, AF_INET);
	expect(&r, NULL);
	r.rule.table = 254;
	expect(&r, "another lookup than adit's");
	r.rule.table = bounds.numbers.table;
	r.rule.priority = 0;
	expect(&r, "another lookup than adit's");
	r.rule.priority = bounds.numbers.priority;
	r.rule.protocol = 2;
	expect(&r, "another protocol number");
	net_request_rule(&r, NET_REQUEST_RULE_DELETE, &bounds, NETLINK_RULE_LOCAL_FIRST, AF_INET6);
	expect(&r, NULL);
	r.rule.table = bounds.numbers.table;
	expect(&r, "another rule for local networks than adit's");
	r.rule.table = 254;
	r.rule.priority = 32766;
	expect(&r, "another rule for local networks than adit's");
	r.rule.priority = bounds.numbers.priority_local;
	r.rule.rule_kind = 2;
	expect(&r, "kind of rule");
	r.rule.rule_kind = NETLINK_RULE_LOCAL_FIRST;
	r.rule.family = 7;
	expect(&r, "neither IPv4 nor IPv6");
}

static const char *const no_names[] = {
	"",
	".",
	"a..b",
	".a",
	"-a",
	"a-",
	"a b",
	"a\tb",
	"--help",
	"../etc",
	"ex\xc3\xa4mple",
	"a;b",
	"$(x)",
	"a/b",
	"~a",
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example", /* 64 */
};

static void test_names(void **state)
{
	const char *const names[] = {"Corp.Example.", "lab_1.example", "xn--bcher-kva.example",
				     "lan"};
	char *split[NET_DOMAINS_MAX];
	struct net_request r;

	(void)state;
	assert_int_equal(net_request_dns(&r, &bounds, names, ARRAY_SIZE(names)), 0);
	expect(&r, NULL);
	assert_string_equal(r.dns.domains, "corp.example lab_1.example xn--bcher-kva.example lan");
	assert_int_equal(net_request_to_domains(&r, split), 4);
	assert_string_equal(split[0], "corp.example");
	assert_string_equal(split[3], "lan");
	for (size_t i = 0; i < ARRAY_SIZE(no_names); i++)
		if (net_request_dns(&r, &bounds, &no_names[i], 1) != -EINVAL)
			fail_msg("\"%s\" is taken for a name", no_names[i]);
}

static void test_number_of_names(void **state)
{
	const char *names[NET_DOMAINS_MAX + 1];
	char longest[HOST_NAME_MAX_LEN + 1];
	struct net_request r;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		names[i] = "example";
	assert_int_equal(net_request_dns(&r, &bounds, names, NET_DOMAINS_MAX), 0);
	assert_int_equal(net_request_dns(&r, &bounds, names, NET_DOMAINS_MAX + 1), -EINVAL);
	memset(longest, 'a', HOST_NAME_MAX_LEN);
	longest[HOST_NAME_MAX_LEN] = '\0';
	for (size_t i = 63; i < HOST_NAME_MAX_LEN; i += 64)
		longest[i] = '.';
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		names[i] = longest;
	assert_int_equal(net_request_dns(&r, &bounds, names, 4), 0);
	assert_int_equal(net_request_dns(&r, &bounds, names, 5), -EINVAL);
}

static void test_dns_fields(void **state)
{
	const char *const name = "corp.example";
	struct net_request good;
	struct net_request r;

	(void)state;
	assert_int_equal(net_request_dns(&good, &bounds, &name, 1), 0);
	r = good;
	r.dns.index = DEVICE + 1;
	expect(&r, "another device");
	r = good;
	memcpy(r.dns.server, bounds.addresses.local4.bytes, 4); /* a listener on the host */
	expect(&r, "another DNS server than adit's stub");
	r = good;
	r.dns.zero[1] = 1;
	expect(&r, "reserved bytes");
	r = good;
	r.dns.domains[100] = 'x';
	expect(&r, "bytes behind the names");
	memset(r.dns.domains, 'x', sizeof(r.dns.domains));
	expect(&r, "names without an end");
	r = good;
	r.dns.domains[4] = '\n';
	expect(&r, "not a name");
	r = good;
	r.dns.domains[12] = ' ';
	expect(&r, "not a name");
	r = good;
	r.dns.server_family = 0;
	expect(&r, "taking back with a server or names");
	assert_int_equal(net_request_dns(&r, &bounds, NULL, 0), 0);
	expect(&r, NULL);
}

static void test_sizes(void **state)
{
	struct net_request good = route(NETLINK_ROUTE_DEVICE, "10.1.0.0/16");
	char bytes[sizeof(struct net_request) + 1] = {0};
	struct net_request out;
	size_t n = net_request_size(good.kind);

	(void)state;
	memcpy(bytes, &good, n);
	for (size_t i = 0; i < sizeof(bytes) + 1; i++)
		assert_int_equal(net_request_check(&bounds, bytes, i, &out) == NULL, i == n);
	for (uint32_t kind = 0; kind < 100; kind++)
		assert_int_equal(net_request_size(kind) != 0, kind >= 1 && kind <= 5);
	good.kind = 6;
	assert_string_equal(net_request_check(&bounds, &good, n, &out), "unknown kind");
	good.kind = UINT32_MAX;
	assert_string_equal(net_request_check(&bounds, &good, n, &out), "unknown kind");
}

/* What the helper does is made of its own numbers. */
static void test_meaning(void **state)
{
	struct net_request device = route(NETLINK_ROUTE_DEVICE, "2001:db8:7::/48");
	struct net_request out = route(NETLINK_ROUTE_THROW, "192.0.2.1/32");
	struct netlink_route meant = net_request_to_route(&device, &bounds);

	(void)state;
	assert_int_equal(meant.table, bounds.numbers.table);
	assert_int_equal(meant.index, DEVICE);
	assert_string_equal(meant.congestion, "cubic");
	assert_true(ip_equal(&meant.source, &bounds.addresses.local6));
	meant = net_request_to_route(&out, &bounds);
	assert_int_equal(meant.kind, NETLINK_ROUTE_THROW);
	assert_int_equal(meant.index, 0);
	assert_null(meant.congestion);
	assert_int_equal(meant.source.family, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_routes, set_up),
		cmocka_unit_test_setup(test_route_fields, set_up),
		cmocka_unit_test_setup(test_rules, set_up),
		cmocka_unit_test_setup(test_names, set_up),
		cmocka_unit_test_setup(test_number_of_names, set_up),
		cmocka_unit_test_setup(test_dns_fields, set_up),
		cmocka_unit_test_setup(test_sizes, set_up),
		cmocka_unit_test_setup(test_meaning, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
