/* SPDX-License-Identifier: Apache-2.0 */
#include "base/notify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"

#define USEC_PER_MSEC 1000
#define RELOADING_MAX 64 /* both lines with the largest number */

/* '@' stands for the NUL that starts an abstract name; its length is exact, without a NUL. */
static int fill_address(const char *path, struct sockaddr_un *sun, socklen_t *n_sunp)
{
	size_t n = strlen(path);

	if (path[0] != '/' && path[0] != '@')
		return -EAFNOSUPPORT;
	if (n < 2 || n >= sizeof(sun->sun_path))
		return -EINVAL;
	*sun = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(sun->sun_path, path, n);
	if (path[0] == '@')
		sun->sun_path[0] = '\0';
	*n_sunp = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (path[0] == '/'));
	return 0;
}

bool notify_is_wanted(void)
{
	const char *path = getenv("NOTIFY_SOCKET");

	return path && *path;
}

int notify_send(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	CLEANUP(close_fd) int fd = -1;
	struct sockaddr_un sun;
	socklen_t n_sun;
	int r;

	if (!notify_is_wanted())
		return 0;
	r = fill_address(path, &sun, &n_sun);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&sun,
		   n_sun) < 0)
		return -errno;
	return 0;
}

int notify_reloading(uint64_t monotonic_us)
{
	char text[RELOADING_MAX];

	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu\n",
		 (unsigned long long)monotonic_us);
	return notify_send(text);
}

/* Digits only: strtoull() alone would take "-1" and " 5". */
static bool parse_decimal(const char *text, uint64_t *valuep)
{
	char *end;

	if (!text || text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*valuep = strtoull(text, &end, 10);
	return errno == 0 && *end == '\0';
}

uint64_t notify_watchdog_ms(void)
{
	const char *pid_text = getenv("WATCHDOG_PID");
	uint64_t pid, usec;

	if (!parse_decimal(getenv("WATCHDOG_USEC"), &usec) || usec == UINT64_MAX)
		return 0;
	if (pid_text && (!parse_decimal(pid_text, &pid) || pid != (uint64_t)getpid()))
		return 0;
	return usec / USEC_PER_MSEC;
}

bool credential_path(const char *name, char *out, size_t n_out)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	struct stat st;
	int n;

	if (!dir || dir[0] != '/' || name[0] == '\0' || name[0] == '.' || strchr(name, '/'))
		return false;
	n = snprintf(out, n_out, "%s/%s", dir, name);
	return n > 0 && (size_t)n < n_out && stat(out, &st) == 0 && S_ISREG(st.st_mode);
}
