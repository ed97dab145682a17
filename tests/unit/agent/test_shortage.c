/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/shortage.h"
#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/log.h"

static int log_fd;
static off_t log_read;
static char text[4096];

/* What the log has gained. */
static const char *said(void)
{
	ssize_t n = pread(log_fd, text, sizeof(text) - 1, log_read);

	assert_true(n >= 0);
	text[n] = '\0';
	log_read += n;
	return text;
}

static int set_up(void **state UNUSED)
{
	unsetenv("JOURNAL_STREAM");
	log_read = 0;
	log_fd = memfd_create("log", MFD_CLOEXEC);
	log_to_fd(log_fd);
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	return log_fd < 0 ? -1 : 0;
}

static int tear_down(void **state UNUSED)
{
	log_to_fd(STDERR_FILENO);
	log_fd = close_fd(log_fd);
	return 0;
}

static void what_to_do_is_said_once_a_minute(void **state UNUSED)
{
	struct shortage s = {0};

	shortage_note(&s, -ECONNREFUSED, 1000);
	assert_string_equal(said(), "");
	shortage_note(&s, -EMFILE, 1000);
	assert_non_null(strstr(said(), "Too many open files"));
	assert_non_null(strstr(text, "LimitNOFILE="));
	shortage_note(&s, -EMFILE, 1000 + SHORTAGE_QUIET_MS - 1);
	assert_string_equal(said(), "");
	shortage_note(&s, -ENFILE, 1000 + SHORTAGE_QUIET_MS);
	assert_non_null(strstr(said(), "fs.file-max"));
}

/* The clock may be at its very beginning. */
static void the_first_one_is_said(void **state UNUSED)
{
	struct shortage s = {0};

	shortage_note(&s, -EMFILE, 0);
	assert_string_not_equal(said(), "");
	shortage_note(&s, -EMFILE, 1);
	assert_string_equal(said(), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_to_do_is_said_once_a_minute, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(the_first_one_is_said, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
