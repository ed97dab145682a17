/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/health.h"
#include "base/nearest.h"
#include "base/utf8.h"
#include "base/uuid.h"

static void test_health(void **state)
{
	static const struct {
		unsigned int n_expected, n_registered;
		bool ever;
		enum health health;
		const char *name;
		int exit_code;
	} rows[] = {
		{4, 4, true, HEALTH_HEALTHY, "Healthy", 0},
		{4, 5, true, HEALTH_HEALTHY, "Healthy", 0},
		{4, 4, false, HEALTH_HEALTHY, "Healthy", 0},
		{4, 3, true, HEALTH_DEGRADED, "Degraded", 1},
		{4, 1, true, HEALTH_DEGRADED, "Degraded", 1},
		{4, 0, true, HEALTH_DOWN, "Down", 2},
		{4, 0, false, HEALTH_INACTIVE, "Inactive", 3},
		{0, 0, false, HEALTH_INACTIVE, "Inactive", 3},
		{0, 0, true, HEALTH_DOWN, "Down", 2},
	};
	enum health parsed;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		enum health h = health_of(rows[i].n_expected, rows[i].n_registered, rows[i].ever);

		assert_int_equal(h, rows[i].health);
		assert_string_equal(health_name(h), rows[i].name);
		assert_int_equal(health_exit_code(h), rows[i].exit_code);
		assert_int_equal(health_parse(rows[i].name, &parsed), 0);
		assert_int_equal(parsed, h);
	}
	assert_int_equal(health_parse("dOwN", &parsed), 0);
	assert_int_equal(health_parse("Unknown", &parsed), -EINVAL);
	assert_int_equal(health_parse("", &parsed), -EINVAL);
}

static void test_clock_text(void **state)
{
	static const struct {
		int64_t wall_ms;
		const char *text;
	} rows[] = {
		{0, "1970-01-01T00:00:00.000Z"},
		{1795366957120, "2026-11-22T17:02:37.120Z"},
		{951782399999, "2000-02-28T23:59:59.999Z"},
		{-1, "1969-12-31T23:59:59.999Z"},
		{-1000, "1969-12-31T23:59:59.000Z"},
		{253402300799999, "9999-12-31T23:59:59.999Z"},
		{253402300800000, "0000-00-00T00:00:00.000Z"},
		{INT64_MAX, "0000-00-00T00:00:00.807Z"},
	};
	char text[CLOCK_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(clock_format_wall(rows[i].wall_ms, text), rows[i].text);
}

static void test_clocks_run_forwards(void **state)
{
	uint64_t boot_ms = clock_boot_ms(), mono_us = clock_monotonic_us();

	(void)state;
	assert_true(clock_boot_ms() >= boot_ms);
	assert_true(clock_monotonic_us() >= mono_us);
	assert_true(clock_wall_ms() > 1700000000000);
}

static void test_uuid(void **state)
{
	static const char *const bad[] = {
		"",
		"6f1c0a4e-1d2b-4c3d-8e9f-00112233445",
		"6f1c0a4e-1d2b-4c3d-8e9f-0011223344556",
		"6f1c0a4e1d2b4c3d8e9f001122334455",
		"6f1c0a4e1-d2b-4c3d-8e9f-001122334455",
		"6f1c0a4g-1d2b-4c3d-8e9f-001122334455",
		"{f1c0a4e-1d2b-4c3d-8e9f-001122334455",
		" f1c0a4e-1d2b-4c3d-8e9f-001122334455",
		"6f1c0a4e 1d2b-4c3d-8e9f-001122334455",
	};
	char text[UUID_TEXT_MAX];
	struct uuid u, v;

	(void)state;
	assert_int_equal(uuid_parse("6F1C0a4e-1d2b-4c3d-8e9f-001122334455", &u), 0);
	assert_string_equal(uuid_format(&u, text), "6f1c0a4e-1d2b-4c3d-8e9f-001122334455");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(uuid_parse(bad[i], &v), -EINVAL);
	assert_int_equal(uuid_parse("00000000-0000-0000-0000-000000000000", &v), 0);
	assert_true(uuid_is_nil(&v));
	assert_false(uuid_equal(&u, &v));
}

static void test_uuid_random(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++) {
		struct uuid u = uuid_random(), v = uuid_random();

		assert_false(uuid_equal(&u, &v));
		assert_int_equal(u.bytes[6] >> 4, 4);
		assert_int_equal(u.bytes[8] >> 6, 2);
	}
}

