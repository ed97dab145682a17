/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
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
