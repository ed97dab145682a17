/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/compiler.h"
#include "routing/forbidden.h"

static const struct {
	const char *text;
	const char *range; /* NULL: allowed */
} cases[] = {
	{"0.0.0.0", "this host"},
	{"0.255.255.255", "this host"},
	{"0.0.0.0/8", "this host"},
	{"127.0.0.1", "loopback"},
	{"127.0.0.0/8", "loopback"},
	{"127.64.0.0/10", "loopback"},
	{"126.0.0.0/7", NULL},
	{"169.254.169.254", "link-local"},
	{"169.254.0.0/16", "link-local"},
	{"169.255.0.0/16", NULL},
	{"224.0.0.1", "multicast"},
	{"239.255.255.255", "multicast"},
	{"240.0.0.0/4", "reserved"},
	{"255.255.255.255", "reserved"},
	{"224.0.0.0/3", NULL},
	{"0.0.0.0/0", NULL},
	{"10.0.0.0/8", NULL},
	{"1.1.1.1", NULL},
	{"::", "this host"},
	{"::1", "loopback"},
	{"::2", NULL},
	{"::/0", NULL},
	{"fe80::1", "link-local"},
	{"febf::/16", "link-local"},
	{"fec0::1", NULL},
	{"ff02::1", "multicast"},
	{"fd00::/8", NULL},
	{"::ffff:127.0.0.1", "loopback"},
	{"64:ff9b::7f00:1", "loopback"},
	{"64:ff9b::7f00:0/104", "loopback"},
	{"64:ff9b::/96", NULL},
	{"64:ff9b::a00:1", NULL},
	{"64:ff9b::a9fe:a9fe", "link-local"},
	{"2002:7f00:1::", "loopback"},
	{"2002:7f00::/24", "loopback"},
	{"2002:e000::/20", "multicast"},
	{"2002::/16", NULL},
	{"2002:a00:1::5", NULL},
};

static void test_ranges(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *range;
		struct prefix p;

		assert_int_equal(prefix_parse(cases[i].text, &p), 0);
		range = forbidden_prefix(&p);
		if (prefix_is_single(&p))
			assert_ptr_equal(forbidden_range(&p.ip), range);
		if (!cases[i].range != !range)
			fail_msg("%s: %s", cases[i].text, range ? range : "allowed");
		if (range)
			assert_string_equal(range, cases[i].range);
	}
}

static void test_loopback(void **state)
{
	static const struct {
		const char *text;
		bool is;
	} ips[] = {
		{"127.0.0.1", true},	    {"127.255.0.9", true}, {"::1", true},
		{"::ffff:127.0.0.1", true}, {"128.0.0.1", false},  {"::2", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ips); i++) {
		struct ip_addr ip;

		assert_int_equal(ip_parse(ips[i].text, &ip), 0);
		assert_int_equal(ip_is_loopback(&ip), ips[i].is);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_loopback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
