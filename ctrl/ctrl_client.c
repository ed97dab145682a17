/* SPDX-License-Identifier: Apache-2.0 */
#include "ctrl/ctrl_client.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "ctrl/ctrl_socket.h"

#define CHUNK_BYTES 65536

struct exchange {
	const char *path;
	int fd;
	int timeout_ms;
	struct ctrl_error *errp;
};

static int fail(const struct exchange *x, int outcome, const char *code, const char *fmt, ...)
	PRINTF(4, 5);

static int fail(const struct exchange *x, int outcome, const char *code, const char *fmt, ...)
{
	va_list ap;
	int n;

	snprintf(x->errp->code, sizeof(x->errp->code), "%s", code);
	n = snprintf(x->errp->text, sizeof(x->errp->text), "%s: ", x->path);
	if (n < 0 || (size_t)n >= sizeof(x->errp->text))
		return outcome;
	va_start(ap, fmt);
	vsnprintf(x->errp->text + n, sizeof(x->errp->text) - (size_t)n, fmt, ap);
	va_end(ap);
	return outcome;
}

static int fail_errno(const struct exchange *x, int error)
{
	return fail(x, CTRL_CLIENT_E_BROKEN, "broken", "%s", strerror(error));
}

static int open_connection(struct exchange *x)
{
	x->fd = ctrl_socket_connect(x->path, (unsigned int)x->timeout_ms);
	if (x->fd >= 0)
		return 0;
	if (x->fd == -ENOENT || x->fd == -ECONNREFUSED)
		return fail(x, CTRL_CLIENT_E_UNREACHABLE, "unreachable", "no daemon answers (%s)",
			    strerror(-x->fd));
	if (x->fd == -EAGAIN)
		return fail(x, CTRL_CLIENT_E_BROKEN, "timeout", "the daemon accepts no clients");
	return fail_errno(x, -x->fd);
}

static int wait_for(const struct exchange *x, short events)
{
	struct pollfd pfd = {.fd = x->fd, .events = events};
	int n = poll(&pfd, 1, x->timeout_ms);

	if (n < 0 && errno != EINTR)
		return fail_errno(x, errno);
	if (n == 0)
		return fail(x, CTRL_CLIENT_E_BROKEN, "timeout", "no answer within %d ms",
			    x->timeout_ms);
	return 0;
}

/*
 * A daemon that has too many clients says so and closes before it reads: a failed send
 * isn't the end, its last words may wait to be read.
 */
static int send_line(const struct exchange *x, const char *line)
{
	size_t left = strlen(line);
	int r = 0;

	while (left && r == 0) {
		ssize_t n = send(x->fd, line, left, MSG_NOSIGNAL);

		if (n >= 0) {
			line += n;
			left -= (size_t)n;
		} else if (errno == EAGAIN) {
			r = wait_for(x, POLLOUT);
		} else if (errno == EPIPE || errno == ECONNRESET) {
			return 0;
		} else if (errno != EINTR) {
			r = fail_errno(x, errno);
		}
	}
	return r;
}

/* Appends what is there. *@donep: a whole line has come. */
static int take_chunk(const struct exchange *x, struct buf *in, bool *donep)
{
	char chunk[CHUNK_BYTES];
	ssize_t n = recv(x->fd, chunk, sizeof(chunk), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return wait_for(x, POLLIN);
	/* A reset is an end too: the daemon died with our request unread. */
	if (n == 0 || (n < 0 && errno == ECONNRESET))
		return fail(x, CTRL_CLIENT_E_BROKEN, "protocol", "closed without an answer");
	if (n < 0)
		return fail_errno(x, errno);
	if (buf_append(in, chunk, (size_t)n) < 0)
		return fail(x, CTRL_CLIENT_E_BROKEN, "protocol", "the answer is too long");
	*donep = memchr(chunk, '\n', (size_t)n) != NULL;
	return 0;
}

static int receive_reply(const struct exchange *x, struct buf *in, json_t **resultp)
{
	bool done = false;
	const char *line;
	int r = 0;

	while (r == 0 && !done)
		r = take_chunk(x, in, &done);
	if (r != 0)
		return r;
	line = (const char *)buf_peek(in);
	r = ctrl_reply_parse(line, (size_t)((const char *)memchr(line, '\n', buf_len(in)) - line),
			     resultp, x->errp);
	if (r == CTRL_PROTO_E_REFUSED)
		return CTRL_CLIENT_E_REFUSED;
	return r == 0 ? 0 : CTRL_CLIENT_E_BROKEN;
}

int ctrl_call(const char *socket_path, const char *command, json_t *args, unsigned int timeout_ms,
	      json_t **resultp, struct ctrl_error *errp)
{
	struct exchange x = {
		.path = socket_path, .fd = -1, .timeout_ms = (int)timeout_ms, .errp = errp};
	CLEANUP(free) char *line = ctrl_call_format(command, args);
	struct buf in;
	int r;

	if (!line)
		return fail(&x, CTRL_CLIENT_E_BROKEN, "protocol", "the request is not JSON");
	buf_init(&in, CTRL_REPLY_MAX + 1);
	r = open_connection(&x);
	if (r == 0)
		r = send_line(&x, line);
	if (r == 0)
		r = receive_reply(&x, &in, resultp);
	/* It may hold a secret that was just minted. */
	if (in.data)
		explicit_bzero(in.data, in.cap);
	buf_deinit(&in);
	close_fd(x.fd);
	return r;
}
