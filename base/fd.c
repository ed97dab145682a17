/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"

#include <errno.h>
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
