/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Who may do what, with a real process of another user: needs root to become one. Without
 * it the test is skipped (77), or fails where ADIT_TEST_REQUIRE names "root".
 */

#include "ctrl_daemon.h"

#include <grp.h>
#include <sys/wait.h>

#define SKIPPED 77
#define NOBODY	65534

enum verdict {
	VERDICT_OK,
	VERDICT_REFUSED,
	VERDICT_NO_ACCESS,
	VERDICT_OTHER,
};

static enum verdict call_as_child(const char *path, const char *command, int uid)
{
	struct ctrl_error error;
	json_t *result = NULL;

	if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
	    setresuid(NOBODY, NOBODY, NOBODY) < 0)
		return VERDICT_OTHER;
	switch (ctrl_call(path, command, NULL, CALL_LIMIT_MS, &result, &error)) {
	case 0:
		return uid < 0 || json_integer_value(json_object_get(result, "uid")) == uid
			       ? VERDICT_OK
			       : VERDICT_OTHER;
	case CTRL_CLIENT_E_REFUSED:
		return strcmp(error.code, "forbidden") == 0 ? VERDICT_REFUSED : VERDICT_OTHER;
	case CTRL_CLIENT_E_BROKEN:
		return strstr(error.text, strerror(EACCES)) ? VERDICT_NO_ACCESS : VERDICT_OTHER;
	default:
		return VERDICT_OTHER;
	}
}

/* The child only makes one call and leaves without any cleanup of the parent's state. */
static enum verdict call_as_nobody(const char *path, const char *command, int uid)
{
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit((int)call_as_child(path, command, uid));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return (enum verdict)WEXITSTATUS(status);
}

static void test_mode_keeps_others_out(void **state)
{
	const struct daemon *d = *state;

	assert_int_equal(chmod(d->folder, 0755), 0);
	assert_int_equal(call_as_nobody(d->path, "echo", -1), VERDICT_NO_ACCESS);
	call_ok(d, "change");
}

/* Let in by the file's mode, a stranger may ask but not change. */
static void test_stranger_may_not_change(void **state)
{
	const struct daemon *d = *state;

	assert_int_equal(chmod(d->folder, 0755), 0);
	assert_int_equal(chmod(d->path, 0666), 0);
	assert_int_equal(call_as_nobody(d->path, "echo", -1), VERDICT_OK);
	assert_int_equal(call_as_nobody(d->path, "uid", NOBODY), VERDICT_OK);
	assert_int_equal(call_as_nobody(d->path, "change", -1), VERDICT_REFUSED);
	call_ok(d, "change");
	assert_int_equal(call_as_nobody(d->path, "show-level", -1), VERDICT_OK);
	assert_int_equal(call_as_nobody(d->path, "set-level", -1), VERDICT_REFUSED);
	call_ok(d, "set-level");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_mode_keeps_others_out, daemon_start,
						daemon_stop),
		cmocka_unit_test_setup_teardown(test_stranger_may_not_change, daemon_start,
						daemon_stop),
	};
	const char *required = getenv("ADIT_TEST_REQUIRE");

	if (geteuid() != 0) {
		fprintf(stderr, "skipped: only root can become another user\n");
		return required && strstr(required, "root") ? 1 : SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
