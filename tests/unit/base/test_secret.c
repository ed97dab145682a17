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

#include "base/diag.h"
#include "base/file.h"
#include "base/secret.h"

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
	unlink("s");
	unlink("link");
	unlink("fifo");
	return rmdir(folder);
}

static void expect_refused(const char *path, int r, const char *words)
{
	struct secret s = {0};
	char text[512];
	struct diag d;

	diag_init(&d, NULL);
	assert_int_equal(secret_read_file(path, &s, &d), r);
	assert_null(s.bytes);
	diag_format(&d, text, sizeof(text));
	if (!strstr(text, words))
		fail_msg("\"%s\" lacks \"%s\"", text, words);
	diag_deinit(&d);
}

static void test_safe_file_is_read(void **state)
{
	struct secret s = {0};

	(void)state;
	assert_int_equal(file_replace("s", 0600, "abc\n", 4), 0);
	assert_int_equal(secret_read_file("s", &s, NULL), 0);
	assert_int_equal(s.n, 4);
	assert_string_equal((char *)s.bytes, "abc\n");
	secret_wipe(&s);
	assert_null(s.bytes);
	secret_wipe(&s);
}

static void test_unsafe_files_are_refused(void **state)
{
	static char big[SECRET_FILE_MAX + 1];

	(void)state;
	assert_int_equal(file_replace("s", 0644, "abc", 3), 0);
	expect_refused("s", -EPERM,
		       "s: open to others than its owner (mode 0644); "
		       "run: chmod 600 's'");
	assert_int_equal(chmod("s", 0640), 0);
	expect_refused("s", -EPERM, "mode 0640");
	assert_int_equal(symlink("s", "link"), 0);
	expect_refused("link", -EPERM, "symbolic link");
	assert_int_equal(mkfifo("fifo", 0600), 0);
	expect_refused("fifo", -EPERM, "not a regular file");
	expect_refused(".", -EPERM, "not a regular file");
	expect_refused("nowhere", -ENOENT, "nowhere: can't be opened");
	assert_int_equal(file_replace("s", 0600, big, sizeof(big)), 0);
	expect_refused("s", -EFBIG, "larger than 65536 bytes");
}

static void test_foreign_owner_is_refused(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(file_replace("s", 0600, "abc", 3), 0);
	assert_int_equal(chown("s", 65534, 65534), 0);
	expect_refused("s", -EPERM, "belongs to user 65534");
	assert_int_equal(chown("s", 0, 0), 0);
}

static void test_systemd_credentials_may_be_group_readable(void **state)
{
	struct secret s = {0};
	char path[80];

	(void)state;
	assert_int_equal(file_replace("s", 0440, "abc", 3), 0);
	setenv("CREDENTIALS_DIRECTORY", folder, 1);
	snprintf(path, sizeof(path), "%s/s", folder);
	assert_int_equal(secret_read_file(path, &s, NULL), 0);
	secret_wipe(&s);
	expect_refused("s", -EPERM, "chmod 600");
	assert_int_equal(chmod("s", 0444), 0);
	expect_refused(path, -EPERM, "chmod 600");
	unsetenv("CREDENTIALS_DIRECTORY");
}

static void test_environment_is_emptied(void **state)
{
	struct secret s = {0};
	char *in_place;

	(void)state;
	assert_int_equal(secret_from_env("ADIT_TEST_SECRET", &s), -ENOENT);
	setenv("ADIT_TEST_SECRET", "hush", 1);
	in_place = getenv("ADIT_TEST_SECRET");
	assert_int_equal(secret_from_env("ADIT_TEST_SECRET", &s), 0);
	assert_string_equal((char *)s.bytes, "hush");
	assert_null(getenv("ADIT_TEST_SECRET"));
	assert_int_equal(in_place[0], 0);
	assert_int_equal(in_place[3], 0);
	secret_wipe(&s);
}

static void test_set_replaces(void **state)
{
	static const char big[SECRET_FILE_MAX + 1];
	struct secret s = {0};

	(void)state;
	assert_int_equal(secret_set(&s, "one", 3), 0);
	assert_int_equal(secret_set(&s, "", 0), 0);
	assert_int_equal(s.n, 0);
	assert_int_equal(secret_set(&s, big, sizeof(big)), -EFBIG);
	secret_wipe(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_safe_file_is_read),
		cmocka_unit_test(test_unsafe_files_are_refused),
		cmocka_unit_test(test_foreign_owner_is_refused),
		cmocka_unit_test(test_systemd_credentials_may_be_group_readable),
		cmocka_unit_test(test_environment_is_emptied),
		cmocka_unit_test(test_set_replaces),
	};

	return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
