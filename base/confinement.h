/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * confinement - what a daemon gives up, for good, once it has what it needs
 *
 * All capabilities in every set, the way to new ones (no_new_privs), files outside its areas where
 * the kernel has Landlock, and system calls that it doesn't need. For all threads that come later:
 * to be called while there is one.
 *
 * The environment variable ADIT_SECCOMP: `kill` ends the process at the first refused call (the
 * tests), `off` leaves the filter out (valgrind). Builds with a sanitizer have neither filter nor
 * Landlock, because what the sanitizer's runtime does isn't ours to list.
 */

#include "base/landlock.h"
#include "base/syscall_filter.h"

struct diag;

#define CONFINEMENT_ENV "ADIT_SECCOMP"

#define CONFINEMENT_AREAS_MAX 16

/*
 * Areas of who looks names up. Not only files: whoever configures the network replaces them, and
 * may point resolv.conf elsewhere. The last one is for c-ares' random numbers.
 */
/* clang-format off */
#define CONFINEMENT_LOOKUPS \
	{"/etc/resolv.conf", LANDLOCK_READ, true, NULL}, \
	{"/run/systemd/resolve", LANDLOCK_READ, false, NULL}, \
	{"/run/NetworkManager", LANDLOCK_READ, false, NULL}, \
	{"/run/resolvconf", LANDLOCK_READ, false, NULL}, \
	{"/run/connman", LANDLOCK_READ, false, NULL}, \
	{"/dev/urandom", LANDLOCK_READ, false, NULL}
/* clang-format on */

struct confinement {
	const struct landlock_area *areas;
	size_t n_areas;	    /* CONFINEMENT_AREAS_MAX at most */
	const char *secret; /* a folder that no area may contain (base/areas.h); NULL: none */
	const struct syscall_group *groups;
	size_t n_groups;
	const char *role; /* "the agent": who has no use for a call that is refused */
};

struct confined {
	int n_syscalls; /* 0: no filter */
	bool files;	/* Landlock */
};

/*
 * 0; or -errno with an error in @diag, and then the process must not go on. What this build or
 * kernel doesn't have is a warning there.
 */
NODISCARD int confine(const struct confinement *c, struct confined *done, struct diag *diag);

/* The one line in the log about it. */
void confined_log(const struct confined *done);
