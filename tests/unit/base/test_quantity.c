/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>

#include "base/compiler.h"
#include "base/quantity.h"

static const struct {
	const char *text;
	int r;
	uint64_t ms;
	const char *canonical;
} durations[] = {
	{"0", 0, 0, "0s"},
	{"0s", 0, 0, "0s"},
	{"30s", 0, 30000, "30s"},
	{"1m30s", 0, 90000, "1m30s"},
	{"1.5s", 0, 1500, "1s500ms"},
	{"0.5m", 0, 30000, "30s"},
	{"24h", 0, 86400000, "24h"},
	{"1h1m1s1ms", 0, 3661001, "1h1m1s1ms"},
	{"300ms", 0, 300, "300ms"},
	{"1ns", 0, 1, "1ms"},
	{"1500us", 0, 2, "2ms"},
	{"2\xc2\xb5s", 0, 1, "1ms"},
	{"2562047h", 0, 9223369200000, "2562047h"},
	{"2562048h", -ERANGE, 0, NULL},
	{"99999999999999999999s", -ERANGE, 0, NULL},
	{"30", -EINVAL, 0, NULL},
	{"", -EINVAL, 0, NULL},
	{"s", -EINVAL, 0, NULL},
	{"-1s", -EINVAL, 0, NULL},
	{"1 s", -EINVAL, 0, NULL},
	{"1d", -EINVAL, 0, NULL},
	{"1S", -EINVAL, 0, NULL},
	{"1..5s", -EINVAL, 0, NULL},
	{"1s5", -EINVAL, 0, NULL},
};

static void test_durations(void **state)
{
	char out[QUANTITY_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(durations); i++) {
		uint64_t ms = 0;
		int r = duration_parse(durations[i].text, &ms);

		if (r != durations[i].r || (!r && ms != durations[i].ms))
			fail_msg("\"%s\": %d, %llu", durations[i].text, r, (unsigned long long)ms);
		if (!r)
			assert_string_equal(duration_format(ms, out), durations[i].canonical);
	}
}

static const struct {
	const char *text;
	int r;
	uint64_t bytes;
	const char *canonical;
} sizes[] = {
	{"0", 0, 0, "0"},
	{"1000", 0, 1000, "1000"},
	{"512B", 0, 512, "512"},
	{"64KiB", 0, 65536, "64KiB"},
	{"64 MiB", 0, 64u << 20, "64MiB"},
	{"1024MiB", 0, 1u << 30, "1GiB"},
	{"2GiB", 0, 2ull << 30, "2GiB"},
	{"18446744073709551615", 0, UINT64_MAX, "18446744073709551615"},
	{"18446744073709551616", -ERANGE, 0, NULL},
	{"17179869184GiB", -ERANGE, 0, NULL},
	{"64MB", -EINVAL, 0, NULL},
	{"64k", -EINVAL, 0, NULL},
	{"1.5GiB", -EINVAL, 0, NULL},
	{"-1", -EINVAL, 0, NULL},
	{"", -EINVAL, 0, NULL},
};

static void test_sizes(void **state)
{
	char out[QUANTITY_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint64_t bytes = 0;
		int r = size_parse(sizes[i].text, &bytes);

		if (r != sizes[i].r || (!r && bytes != sizes[i].bytes))
			fail_msg("\"%s\": %d", sizes[i].text, r);
		if (!r)
			assert_string_equal(size_format(bytes, out), sizes[i].canonical);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
