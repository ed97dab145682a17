/* SPDX-License-Identifier: Apache-2.0 */
/* What adit puts into the kernel's routing and takes out again, in a namespace of its own. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <net/if.h>

#include "own_namespace.h"
#include "tun/netlink.h"
#include "tun/netlink_cleanup.h"
#include "tun/netlink_link.h"
#include "tun/netlink_route.h"
#include "tun/netlink_rule.h"

#define MANY_ROUTES 3000 /* more than one batch of the clean-up */

static const char *const set_up_lines[] = {
	"ip link set lo up",
	"ip link add adit0 type veth peer name adit1",
	"ip link set adit1 up",
	"ip link add wan0 type veth peer name wan1",
	"ip addr add 10.1.1.2/24 dev wan0",
	"ip addr add 2001:db8:1::2/64 dev wan0 nodad",
	"ip link set wan1 up",
	"ip link set wan0 up",
	"ip route add default via 10.1.1.1",
	"ip -6 route add default via 2001:db8:1::1",
};

static struct netlink *nl;
static unsigned int device;
static struct tun_numbers numbers;

static struct prefix prefix_of(const char *text)
{
	struct prefix p;

	assert_int_equal(prefix_parse(text, &p), 0);
	return p;
}

static struct ip_addr ip_of(const char *text)
{
	struct ip_addr ip;

	assert_int_equal(ip_parse(text, &ip), 0);
	return ip;
}

static struct netlink_route route_of(enum netlink_route_kind kind, const char *prefix)
{
	return (struct netlink_route){
		.kind = kind, .prefix = prefix_of(prefix), .table = numbers.table, .index = device};
}

static void add(enum netlink_route_kind kind, const char *prefix)
{
	struct netlink_route route = route_of(kind, prefix);
	int r = netlink_route_add(nl, &route);

	if (r < 0)
		fail_msg("%s: %s: %s", prefix, strerror(-r), netlink_error(nl));
}

static void expect_text(const char *line, const char *text, bool expected)
{
	const char *output = shell_text(line);

	if (!!strstr(output, text) != expected)
		fail_msg("%s: \"%s\" %s in:\n%s", line, text, expected ? "isn't" : "is", output);
}

static void expect_own(size_t n_rules, size_t n_routes)
{
	struct netlink_found found;

	assert_int_equal(netlink_count_own(nl, &numbers, &found), 0);
	assert_int_equal(found.n_rules, n_rules);
	assert_int_equal(found.n_routes, n_routes);
}

/* A test leaves nothing that could hide the next one's fault. */
static int nothing_left(void **state)
{
	int r = netlink_cleanup(nl, &numbers, NULL);

	(void)state;
	if (r == 0)
		expect_own(0, 0);
	return r;
}

static void add_rules(void)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		assert_int_equal(
			netlink_rule_add(nl, &numbers, NETLINK_RULE_LOCAL_FIRST, families[i]), 0);
		assert_int_equal(netlink_rule_add(nl, &numbers, NETLINK_RULE_CAPTURE, families[i]),
				 0);
	}
}

static void test_device_leaves_main_alone(void **state)
{
	struct ip_addr ips[] = {ip_of("100.96.0.1"), ip_of("fd00:1:2:3::1")};

	(void)state;
	assert_int_equal(netlink_device_set_up(nl, device, TUN_MTU, ips, ARRAY_SIZE(ips)), 0);
	expect_text("ip -o link show adit0", "mtu 65535", true);
	expect_text("ip -o link show adit0", ",UP", true);
	expect_text("ip -o addr show dev adit0", "100.96.0.1/32", true);
	expect_text("ip -o addr show dev adit0", "fd00:1:2:3::1/128", true);
	expect_text("ip -o addr show dev adit0", "fe80", false);
	expect_text("ip -o addr show dev adit0", "tentative", false);
	expect_text("ip route show table main", "adit0", false);
	expect_text("ip -6 route show table main", "adit0", false);
	assert_int_equal(netlink_address_add(nl, device, &ips[0]), -EEXIST);
}

