/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * acceptor - a listening TCP socket of a client command on the loop
 *
 * Out of descriptors it pauses: connections wait in the kernel's queue.
 */

#include <uv.h>

#include "base/addr.h"
#include "base/compiler.h"

struct acceptor;

/* @fd: non-blocking, close-on-exec, the callee's. It must not free the acceptor. */
typedef void (*acceptor_cb)(void *ctx, int fd);

/* Listens on @at from now on. 0 or -errno. */
NODISCARD int acceptor_new(struct acceptor **ap, uv_loop_t *uv, const struct endpoint *at,
			   acceptor_cb on_accept, void *ctx);
/* The same with a socket that listens already; borrowed until acceptor_free(). 0 or -errno. */
NODISCARD int acceptor_new_fd(struct acceptor **ap, uv_loop_t *uv, int fd, acceptor_cb on_accept,
			      void *ctx);
/* The socket is let go of now, memory goes when the loop has let go of it. NULL is fine. */
void acceptor_free(struct acceptor *a);
