/* SPDX-License-Identifier: Apache-2.0 */
#include "ctrl/ctrl_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

#define BACKLOG 64

static int fill_address(const char *path, struct sockaddr_un *sun)
{
	size_t n = strlen(path);

	*sun = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (n == 0)
		return -ENOENT;
	if (n >= sizeof(sun->sun_path))
		return -ENAMETOOLONG;
	memcpy(sun->sun_path, path, n);
	return 0;
}

static int open_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

/* connect() to a full backlog waits as long as a send would. */
static int connect_within(int fd, const struct sockaddr_un *sun, unsigned int timeout_ms)
{
	const struct timeval limit = {
		.tv_sec = timeout_ms / 1000,
		.tv_usec = timeout_ms % 1000 * 1000,
	};

	if (timeout_ms && (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
			   fcntl(fd, F_SETFL, 0) < 0))
		return -errno;
	if (connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) < 0)
		return -errno;
	return fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

int ctrl_socket_connect(const char *path, unsigned int timeout_ms)
{
	struct sockaddr_un sun;
	int r = fill_address(path, &sun);
	int fd;

	if (r < 0)
		return r;
	fd = open_socket();
	if (fd < 0)
		return fd;
	r = connect_within(fd, &sun, timeout_ms);
	if (r < 0) {
		close_fd(fd);
		return r;
	}
	return fd;
}

static int take_lock(const char *path, int *lock_fdp)
{
	CLEANUP(close_fd) int fd = -1;
	char lock_path[PATH_MAX];

	if (snprintf(lock_path, sizeof(lock_path), "%s" CTRL_SOCKET_LOCK_SUFFIX, path) >=
	    (int)sizeof(lock_path))
		return -ENAMETOOLONG;
	fd = open(lock_path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? CTRL_SOCKET_E_RUNNING : -errno;
	*lock_fdp = fd;
	fd = -1;
	return 0;
}

/*
 * With the lock held, a socket that answers can only be a daemon that knows no lock; it is
 * left alone too.
 */
static int remove_stale(const char *path)
{
	struct stat st;
	int fd;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = ctrl_socket_connect(path, 0);
	close_fd(fd);
	if (fd >= 0 || fd == -EAGAIN)
		return CTRL_SOCKET_E_RUNNING;
	if (fd != -ECONNREFUSED)
		return fd;
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

/*
 * Linux takes the file's mode from the unbound socket's, less the umask. So the file never
 * has a bit too many, and before listen() nobody can use it; what the umask took is given back.
 */
static int bind_with_mode(struct ctrl_socket *sock)
{
	struct sockaddr_un sun;
	struct stat st;
	int r = fill_address(sock->path, &sun);

	if (r < 0)
		return r;
	if (fchmod(sock->fd, CTRL_SOCKET_MODE) < 0 ||
	    bind(sock->fd, (struct sockaddr *)&sun, sizeof(sun)) < 0 || lstat(sock->path, &st) < 0)
		return -errno;
	sock->device = st.st_dev;
	sock->inode = st.st_ino;
	if ((st.st_mode & 0777) != CTRL_SOCKET_MODE && chmod(sock->path, CTRL_SOCKET_MODE) < 0)
		return -errno;
	return listen(sock->fd, BACKLOG) < 0 ? -errno : 0;
}

static int open_at(struct ctrl_socket *sock)
{
	struct sockaddr_un sun;
	int r = fill_address(sock->path, &sun);

	if (r == 0)
		r = take_lock(sock->path, &sock->lock_fd);
	if (r == 0)
		r = remove_stale(sock->path);
	if (r != 0)
		return r;
	sock->fd = open_socket();
	return sock->fd < 0 ? sock->fd : bind_with_mode(sock);
}

int ctrl_socket_listen(const char *path, struct ctrl_socket *sockp)
{
	struct ctrl_socket sock = CTRL_SOCKET_NONE;
	int r;

	sock.path = xstrdup(path);
	r = open_at(&sock);
	if (r != 0) {
		ctrl_socket_close(&sock);
		return r;
	}
	*sockp = sock;
	return 0;
}

static bool is_ours(const struct ctrl_socket *sock)
{
	struct stat st;

	return sock->inode != 0 && lstat(sock->path, &st) == 0 && S_ISSOCK(st.st_mode) &&
	       st.st_dev == sock->device && st.st_ino == sock->inode;
}

static bool is_listening(int fd)
{
	int listens = 0, domain = 0;
	socklen_t n_listens = sizeof(listens), n_domain = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n_listens) == 0 && listens &&
	       getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n_domain) == 0 && domain == AF_UNIX;
}

static bool is_lock_of(int lock_fd, const char *path)
{
	char lock_path[PATH_MAX];
	struct stat open_one, named;

	return snprintf(lock_path, sizeof(lock_path), "%s" CTRL_SOCKET_LOCK_SUFFIX, path) <
		       (int)sizeof(lock_path) &&
	       fstat(lock_fd, &open_one) == 0 && lstat(lock_path, &named) == 0 &&
	       open_one.st_dev == named.st_dev && open_one.st_ino == named.st_ino;
}

static int check_adopted(struct ctrl_socket *sock)
{
	struct stat st;

	if (!is_listening(sock->fd) || !is_lock_of(sock->lock_fd, sock->path))
		return -EINVAL;
	if (lstat(sock->path, &st) < 0)
		return -errno;
	sock->device = st.st_dev;
	sock->inode = st.st_ino;
	return fcntl(sock->fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

int ctrl_socket_adopt(const char *path, int fd, int lock_fd, struct ctrl_socket *sockp)
{
	struct ctrl_socket sock = {.fd = fd, .lock_fd = lock_fd, .path = xstrdup(path)};
	int r = check_adopted(&sock);

	if (r < 0) {
		ctrl_socket_give_up(&sock);
		return r;
	}
	*sockp = sock;
	return 0;
}

void ctrl_socket_close(struct ctrl_socket *sock)
{
	if (sock->path && is_ours(sock))
		unlink(sock->path);
	ctrl_socket_give_up(sock);
}

void ctrl_socket_give_up(struct ctrl_socket *sock)
{
	close_fd(sock->fd);
	close_fd(sock->lock_fd);
	free(sock->path);
	*sock = (struct ctrl_socket)CTRL_SOCKET_NONE;
}