static void test_kernel_words(void **state)
{
	struct netlink_route route = route_of(NETLINK_ROUTE_DEVICE, "10.3.0.0/16");

	(void)state;
	route.source = ip_of("192.0.2.99");
	assert_int_equal(netlink_route_add(nl, &route), -EINVAL);
	assert_string_equal(netlink_error(nl), "Invalid prefsrc address");
	assert_int_equal(netlink_link_set_up(nl, 9999), -ENODEV);
	add(NETLINK_ROUTE_THROW, "10.3.0.1/32");
	assert_string_equal(netlink_error(nl), "");
}

static void test_routes(void **state)
{
	struct netlink_route route = route_of(NETLINK_ROUTE_DEVICE, "10.0.0.0/8");
	struct netlink_route v6 = route_of(NETLINK_ROUTE_DEVICE, "2001:db8:77::/48");

	(void)state;
	route.source = ip_of("100.96.0.1");
	route.congestion = "cubic";
	assert_int_equal(netlink_route_add(nl, &route), 0);
	assert_int_equal(netlink_route_add(nl, &route), -EEXIST);
	assert_int_equal(netlink_route_replace(nl, &route), 0);
	v6.source = ip_of("fd00:1:2:3::1");
	v6.congestion = "cubic";
	assert_int_equal(netlink_route_add(nl, &v6), 0);
	assert_int_equal(netlink_route_add(nl, &v6), -EEXIST);
	add(NETLINK_ROUTE_DEVICE, "0.0.0.0/0");
	add(NETLINK_ROUTE_DEVICE, "::/0");
	add(NETLINK_ROUTE_UNREACHABLE, "10.200.0.0/16");
	add(NETLINK_ROUTE_THROW, "2001:db8:77::5/128");
	expect_text("ip route show table 44301",
		    "10.0.0.0/8 dev adit0 proto 173 scope link src 100.96.0.1 congctl cubic", true);
	expect_text("ip route show table 44301", "default dev adit0 proto 173", true);
	expect_text("ip route show table 44301", "unreachable 10.200.0.0/16 proto 173", true);
	expect_text("ip -6 route show table 44301", "2001:db8:77::/48 dev adit0 proto 173", true);
	expect_text("ip -6 route show table 44301", "congctl cubic", true);
	expect_text("ip -6 route show table 44301", "throw 2001:db8:77::5", true);
	expect_own(0, 6);
	assert_int_equal(netlink_route_delete(nl, &route), 0);
	assert_int_equal(netlink_route_delete(nl, &route), -ESRCH);
	assert_int_equal(netlink_route_delete(nl, &v6), 0);
	expect_own(0, 4);
}

static void test_replace_takes_the_place(void **state)
{
	struct netlink_route route = route_of(NETLINK_ROUTE_DEVICE, "10.5.0.1/32");

	(void)state;
	add(NETLINK_ROUTE_THROW, "10.5.0.1/32");
	assert_int_equal(netlink_route_replace(nl, &route), 0);
	expect_own(0, 1);
	expect_text("ip route show table 44301", "throw", false);
}

static void test_unknown_congestion_is_left_out(void **state)
{
	struct netlink_route route = route_of(NETLINK_ROUTE_DEVICE, "10.6.0.0/16");

	(void)state;
	route.congestion = "no-such-thing";
	assert_int_equal(netlink_route_add(nl, &route), 0);
	expect_text("ip route show table 44301", "10.6.0.0/16", true);
	expect_text("ip route show table 44301", "congctl", false);
}

