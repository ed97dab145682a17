/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>

#include "base/compiler.h"
#include "tun/tun_addresses.h"

static const uint8_t id[TUN_ULA_ID_SIZE] = {1, 2, 3, 4, 5, 0, 7};

static void expect_ip(const struct ip_addr *ip, const char *expected)
{
	char text[IP_TEXT_MAX];

	assert_string_equal(ip_format(ip, text), expected);
}

static void test_defaults(void **state)
{
	struct tun_addresses a = tun_addresses_default(0, id);
	struct tun_addresses b = tun_addresses_default(3, id);
	struct prefix range;

	(void)state;
	expect_ip(&a.local4, "100.96.0.1");
	expect_ip(&a.peer4, "100.96.0.2");
	expect_ip(&a.local6, "fd01:203:405:7::1");
	expect_ip(&a.peer6, "fd01:203:405:7::2");
	expect_ip(&b.local4, "100.96.3.1");
	assert_int_equal(prefix_parse(TUN_RANGE4, &range), 0);
	assert_true(prefix_contains_ip(&range, &a.local4) && prefix_contains_ip(&range, &b.peer4));
}

static const struct {
	const char *prefix;
	int result;
	const char *local;
	const char *peer;
} rows[] = {
	{"100.100.0.0/16", 0, "100.100.0.1", "100.100.0.2"},
	{"192.0.2.8/30", 0, "192.0.2.9", "192.0.2.10"},
	{"192.0.2.8/31", -EINVAL, NULL, NULL},
	{"192.0.2.8/32", -EINVAL, NULL, NULL},
	{"fd00:1::/64", 0, "fd00:1::1", "fd00:1::2"},
	{"fd00:1::4/126", 0, "fd00:1::5", "fd00:1::6"},
	{"fd00:1::/127", -EINVAL, NULL, NULL},
};

static void test_configured(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct tun_addresses a = tun_addresses_default(0, id);
		struct prefix p;
		struct diag d;

		diag_init(&d, NULL);
		assert_int_equal(prefix_parse(rows[i].prefix, &p), 0);
		assert_int_equal(tun_addresses_configure(&a, &p, &d), rows[i].result);
		assert_int_equal(d.n_errors, rows[i].result < 0);
		diag_deinit(&d);
		if (rows[i].result < 0)
			continue;
		expect_ip(p.ip.family == AF_INET ? &a.local4 : &a.local6, rows[i].local);
		expect_ip(p.ip.family == AF_INET ? &a.peer4 : &a.peer6, rows[i].peer);
		/* The other family stays. */
		expect_ip(p.ip.family == AF_INET ? &a.local6 : &a.local4,
			  p.ip.family == AF_INET ? "fd01:203:405:7::1" : "100.96.0.1");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_configured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
