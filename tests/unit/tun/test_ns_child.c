/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "own_namespace.h"
#include "tun/ns_child.h"

#define DEADLINE_MS 60000

static ino_t namespace_of(const char *kind)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/self/ns/%s", kind);
	return stat(path, &st) == 0 ? st.st_ino : 0;
}

/* What the child saw. */
struct report {
	ino_t user;
	ino_t net;
	ino_t mnt;
	uid_t uid;
	gid_t gid;
};

static struct report look(void)
{
	return (struct report){namespace_of("user"), namespace_of("net"), namespace_of("mnt"),
			       getuid(), getgid()};
}

static bool has_sys_admin(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {0};

	return syscall(SYS_capget, &header, sets) == 0 &&
	       sets[0].effective & CAP_TO_MASK(CAP_SYS_ADMIN);
}

/* Hands over both ends of a pipe with a word in it. */
static int set_up(void *ctx, struct ns_child_result *result, struct diag *d)
{
	struct report report = look();

	(void)ctx;
	(void)d;
	if (pipe(result->fds) < 0 || write(result->fds[1], "hello", 5) != 5)
		return -EIO;
	result->n_fds = 2;
	result->n_bytes = sizeof(report);
	memcpy(result->bytes, &report, sizeof(report));
	return 0;
}

static int refuse(void *ctx, struct ns_child_result *result, struct diag *d)
{
	(void)ctx;
	(void)result;
	diag_add(d, DIAG_ERROR, 0, "no %s today", "tun");
	return -ENODEV;
}

static int die(void *ctx, struct ns_child_result *result, struct diag *d)
{
	(void)ctx;
	(void)result;
	(void)d;
	raise(SIGKILL);
	return 0;
}

