/* SPDX-License-Identifier: Apache-2.0 */
#include "base/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"

/* Later than the oldest headers that we build with. */
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15)
#endif

#define READING (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FILE_RIGHTS                                                                                \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)
#define CHANGING                                                                                   \
	(READING | FILE_RIGHTS | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |    \
	 LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_SOCK)
/* What the first version knows: bits 0 to 12. */
#define ALL_OF_FIRST ((1ULL << 13) - 1)

/* The first version that keeps signals within those that are restricted like us. */
#define SCOPES_SINCE 6
#define SCOPE_SIGNAL (1ULL << 1)

/* struct landlock_ruleset_attr as of that version. */
struct ruleset_attr {
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
	uint64_t scoped;
};

/* What each version of the kernel's interface, from the second on, has learnt to refuse. */
static const struct {
	int version;
	uint64_t right;
} learnt[] = {
	{2, LANDLOCK_ACCESS_FS_REFER},
	{3, LANDLOCK_ACCESS_FS_TRUNCATE},
	{5, LANDLOCK_ACCESS_FS_IOCTL_DEV},
};

static uint64_t rights_of(int version)
{
	uint64_t rights = ALL_OF_FIRST;

	for (size_t i = 0; i < ARRAY_SIZE(learnt); i++)
		if (version >= learnt[i].version)
			rights |= learnt[i].right;
	return rights;
}

static int open_ruleset(uint64_t handled, int version)
{
	struct ruleset_attr attr = {
		.handled_access_fs = handled,
		.scoped = version >= SCOPES_SINCE ? SCOPE_SIGNAL : 0,
	};
	size_t n = version >= SCOPES_SINCE ? sizeof(attr) : sizeof(attr.handled_access_fs);
	long fd = syscall(SYS_landlock_create_ruleset, &attr, n, 0);

	return fd < 0 ? -errno : (int)fd;
}

/* ---- areas ---- */

struct ruleset {
	int fd;
	uint64_t handled;
};

/* Whoever isn't there now can't be told to the kernel. */
static int allow(const struct ruleset *set, const char *path, enum landlock_right right)
{
	struct landlock_path_beneath_attr rule = {
		.allowed_access = set->handled & (right == LANDLOCK_CHANGE ? CHANGING : READING),
	};
	CLEANUP(close_fd) int fd = open(path, O_PATH | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		rule.allowed_access &= FILE_RIGHTS;
	rule.parent_fd = fd;
	return syscall(SYS_landlock_add_rule, set->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0
		       ? -errno
		       : 0;
}

static int allow_folder_of(const struct ruleset *set, const char *file, enum landlock_right right)
{
	const char *slash = strrchr(file, '/');
	char folder[PATH_MAX] = ".";

	if (slash && (size_t)(slash - file) + 1 >= sizeof(folder))
		return -ENAMETOOLONG;
	if (slash)
		snprintf(folder, sizeof(folder), "%.*s", slash > file ? (int)(slash - file) : 1,
			 file);
	return allow(set, folder, right);
}

static int allow_around(const struct ruleset *set, const char *file, enum landlock_right right)
{
	char real[PATH_MAX];
	int r = allow_folder_of(set, file, right);

	if (r == 0 && realpath(file, real))
		r = allow_folder_of(set, real, right);
	return r;
}

static int allow_area(const struct ruleset *set, const struct landlock_area *area)
{
	if (!area->path)
		return 0;
	if (area->is_around)
		return allow_around(set, area->path, area->right);
	return allow(set, area->path, area->right);
}

int landlock_restrict(const struct landlock_area *areas, size_t n)
{
	long version =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	CLEANUP(close_fd) int fd = -1;
	struct ruleset set;
	int r = 0;

	if (version < 1)
		return LANDLOCK_E_MISSING;
	set.handled = rights_of((int)version);
	fd = open_ruleset(set.handled, (int)version);
	if (fd < 0)
		return err_trace(fd);
	set.fd = fd;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = allow_area(&set, &areas[i]);
	if (r == 0 && syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		r = -errno;
	return err_trace(r);
}