static void test_foreign_route_is_not_deleted(void **state)
{
	struct netlink_route route = route_of(NETLINK_ROUTE_DEVICE, "10.9.0.0/16");

	(void)state;
	assert_int_equal(shell("ip route add 10.9.0.0/16 dev adit0 table 44301"), 0);
	assert_int_equal(shell("ip -6 route add 2001:db8:9::/48 dev adit0 table 44301"), 0);
	assert_int_equal(netlink_route_delete(nl, &route), -ESRCH);
	route.prefix = prefix_of("2001:db8:9::/48");
	assert_int_equal(netlink_route_delete(nl, &route), -ESRCH);
	assert_int_equal(netlink_cleanup(nl, &numbers, NULL), 0);
	expect_text("ip route show table 44301", "10.9.0.0/16", true);
	expect_text("ip -6 route show table 44301", "2001:db8:9::/48", true);
	assert_int_equal(shell("ip route flush table 44301"), 0);
	assert_int_equal(shell("ip -6 route flush table 44301"), 0);
}

static void test_rules(void **state)
{
	(void)state;
	add_rules();
	assert_int_equal(netlink_rule_add(nl, &numbers, NETLINK_RULE_CAPTURE, AF_INET), -EEXIST);
	expect_text("ip rule show",
		    "5209:	from all lookup main suppress_prefixlength 0 proto 173", true);
	expect_text("ip rule show", "5210:	from all lookup 44301 proto 173", true);
	expect_text("ip -6 rule show", "5210:	from all lookup 44301 proto 173", true);
	expect_own(4, 0);
	assert_int_equal(netlink_rule_delete(nl, &numbers, NETLINK_RULE_CAPTURE, AF_INET), 0);
	assert_int_equal(netlink_rule_delete(nl, &numbers, NETLINK_RULE_CAPTURE, AF_INET), -ENOENT);
	expect_own(3, 0);
}

/* Like ours, but for one thing each. */
static const char *const foreign_rules[] = {
	"ip rule add priority 5210 lookup 44301",
	"ip rule add priority 5211 lookup 44301 protocol 4",
	"ip -6 rule add priority 5210 lookup 44301",
	"ip rule add priority 5300 lookup main suppress_prefixlength 0 protocol 173",
	"ip rule add priority 5212 lookup 44302 protocol 173",
};

static void test_cleanup_takes_only_its_own(void **state)
{
	struct netlink_found found;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(foreign_rules); i++)
		assert_int_equal(shell(foreign_rules[i]), 0);
	assert_int_equal(shell("ip route add throw 10.4.0.1 table 44302 proto 173"), 0);
	assert_int_equal(shell("ip route add unreachable 10.4.0.1 table 44301 proto 174"), 0);
	add_rules();
	/* An odd one of ours, e.g. of another version: inverted, from a prefix. */
	assert_int_equal(shell("ip rule add not from 10.2.0.0/16 lookup 44301 pref 7 protocol 173"),
			 0);
	add(NETLINK_ROUTE_DEVICE, "10.0.0.0/8");
	add(NETLINK_ROUTE_THROW, "10.4.0.9/32");
	add(NETLINK_ROUTE_THROW, "2001:db8:4::9/128");
	add(NETLINK_ROUTE_UNREACHABLE, "2001:db8:4::/48");
	assert_int_equal(netlink_cleanup(nl, &numbers, &found), 0);
	assert_int_equal(found.n_rules, 5);
	assert_int_equal(found.n_routes, 4);
	expect_own(0, 0);
	expect_text("ip rule show | grep -c '5210:\\|5211:\\|5300:\\|5212:'", "4", true);
	expect_text("ip -6 rule show | grep -c 5210:", "1", true);
	expect_text("ip route show table 44302", "throw 10.4.0.1", true);
	expect_text("ip route show table 44301", "unreachable 10.4.0.1", true);
	assert_int_equal(netlink_cleanup(nl, &numbers, &found), 0);
	assert_int_equal(found.n_rules + found.n_routes, 0);
	assert_int_equal(shell("ip route flush table 44302; ip route flush table 44301;"
			       "for p in 5210 5211 5300 5212; do ip rule del priority $p; done;"
			       "ip -6 rule del priority 5210"),
			 0);
}

