/* SPDX-License-Identifier: Apache-2.0 */
#include "client/instance_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

#define PAUSE_MS     20
#define PID_TEXT_MAX 16

static int say(struct diag *d, const char *path, int error)
{
	diag_add(d, DIAG_ERROR, 0, "%s: %s", path, strerror(error));
	return err_trace(-error);
}

static int open_file(const char *folder, const char *path, struct diag *d, int *fdp)
{
	int fd;

	if (mkdir(folder, 0755) < 0 && errno != EEXIST)
		return say(d, folder, errno);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return say(d, path, errno);
	*fdp = fd;
	return 0;
}

/* 0 if there is none: not yet written, or not ours. */
static pid_t read_pid(int fd)
{
	char text[PID_TEXT_MAX] = "";
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	char *end;
	long pid = n > 0 ? strtol(text, &end, 10) : 0;

	return pid > 0 && pid <= INT_MAX && *end == '\n' ? (pid_t)pid : 0;
}

static int write_pid(int fd)
{
	char text[PID_TEXT_MAX];
	int n = snprintf(text, sizeof(text), "%d\n", getpid());

	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n)
		return -errno;
	return 0;
}

static bool is_alive(pid_t pid)
{
	return kill(pid, 0) == 0 || errno != ESRCH;
}

/* 0, -EWOULDBLOCK if somebody has it, or another -errno. */
static int try_lock(int fd, unsigned int patience_ms)
{
	const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};

	for (unsigned int waited_ms = 0;; waited_ms += PAUSE_MS) {
		pid_t pid;

		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		pid = read_pid(fd);
		/* Alive, or about to write itself in: no use to wait. Dead: its helper cleans up.
		 */
		if (waited_ms >= patience_ms || (pid && is_alive(pid)))
			return -EWOULDBLOCK;
		nanosleep(&pause, NULL);
	}
}

static int say_taken(struct diag *d, const char *path, uint32_t table, pid_t pid, pid_t *pidp)
{
	if (pidp)
		*pidp = pid;
	if (pid && is_alive(pid))
		diag_add(d, DIAG_ERROR, 0,
			 "routing table %u is in use by another instance, process %d (%s): stop "
			 "that one first, or use another instance number",
			 table, pid, path);
	else
		diag_add(d, DIAG_ERROR, 0,
			 "routing table %u: what process %d left is still being cleaned up (%s): "
			 "try again in a moment",
			 table, pid, path);
	return INSTANCE_LOCK_TAKEN;
}

int instance_lock_take(const char *folder, uint32_t table, unsigned int patience_ms, int *fdp,
		       pid_t *pidp, struct diag *d)
{
	CLEANUP(close_fd) int fd = -1;
	char path[PATH_MAX];
	int n;
	int r;

	n = snprintf(path, sizeof(path), "%s/%u.lock", folder, table);
	if (n < 0 || (size_t)n >= sizeof(path))
		return say(d, folder, ENAMETOOLONG);
	r = open_file(folder, path, d, &fd);
	if (r < 0)
		return r;
	r = try_lock(fd, patience_ms);
	if (r == -EWOULDBLOCK)
		return say_taken(d, path, table, read_pid(fd), pidp);
	if (r == 0)
		r = write_pid(fd);
	if (r < 0)
		return say(d, path, -r);
	*fdp = fd;
	fd = -1;
	return 0;
}
