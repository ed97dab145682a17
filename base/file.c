/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define READ_FIRST 4096

static int read_some(int fd, char *buf, size_t cap, size_t *np)
{
	ssize_t n;

	do
		n = read(fd, buf, cap);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	*np = (size_t)n;
	return 0;
}

/* One byte more than @max is asked for, so that a longer file shows. */
static int read_all(int fd, size_t max, char **datap, size_t *n_datap)
{
	CLEANUP(free) char *data = NULL;
	size_t cap = 0, used = 0, n = 0;

	do {
		if (used == cap) {
			char *grown;

			cap = cap ? cap * 2 : READ_FIRST;
			if (cap > max + 1)
				cap = max + 1;
			grown = realloc(data, cap + 1);
			if (!grown)
				return -ENOMEM;
			data = grown;
		}
		int r = read_some(fd, data + used, cap - used, &n);
		if (r < 0)
			return r;
		used += n;
		if (used > max)
			return -EFBIG;
	} while (n > 0);
	data[used] = '\0';
	*n_datap = used;
	*datap = steal_ptr(data);
	return 0;
}

int file_read(const char *path, size_t max, char **datap, size_t *n_datap)
{
	CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return read_all(fd, max, datap, n_datap);
}

int file_read_regular(const char *path, size_t max, char **datap, size_t *n_datap)
{
	/* Without O_NONBLOCK the open itself waits for the writer of a FIFO. */
	CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	return read_all(fd, max, datap, n_datap);
}

static int write_all(int fd, const char *data, size_t n_data)
{
	while (n_data) {
		ssize_t n = write(fd, data, n_data);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			data += n;
			n_data -= (size_t)n;
		}
	}
	return 0;
}

/* The name only lasts once the folder is on the disk too. */
static int sync_parent(const char *path)
{
	char parent[PATH_MAX];
	char *slash;

	snprintf(parent, sizeof(parent), "%s", path);
	slash = strrchr(parent, '/');
	if (!slash)
		snprintf(parent, sizeof(parent), ".");
	else
		slash[slash == parent] = '\0';

	CLEANUP(close_fd) int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* Some file systems can't sync a folder and say so: nothing more to do. */
	return fsync(fd) < 0 && errno != EINVAL && errno != EROFS ? -errno : 0;
}

static int write_new(int fd, mode_t mode, const void *data, size_t n_data)
{
	int r = write_all(fd, data, n_data);

	if (r < 0)
		return r;
	if (fchmod(fd, mode) < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

int file_replace(const char *path, mode_t mode, const void *data, size_t n_data)
{
	char beside[PATH_MAX];
	int r;

	if ((size_t)snprintf(beside, sizeof(beside), "%s.XXXXXX", path) >= sizeof(beside))
		return -ENAMETOOLONG;

	CLEANUP(close_fd) int fd = mkostemp(beside, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = write_new(fd, mode, data, n_data);
	if (!r && rename(beside, path) < 0)
		r = -errno;
	if (r < 0) {
		unlink(beside);
		return r;
	}
	return sync_parent(path);
}

int file_set(const char *path, const char *text)
{
	CLEANUP(close_fd) int fd = open(path, O_WRONLY | O_CLOEXEC);
	size_t n = strlen(text);
	ssize_t written;

	if (fd < 0)
		return -errno;
	written = write(fd, text, n);
	if (written < 0)
		return -errno;
	return (size_t)written == n ? 0 : -EIO;
}

static int make_one(const char *path, mode_t mode)
{
	struct stat st;

	if (mkdir(path, mode) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	if (stat(path, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int dir_make(const char *path, mode_t mode)
{
	char part[PATH_MAX];

	if (!path[0])
		return -ENOENT;
	if ((size_t)snprintf(part, sizeof(part), "%s", path) >= sizeof(part))
		return -ENAMETOOLONG;
	for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		int r = make_one(part, 0755);
		*slash = '/';
		if (r < 0)
			return r;
	}
	return make_one(part, mode);
}