static void test_nearest(void **state)
{
	static const char *const names[] = {"connections", "reload", "routes", "status", "run"};
	static const struct {
		const char *wanted, *best;
	} rows[] = {
		{"conections", "connections"},
		{"statsu", "status"},
		{"STATUS", "status"},
		{"route", "routes"},
		{"rnu", "run"},
		{"xyzzy", NULL},
		{"", NULL},
		{"r", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct nearest n = {.wanted = rows[i].wanted};

		for (size_t j = 0; j < ARRAY_SIZE(names); j++)
			nearest_offer(&n, names[j]);
		if (rows[i].best)
			assert_string_equal(n.best, rows[i].best);
		else
			assert_null(n.best);
	}
	assert_int_equal(name_distance("ca", "abc"), 3);
	assert_int_equal(name_distance("", "abc"), 3);
	assert_int_equal(name_distance("abc", ""), 3);
	assert_int_equal(name_distance("abcd", "abdc"), 1);
}

static void test_nearest_ignores_long_names(void **state)
{
	char name[NEAREST_NAME_MAX + 2];

	(void)state;
	memset(name, 'a', sizeof(name));
	name[NEAREST_NAME_MAX + 1] = '\0';
	assert_int_equal(name_distance(name, "a"), UINT32_MAX);
	name[NEAREST_NAME_MAX] = '\0';
	assert_int_equal(name_distance(name, name), 0);
}

static void test_utf8(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
		uint32_t rune;
	} rows[] = {
		{"a", 1, 'a'},
		{"\x7f", 1, 0x7f},
		{"\xc3\xa9", 2, 0xe9},
		{"\xe2\x82\xac", 3, 0x20ac},
		{"\xf0\x9f\x98\x80", 4, 0x1f600},
		{"\xf4\x8f\xbf\xbf", 4, 0x10ffff},
		{"\x80", 1, UTF8_INVALID},
		{"\xc0\xaf", 1, UTF8_INVALID},
		{"\xc1\xbf", 1, UTF8_INVALID},
		{"\xe0\x80\xaf", 1, UTF8_INVALID},
		{"\xed\xa0\x80", 1, UTF8_INVALID},
		{"\xf0\x80\x80\xaf", 1, UTF8_INVALID},
		{"\xf4\x90\x80\x80", 1, UTF8_INVALID},
		{"\xf8\x88\x80\x80", 1, UTF8_INVALID},
		{"\xc3", 1, UTF8_INVALID},
		{"\xe2\x82", 1, UTF8_INVALID},
		{"\xc3(", 1, UTF8_INVALID},
		{"\xff", 1, UTF8_INVALID},
	};
	uint32_t rune;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(utf8_next(rows[i].bytes, strlen(rows[i].bytes), &rune),
				 rows[i].length);
		assert_int_equal(rune, rows[i].rune);
	}
}

static void test_utf8_printable(void **state)
{
	static const uint32_t bad[] = {0,      0x1b,   0x7f,   0x85,   0x9b,	     0x200b,
				       0x202e, 0x2028, 0x2066, 0xfeff, UTF8_INVALID, 0xe0041};
	static const uint32_t good[] = {' ', '~', 0xe9, 0x20ac, 0x4e2d, 0x1f600};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(utf8_is_printable(bad[i]));
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(utf8_is_printable(good[i]));
	assert_int_equal(utf8_width('a'), 1);
	assert_int_equal(utf8_width(0x4e2d), 2);
	assert_int_equal(utf8_width(0x301), 0);
}

static void test_err(void **state)
{
	char *copy = xstrdup("text"), *taken = steal_ptr(copy);
	uint64_t *zeroed = xnew(uint64_t);

	(void)state;
	errno = EBADF;
	assert_int_equal(err_trace(-EINVAL), -EINVAL);
	assert_int_equal(err_trace(3), 3);
	assert_int_equal(errno, EBADF);
	assert_null(copy);
	assert_string_equal(taken, "text");
	assert_null(xstrdup(NULL));
	assert_int_equal(*zeroed, 0);
	free(zeroed);
	free(taken);
}

static int open_and_leave(void)
{
	CLEANUP(close_fd) int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	return fd;
}

static void test_close_fd(void **state)
{
	int fd = open_and_leave();

	(void)state;
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	errno = ENOENT;
	assert_int_equal(close_fd(-1), -1);
	assert_int_equal(close_fd(fd), -1);
	assert_int_equal(errno, ENOENT);
}

/* Leaves @n descriptors from @lowest on; a quarter of so small a limit is spare. */
static void limit_descriptors(int lowest, int n)
{
	struct rlimit low;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &low), 0);
	low.rlim_cur = (rlim_t)(lowest + n);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	assert_int_equal(fd_limit_read(), 0);
}

/* The lowest free number is the next one: it decides. */
static void test_spare_descriptors(void **state)
{
	int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct rlimit old;
	int fd;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(fd_leave_spare(lowest), lowest);
	assert_int_equal(fd_check_spare(lowest), 0);
	/* lowest is not spare: 3/4 of the limit are more than it. */
	limit_descriptors(lowest, lowest / 3 + 2);
	assert_int_equal(fd_leave_spare(lowest), lowest);
	limit_descriptors(lowest, 2);
	assert_int_equal(fd_check_spare(lowest), FD_E_SPARE);
	assert_int_equal(fcntl(lowest, F_GETFD), FD_CLOEXEC);
	fd = fcntl(lowest, F_DUPFD_CLOEXEC, 0);
	assert_int_equal(fd, lowest + 1);
	assert_int_equal(fd_leave_spare(fd), -EMFILE);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	limit_descriptors(lowest, 1);
	assert_int_equal(fd_check_spare(lowest), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	/* The kernel isn't asked each time. */
	assert_int_equal(fd_check_spare(lowest), FD_E_SPARE);
	assert_int_equal(fd_limit_read(), 0);
	assert_int_equal(fd_check_spare(lowest), 0);
	assert_int_equal(fd_leave_spare(-ENOENT), -ENOENT);
	close_fd(lowest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_health),
		cmocka_unit_test(test_clock_text),
		cmocka_unit_test(test_clocks_run_forwards),
		cmocka_unit_test(test_uuid),
		cmocka_unit_test(test_uuid_random),
		cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_nearest_ignores_long_names),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_utf8_printable),
		cmocka_unit_test(test_err),
		cmocka_unit_test(test_close_fd),
		cmocka_unit_test(test_spare_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
