/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * instance_lock - one instance per routing table
 *
 * A file <folder>/<table>.lock, locked with flock() and holding the pid of the main process. The
 * lock is the open file's: the helper keeps a copy, so that nobody starts before its clean-up is
 * done.
 */

#include <stdint.h>
#include <sys/types.h>

#include "base/diag.h"

/* On success *@pidp (may be NULL) is not touched. */
enum instance_lock_outcome {
	INSTANCE_LOCK_TAKEN = 1, /* another instance lives; *@pidp is its pid, 0 if unreadable */
};

/*
 * Makes @folder (mode 0755) if it isn't there. If the process that is named in the file is dead its
 * helper is given @patience_ms to finish. *@fdp: to be kept open,
 * close-on-exec. 0, INSTANCE_LOCK_TAKEN or -errno, each with the reason in @d, which may be NULL.
 */
int instance_lock_take(const char *folder, uint32_t table, unsigned int patience_ms, int *fdp,
		       pid_t *pidp, struct diag *d);
