/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * fault - the n-th call of a kind fails
 *
 * The linker leads the program's own calls (not those inside of libraries) of malloc(), socket()
 * and the others through this file. While armed, calls of one kind are counted, on threads that
 * count, and the n-th fails as the real one may. xnew() and xstrdup() abort by design when there
 * is no memory (base/err.h), and so do the fallbacks of settings, digests and random bytes: what
 * they allocate isn't counted. Nor are calls of libuv that can't fail with good arguments (timers,
 * prepare handles, queued work, uv_poll_start()), and shutdown(): only a socket that is dead
 * already refuses it, and reading tells.
 */

#include <stdbool.h>
#include <stdint.h>

enum fault_kind {
	FAULT_MEMORY,
	FAULT_UV,
	FAULT_SOCKET,
	FAULT_FILE,
	FAULT_NGHTTP2, /* its memory */
	FAULT_OPENSSL, /* likewise */
	FAULT_KIND_N,
};

/* Calls on this thread count while *@countsp is true; a thread of nobody's: *fault_others. */
void fault_set_thread(const bool *countsp);
extern const bool *fault_others;
/* For fault_set_thread(): never. */
extern const bool fault_never;

/* The @n-th (from 1) call of @kind from now on fails. One at a time. */
void fault_arm(enum fault_kind kind, uint64_t n);
/* False: there was no such call. No further one fails. */
bool fault_disarm(void);
/* Of the call that failed last: its function. */
const char *fault_name(void);
const char *fault_kind_name(enum fault_kind kind);
/* Before anything else uses OpenSSL; false: it was too late. */
bool fault_take_openssl(void);
