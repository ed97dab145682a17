/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * cleanup - owners that release themselves at the end of their scope
 *
 * DEFINE_CLEANUP(struct foo *, foo_free) makes CLEANUP(foo_free) usable on a
 * local `struct foo *`. Hand ownership on with `*outp = steal_ptr(x)`.
 */

#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(fn) __attribute__((cleanup(fn##_at)))

#define DEFINE_CLEANUP(type, fn)                                                                   \
	__attribute__((unused)) static inline void fn##_at(type *p)                                \
	{                                                                                          \
		if (*p)                                                                            \
			fn(*p);                                                                    \
	}                                                                                          \
	struct cleanup_needs_semicolon

/* The value of @p, which becomes NULL: the caller of the result owns it now. */
#define steal_ptr(p)                                                                               \
	(__extension__({                                                                           \
		__typeof__(p) stolen_ = (p);                                                       \
		(p) = NULL;                                                                        \
		stolen_;                                                                           \
	}))

static inline void free_at(void *p)
{
	free(*(void **)p);
}

/* Closes unless -1, keeps errno. Returns -1, so that `fd = close_fd(fd)` reads well (fd.c). */
int close_fd(int fd);

static inline void close_fd_at(int *fd)
{
	close_fd(*fd);
}
