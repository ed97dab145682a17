/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * landlock - which files this thread, and those it makes, may open from now on; landlock(7)
 *
 * Everything is refused with EACCES but what lies in the areas; executing is refused everywhere.
 * What is open stays open. Connecting to a unix socket isn't opening a file. From Linux 6.12 on,
 * signals reach only processes that are restricted, too.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

enum landlock_right {
	LANDLOCK_READ,	 /* files, and what a folder has */
	LANDLOCK_CHANGE, /* as well: write, make and remove files and sockets; rename within an area
			  */
};

struct landlock_area {
	const char *path; /* NULL: the row doesn't count; one that isn't there neither */
	enum landlock_right right;
	/*
	 * The folder of the file @path, and the one of the file that it is a link to: the file may
	 * be replaced.
	 */
	bool is_around;
	const char *key; /* the setting that names it; NULL: none does */
};

#define LANDLOCK_E_MISSING 1 /* the kernel has none, or it isn't switched on */

/* 0 or above; LANDLOCK_E_MISSING; -errno. Irrevocable; needs no_new_privs or CAP_SYS_ADMIN. */
NODISCARD int landlock_restrict(const struct landlock_area *areas, size_t n);
