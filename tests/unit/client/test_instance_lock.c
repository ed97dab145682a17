/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "client/instance_lock.h"

#define TABLE	    44301
#define PATIENCE_MS 60000

static char folder[] = "/tmp/adit-lock-XXXXXX";
static char inner[sizeof(folder) + 8];

/* Another process that takes the lock, says so, and goes when told. */
struct other {
	pid_t pid;
	int up[2];
	int down[2];
};

static void hold(const struct other *o)
{
	int fd = -1;
	char c = instance_lock_take(inner, TABLE, 0, &fd, NULL, NULL) == 0 ? 'y' : 'n';

	if (write(o->up[1], &c, 1) == 1 && read(o->down[0], &c, 1) < 0)
		_exit(1);
	_exit(0);
}

static void start(struct other *o)
{
	char c;

	assert_int_equal(pipe2(o->up, O_CLOEXEC), 0);
	assert_int_equal(pipe2(o->down, O_CLOEXEC), 0);
	o->pid = fork();
	if (o->pid == 0) {
		close(o->down[1]);
		hold(o);
	}
	close(o->up[1]);
	close(o->down[0]);
	assert_int_equal(read(o->up[0], &c, 1), 1);
	assert_int_equal(c, 'y');
}

static void end(struct other *o)
{
	close(o->down[1]);
	waitpid(o->pid, NULL, 0);
	close(o->up[0]);
}

static void test_second_is_told_the_first(void **state)
{
	char expected[32];
	struct other first;
	struct diag d;
	pid_t pid = 0;
	int fd = -1;

	(void)state;
	start(&first);
	diag_init(&d, NULL);
	assert_int_equal(instance_lock_take(inner, TABLE, PATIENCE_MS, &fd, &pid, &d),
			 INSTANCE_LOCK_TAKEN);
	assert_int_equal(pid, first.pid);
	snprintf(expected, sizeof(expected), "process %d ", first.pid);
	assert_int_equal(d.n_errors, 1);
	assert_non_null(strstr(d.items[0].text, "table 44301 is in use"));
	assert_non_null(strstr(d.items[0].text, expected));
	assert_int_equal(fd, -1);
	/* Another table is another instance's. */
	assert_int_equal(instance_lock_take(inner, TABLE + 1, 0, &fd, NULL, NULL), 0);
	close(fd);
	diag_deinit(&d);
	end(&first);
	assert_int_equal(instance_lock_take(inner, TABLE, 0, &fd, NULL, NULL), 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
}

/* The main process is dead and its helper still has the lock: wait, but not for ever. */
static void test_waits_for_the_helper_of_a_dead_one(void **state)
{
	struct other helper;
	struct diag d;
	char line[32];
	char path[sizeof(inner) + 16];
	pid_t dead = fork();
	int fd;

	(void)state;
	if (dead == 0)
		_exit(0);
	waitpid(dead, NULL, 0);
	start(&helper);
	snprintf(path, sizeof(path), "%s/%d.lock", inner, TABLE);
	snprintf(line, sizeof(line), "%d\n", dead);
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_int_equal(write(fd, line, strlen(line)), (ssize_t)strlen(line));
	close(fd);
	diag_init(&d, NULL);
	assert_int_equal(instance_lock_take(inner, TABLE, 40, &fd, NULL, &d), INSTANCE_LOCK_TAKEN);
	assert_non_null(strstr(d.items[0].text, "still being cleaned up"));
	diag_deinit(&d);
	/* Its end is on the way, by the end of the pipe, while we wait. */
	close(helper.down[1]);
	assert_int_equal(instance_lock_take(inner, TABLE, PATIENCE_MS, &fd, NULL, NULL), 0);
	close(fd);
	while (waitpid(-1, NULL, 0) > 0)
		;
	close(helper.up[0]);
}

static void test_errors_name_the_path(void **state)
{
	char path[sizeof(inner) + 16];
	struct diag d;
	int fd;

	(void)state;
	diag_init(&d, NULL);
	assert_int_equal(instance_lock_take("/proc/no/such", TABLE, 0, &fd, NULL, &d), -ENOENT);
	assert_non_null(strstr(d.items[0].text, "/proc/no/such"));
	/* Somebody's trap for us. */
	snprintf(path, sizeof(path), "%s/7.lock", inner);
	assert_int_equal(symlink("/dev/null", path), 0);
	assert_int_equal(instance_lock_take(inner, 7, 0, &fd, NULL, &d), -ELOOP);
	assert_int_equal(unlink(path), 0);
	diag_deinit(&d);
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	/* The module makes it. */
	snprintf(inner, sizeof(inner), "%s/run", folder);
	return 0;
}

static int tear_down(void **state)
{
	char line[sizeof(folder) + 16];

	(void)state;
	snprintf(line, sizeof(line), "rm -r %s", folder);
	return system(line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_second_is_told_the_first),
		cmocka_unit_test(test_waits_for_the_helper_of_a_dead_one),
		cmocka_unit_test(test_errors_name_the_path),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