static void test_cleanup_of_many(void **state)
{
	struct netlink_route route = route_of(NETLINK_ROUTE_THROW, "10.0.0.0/32");
	struct netlink_route v6 = route_of(NETLINK_ROUTE_THROW, "2001:db8:5::/128");
	struct netlink_found found;

	(void)state;
	for (unsigned int i = 0; i < MANY_ROUTES; i++) {
		route.prefix.ip.bytes[2] = v6.prefix.ip.bytes[14] = (uint8_t)(i >> 8);
		route.prefix.ip.bytes[3] = v6.prefix.ip.bytes[15] = (uint8_t)i;
		assert_int_equal(netlink_route_add(nl, &route), 0);
		assert_int_equal(netlink_route_add(nl, &v6), 0);
	}
	expect_own(0, 2 * (size_t)MANY_ROUTES);
	assert_int_equal(netlink_cleanup(nl, &numbers, &found), 0);
	assert_int_equal(found.n_routes, 2 * MANY_ROUTES);
}

struct seen {
	size_t n;
	bool lan4;
	bool lan6;
	bool via;
};

static void see(void *ctx, const struct netlink_main_route *route)
{
	struct seen *seen = ctx;
	char prefix[PREFIX_TEXT_MAX];
	char gateway[IP_TEXT_MAX];
	const char *text = prefix_format(&route->prefix, prefix);
	bool wan = strcmp(route->interface, "wan0") == 0;

	seen->n++;
	assert_int_not_equal(route->prefix.bits, 0);
	ip_format(&route->gateway, gateway);
	seen->lan4 |= strcmp(text, "10.1.1.0/24") == 0 && wan && strcmp(gateway, "none") == 0;
	seen->lan6 |= strcmp(text, "2001:db8:1::/64") == 0 && wan;
	seen->via |= strcmp(text, "10.44.0.0/16") == 0 && wan && strcmp(gateway, "10.1.1.7") == 0;
}

static void test_main_routes(void **state)
{
	struct seen seen = {0};

	(void)state;
	add(NETLINK_ROUTE_DEVICE, "10.0.0.0/8");
	assert_int_equal(shell("ip route add 10.44.0.0/16 via 10.1.1.7"), 0);
	assert_int_equal(shell("ip route add throw 10.45.0.0/16"), 0);
	assert_int_equal(netlink_main_routes(nl, see, &seen), 0);
	assert_true(seen.lan4 && seen.lan6 && seen.via);
	/* Two LANs, the via, and the link-local ones of the two devices that are up with them. */
	assert_in_range(seen.n, 3, 6);
	assert_int_equal(shell("ip route del 10.44.0.0/16; ip route del throw 10.45.0.0/16"), 0);
}

static const char *device_to(const char *ip)
{
	static char name[IF_NAMESIZE];
	struct ip_addr target = ip_of(ip);
	struct netlink_path path = {0};
	int r = netlink_route_get(&target, &path);

	if (r < 0)
		fail_msg("%s: %s", ip, strerror(-r));
	memcpy(name, path.interface, sizeof(name));
	return name;
}

/* 0 if a packet from there would be let in from the network, as rp_filter judges. */
static int would_enter(const char *ip)
{
	char line[128];

	snprintf(line, sizeof(line), "ip route get 10.1.1.2 from %s iif wan0 >/dev/null 2>&1", ip);
	return system(line);
}

static void set_rp_filter(unsigned int value)
{
	char line[128];

	snprintf(line, sizeof(line),
		 "for d in all default wan0 adit0; do"
		 " echo %u >/proc/sys/net/ipv4/conf/$d/rp_filter; done",
		 value);
	assert_int_equal(shell(line), 0);
}

