/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "routing/transport.h"

static void test_round_trip(void **state UNUSED)
{
	static const struct {
		const char *text;
		const char *printed;
	} rows[] = {
		{"", "*"},
		{"*", "*"},
		{"tcp", "tcp"},
		{"icmp,tcp", "tcp,icmp"},
		{"tcp, udp", "tcp,udp"},
		{"udp,udp", "udp"},
		{"tcp,udp,icmp", "tcp,udp,icmp"},
	};
	char out[TRANSPORTS_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct transports set = {.bits = 0xff};

		assert_int_equal(transports_parse(rows[i].text, &set), 0);
		assert_string_equal(transports_format(set, out), rows[i].printed);
	}
}

static void test_bad_text_changes_nothing(void **state UNUSED)
{
	static const char *const bad[] = {"tc", "tcpp", "tcp,", ",", "tcp;udp", "TCP", "*,tcp"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct transports set = {.bits = 2};

		assert_int_equal(transports_parse(bad[i], &set), -EINVAL);
		assert_int_equal(set.bits, 2);
	}
}

static void test_empty_contains_all_and_names_none(void **state UNUSED)
{
	struct transports all = {0}, udp = {0};

	assert_int_equal(transports_parse("udp", &udp), 0);
	for (unsigned int t = 0; t < TRANSPORT_N; t++) {
		assert_true(transports_contain(all, (enum transport)t));
		assert_false(transports_name(all, (enum transport)t));
		assert_int_equal(transports_contain(udp, (enum transport)t), t == TRANSPORT_UDP);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_bad_text_changes_nothing),
		cmocka_unit_test(test_empty_contains_all_and_names_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
