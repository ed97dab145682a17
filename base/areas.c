/* SPDX-License-Identifier: Apache-2.0 */
#include "base/areas.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "base/err.h"

/* ---- names ---- */

static int folder_of(const char *file, char out[PATH_MAX])
{
	const char *slash = strrchr(file, '/');
	size_t n = slash && slash > file ? (size_t)(slash - file) : 1;

	if (n >= PATH_MAX)
		return -ENAMETOOLONG;
	if (slash)
		snprintf(out, PATH_MAX, "%.*s", (int)n, file);
	else
		snprintf(out, PATH_MAX, ".");
	return 0;
}

/* Of what may not be there yet: its folder is, or else nothing can be said. */
static int real_name(const char *path, char out[PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX], real[PATH_MAX];
	int r;

	if (realpath(path, out))
		return 0;
	if (errno != ENOENT)
		return -errno;
	r = folder_of(path, folder);
	if (r < 0)
		return r;
	if (!realpath(folder, real))
		return -errno;
	r = snprintf(out, PATH_MAX, "%s/%s", strcmp(real, "/") == 0 ? "" : real,
		     slash ? slash + 1 : path);
	return r < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* Both are real names. */
static bool contains(const char *folder, const char *path)
{
	size_t n = strcmp(folder, "/") == 0 ? 0 : strlen(folder);

	return strncmp(folder, path, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static bool folder_contains(const char *file, const char *path)
{
	char folder[PATH_MAX], real[PATH_MAX];

	return folder_of(file, folder) == 0 && realpath(folder, real) && contains(real, path);
}

/* The same folders that landlock_restrict() opens. */
static bool area_contains(const struct landlock_area *area, const char *path)
{
	char real[PATH_MAX];
	bool is_there = realpath(area->path, real);

	if (!area->is_around)
		return is_there && contains(real, path);
	return folder_contains(area->path, path) || (is_there && folder_contains(real, path));
}

/* ---- folders that many share ---- */

static const char *const shared[] = {
	"/", "/etc", "/run", "/tmp", "/var", "/var/lib", "/var/log", "/var/tmp", "/home", "/root",
};

static bool is_folder(const char *folder, const char *name)
{
	char real[PATH_MAX];

	return name && realpath(name, real) && strcmp(real, folder) == 0;
}

static bool is_shared(const char *folder)
{
	for (size_t i = 0; i < ARRAY_SIZE(shared); i++)
		if (is_folder(folder, shared[i]))
			return true;
	return is_folder(folder, getenv("HOME"));
}

static void warn_wide(const struct landlock_area *area, struct diag *diag)
{
	char folder[PATH_MAX], real[PATH_MAX];

	if (area->is_around ? folder_of(area->path, folder) < 0
			    : snprintf(folder, sizeof(folder), "%s", area->path) >= PATH_MAX)
		return;
	if (realpath(folder, real) && is_shared(real))
		diag_add(diag, DIAG_WARNING, 0,
			 "%s: %s makes all of %s ours to change: give it a folder of its own",
			 area->key, area->path, real);
}

void areas_warn_wide(const struct landlock_area *areas, size_t n, struct diag *diag)
{
	for (size_t i = 0; i < n; i++)
		if (areas[i].path && areas[i].key && areas[i].right == LANDLOCK_CHANGE)
			warn_wide(&areas[i], diag);
}

/* ---- secrets ---- */

static int narrow(struct landlock_area *area, const char *secret, struct diag *diag)
{
	if (!area->is_around) {
		diag_add(diag, DIAG_ERROR, 0,
			 "%s: %s contains %s, which has to be kept from us: "
			 "move one of them",
			 area->key, area->path, secret);
		return -EINVAL;
	}
	area->is_around = false;
	diag_add(
		diag, DIAG_WARNING, 0,
		"%s: the folder of %s contains %s: only the file as it is now can be used, not one "
		"that replaces it, until the next start; give it a folder of its own",
		area->key, area->path, secret);
	return 0;
}

int areas_check(struct landlock_area *areas, size_t n, const char *secret, struct diag *diag)
{
	char real[PATH_MAX];
	int r = secret ? real_name(secret, real) : -ENOENT;

	/* Where its folder isn't, or can't be searched, it can't be reached. */
	if (r < 0)
		return r == -ENOENT || r == -ENOTDIR || r == -EACCES ? 0 : err_trace(r);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (areas[i].path && area_contains(&areas[i], real))
			r = narrow(&areas[i], real, diag);
	return err_trace(r);
}
