/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A library for LD_PRELOAD: the n-th call of one function fails in a whole process, also when a
 * library makes it.
 *
 *   ADIT_FAULT=<function>:<n>:<caller>   <caller>: part of the file name of the program or library
 *                                        whose calls count; "": any
 *   ADIT_FAULT_COUNT=<file>              gets the number of such calls when the process ends
 *
 * With n 0 none fails.
 */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define NAME_MAX_LEN 32

static char function[NAME_MAX_LEN];
static char caller[NAME_MAX_LEN];
static unsigned long nth;
static _Atomic unsigned long n_calls;
static int count_fd = -1;

/* Before the process gives up the right to open such a file, and before anything is counted. */
__attribute__((constructor)) static void begin(void)
{
	const char *spec = getenv("ADIT_FAULT");
	const char *path = getenv("ADIT_FAULT_COUNT");

	if (path)
		count_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (spec)
		(void)sscanf(spec, "%31[^:]:%lu:%31s", function, &nth, caller);
}

__attribute__((destructor)) static void end(void)
{
	if (count_fd >= 0)
		(void)dprintf(count_fd, "%lu\n", (unsigned long)n_calls);
}

static bool is_counted(const char *name, const void *from)
{
	const char *file;
	Dl_info info;

	if (!function[0] || strcmp(name, function) != 0)
		return false;
	if (!caller[0])
		return true;
	if (!dladdr(from, &info) || !info.dli_fname)
		return false;
	file = strrchr(info.dli_fname, '/');
	return strstr(file ? file : info.dli_fname, caller) != NULL;
}

static bool strikes(const char *name, const void *from)
{
	return is_counted(name, from) && ++n_calls == nth;
}

#define FAILING(result, name, params, args, failure, why)                                          \
	result name params                                                                         \
	{                                                                                          \
		static result(*real) params;                                                       \
                                                                                                   \
		if (strikes(#name, __builtin_return_address(0))) {                                 \
			errno = why;                                                               \
			return failure;                                                            \
		}                                                                                  \
		if (!real)                                                                         \
			*(void **)&real = dlsym(RTLD_NEXT, #name);                                 \
		return real args;                                                                  \
	}

/* clang-format off */
FAILING(int, socket, (int domain, int type, int protocol), (domain, type, protocol), -1, EMFILE)
FAILING(int, connect, (int fd, __CONST_SOCKADDR_ARG sa, socklen_t n), (fd, sa, n), -1, ENETUNREACH)
FAILING(int, accept4, (int fd, __SOCKADDR_ARG sa, socklen_t *np, int flags), (fd, sa, np, flags), -1, EMFILE)
FAILING(int, bind, (int fd, __CONST_SOCKADDR_ARG sa, socklen_t n), (fd, sa, n), -1, EADDRINUSE)
FAILING(int, listen, (int fd, int backlog), (fd, backlog), -1, EADDRINUSE)
FAILING(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t n), (fd, level, name, value, n), -1, ENOBUFS)
FAILING(int, getsockname, (int fd, __SOCKADDR_ARG sa, socklen_t *np), (fd, sa, np), -1, ENOBUFS)
FAILING(ssize_t, send, (int fd, const void *buf, size_t n, int flags), (fd, buf, n, flags), -1, ECONNRESET)
FAILING(ssize_t, recv, (int fd, void *buf, size_t n, int flags), (fd, buf, n, flags), -1, ECONNRESET)
FAILING(int, epoll_create1, (int flags), (flags), -1, EMFILE)
FAILING(int, eventfd, (unsigned int start, int flags), (start, flags), -1, EMFILE)
FAILING(int, pipe2, (int fds[2], int flags), (fds, flags), -1, EMFILE)
FAILING(int, pthread_create, (pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg), (thread, attr, run, arg), EAGAIN, EAGAIN)
/* clang-format on */

static int open_as(const char *name, const char *path, int flags, unsigned int mode,
		   const void *from)
{
	static int (*real)(const char *path, int flags, ...);

	if (strikes("open", from)) {
		errno = EMFILE;
		return -1;
	}
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, name);
	return real(path, flags, mode);
}

static unsigned int mode_of(int flags, va_list ap)
{
	return flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, unsigned int) : 0;
}

/* Libraries with large files call the other one. */
int open(const char *path, int flags, ...)
{
	unsigned int mode;
	va_list ap;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return open_as("open", path, flags, mode, __builtin_return_address(0));
}

int open64(const char *path, int flags, ...)
{
	unsigned int mode;
	va_list ap;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return open_as("open", path, flags, mode, __builtin_return_address(0));
}

/* ---- memory, under one name; sanitizers have these functions themselves ---- */

#ifdef ADIT_FAULT_MEMORY
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

static bool has_no_memory(const void *from)
{
	if (!strikes("malloc", from))
		return false;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t n)
{
	return has_no_memory(__builtin_return_address(0)) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return has_no_memory(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return has_no_memory(__builtin_return_address(0)) ? NULL : __libc_realloc(p, n);
}
#endif
