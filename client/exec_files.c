/* SPDX-License-Identifier: Apache-2.0 */

/*
 * New files are made on a tmpfs that is mounted for the moment over a folder that is surely there,
 * and each is bound over the file that it stands for: so nothing is left behind, whenever the
 * process dies. A bind keeps the file when the tmpfs is taken away.
 */

#include "client/exec_files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/file.h"
#include "client/resolv_conf.h"
#include "client/ssh_includes.h"

/* Of the device that was opened before this, so it exists. */
#define STAGE	      "/dev/net"
#define STAGE_OPTIONS "mode=0755,size=32m" /* SSH_INCLUDES_MAX files of SSH_INCLUDE_BYTES_MAX */
#define COVER_OPTIONS "mode=0755,size=256k"
#define TMPFS_FLAGS   (MS_NOSUID | MS_NODEV | MS_NOEXEC)

/* Sockets in there answer questions about names, from outside. */
static const char *const covers[] = {
	"/run/systemd/resolve",
	"/run/nscd",
	"/run/avahi-daemon",
};

struct arrangement {
	const struct exec_files *files;
	struct diag *d;
	char *resolv_path; /* of the file itself; NULL: there is none */
	char *resolv_text; /* to show there; NULL: nothing changes */
	bool is_resolv_covered;
	bool is_staged;
	unsigned int n_staged;
};

static int fail(const struct arrangement *a, int r, const char *what, const char *path)
{
	diag_add(a->d, DIAG_ERROR, 0, "%s %s: %s", what, path, strerror(-r));
	return err_trace(r);
}

static int write_new(const char *path, const char *text, size_t n)
{
	CLEANUP(close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	/* Whatever the umask is: others have to be able to read it. */
	if (fd < 0 || fchmod(fd, 0644) < 0)
		return -errno;
	while (n > 0) {
		ssize_t written = write(fd, text, n);

		if (written < 0)
			return -errno;
		text += written;
		n -= (size_t)written;
	}
	return 0;
}

/* ---- resolv.conf ---- */

static bool is_inside(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return strncmp(path, folder, n) == 0 && path[n] == '/';
}

static bool will_be_covered(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(covers); i++) {
		if (is_inside(path, covers[i]))
			return true;
	}
	return false;
}

static int read_resolv(struct arrangement *a)
{
	const struct exec_files *f = a->files;
	CLEANUP(free) char *old = NULL;
	size_t n = 0;
	int r;

	a->resolv_path = realpath(RESOLV_CONF_FILE, NULL);
	if (!a->resolv_path)
		return f->n_name_servers == 0
			       ? 0
			       : fail(a, -errno, "name servers need", RESOLV_CONF_FILE);
	if (f->n_name_servers == 0 && !will_be_covered(a->resolv_path))
		return 0;
	r = file_read_regular(a->resolv_path, RESOLV_CONF_MAX, &old, &n);
	if (r < 0)
		return fail(a, r, "reading", a->resolv_path);
	a->resolv_text = f->n_name_servers == 0
				 ? steal_ptr(old)
				 : resolv_conf_make(f->name_servers, f->n_name_servers, old, n);
	return a->resolv_text ? 0 : -ENOMEM;
}

/* ---- covers ---- */

static int cover(struct arrangement *a, const char *folder)
{
	struct stat st;
	int r = 0;

	if (stat(folder, &st) < 0 || !S_ISDIR(st.st_mode))
		return 0;
	if (mount("tmpfs", folder, "tmpfs", TMPFS_FLAGS, COVER_OPTIONS) < 0)
		return fail(a, -errno, "covering", folder);
	if (!a->resolv_text || !is_inside(a->resolv_path, folder))
		return 0;
	/* /etc/resolv.conf is a link to in here. */
	r = write_new(a->resolv_path, a->resolv_text, strlen(a->resolv_text));
	a->is_resolv_covered = r == 0;
	return r < 0 ? fail(a, r, "writing", a->resolv_path) : 0;
}

static int cover_all(struct arrangement *a)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(covers); i++)
		r = cover(a, covers[i]);
	return r;
}

/* ---- files in the place of others ---- */

static int open_stage(struct arrangement *a)
{
	if (a->is_staged)
		return 0;
	if (mount("tmpfs", STAGE, "tmpfs", TMPFS_FLAGS, STAGE_OPTIONS) < 0)
		return fail(a, -errno, "a tmpfs over", STAGE);
	a->is_staged = true;
	return 0;
}

static int show(struct arrangement *a, const char *path, const char *text, size_t n)
{
	char name[sizeof(STAGE) + 16];
	int r = open_stage(a);

	if (r < 0)
		return r;
	snprintf(name, sizeof(name), STAGE "/%u", a->n_staged++);
	r = write_new(name, text, n);
	if (r == 0 && mount(name, path, NULL, MS_BIND, NULL) < 0)
		r = -errno;
	return r < 0 ? fail(a, r, "a copy over", path) : 0;
}

static int show_resolv(struct arrangement *a)
{
	if (!a->resolv_text || a->is_resolv_covered)
		return 0;
	return show(a, a->resolv_path, a->resolv_text, strlen(a->resolv_text));
}

/* What can't be read becomes empty: ssh would end at it, and the rest is of use. */
static int show_include(struct arrangement *a, const struct ssh_include *file)
{
	if (file->text)
		return show(a, file->path, file->text, file->n_text);
	diag_add(a->d, DIAG_WARNING, 0, "%s is left out of ssh's configuration: %s", file->path,
		 strerror(-file->error));
	return show(a, file->path, "", 0);
}

static int show_includes(struct arrangement *a)
{
	struct ssh_includes includes;
	int r = 0;

	if (!a->files->is_root_foreign)
		return 0;
	ssh_includes_find(SSH_CONFIG_FILE, &includes);
	if (includes.is_cut)
		diag_add(a->d, DIAG_WARNING, 0,
			 "%s includes more than %d files: ssh may refuse the others' owner",
			 SSH_CONFIG_FILE, SSH_INCLUDES_MAX);
	for (size_t i = 0; r == 0 && i < includes.n; i++)
		r = show_include(a, &includes.items[i]);
	ssh_includes_deinit(&includes);
	return r;
}

static int close_stage(struct arrangement *a)
{
	if (a->is_staged && umount2(STAGE, MNT_DETACH) < 0)
		return fail(a, -errno, "unmounting", STAGE);
	return 0;
}

int exec_files_arrange(const struct exec_files *files, struct diag *d)
{
	struct arrangement a = {.files = files, .d = d};
	int r = 0;

	/* First of all, or what follows would be seen outside. */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		r = fail(&a, -errno, "making mounts private below", "/");
	if (r == 0)
		r = read_resolv(&a);
	if (r == 0)
		r = cover_all(&a);
	if (r == 0)
		r = show_resolv(&a);
	if (r == 0)
		r = show_includes(&a);
	if (r == 0)
		r = close_stage(&a);
	free(a.resolv_path);
	free(a.resolv_text);
	return r;
}