/* The hard case: the edge, and the LAN too, inside a captured prefix. */
static void test_outside_stays_outside(void **state)
{
	(void)state;
	add_rules();
	add(NETLINK_ROUTE_DEVICE, "10.0.0.0/8");
	add(NETLINK_ROUTE_DEVICE, "2001:db8::/32");
	for (unsigned int rp = 0; rp <= 2; rp++) {
		set_rp_filter(rp);
		assert_string_equal(device_to("10.7.7.7"), "adit0");
		assert_int_equal(would_enter("10.7.7.7") == 0, rp != 1);
		add(NETLINK_ROUTE_THROW, "10.7.7.7/32");
		add(NETLINK_ROUTE_THROW, "2001:db8:7::7/128");
		assert_string_equal(device_to("10.7.7.7"), "wan0");
		assert_string_equal(device_to("10.7.7.8"), "adit0");
		assert_string_equal(device_to("2001:db8:7::7"), "wan0");
		assert_string_equal(device_to("2001:db8:7::8"), "adit0");
		assert_int_equal(would_enter("10.7.7.7"), 0);
		/* Local networks win, in both directions. */
		assert_string_equal(device_to("10.1.1.9"), "wan0");
		assert_string_equal(device_to("2001:db8:1::9"), "wan0");
		assert_int_equal(would_enter("10.1.1.9"), 0);
		nothing_left(NULL);
		add_rules();
		add(NETLINK_ROUTE_DEVICE, "10.0.0.0/8");
		add(NETLINK_ROUTE_DEVICE, "2001:db8::/32");
	}
	/* Without the rule the capture swallows the LAN: what the rule is for. */
	assert_int_equal(netlink_rule_delete(nl, &numbers, NETLINK_RULE_LOCAL_FIRST, AF_INET), 0);
	assert_string_equal(device_to("10.1.1.9"), "adit0");
}

/* ICMP errors come from P by way of the device: strict rp_filter wants P routed there. */
static void test_peer_is_let_in(void **state)
{
	static const char line[] =
		"ip route get 100.96.0.1 from 100.96.0.2 iif adit0 >/dev/null 2>&1";

	(void)state;
	set_rp_filter(1);
	add_rules();
	assert_int_not_equal(system(line), 0);
	add(NETLINK_ROUTE_DEVICE, "100.96.0.2/32");
	assert_int_equal(system(line), 0);
}

static void test_instances_have_numbers_of_their_own(void **state)
{
	struct tun_numbers a = tun_numbers_of(0);
	struct tun_numbers b = tun_numbers_of(1);

	(void)state;
	assert_int_equal(a.table, 44301);
	assert_int_equal(a.priority_local, 5209);
	assert_int_equal(a.priority, 5210);
	assert_true(a.table != b.table && b.priority_local > a.priority &&
		    b.priority > b.priority_local);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_device_leaves_main_alone), /* first: brings adit0 up */
		cmocka_unit_test_teardown(test_kernel_words, nothing_left),
		cmocka_unit_test_teardown(test_routes, nothing_left),
		cmocka_unit_test_teardown(test_replace_takes_the_place, nothing_left),
		cmocka_unit_test_teardown(test_unknown_congestion_is_left_out, nothing_left),
		cmocka_unit_test_teardown(test_foreign_route_is_not_deleted, nothing_left),
		cmocka_unit_test_teardown(test_rules, nothing_left),
		cmocka_unit_test_teardown(test_cleanup_takes_only_its_own, nothing_left),
		cmocka_unit_test_teardown(test_cleanup_of_many, nothing_left),
		cmocka_unit_test_teardown(test_main_routes, nothing_left),
		cmocka_unit_test_teardown(test_outside_stays_outside, nothing_left),
		cmocka_unit_test_teardown(test_peer_is_let_in, nothing_left),
		cmocka_unit_test(test_instances_have_numbers_of_their_own),
	};
	int r;

	if (own_namespace_enter(set_up_lines, ARRAY_SIZE(set_up_lines)) < 0)
		return own_namespace_missing("netns");
	numbers = tun_numbers_of(0);
	device = if_nametoindex("adit0");
	if (netlink_open(&nl) < 0)
		return 1;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	netlink_close(nl);
	return r;
}
