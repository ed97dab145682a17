/* SPDX-License-Identifier: Apache-2.0 */
/* Each case in a child, for there is no way back. */

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
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/landlock.h"

#define MISSING 77

/*
 * mine/ may be changed, shown/ be read; of link/ only the folder of its file `to`, which leads to
 * far/file; hidden/ and single, but for single/one, are nobody's.
 */
static const struct landlock_area areas[] = {
	{"mine", LANDLOCK_CHANGE, false, NULL},	   {"shown", LANDLOCK_READ, false, NULL},
	{"link/to", LANDLOCK_READ, true, NULL},	   {"single/one", LANDLOCK_READ, false, NULL},
	{NULL, LANDLOCK_CHANGE, false, NULL},	   {"nowhere", LANDLOCK_CHANGE, false, NULL},
	{"nowhere/to", LANDLOCK_READ, true, NULL},
};

static const struct {
	const char *path;
	int flags;
	int error; /* 0: opens */
} opens[] = {
	{"mine/file", O_RDWR, 0},
	{"mine/new", O_WRONLY | O_CREAT | O_EXCL, 0},
	{"mine/file", O_WRONLY | O_TRUNC, 0},
	{"mine", O_RDONLY | O_DIRECTORY, 0},
	{"shown/file", O_RDONLY, 0},
	{"shown/file", O_WRONLY, EACCES},
	{"shown/new", O_WRONLY | O_CREAT, EACCES},
	{"link/to", O_RDONLY, 0},
	{"far/file", O_RDONLY, 0},
	{"far/later", O_RDONLY, 0},
	{"single/one", O_RDONLY, 0},
	{"single/two", O_RDONLY, EACCES},
	{"hidden/file", O_RDONLY, EACCES},
	{"hidden", O_RDONLY | O_DIRECTORY, EACCES},
	{"/etc/passwd", O_RDONLY, EACCES},
	{"/proc/self/environ", O_RDONLY, EACCES},
};

static char dir[] = "/tmp/adit-landlock-XXXXXX";

static void make_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
}

static int make_tree(void **state)
{
	static const char *const folders[] = {"mine", "shown", "link", "far", "single", "hidden"};
	static const char *const files[] = {"mine/file",  "shown/file", "far/file",   "far/later",
					    "single/one", "single/two", "hidden/file"};

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		assert_int_equal(mkdir(folders[i], 0700), 0);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		make_file(files[i]);
	return symlink("../far/file", "link/to");
}

static int remove_tree(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return chdir("/") < 0 || system(command);
}

static int restrict_us(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return 1;
	switch (landlock_restrict(areas, ARRAY_SIZE(areas))) {
	case 0:
		return 0;
	case LANDLOCK_E_MISSING:
		return MISSING;
	default:
		return 2;
	}
}

static int opens_its_areas(void)
{
	int r = restrict_us();

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(opens); i++) {
		int fd = open(opens[i].path, opens[i].flags | O_CLOEXEC, 0600);

		if (opens[i].error ? fd >= 0 || errno != opens[i].error : fd < 0)
			return 10 + (int)i;
	}
	return r;
}

static int changes_its_areas(void)
{
	int r = restrict_us();

	if (r)
		return r;
	make_file("mine/temporary");
	if (rename("mine/temporary", "mine/file") < 0 || unlink("mine/file") < 0)
		return 3;
	if (unlink("shown/file") == 0 || mkdir("hidden/folder", 0700) == 0)
		return 4;
	if (rename("shown/file", "mine/stolen") == 0 || link("hidden/file", "mine/stolen") == 0)
		return 5;
	execl("/bin/true", "true", NULL);
	return errno == EACCES ? 0 : 6;
}

/* Version 6 of the kernel's interface. */
static int keeps_its_signals(void)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
	int r = restrict_us();

	if (r || version < 6)
		return r ? r : MISSING;
	if (kill(getpid(), 0) < 0)
		return 3;
	return kill(getppid(), 0) < 0 && errno == EPERM ? 0 : 4;
}

static void run(int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == MISSING)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_opening(void **state)
{
	(void)state;
	run(opens_its_areas);
}

static void test_changing(void **state)
{
	(void)state;
	run(changes_its_areas);
}

static void test_signals(void **state)
{
	(void)state;
	run(keeps_its_signals);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_opening),
		cmocka_unit_test(test_changing),
		cmocka_unit_test(test_signals),
	};

	return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
