/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * ctrl_socket - the file under which a control socket is found
 *
 * Taking the name over from a dead daemon must neither rob a live one nor remove what
 * isn't a socket, and two daemons may start in the same moment. So the name belongs to
 * whoever holds a lock on <path>.lock; the lock goes with the process, the (empty) lock
 * file stays.
 */

#include <sys/types.h>

#include "base/compiler.h"

#define CTRL_SOCKET_MODE	0660
#define CTRL_SOCKET_LOCK_SUFFIX ".lock"

/* The empty value is CTRL_SOCKET_NONE. */
struct ctrl_socket {
	int fd;	     /* listening after ctrl_socket_listen(); non-blocking */
	int lock_fd; /* -1: the name isn't ours */
	dev_t device;
	ino_t inode; /* of the socket file, so that we remove no other */
	char *path;
};

/* The socket and its lock, as ctrl_socket_adopt() has them. */
#define CTRL_NAME_FDS 2

#define CTRL_SOCKET_NONE                                                                           \
	{                                                                                          \
		.fd = -1, .lock_fd = -1                                                            \
	}

enum ctrl_socket_outcome {
	CTRL_SOCKET_E_RUNNING = 1, /* the name is held by a live daemon */
};

/*
 * Binds and listens with mode CTRL_SOCKET_MODE; nobody could connect before the mode was set.
 * 0, CTRL_SOCKET_E_RUNNING, or -errno: -EEXIST when @path is no socket, -ENAMETOOLONG.
 */
NODISCARD int ctrl_socket_listen(const char *path, struct ctrl_socket *sockp);

/* Removes the file if it is still ours, closes what is open. Fine on the empty value. */
void ctrl_socket_close(struct ctrl_socket *sock);

/*
 * The name changes hands without a gap: a process gets copies of @fd and @lock_fd (SCM_RIGHTS).
 * A lock of flock() is the open file's, so it stays held until both have closed it.
 *
 * Takes both, also on failure. 0, or -EINVAL when they aren't a listening unix socket and the
 * lock of @path, or another -errno.
 */
NODISCARD int ctrl_socket_adopt(const char *path, int fd, int lock_fd, struct ctrl_socket *sockp);
/* Closes what is open; the file is somebody else's by now and stays. */
void ctrl_socket_give_up(struct ctrl_socket *sock);

/*
 * A connected non-blocking socket, or -errno. A full backlog is waited for up to
 * @timeout_ms (0: not at all), then it is -EAGAIN.
 */
NODISCARD int ctrl_socket_connect(const char *path, unsigned int timeout_ms);
