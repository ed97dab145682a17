/* SPDX-License-Identifier: Apache-2.0 */
/* In a network namespace of its own: nothing of the host's routing is seen or changed. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "own_namespace.h"
#include "tun/netlink.h"

static const char *const set_up_lines[] = {
	"ip link set lo up",
	"ip link add adit0 type veth peer name adit1",
	"ip addr add 192.0.2.2/24 dev adit0",
	"ip addr add 2001:db8::2/64 dev adit0 nodad",
	"ip link set adit1 up",
	"ip link set adit0 up",
	"ip route add 10.0.0.0/8 via 192.0.2.9",
	"ip route add 10.7.0.0/16 dev adit0 src 192.0.2.2",
	"ip route add blackhole 10.8.0.0/16",
	"ip route add unreachable 10.9.0.0/16",
	"ip route add prohibit 10.10.0.0/16",
	"ip route add 172.16.0.0/12 via inet6 2001:db8::9 dev adit0",
	"ip -6 route add 2001:db8:1::/48 via 2001:db8::9",
	"ip -6 route add unreachable 2001:db8:2::/48",
};

static const struct {
	const char *ip;
	int result;
	const char *interface;
	const char *source;
	const char *gateway;
} rows[] = {
	{"127.0.0.1", 0, "lo", "127.0.0.1", "none"},
	{"127.8.9.10", 0, "lo", "127.0.0.1", "none"},
	{"::1", 0, "lo", "::1", "none"},
	{"192.0.2.2", 0, "lo", "192.0.2.2", "none"},
	{"192.0.2.77", 0, "adit0", "192.0.2.2", "none"},
	{"::ffff:192.0.2.77", 0, "adit0", "192.0.2.2", "none"},
	{"10.1.2.3", 0, "adit0", "192.0.2.2", "192.0.2.9"},
	{"10.7.2.3", 0, "adit0", "192.0.2.2", "none"},
	{"10.8.0.1", -EINVAL, "", "none", "none"},
	{"10.9.0.1", -EHOSTUNREACH, "", "none", "none"},
	{"10.10.0.1", -EACCES, "", "none", "none"},
	{"172.16.0.1", 0, "adit0", "192.0.2.2", "2001:db8::9"},
	{"198.51.100.1", -ENETUNREACH, "", "none", "none"},
	{"2001:db8::77", 0, "adit0", "2001:db8::2", "none"},
	{"2001:db8:1::1", 0, "adit0", "2001:db8::2", "2001:db8::9"},
	{"2001:db8:2::1", -EHOSTUNREACH, "", "none", "none"},
	{"2001:db9::1", -ENETUNREACH, "", "none", "none"},
};

static void check_ip(const char *what, size_t row, const struct ip_addr *ip, const char *expected)
{
	char text[IP_TEXT_MAX];

	if (strcmp(ip_format(ip, text), expected) != 0)
		fail_msg("%s: %s is %s, not %s", rows[row].ip, what, text, expected);
}

static void test_routes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct netlink_path path = {0};
		struct ip_addr ip;
		int r;

		assert_int_equal(ip_parse(rows[i].ip, &ip), 0);
		r = netlink_route_get(&ip, &path);
		if (r != rows[i].result)
			fail_msg("%s: %d, not %d", rows[i].ip, r, rows[i].result);
		assert_string_equal(path.interface, rows[i].interface);
		check_ip("source", i, &path.source, rows[i].source);
		check_ip("gateway", i, &path.gateway, rows[i].gateway);
	}
}

static void test_no_address(void **state)
{
	const struct ip_addr none = {0};
	struct netlink_path path;

	(void)state;
	assert_int_equal(netlink_route_get(&none, &path), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_no_address),
	};

	if (own_namespace_enter(set_up_lines, ARRAY_SIZE(set_up_lines)) < 0)
		return own_namespace_missing("netns");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
