/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

static char folder[64];

static int make_folder(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/adit-test-XXXXXX");
	return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int drop_folder(void **state)
{
	(void)state;
	unlink("f");
	rmdir("a/b/c");
	rmdir("a/b");
	rmdir("a");
	return rmdir(folder);
}

static void test_replace_and_read_back(void **state)
{
	CLEANUP(free) char *data = NULL;
	struct stat st;
	size_t n;

	(void)state;
	assert_int_equal(file_replace("f", 0640, "old", 3), 0);
	assert_int_equal(file_replace("f", 0600, "newer", 5), 0);
	assert_int_equal(stat("f", &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(file_read("f", 5, &data, &n), 0);
	assert_int_equal(n, 5);
	assert_string_equal(data, "newer");
}

static void test_read_keeps_the_limit(void **state)
{
	static char big[20000];
	CLEANUP(free) char *data = NULL;
	size_t n;

	(void)state;
	memset(big, 'x', sizeof(big));
	assert_int_equal(file_replace("f", 0600, big, sizeof(big)), 0);
	assert_int_equal(file_read("f", sizeof(big) - 1, &data, &n), -EFBIG);
	assert_int_equal(file_read("f", 0, &data, &n), -EFBIG);
	assert_null(data);
	assert_int_equal(file_read("f", sizeof(big), &data, &n), 0);
	assert_int_equal(n, sizeof(big));
	assert_int_equal(file_read("nowhere", 10, &data, &n), -ENOENT);
	assert_int_equal(file_read(".", 10, &data, &n), -EISDIR);
}

static void test_failed_replace_leaves_nothing(void **state)
{
	(void)state;
	assert_int_equal(file_replace("nowhere/f", 0600, "x", 1), -ENOENT);
	assert_int_equal(mkdir("a", 0755), 0);
	assert_int_equal(file_replace("a", 0600, "x", 1), -EISDIR);
	assert_int_equal(rmdir("a"), 0);
}

static void test_dir_make(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(dir_make("a/b/c", 0700), 0);
	assert_int_equal(dir_make("a/b/c", 0700), 0);
	assert_int_equal(stat("a/b/c", &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(file_replace("f", 0600, "", 0), 0);
	assert_int_equal(dir_make("f", 0700), -ENOTDIR);
	assert_int_equal(dir_make("f/x", 0700), -ENOTDIR);
	assert_int_equal(dir_make("", 0700), -ENOENT);
	assert_int_equal(dir_make("/", 0700), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replace_and_read_back),
		cmocka_unit_test(test_read_keeps_the_limit),
		cmocka_unit_test(test_failed_replace_leaves_nothing),
		cmocka_unit_test(test_dir_make),
	};

	return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
