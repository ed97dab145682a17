/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes go from the kernel into one buffer of their final size: no stdio and
 * no realloc(), which would leave copies behind that nobody wipes.
 */
#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/diag.h"

/* systemd makes the files below $CREDENTIALS_DIRECTORY and may give the group a read bit. */
static bool is_systemd_credential(const char *path)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	size_t n = dir ? strlen(dir) : 0;

	return n && strncmp(path, dir, n) == 0 && path[n] == '/' && !strchr(path + n + 1, '/');
}

static int unreadable(const char *path, int r, struct diag *diag)
{
	diag_add(diag, DIAG_ERROR, 0, "%s: can't be read: %s", path, strerror(-r));
	return r;
}

static int check_file(int fd, const char *path, size_t *sizep, struct diag *diag)
{
	mode_t allowed = is_systemd_credential(path) ? 0740 : 0700;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return unreadable(path, -errno, diag);
	if (!S_ISREG(st.st_mode)) {
		diag_add(diag, DIAG_ERROR, 0, "%s: not a regular file; a secret must be in one",
			 path);
		return -EPERM;
	}
	if (st.st_uid != geteuid() && st.st_uid != 0) {
		diag_add(diag, DIAG_ERROR, 0,
			 "%s: belongs to user %u, who could change it; run: chown %u '%s'", path,
			 (unsigned int)st.st_uid, (unsigned int)geteuid(), path);
		return -EPERM;
	}
	if (st.st_mode & 0777 & ~allowed) {
		diag_add(diag, DIAG_ERROR, 0,
			 "%s: open to others than its owner (mode %04o); run: chmod 600 '%s'", path,
			 (unsigned int)(st.st_mode & 07777), path);
		return -EPERM;
	}
	if (st.st_size > SECRET_FILE_MAX) {
		diag_add(diag, DIAG_ERROR, 0, "%s: larger than %d bytes, so not a secret", path,
			 SECRET_FILE_MAX);
		return -EFBIG;
	}
	*sizep = (size_t)st.st_size;
	return 0;
}

static int read_bytes(int fd, struct secret *s, size_t size)
{
	s->bytes = malloc(size + 1);
	if (!s->bytes)
		return -ENOMEM;
	s->n = 0;
	while (s->n < size) {
		ssize_t n = read(fd, s->bytes + s->n, size - s->n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		s->n += (size_t)n;
	}
	s->bytes[s->n] = '\0';
	return 0;
}

static int open_secret(const char *path, struct diag *diag)
{
	/* O_NONBLOCK: a FIFO in its place must not hang us before its type is known. */
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	if (errno == ELOOP) {
		diag_add(diag, DIAG_ERROR, 0, "%s: is a symbolic link; name the file itself", path);
		return -EPERM;
	}
	int r = -errno;
	diag_add(diag, DIAG_ERROR, 0, "%s: can't be opened: %s", path, strerror(-r));
	return r;
}

int secret_read_file(const char *path, struct secret *secretp, struct diag *diag)
{
	struct secret s = {0};
	size_t size = 0;
	int r;

	CLEANUP(close_fd) int fd = open_secret(path, diag);
	if (fd < 0)
		return fd;
	r = check_file(fd, path, &size, diag);
	if (r < 0)
		return r;
	r = read_bytes(fd, &s, size);
	if (r < 0) {
		secret_wipe(&s);
		return unreadable(path, r, diag);
	}
	*secretp = s;
	return 0;
}

int secret_set(struct secret *s, const void *bytes, size_t n)
{
	uint8_t *copy;

	if (n > SECRET_FILE_MAX)
		return -EFBIG;
	copy = malloc(n + 1);
	if (!copy)
		return -ENOMEM;
	if (n)
		memcpy(copy, bytes, n);
	copy[n] = '\0';
	secret_wipe(s);
	*s = (struct secret){.bytes = copy, .n = n};
	return 0;
}

int secret_from_env(const char *name, struct secret *secretp)
{
	char *value = getenv(name);
	struct secret s = {0};
	int r;

	if (!value)
		return -ENOENT;
	r = secret_set(&s, value, strlen(value));
	explicit_bzero(value, strlen(value));
	unsetenv(name);
	if (r < 0)
		return r;
	*secretp = s;
	return 0;
}

void secret_wipe(struct secret *s)
{
	if (s->bytes)
		explicit_bzero(s->bytes, s->n);
	free(s->bytes);
	*s = (struct secret){0};
}