static int mount_something(void *ctx, struct ns_child_result *result, struct diag *d)
{
	(void)ctx;
	(void)result;
	(void)d;
	if (mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", "/proc/tty", "tmpfs", 0, NULL) < 0)
		return -errno;
	return access("/proc/tty/drivers", F_OK) < 0 ? 0 : -EEXIST;
}

static int exit_status(void *ctx)
{
	return *(int *)ctx;
}

static void test_hands_descriptors_back(void **state)
{
	struct ns_child_plan plan = {.set_up = set_up};
	struct ns_child_result result;
	struct report here = look();
	struct report there;
	char word[8] = {0};

	(void)state;
	assert_int_equal(ns_child_start(&plan, NULL, &result, NULL), 0);
	assert_int_equal(result.n_fds, 2);
	assert_int_equal(read(result.fds[0], word, sizeof(word)), 5);
	assert_string_equal(word, "hello");
	assert_int_equal(fcntl(result.fds[0], F_GETFD), FD_CLOEXEC);
	assert_int_equal(result.n_bytes, sizeof(there));
	memcpy(&there, result.bytes, sizeof(there));
	assert_true(there.user != here.user && there.net != here.net);
	assert_true(there.mnt == here.mnt);
	/* Own ids are themselves in there. */
	assert_int_equal(there.uid, here.uid);
	assert_int_equal(there.gid, here.gid);
	assert_true(namespace_of("net") == here.net);
	/* The child has ended and was reaped: the pipe has no other writer. */
	close(result.fds[1]);
	result.n_fds = 1;
	assert_int_equal(read(result.fds[0], word, sizeof(word)), 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	ns_child_result_close(&result);
}

static void test_own_rights_need_no_user_namespace(void **state)
{
	struct ns_child_plan plan = {.own_rights = true, .set_up = set_up};
	struct ns_child_result result;
	struct report here = look();
	struct report there;

	(void)state;
	assert_int_equal(ns_child_start(&plan, NULL, &result, NULL), 0);
	memcpy(&there, result.bytes, sizeof(there));
	assert_true(there.net != here.net);
	/* Without the right to it there is one after all. */
	if (has_sys_admin())
		assert_true(there.user == here.user);
	else
		assert_true(there.user != here.user);
	ns_child_result_close(&result);
}

static void test_reason_comes_back(void **state)
{
	struct ns_child_plan plan = {.set_up = refuse};
	struct ns_child_result result;
	struct ns_child child = NS_CHILD_NONE;
	struct diag d;

	(void)state;
	diag_init(&d, NULL);
	assert_int_equal(ns_child_start(&plan, &child, &result, &d), -ENODEV);
	assert_int_equal(d.n_items, 1);
	assert_string_equal(d.items[0].text, "no tun today");
	assert_int_equal(child.pid, 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	diag_deinit(&d);
}

static void test_death_is_noticed(void **state)
{
	struct ns_child_plan plan = {.set_up = die};
	struct ns_child_result result;
	struct diag d;

	(void)state;
	diag_init(&d, NULL);
	assert_int_equal(ns_child_start(&plan, NULL, &result, &d), -ECHILD);
	assert_int_equal(d.n_errors, 1);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	diag_deinit(&d);
}

static void test_mounts_stay_inside(void **state)
{
	struct ns_child_plan plan = {.mounts = true, .set_up = mount_something};
	struct ns_child_result result;

	(void)state;
	assert_int_equal(ns_child_start(&plan, NULL, &result, NULL), 0);
	assert_int_equal(access("/proc/tty/drivers", F_OK), 0);
}

static void test_proceeds_when_told(void **state)
{
	int status = 7;
	struct ns_child_plan plan = {.set_up = set_up, .proceed = exit_status, .ctx = &status};
	struct ns_child_result result;
	struct ns_child child = NS_CHILD_NONE;

	(void)state;
	assert_int_equal(ns_child_start(&plan, &child, &result, NULL), 0);
	assert_int_equal(waitpid(child.pid, &status, WNOHANG), 0);
	assert_int_equal(ns_child_go(&child), 0);
	assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
	assert_int_equal(WEXITSTATUS(status), 7);
	ns_child_close(&child);
	ns_child_result_close(&result);
}

static void test_ends_when_not_wanted(void **state)
{
	int status = 0;
	struct ns_child_plan plan = {.set_up = set_up, .proceed = exit_status, .ctx = &status};
	struct ns_child_result result;
	struct ns_child child = NS_CHILD_NONE;

	(void)state;
	assert_int_equal(ns_child_start(&plan, &child, &result, NULL), 0);
	ns_child_close(&child);
	assert_int_equal(child.pid, 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	ns_child_result_close(&result);
}

/* In a process that is killed while its child waits: the child goes, too. */
static int start_and_die(void *ctx)
{
	int status = 0;
	struct ns_child_plan plan = {.set_up = set_up, .proceed = exit_status, .ctx = &status};
	struct ns_child_result result;
	struct ns_child child = NS_CHILD_NONE;
	int *out = ctx;

	if (ns_child_start(&plan, &child, &result, NULL) < 0)
		return 1;
	/* The child has the pipe open as well, from the fork. */
	if (write(out[1], "x", 1) != 1)
		return 1;
	raise(SIGKILL);
	return 1;
}

static void test_goes_with_its_parent(void **state)
{
	struct pollfd poll_fd = {.events = POLLIN};
	int out[2];
	pid_t pid;
	char c;

	(void)state;
	assert_int_equal(pipe(out), 0);
	pid = fork();
	if (pid == 0)
		_exit(start_and_die(out));
	close(out[1]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(read(out[0], &c, 1), 1);
	/* End of file: nobody has the other end any more. */
	poll_fd.fd = out[0];
	assert_int_equal(poll(&poll_fd, 1, DEADLINE_MS), 1);
	assert_int_equal(read(out[0], &c, 1), 0);
	close(out[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hands_descriptors_back),
		cmocka_unit_test(test_own_rights_need_no_user_namespace),
		cmocka_unit_test(test_reason_comes_back),
		cmocka_unit_test(test_death_is_noticed),
		cmocka_unit_test(test_mounts_stay_inside),
		cmocka_unit_test(test_proceeds_when_told),
		cmocka_unit_test(test_ends_when_not_wanted),
		cmocka_unit_test(test_goes_with_its_parent),
	};
	struct ns_child_plan plan = {.set_up = set_up};
	struct ns_child_result result;

	if (ns_child_start(&plan, NULL, &result, NULL) < 0)
		return own_namespace_missing("netns");
	ns_child_result_close(&result);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
