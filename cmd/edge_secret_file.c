/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/edge_secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/cleanup.h"

int edge_secret_file_open(struct edge_secret_file *f, const char *path)
{
	f->path = path;
	f->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (f->fd >= 0)
		return 0;
	fprintf(stderr, "adit-edge: %s: %s\n", path,
		errno == EEXIST ? "exists; name another file" : strerror(errno));
	return EXIT_FAILURE;
}

int edge_secret_file_write(struct edge_secret_file *f, const struct json_t *value)
{
	int failed = json_dumpfd(value, f->fd, JSON_INDENT(2)) < 0 || write(f->fd, "\n", 1) != 1 ||
		     fsync(f->fd) < 0;

	if (failed) {
		fprintf(stderr, "adit-edge: %s: %s\n", f->path, strerror(errno));
		edge_secret_file_abandon(f);
		return EXIT_FAILURE;
	}
	f->fd = close_fd(f->fd);
	return 0;
}

void edge_secret_file_abandon(struct edge_secret_file *f)
{
	if (f->fd < 0)
		return;
	f->fd = close_fd(f->fd);
	unlink(f->path);
}
