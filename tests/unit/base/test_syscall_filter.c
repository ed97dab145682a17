/* SPDX-License-Identifier: Apache-2.0 */
/* Each case in a child, for there is no way back. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/syscall_filter.h"
#include "base/syscall_groups.h"

#define PAGE 4096

/* clang-format off */
static const struct syscall_group groups[] = {
	SYSCALLS_MEMORY,
	SYSCALLS_THREADS,
	SYSCALLS_SIGNALS,
	SYSCALLS_CLOCK,
	SYSCALLS_LOOP,
	SYSCALLS_STREAMS,
	SYSCALLS_DESCRIPTORS,
	{
		.reason = "sockets of one kind; files, to look at /proc",
		.names = "newfstatat openat",
		.rules = {{"socket", 0, SYSCALL_EXACTLY, AF_UNIX, SYSCALL_ALWAYS}},
	},
	{
		.reason = "the runtimes of sanitizers, which these tests are built with as well",
		.names = "sched_getaffinity sigaltstack",
	},
};
/* clang-format on */

/* ---- what must be refused ---- */

static long executes(void)
{
	char *const argv[] = {(char[]){"true"}, NULL};

	return execve("/bin/true", argv, NULL);
}

static long traces(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static long makes_a_process(void)
{
	return syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

static long makes_a_namespace(void)
{
	return syscall(SYS_clone, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND | CLONE_NEWUSER, NULL,
		       NULL, NULL, NULL);
}

static long leaves_the_namespace(void)
{
	return unshare(CLONE_NEWUSER);
}

static long maps_code(void)
{
	return syscall(SYS_mmap, NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);
}

static long makes_code(void)
{
	void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? 0 : mprotect(page, PAGE, PROT_READ | PROT_EXEC);
}

static long opens_another_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}

static long types_into_a_terminal(void)
{
	return ioctl(STDIN_FILENO, TIOCSTI, "x");
}

static long signals_others(void)
{
	return kill(1, 0);
}

static long signals_a_thread_of_others(void)
{
	return syscall(SYS_tgkill, 1, 1, 0);
}

static long has_input_signalled(void)
{
	return fcntl(STDIN_FILENO, F_SETOWN, 1);
}

static long chooses_a_signal(void)
{
	return fcntl(STDIN_FILENO, F_SETSIG, SIGKILL);
}

static long asks_for_signals(void)
{
	return fcntl(STDIN_FILENO, F_SETFL, O_ASYNC | O_NONBLOCK);
}

static long limits_others(void)
{
	struct rlimit limit;

	return prlimit(1, RLIMIT_NOFILE, NULL, &limit);
}

static long connects_by_sending(void)
{
	return sendto(STDIN_FILENO, "x", 1, MSG_FASTOPEN, NULL, 0);
}

static long (*const refused[])(void) = {
	executes,
	traces,
	makes_a_process,
	makes_a_namespace,
	leaves_the_namespace,
	maps_code,
	makes_code,
	opens_another_socket,
	types_into_a_terminal,
	signals_others,
	signals_a_thread_of_others,
	has_input_signalled,
	chooses_a_signal,
	asks_for_signals,
	limits_others,
	connects_by_sending,
};

static _Atomic int last_refused;

static void note_refused(int number)
{
	last_refused = number;
}

static void install(enum syscall_mode mode)
{
	int n = syscall_filter_install(groups, ARRAY_SIZE(groups), mode, note_refused);

	if (n < 20 || n > 100)
		_exit(100);
}

/* ---- children ---- */

static int is_refused(size_t i)
{
	install(SYSCALL_REFUSE);
	errno = 0;
	if (refused[i]() != -1)
		return 1;
	if (errno != EPERM)
		return 2;
	return last_refused > 0 ? 0 : 3;
}

static int is_deadly(size_t i)
{
	install(SYSCALL_KILL);
	(void)refused[i]();
	return 99;
}

static int clone3_is_missing(size_t mode)
{
	struct clone_args args = {.exit_signal = SIGCHLD};

	install((enum syscall_mode)mode);
	return syscall(SYS_clone3, &args, sizeof(args)) == -1 && errno == ENOSYS ? 0 : 1;
}

static void *get_one(void *arg)
{
	char byte;

	return read(*(int *)arg, &byte, 1) == 1 && syscall(SYS_getppid) == -1 && errno == EPERM
		       ? arg
		       : NULL;
}

static int counts_filtered_threads(void)
{
	char path[64], text[4096];
	int n = 0;

	for (pid_t id = getpid(); id < getpid() + 200; id++) {
		FILE *f;
		size_t n_text;

		snprintf(path, sizeof(path), "/proc/self/task/%d/status", (int)id);
		f = fopen(path, "r");
		if (!f)
			continue;
		n_text = fread(text, 1, sizeof(text) - 1, f);
		text[n_text] = '\0';
		fclose(f);
		n += strstr(text, "\nSeccomp:\t2") && strstr(text, "\nNoNewPrivs:\t1");
	}
	return n;
}

/* One thread from before, which waits, and one that the filter lets us make. */
static int holds_for_all_threads(size_t unused UNUSED)
{
	int ends[2];
	pthread_t before, after;
	void *ok_before, *ok_after;

	if (pipe(ends) < 0 || pthread_create(&before, NULL, get_one, &ends[0]))
		return 1;
	install(SYSCALL_REFUSE);
	if (pthread_create(&after, NULL, get_one, &ends[0]))
		return 2;
	if (counts_filtered_threads() != 3)
		return 3;
	if (write(ends[1], "xx", 2) != 2 || pthread_join(before, &ok_before) ||
	    pthread_join(after, &ok_after))
		return 4;
	return ok_before && ok_after ? 0 : 5;
}

static int allows_its_list(size_t unused UNUSED)
{
	struct rlimit limit;
	char *big;
	int fd;

	install(SYSCALL_KILL);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	big = malloc((size_t)64 * PAGE);
	if (fd < 0 || !big)
		return 1;
	free(big);
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return 2;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || raise(0) != 0)
		return 3;
	close(fd);
	return 0;
}

