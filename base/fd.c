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

/* The first descriptor of the spare; 0: not known yet. A flow each is no time to ask the kernel. */
static rlim_t first_spare;

int fd_limit_read(void)
{
	struct rlimit limit;
	rlim_t n_spare;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	n_spare = limit.rlim_cur / 4 < FD_SPARE ? limit.rlim_cur / 4 : FD_SPARE;
	first_spare = limit.rlim_cur - n_spare;
	return 0;
}

int fd_limit_raise(void)
{
	struct rlimit limit;
	int r;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	limit.rlim_cur = limit.rlim_max;
	r = setrlimit(RLIMIT_NOFILE, &limit) < 0 ? -errno : 0;
	(void)fd_limit_read();
	return r;
}

static bool is_spare(int fd)
{
	if (!first_spare && fd_limit_read() < 0)
		return false;
	return (rlim_t)fd >= first_spare;
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
	close_fd(next);
	return is_spare(next) ? FD_E_SPARE : 0;
}
