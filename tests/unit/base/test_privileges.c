/* SPDX-License-Identifier: Apache-2.0 */
/* Each case in a child, for there is no way back. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/privileges.h"
#include "base/syscall_filter.h"
#include "base/syscall_groups.h"

#define NOBODY 65534

static char status_text[4096];

static const char *status_line(const char *key)
{
	FILE *f = fopen("/proc/self/status", "r");
	size_t n = f ? fread(status_text, 1, sizeof(status_text) - 1, f) : 0;
	char *at;

	status_text[n] = '\0';
	if (f)
		fclose(f);
	at = strstr(status_text, key);
	if (!at)
		return "";
	at += strlen(key);
	at[strcspn(at, "\n")] = '\0';
	return at;
}

static bool all_empty(void)
{
	static const char *const keys[] = {"CapInh:\t", "CapPrm:\t", "CapEff:\t", "CapAmb:\t"};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strcmp(status_line(keys[i]), "0000000000000000") != 0)
			return false;
	return strcmp(status_line("NoNewPrivs:\t"), "1") == 0;
}

static int drop_and_stay(void)
{
	bool root = privileges_have(PRIVILEGE(CAP_SETPCAP));
	uid_t uid = getuid();

	if (privileges_drop_all() != 0 || !all_empty() || getuid() != uid)
		return 1;
	if (root && strcmp(status_line("CapBnd:\t"), "0000000000000000") != 0)
		return 2;
	if (privileges_have(PRIVILEGE(CAP_NET_ADMIN)) || unshare(CLONE_NEWNET) == 0)
		return 3;
	return 0;
}

static int drop_and_become_nobody(void)
{
	const struct privileges_user user = {NOBODY, NOBODY};

	if (privileges_drop_to(&user) != 0 || !all_empty())
		return 1;
	if (strcmp(status_line("Uid:\t"), "65534\t65534\t65534\t65534") != 0 ||
	    strcmp(status_line("Gid:\t"), "65534\t65534\t65534\t65534") != 0)
		return 2;
	if (strcmp(status_line("CapBnd:\t"), "0000000000000000") != 0)
		return 3;
	/* Root's groups are gone. */
	if (getgroups(0, NULL) != 1 || setuid(0) == 0)
		return 4;
	return 0;
}

static int keep_one(void)
{
	if (privileges_keep(PRIVILEGE(CAP_NET_ADMIN)) != 0)
		return 1;
	if (strcmp(status_line("CapEff:\t"), "0000000000001000") != 0 ||
	    strcmp(status_line("CapPrm:\t"), "0000000000001000") != 0 ||
	    strcmp(status_line("CapBnd:\t"), "0000000000001000") != 0 ||
	    strcmp(status_line("CapInh:\t"), "0000000000000000") != 0)
		return 2;
	/* What was given up can't be kept any more. */
	if (privileges_keep(PRIVILEGE(CAP_SYS_ADMIN)) != -EPERM)
		return 3;
	return privileges_have(PRIVILEGE(CAP_NET_ADMIN)) ? 0 : 4;
}

/* As systemd starts who has no capabilities: without capset(). */
static int drop_without_capset(void)
{
	static const struct syscall_group groups[] = {
		SYSCALLS_MEMORY,
		SYSCALLS_SIGNALS,
		SYSCALLS_CLOCK,
		SYSCALLS_LOOP,
		SYSCALLS_STREAMS,
		{
			.reason = "what dropping takes, and looking at it; sanitizers",
			.names = "capget newfstatat openat prctl sched_getaffinity sigaltstack",
		},
	};

	if (setresuid(NOBODY, NOBODY, NOBODY) < 0 ||
	    syscall_filter_install(groups, ARRAY_SIZE(groups), SYSCALL_KILL, NULL) < 0)
		return 1;
	return privileges_drop_all() == 0 && all_empty() ? 0 : 2;
}

/* What a program has that is executed by somebody who isn't root. */
static int hand_on(void)
{
	const uint64_t caps = PRIVILEGE(CAP_NET_ADMIN);

	if (prctl(PR_SET_KEEPCAPS, 1) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0 ||
	    privileges_keep(caps) != 0 || privileges_hand_on(PRIVILEGE(CAP_SYS_ADMIN)) == 0)
		return 1;
	if (privileges_hand_on(caps) != 0)
		return 2;
	execlp("grep", "grep", "-q", "CapEff:.0000000000001000", "/proc/self/status", NULL);
	return 3;
}

static const struct {
	const char *uid;
	const char *gid;
	bool found;
} callers[] = {
	{"1000", "1001", true}, {"0", "1001", false},	       {"1000", "0", false},
	{"1000", NULL, false},	{NULL, "1000", false},	       {"1000x", "1000", false},
	{"-1", "1000", false},	{"4294967295", "1000", false}, {" 1", "1000", false},
	{"", "1000", false},
};

static void set(const char *name, const char *value)
{
	if (value)
		setenv(name, value, 1);
	else
		unsetenv(name);
}

static int find_caller(void)
{
	struct privileges_user user = {0};

	for (size_t i = 0; i < ARRAY_SIZE(callers); i++) {
		set("SUDO_UID", callers[i].uid);
		set("SUDO_GID", callers[i].gid);
		if (privileges_invoking_user(&user) != callers[i].found)
			return (int)i + 1;
	}
	return user.uid == 1000 && user.gid == 1001 ? 0 : 99;
}

static void run(int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_drop_and_stay(void **state)
{
	(void)state;
	run(drop_and_stay);
}

static void test_as_root(void **state)
{
	(void)state;
	if (geteuid() != 0 || !privileges_have(PRIVILEGE(CAP_SETUID) | PRIVILEGE(CAP_SETPCAP)))
		skip();
	run(drop_and_become_nobody);
	run(keep_one);
	run(hand_on);
	run(drop_without_capset);
	run(find_caller);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drop_and_stay),
		cmocka_unit_test(test_as_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