static int outlives_a_strange_sigsys(size_t unused UNUSED)
{
	install(SYSCALL_REFUSE);
	last_refused = -1;
	if (raise(SIGSYS) != 0)
		return 1;
	return last_refused == -1 ? 0 : 2;
}

static int knows_every_name(size_t unused UNUSED)
{
	static const struct syscall_group bad[] = {{.reason = "a slip", .names = "read wriet"}};
	static const struct syscall_group worse[] = {
		{.reason = "a slip",
		 .rules = {{"sokcet", 0, SYSCALL_EXACTLY, AF_UNIX, SYSCALL_ALWAYS}}}};

	if (syscall_filter_install(bad, 1, SYSCALL_KILL, NULL) != -EINVAL ||
	    syscall_filter_install(worse, 1, SYSCALL_KILL, NULL) != -EINVAL)
		return 1;
	/* Nothing is in force. */
	return syscall(SYS_getppid) > 0 ? 0 : 2;
}

static int wait_for(int (*fn)(size_t), size_t i)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(fn(i));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void passes(int (*fn)(size_t), size_t i)
{
	int status = wait_for(fn, i);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- tests ---- */

static void test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		passes(is_refused, i);
}

static void test_killed(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		int status = wait_for(is_deadly, i);

		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGSYS);
	}
}

static void test_clone3(void **state)
{
	(void)state;
	passes(clone3_is_missing, SYSCALL_REFUSE);
	passes(clone3_is_missing, SYSCALL_KILL);
}

static void test_threads(void **state)
{
	(void)state;
	passes(holds_for_all_threads, 0);
}

static void test_list(void **state)
{
	(void)state;
	passes(allows_its_list, 0);
	passes(outlives_a_strange_sigsys, 0);
	passes(knows_every_name, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused), cmocka_unit_test(test_killed),
		cmocka_unit_test(test_clone3),	cmocka_unit_test(test_threads),
		cmocka_unit_test(test_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
