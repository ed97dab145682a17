/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * err - the one error rule
 *
 *   0         success
 *   negative  unexpected or fatal: a negative errno, forwarded unchanged and
 *             never matched on except where a header says so
 *   positive  an outcome that the function documents in an enum; the caller
 *             must deal with it and must not pass it on
 *
 * A rude peer is an outcome, never a negative code. libuv returns negative
 * errno already; nghttp2, OpenSSL and c-ares are translated in their wrapper.
 * Small fixed-size allocations are infallible (xnew aborts); whatever a peer
 * can make large is checked against a limit first and allocated with malloc.
 */

#include <stddef.h>

/* Notes where an error was born or passed (debug level), and returns @r. */
#define err_trace(r) err_note((r), __FILE__, __LINE__, __func__)

int err_note(int r, const char *file, int line, const char *func);

/* Zeroed memory for one fixed-size object; aborts when there is none. */
void *xzalloc(size_t size);
#define xnew(type) ((type *)xzalloc(sizeof(type)))

/* strdup() for short strings of our own (config values, names); NULL stays NULL. */
char *xstrdup(const char *s);
