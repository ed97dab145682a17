/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "client/exec_namespace.h"

/* What waitpid() says about a child that ended so. */
static int wait_status(int exit_status, int signal_number)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		if (signal_number)
			kill(getpid(), signal_number);
		_exit(exit_status);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void test_of_commands_that_ended(void **state UNUSED)
{
	assert_int_equal(exec_status_of_wait(wait_status(0, 0)), 0);
	assert_int_equal(exec_status_of_wait(wait_status(7, 0)), 7);
	assert_int_equal(exec_status_of_wait(wait_status(255, 0)), 255);
	assert_int_equal(exec_status_of_wait(wait_status(0, SIGTERM)), 143);
	assert_int_equal(exec_status_of_wait(wait_status(0, SIGKILL)), 137);
}

static void test_of_commands_that_could_not_begin(void **state UNUSED)
{
	assert_int_equal(exec_status_of_errno(ENOENT), 127);
	assert_int_equal(exec_status_of_errno(EACCES), 126);
	assert_int_equal(exec_status_of_errno(ENOEXEC), 126);
	assert_int_equal(exec_status_of_errno(E2BIG), 126);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_of_commands_that_ended),
		cmocka_unit_test(test_of_commands_that_could_not_begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
