/* SPDX-License-Identifier: Apache-2.0 */
#include "ctrl/ctrl_talk.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "ctrl/ctrl_socket.h"

#define CHUNK_BYTES 4096
#define ANSWER_MAX  (64 * 1024) /* of one line: what daemons ask each other is short */

struct ctrl_talk {
	uv_poll_t poll;
	int fd;
	int fds[CTRL_TALK_FDS]; /* came, not taken yet */
	struct buf in;
	const struct ctrl_talk_events *events;
	void *ctx;
	bool freed; /* the poll's close callback has the rest */
};

DEFINE_CLEANUP(json_t *, json_decref);

static void drop_fds(int fds[CTRL_TALK_FDS])
{
	for (size_t i = 0; i < CTRL_TALK_FDS; i++) {
		close_fd(fds[i]);
		fds[i] = -1;
	}
}

static void end(struct ctrl_talk *t, const char *reason)
{
	uv_poll_stop(&t->poll);
	t->events->on_end(t->ctx, reason);
}

/* ---- reading ---- */

static void keep_fds(struct ctrl_talk *t, struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		const unsigned char *data = CMSG_DATA(c);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, data + i * sizeof(int), sizeof(int));
			if (i < CTRL_TALK_FDS && t->fds[i] < 0)
				t->fds[i] = fd;
			else
				close_fd(fd);
		}
	}
}

/* 0, -EAGAIN, or -errno; -EPIPE is the end. */
static int take_chunk(struct ctrl_talk *t)
{
	char chunk[CHUNK_BYTES];
	char control[CMSG_SPACE(sizeof(int[CTRL_TALK_FDS]))]
		__attribute__((aligned(sizeof(size_t))));
	struct iovec iov = {.iov_base = chunk, .iov_len = sizeof(chunk)};
	struct msghdr message = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(t->fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	keep_fds(t, &message);
	return n == 0 ? -EPIPE : buf_append(&t->in, chunk, (size_t)n);
}

static void take_line(struct ctrl_talk *t, const char *line, size_t n)
{
	CLEANUP(json_decref) json_t *result = NULL;
	struct ctrl_error error;
	int fds[CTRL_TALK_FDS];
	int r = ctrl_reply_parse(line, n, &result, &error);

	memcpy(fds, t->fds, sizeof(fds));
	for (size_t i = 0; i < CTRL_TALK_FDS; i++)
		t->fds[i] = -1;
	if (r == 0 || r == CTRL_PROTO_E_REFUSED)
		t->events->on_answer(t->ctx, result, r == 0 ? NULL : &error, fds);
	else
		end(t, "what it says is no answer");
	drop_fds(fds);
}

static void take_lines(struct ctrl_talk *t)
{
	while (!t->freed && uv_is_active((uv_handle_t *)&t->poll) && buf_len(&t->in)) {
		const char *start = (const char *)buf_peek(&t->in);
		const char *stop = memchr(start, '\n', buf_len(&t->in));
		size_t n = stop ? (size_t)(stop - start) : 0;

		if (!stop)
			break;
		/* The bytes stay where they are until the close callback, whoever frees us. */
		take_line(t, start, n);
		buf_consume(&t->in, n + 1);
	}
}

static void poll_cb(uv_poll_t *poll, int status, int events)
{
	struct ctrl_talk *t = poll->data;
	int r = status < 0 ? status : take_chunk(t);

	(void)events;
	if (r == -EAGAIN)
		return;
	if (r == 0)
		take_lines(t);
	else if (r == -EPIPE || r == -ECONNRESET)
		end(t, "it closed the connection");
	else
		end(t, strerror(-r));
}

/* ---- asking ---- */

/* With one request out at a time there is always room for the next, unless nobody reads. */
int ctrl_talk_ask(struct ctrl_talk *t, const char *command, json_t *args)
{
	CLEANUP(free) char *line = ctrl_call_format(command, args);
	size_t n = line ? strlen(line) : 0;
	ssize_t sent;

	if (!line)
		return -EINVAL;
	sent = send(t->fd, line, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent < 0)
		return -errno;
	return (size_t)sent == n ? 0 : -EAGAIN;
}

bool ctrl_talk_has_input(const struct ctrl_talk *t)
{
	struct pollfd pfd = {.fd = t ? t->fd : -1, .events = POLLIN};

	return poll(&pfd, 1, 0) > 0;
}

int ctrl_talk_uid(const struct ctrl_talk *t, uid_t *uidp)
{
	struct ucred cred;
	socklen_t n = sizeof(cred);

	if (getsockopt(t->fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) < 0)
		return -errno;
	*uidp = cred.uid;
	return 0;
}

/* ---- life ---- */

int ctrl_talk_new(struct ctrl_talk **tp, uv_loop_t *uv, const char *path, unsigned int timeout_ms,
		  const struct ctrl_talk_events *events, void *ctx)
{
	int fd = ctrl_socket_connect(path, timeout_ms);
	struct ctrl_talk *t;
	int r;

	if (fd < 0)
		return fd;
	t = xnew(struct ctrl_talk);
	r = uv_poll_init(uv, &t->poll, fd);
	if (r < 0) {
		close_fd(fd);
		free(t);
		return r;
	}
	t->poll.data = t;
	t->fd = fd;
	t->fds[0] = t->fds[1] = -1;
	buf_init(&t->in, ANSWER_MAX);
	t->events = events;
	t->ctx = ctx;
	r = uv_poll_start(&t->poll, UV_READABLE, poll_cb);
	if (r < 0) {
		ctrl_talk_free(t);
		return r;
	}
	*tp = t;
	return 0;
}

static void close_cb(uv_handle_t *handle)
{
	struct ctrl_talk *t = handle->data;

	drop_fds(t->fds);
	close_fd(t->fd);
	buf_deinit(&t->in);
	free(t);
}

struct ctrl_talk *ctrl_talk_free(struct ctrl_talk *t)
{
	if (t && !t->freed) {
		t->freed = true;
		uv_close((uv_handle_t *)&t->poll, close_cb);
	}
	return NULL;
}
