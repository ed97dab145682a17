/* SPDX-License-Identifier: Apache-2.0 */

/* One line per function that can fail; tests/fault/CMakeLists.txt reads their names from here. */

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <uv.h>

#include "tests/fault/fault.h"
#include "tests/fault/fault_private.h"

/* clang-format off */

/* What libc's functions do: errno, and a value. */
#define FAIL_WITH(kind, result, name, params, args, failure, why)			\
	result __real_##name params;							\
	result __wrap_##name params;							\
	result __wrap_##name params							\
	{										\
		if (!fault_strikes(FAULT_##kind, #name))				\
			return __real_##name args;					\
		errno = why;								\
		return failure;								\
	}
/* libuv's return it. */
#define FAIL_BY(name, params, args, failure)						\
	int __real_##name params;							\
	int __wrap_##name params;							\
	int __wrap_##name params							\
	{										\
		return fault_strikes(FAULT_UV, #name) ? failure : __real_##name args;	\
	}

FAIL_WITH(MEMORY, void *, malloc, (size_t n), (n), NULL, ENOMEM)
FAIL_WITH(MEMORY, void *, calloc, (size_t n, size_t size), (n, size), NULL, ENOMEM)
FAIL_WITH(MEMORY, void *, realloc, (void *p, size_t n), (p, n), NULL, ENOMEM)
FAIL_WITH(MEMORY, void *, reallocarray, (void *p, size_t n, size_t size), (p, n, size), NULL, ENOMEM)
FAIL_WITH(MEMORY, char *, strdup, (const char *s), (s), NULL, ENOMEM)
FAIL_BY(uv_loop_init, (uv_loop_t *loop), (loop), UV_EMFILE)
FAIL_BY(uv_poll_init, (uv_loop_t *loop, uv_poll_t *poll, int fd), (loop, poll, fd), UV_EPERM)
FAIL_BY(uv_signal_init, (uv_loop_t *loop, uv_signal_t *signal), (loop, signal), UV_EMFILE)
FAIL_BY(uv_async_init, (uv_loop_t *loop, uv_async_t *async, uv_async_cb cb), (loop, async, cb), UV_EMFILE)
FAIL_BY(uv_mutex_init, (uv_mutex_t *mutex), (mutex), UV_ENOMEM)
FAIL_BY(uv_cond_init, (uv_cond_t *cond), (cond), UV_ENOMEM)
FAIL_BY(uv_pipe_open, (uv_pipe_t *pipe, uv_file fd), (pipe, fd), UV_EINVAL)
FAIL_BY(uv_listen, (uv_stream_t *stream, int backlog, uv_connection_cb cb), (stream, backlog, cb), UV_EADDRINUSE)
FAIL_BY(uv_accept, (uv_stream_t *server, uv_stream_t *client), (server, client), UV_EMFILE)
FAIL_BY(uv_read_start, (uv_stream_t *stream, uv_alloc_cb alloc, uv_read_cb cb), (stream, alloc, cb), UV_ENOTCONN)
FAIL_BY(uv_write, (uv_write_t *req, uv_stream_t *stream, const uv_buf_t bufs[], unsigned int n, uv_write_cb cb), (req, stream, bufs, n, cb), UV_ENOMEM)
FAIL_WITH(SOCKET, int, socket, (int domain, int type, int protocol), (domain, type, protocol), -1, EMFILE)
FAIL_WITH(SOCKET, int, connect, (int fd, const struct sockaddr *sa, socklen_t n), (fd, sa, n), -1, ENETUNREACH)
FAIL_WITH(SOCKET, int, accept4, (int fd, struct sockaddr *sa, socklen_t *np, int flags), (fd, sa, np, flags), -1, EMFILE)
FAIL_WITH(SOCKET, int, bind, (int fd, const struct sockaddr *sa, socklen_t n), (fd, sa, n), -1, EADDRINUSE)
FAIL_WITH(SOCKET, int, listen, (int fd, int backlog), (fd, backlog), -1, EADDRINUSE)
FAIL_WITH(SOCKET, int, setsockopt, (int fd, int level, int name, const void *value, socklen_t n), (fd, level, name, value, n), -1, ENOBUFS)
FAIL_WITH(SOCKET, int, getsockopt, (int fd, int level, int name, void *value, socklen_t *np), (fd, level, name, value, np), -1, ENOBUFS)
FAIL_WITH(SOCKET, int, getsockname, (int fd, struct sockaddr *sa, socklen_t *np), (fd, sa, np), -1, ENOBUFS)
FAIL_WITH(SOCKET, int, getpeername, (int fd, struct sockaddr *sa, socklen_t *np), (fd, sa, np), -1, ENOTCONN)
FAIL_WITH(SOCKET, ssize_t, recv, (int fd, void *buf, size_t n, int flags), (fd, buf, n, flags), -1, ECONNRESET)
FAIL_WITH(SOCKET, ssize_t, send, (int fd, const void *buf, size_t n, int flags), (fd, buf, n, flags), -1, ECONNRESET)
FAIL_WITH(SOCKET, ssize_t, sendto, (int fd, const void *buf, size_t n, int flags, const struct sockaddr *sa, socklen_t n_sa), (fd, buf, n, flags, sa, n_sa), -1, ENOBUFS)
FAIL_WITH(SOCKET, ssize_t, sendmsg, (int fd, const struct msghdr *msg, int flags), (fd, msg, flags), -1, ENOBUFS)
FAIL_WITH(SOCKET, ssize_t, recvmsg, (int fd, struct msghdr *msg, int flags), (fd, msg, flags), -1, ENOBUFS)
FAIL_WITH(SOCKET, int, recvmmsg, (int fd, struct mmsghdr *messages, unsigned int n, int flags, struct timespec *timeout), (fd, messages, n, flags, timeout), -1, ENOBUFS)
FAIL_WITH(FILE, ssize_t, read, (int fd, void *buf, size_t n), (fd, buf, n), -1, EIO)
FAIL_WITH(FILE, ssize_t, write, (int fd, const void *buf, size_t n), (fd, buf, n), -1, ENOBUFS)
FAIL_WITH(FILE, ssize_t, readv, (int fd, const struct iovec *iov, int n), (fd, iov, n), -1, ENOBUFS)
FAIL_WITH(FILE, ssize_t, writev, (int fd, const struct iovec *iov, int n), (fd, iov, n), -1, ENOBUFS)
FAIL_WITH(FILE, int, stat, (const char *path, struct stat *st), (path, st), -1, EACCES)
FAIL_WITH(FILE, int, fstat, (int fd, struct stat *st), (fd, st), -1, EIO)
FAIL_WITH(FILE, int, fsync, (int fd), (fd), -1, EIO)
FAIL_WITH(FILE, int, fchmod, (int fd, mode_t mode), (fd, mode), -1, EPERM)
FAIL_WITH(FILE, int, chmod, (const char *path, mode_t mode), (path, mode), -1, EPERM)
FAIL_WITH(FILE, int, flock, (int fd, int operation), (fd, operation), -1, ENOLCK)
FAIL_WITH(FILE, int, rename, (const char *from, const char *to), (from, to), -1, ENOSPC)
FAIL_WITH(FILE, int, unlink, (const char *path), (path), -1, EPERM)

/* clang-format on */

/* ---- with a third argument, or none ---- */

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	unsigned int mode;
	va_list ap;

	va_start(ap, flags);
	mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, unsigned int) : 0;
	va_end(ap);
	if (!fault_strikes(FAULT_FILE, "open"))
		return __real_open(path, flags, mode);
	errno = EMFILE;
	return -1;
}

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...)
{
	long argument;
	va_list ap;

	va_start(ap, command);
	argument = va_arg(ap, long);
	va_end(ap);
	if (!fault_strikes(FAULT_FILE, "fcntl"))
		return __real_fcntl(fd, command, argument);
	errno = EINVAL;
	return -1;
}
