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
	int timeout_ms; /* -1: none */
	bool streaming; /* an event has come */
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
	if (x->fd == -EACCES)
		return fail(x, CTRL_CLIENT_E_BROKEN, "broken",
			    "%s: try as root or the daemon's user", strerror(EACCES));
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

/* Appends what is there, or waits for it. */
static int take_chunk(const struct exchange *x, struct buf *in)
{
	char chunk[CHUNK_BYTES];
	ssize_t n = recv(x->fd, chunk, sizeof(chunk), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return wait_for(x, POLLIN);
	/* A reset is an end too: the daemon died with our request unread. */
	if (n == 0 || (n < 0 && errno == ECONNRESET))
		return fail(x, CTRL_CLIENT_E_BROKEN, "protocol",
			    x->streaming ? "the daemon ended the stream"
					 : "closed without an answer");
	if (n < 0)
		return fail_errno(x, errno);
	if (buf_append(in, chunk, (size_t)n) < 0)
		return fail(x, CTRL_CLIENT_E_BROKEN, "protocol", "the answer is too long");
	return 0;
}

/* The next line's message: 0 or CTRL_PROTO_E_EVENT with *@resultp, or a CTRL_CLIENT_E_*. */
static int receive_message(const struct exchange *x, struct buf *in, json_t **resultp, bool *eventp)
{
	const char *line = NULL, *end = NULL;
	size_t n;
	int r = 0;

	while (r == 0 && !end) {
		n = buf_len(in);
		line = (const char *)buf_peek(in);
		end = n ? memchr(line, '\n', n) : NULL;
		if (!end)
			r = take_chunk(x, in);
	}
	if (r != 0)
		return r;
	n = (size_t)(end - line);
	r = ctrl_reply_parse(line, n, resultp, x->errp);
	buf_consume(in, n + 1);
	*eventp = r == CTRL_PROTO_E_EVENT;
	if (r == CTRL_PROTO_E_REFUSED)
		return CTRL_CLIENT_E_REFUSED;
	return r == 0 || *eventp ? 0 : CTRL_CLIENT_E_BROKEN;
}

static int receive_reply(struct exchange *x, struct buf *in, json_t **resultp)
{
	bool event;
	int r = receive_message(x, in, resultp, &event);

	if (r != 0 || !event)
		return r;
	json_decref(*resultp);
	return fail(x, CTRL_CLIENT_E_BROKEN, "protocol", "a stream, where one answer was expected");
}

static int receive_stream(struct exchange *x, struct buf *in, ctrl_event_fn on_event, void *ctx)
{
	bool event, more = true;
	json_t *message;
	int r;

	while (more) {
		r = receive_message(x, in, &message, &event);
		if (r != 0)
			return r;
		x->streaming = true;
		x->timeout_ms = -1;
		more = event && on_event(ctx, message);
		json_decref(message);
	}
	return 0;
}

/* Connects and sends. The rest is the caller's, end_exchange() included, also on failure. */
static int begin_exchange(struct exchange *x, const char *command, json_t *args, struct buf *in)
{
	CLEANUP(free) char *line = ctrl_call_format(command, args);
	int r;

	/* What is read may hold a secret that was just minted. */
	buf_init_secret(in, CTRL_REPLY_MAX + 1);
	if (!line)
		return fail(x, CTRL_CLIENT_E_BROKEN, "protocol", "the request is not JSON");
	r = open_connection(x);
	return r == 0 ? send_line(x, line) : r;
}

static void end_exchange(struct exchange *x, struct buf *in)
{
	buf_deinit(in);
	close_fd(x->fd);
}

int ctrl_call(const char *socket_path, const char *command, json_t *args, unsigned int timeout_ms,
	      json_t **resultp, struct ctrl_error *errp)
{
	struct exchange x = {
		.path = socket_path, .fd = -1, .timeout_ms = (int)timeout_ms, .errp = errp};
	struct buf in;
	int r = begin_exchange(&x, command, args, &in);

	if (r == 0)
		r = receive_reply(&x, &in, resultp);
	end_exchange(&x, &in);
	return r;
}

int ctrl_follow(const char *socket_path, const char *command, json_t *args, unsigned int timeout_ms,
		ctrl_event_fn on_event, void *ctx, struct ctrl_error *errp)
{
	struct exchange x = {
		.path = socket_path, .fd = -1, .timeout_ms = (int)timeout_ms, .errp = errp};
	struct buf in;
	int r = begin_exchange(&x, command, args, &in);

	if (r == 0)
		r = receive_stream(&x, &in, on_event, ctx);
	end_exchange(&x, &in);
	return r;
}
