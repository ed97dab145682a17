/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"

int close_fd(int fd)
{
	int saved = errno;

	/* Linux frees the number even on EINTR: a second try could close another's. */
	if (fd >= 0)
		close(fd);
	errno = saved;
	return -1;
}

int fd_limit_raise(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? -errno : 0;
}

static bool is_spare(int fd)
{
	struct rlimit limit;
	rlim_t n_spare;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return false;
	n_spare = limit.rlim_cur / 4 < FD_SPARE ? limit.rlim_cur / 4 : FD_SPARE;
	return (rlim_t)fd >= limit.rlim_cur - n_spare;
}

int fd_leave_spare(int fd)
{
	if (fd < 0 || !is_spare(fd))
		return fd;
	close_fd(fd);
	return -EMFILE;
}

int fd_check_spare(int any)
{
	int next = fcntl(any, F_DUPFD_CLOEXEC, 0);

	if (next < 0)
		return -errno;
	next = fd_leave_spare(next);
	if (next < 0)
		return next;
	close_fd(next);
	return 0;
}
