/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "client/resolv_conf.h"

static void assert_made(const char *const *servers, size_t n, const char *old, const char *want)
{
	struct ip_addr ips[8];
	char *text;

	for (size_t i = 0; i < n; i++)
		assert_int_equal(ip_parse(servers[i], &ips[i]), 0);
	text = resolv_conf_make(ips, n, old, strlen(old));
	assert_string_equal(text, want);
	free(text);
}

static void test_servers_are_replaced(void **state UNUSED)
{
	static const char *const servers[] = {"10.0.0.53", "fd00:5::53"};

	assert_made(servers, 2, "nameserver 192.0.2.1\n",
		    "nameserver 10.0.0.53\nnameserver fd00:5::53\n");
	assert_made(servers, 1, "", "nameserver 10.0.0.53\n");
}

static void test_how_to_look_up_is_kept(void **state UNUSED)
{
	static const char *const servers[] = {"10.0.0.53"};

	assert_made(servers, 1,
		    "# made by hand\nsearch corp.test\n  options rotate\noptions\tndots:2\n"
		    "sortlist 10.0.0.0\nsearchlight on\nnameserver 192.0.2.1\ndomain test",
		    "nameserver 10.0.0.53\nsearch corp.test\noptions\tndots:2\ndomain test\n");
	assert_made(servers, 1, "\n\n\nsearch", "nameserver 10.0.0.53\n");
}

static void test_no_more_than_are_looked_at(void **state UNUSED)
{
	static const char *const servers[] = {"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"};

	assert_made(servers, 4, "",
		    "nameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_servers_are_replaced),
		cmocka_unit_test(test_how_to_look_up_is_kept),
		cmocka_unit_test(test_no_more_than_are_looked_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
