/* SPDX-License-Identifier: Apache-2.0 */
#include "client/stdio_ends.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

static bool is_pipe(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

static int duplicate(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

	if (copy < 0)
		return -errno;
	(void)fcntl(copy, F_SETFL, fcntl(copy, F_GETFL) | O_NONBLOCK);
	return copy;
}

/* Descriptor 1 must not keep the pipe open, nor become free for another file. */
static void let_go_of_stdout(void)
{
	CLEANUP(close_fd) int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (null_fd >= 0)
		(void)dup2(null_fd, STDOUT_FILENO);
	else
		(void)close(STDOUT_FILENO);
}

/* Without /proc, or with a pipe of another user, the flag stays on the shared file. */
static int take_pipe(void)
{
	int fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		fd = duplicate(STDOUT_FILENO);
	if (fd >= 0)
		let_go_of_stdout();
	return fd;
}

int stdio_ends_take(struct stdio_ends *s)
{
	/* Both before either is changed: they may be one file. */
	*s = (struct stdio_ends){
		.in_flags = fcntl(STDIN_FILENO, F_GETFL),
		.out_flags = fcntl(STDOUT_FILENO, F_GETFL),
	};
	s->in_fd = duplicate(STDIN_FILENO);
	if (s->in_fd < 0)
		return s->in_fd;
	if (is_pipe(STDOUT_FILENO)) {
		s->out_flags = -1;
		s->out_fd = take_pipe();
	} else {
		s->out_fd = duplicate(STDOUT_FILENO);
	}
	if (s->out_fd < 0) {
		close_fd(s->in_fd);
		stdio_ends_restore(s);
		return s->out_fd;
	}
	return 0;
}

void stdio_ends_restore(const struct stdio_ends *s)
{
	if (s->in_flags >= 0)
		(void)fcntl(STDIN_FILENO, F_SETFL, s->in_flags);
	if (s->out_flags >= 0)
		(void)fcntl(STDOUT_FILENO, F_SETFL, s->out_flags);
}
