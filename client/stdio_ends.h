/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * stdio_ends - standard input and output, non-blocking for us and only for us
 *
 * O_NONBLOCK belongs to the open file, which a shell or another program may share:
 * a terminal left with it breaks the shell. So the flags are kept and put back. A
 * pipe on stdout is opened anew instead, because its reader must see its end when
 * we close it, and then nothing is left to put flags back on.
 */

#include "base/compiler.h"

struct stdio_ends {
	int in_fd; /* for a relay to own */
	int out_fd;
	int in_flags;  /* of descriptor 0; -1: nothing to put back */
	int out_flags; /* of descriptor 1 */
};

/* 0 or -errno. */
NODISCARD int stdio_ends_take(struct stdio_ends *s);
void stdio_ends_restore(const struct stdio_ends *s);
