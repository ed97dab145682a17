/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One request per client is at work at a time: the next line stays in the input buffer
 * until the answer is on its way, so the order of answers needs no bookkeeping, and a
 * full buffer stops the reading.
 *
 * A client's states: OPEN (reading) → ENDED (it has sent all; what is buffered is still
 * answered) or LAST (we close after the last reply) → CLOSING (uv_close() called; only
 * the close callback may follow). Memory of a client goes in its close callback, the
 * server's with the last handle.
 *
 * A request outlives its client: it is unlinked (conn = NULL) when the client closes, and
 * freed by its answer. A streaming one waits for the client's close callback (conn->left) to
 * report the end, so that a handler is never called back from its own call.
 */

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "ctrl/ctrl_private.h"

#define ERROR_MAX 4096

enum conn_state {
	CONN_STATE_OPEN,
	CONN_STATE_ENDED,
	CONN_STATE_LAST,
	CONN_STATE_CLOSING,
};

struct ctrl_conn {
	uv_pipe_t pipe;
	struct list node; /* in server->conns while not closing */
	struct ctrl_server *server;
	struct ctrl_request *request; /* at work, or NULL */
	struct ctrl_request *left;    /* a stream whose end is to be reported, or NULL */
	struct buf in;
	uint64_t progress_ms; /* when a byte last came or went */
	uid_t uid;
	enum conn_state state;
	void (*on_gone)(void *ctx); /* NULL: not bound */
	void *bound;		    /* its argument */
	bool dispatching;	    /* the loop over input lines runs: an answer needn't start it */
};

struct ctrl_request {
	struct ctrl_conn *conn;	   /* NULL: the client is gone */
	struct ctrl_conn *closing; /* whose `left` we are */
	uid_t uid;
	bool may_change;
	const struct ctrl_stream_events *events; /* NULL: no stream */
	void *ctx;
};

/* A reply that libuv holds until the client has taken it. */
struct reply {
	uv_write_t write;
	char *line;
};

static void dispatch(struct ctrl_conn *conn);

/* --- the end of a client --- */

static void conn_close_cb(uv_handle_t *handle)
{
	struct ctrl_conn *conn = handle->data;
	struct ctrl_server *s = conn->server;

	if (conn->left) {
		conn->left->events->on_gone(conn->left->ctx, conn->left);
		free(conn->left);
	}
	if (conn->on_gone)
		conn->on_gone(conn->bound);
	buf_deinit(&conn->in);
	free(conn);
	ctrl_server_drop_handle(s);
}

static void set_state(struct ctrl_conn *conn, enum conn_state state)
{
	assert(state > conn->state);
	conn->state = state;
}

static void leave_request(struct ctrl_conn *conn)
{
	struct ctrl_request *req = conn->request;

	conn->request = NULL;
	if (!req)
		return;
	req->conn = NULL;
	if (req->events) {
		req->closing = conn;
		conn->left = req;
	}
}

static void close_conn(struct ctrl_conn *conn)
{
	if (conn->state == CONN_STATE_CLOSING)
		return;
	set_state(conn, CONN_STATE_CLOSING);
	leave_request(conn);
	list_remove(&conn->node);
	conn->server->n_conns--;
	uv_close((uv_handle_t *)&conn->pipe, conn_close_cb);
}

/* After the last reply has left, if nothing more can come. */
static void close_if_done(struct ctrl_conn *conn)
{
	if (conn->request || conn->dispatching || conn->state == CONN_STATE_OPEN)
		return;
	if (uv_stream_get_write_queue_size((uv_stream_t *)&conn->pipe) == 0)
		close_conn(conn);
}

/* --- replies --- */

/* An answer may hold a secret that was just minted. */
static void wipe_line(char *line)
{
	if (line)
		explicit_bzero(line, strlen(line));
	free(line);
}

static bool is_streaming(const struct ctrl_conn *conn)
{
	return conn->request && conn->request->events;
}

static void offer_room(struct ctrl_conn *conn)
{
	struct ctrl_request *req = conn->request;

	if (is_streaming(conn) && ctrl_stream_has_room(req))
		req->events->on_room(req->ctx, req);
}

static void reply_write_cb(uv_write_t *write, int status)
{
	struct reply *reply = container_of(write, struct reply, write);
	struct ctrl_conn *conn = write->handle->data;

	wipe_line(reply->line);
	free(reply);
	conn->progress_ms = uv_now(conn->pipe.loop);
	if (status < 0) {
		close_conn(conn);
		return;
	}
	offer_room(conn);
	close_if_done(conn);
}

/* Takes @line over. */
static void send_line(struct ctrl_conn *conn, char *line)
{
	uv_stream_t *stream = (uv_stream_t *)&conn->pipe;
	size_t n = strlen(line);
	struct reply *reply;
	uv_buf_t buf;

	if (conn->state == CONN_STATE_CLOSING) {
		wipe_line(line);
		return;
	}
	if (uv_stream_get_write_queue_size(stream) + n > CTRL_REPLY_MAX + 1) {
		log_warn("control client dropped: it does not read", log_int("uid", conn->uid));
		wipe_line(line);
		close_conn(conn);
		return;
	}
	reply = xnew(struct reply);
	reply->line = line;
	buf = uv_buf_init(line, (unsigned int)n);
	if (uv_write(&reply->write, stream, &buf, 1, reply_write_cb) < 0) {
		wipe_line(line);
		free(reply);
		close_conn(conn);
	}
}

static void send_error(struct ctrl_conn *conn, const char *code, const char *text)
{
	send_line(conn, ctrl_reply_format_error(code, text));
}

/* The end of a request: its answer goes out and the next line gets its turn. */
static void answer(struct ctrl_request *req, char *line)
{
	struct ctrl_conn *conn = req->conn;

	if (req->closing)
		req->closing->left = NULL;
	free(req);
	if (!conn) {
		wipe_line(line);
		return;
	}
	conn->request = NULL;
	send_line(conn, line);
	dispatch(conn);
}

void ctrl_reply_ok(struct ctrl_request *req, json_t *result)
{
	char *line = req->conn ? ctrl_reply_format_ok(result) : NULL;

	json_decref(result);
	answer(req, line);
}

void ctrl_reply_error(struct ctrl_request *req, const char *code, const char *fmt, ...)
{
	char text[ERROR_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	answer(req, ctrl_reply_format_error(code, text));
}

/* --- the name --- */

/* One message with both descriptors; a reader that waits for it has room for all of it. */
static int send_with_name(const struct ctrl_conn *conn, char *line)
{
	const struct ctrl_server *s = conn->server;
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int[CTRL_NAME_FDS]))];
	} control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int[CTRL_NAME_FDS])),
				.cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {.iov_base = line, .iov_len = strlen(line)};
	struct msghdr message = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	int fds[CTRL_NAME_FDS] = {-1, s->socket.lock_fd};
	int fd, r = uv_fileno((const uv_handle_t *)&conn->pipe, &fd);

	if (r == 0)
		r = uv_fileno((const uv_handle_t *)&s->listener, &fds[0]);
	if (r < 0)
		return r;
	memcpy(CMSG_DATA(&control.header), fds, sizeof(fds));
	if (sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)iov.iov_len)
		return -EAGAIN;
	return 0;
}

/* The end of the request, as answer(); but the line goes past libuv, which has no cmsg for us. */
void ctrl_reply_name(struct ctrl_request *req, json_t *result)
{
	char *line = ctrl_reply_format_ok(result);
	struct ctrl_conn *conn = req->conn;

	json_decref(result);
	assert(!req->events);
	free(req);
	if (conn) {
		conn->request = NULL;
		if (uv_stream_get_write_queue_size((uv_stream_t *)&conn->pipe) > 0 ||
		    send_with_name(conn, line) < 0)
			close_conn(conn);
		else
			dispatch(conn);
	}
	wipe_line(line);
}

/* --- streams --- */

void ctrl_stream_begin(struct ctrl_request *req, const struct ctrl_stream_events *events, void *ctx)
{
	assert(req->conn && !req->events);
	req->events = events;
	req->ctx = ctx;
}

bool ctrl_stream_has_room(const struct ctrl_request *req)
{
	const uv_stream_t *stream = req->conn ? (const uv_stream_t *)&req->conn->pipe : NULL;

	return stream && uv_stream_get_write_queue_size(stream) < CTRL_STREAM_QUEUE_MAX;
}

void ctrl_stream_send(struct ctrl_request *req, json_t *event)
{
	assert(req->events);
	if (req->conn)
		send_line(req->conn, ctrl_reply_format_event(event));
	json_decref(event);
}

/* --- requests --- */

struct ctrl_conn *ctrl_request_bind(struct ctrl_request *req, void (*on_gone)(void *ctx), void *ctx)
{
	assert(req->conn && !req->conn->on_gone);
	req->conn->on_gone = on_gone;
	req->conn->bound = ctx;
	return req->conn;
}

void *ctrl_request_bound(const struct ctrl_request *req)
{
	return req->conn ? req->conn->bound : NULL;
}

bool ctrl_conn_has_input(const struct ctrl_conn *conn)
{
	struct pollfd pfd = {.fd = -1, .events = POLLIN};

	if (conn->state == CONN_STATE_CLOSING || !buf_is_empty(&conn->in) ||
	    uv_fileno((const uv_handle_t *)&conn->pipe, &pfd.fd) < 0)
		return true;
	return poll(&pfd, 1, 0) > 0;
}

void ctrl_conn_dismiss(struct ctrl_conn *conn, const char *code, const char *text)
{
	if (conn->state >= CONN_STATE_LAST)
		return;
	uv_read_stop((uv_stream_t *)&conn->pipe);
	set_state(conn, CONN_STATE_LAST);
	buf_deinit(&conn->in);
	send_error(conn, code, text);
	close_if_done(conn);
}

uid_t ctrl_request_uid(const struct ctrl_request *req)
{
	return req->uid;
}

static const struct ctrl_command *find_command(const struct ctrl_server *s, const char *name)
{
	for (size_t i = 0; i < s->n_commands; i++)
		if (strcmp(s->commands[i].name, name) == 0)
			return &s->commands[i];
	return NULL;
}

bool ctrl_request_may_change(const struct ctrl_request *req)
{
	return req->may_change;
}

static void run_call(struct ctrl_conn *conn, const struct ctrl_call *call)
{
	const struct ctrl_command *command = find_command(conn->server, call->command);
	struct ctrl_request *req = xnew(struct ctrl_request);

	*req = (struct ctrl_request){
		.conn = conn,
		.uid = conn->uid,
		.may_change = conn->uid == 0 || conn->uid == conn->server->uid,
	};
	conn->request = req;
	if (!command)
		ctrl_reply_error(req, "unknown-command", "no command '%s'", call->command);
	else if (command->changes && !req->may_change)
		ctrl_reply_error(
			req, "forbidden",
			"'%s' needs the daemon's own user (uid %u) or root; you are uid %u",
			call->command, conn->server->uid, conn->uid);
	else
		command->run(conn->server->ctx, req, call->args);
}

static void run_line(struct ctrl_conn *conn, const char *line, size_t n)
{
	struct ctrl_error error;
	struct ctrl_call call;

	if (ctrl_call_parse(line, n, &call, &error) != 0) {
		send_error(conn, error.code, error.text);
		return;
	}
	run_call(conn, &call);
	json_decref(call.root);
}

/* Takes the next whole line out of the input, or returns NULL. */
static char *take_line(struct ctrl_conn *conn, size_t *np)
{
	const uint8_t *bytes = buf_peek(&conn->in);
	const uint8_t *end = buf_len(&conn->in) ? memchr(bytes, '\n', buf_len(&conn->in)) : NULL;
	char *line;

	if (!end)
		return NULL;
	*np = (size_t)(end - bytes);
	line = xzalloc(*np + 1);
	buf_take(&conn->in, line, *np + 1);
	return line;
}

static void refuse_too_large(struct ctrl_conn *conn)
{
	char text[64];

	if (conn->state == CONN_STATE_OPEN)
		uv_read_stop((uv_stream_t *)&conn->pipe);
	if (conn->state < CONN_STATE_LAST)
		set_state(conn, CONN_STATE_LAST);
	buf_deinit(&conn->in);
	snprintf(text, sizeof(text), "a request has at most %d bytes", CTRL_REQUEST_MAX);
	send_error(conn, "too-large", text);
}

static bool wants_line(const struct ctrl_conn *conn)
{
	return !conn->request && conn->state < CONN_STATE_LAST;
}

static void run_lines(struct ctrl_conn *conn)
{
	char *line;
	size_t n;

	while (wants_line(conn) && (line = take_line(conn, &n))) {
		run_line(conn, line, n);
		free(line);
	}
	if (wants_line(conn) && buf_len(&conn->in) > CTRL_REQUEST_MAX)
		refuse_too_large(conn);
	if (wants_line(conn) && conn->state == CONN_STATE_ENDED && !buf_is_empty(&conn->in)) {
		buf_deinit(&conn->in);
		send_error(conn, "invalid", "the last request has no line end");
	}
}

static void start_reading(struct ctrl_conn *conn);

/* Runs what is complete. Safe to call at any time: from a handler's answer it does nothing. */
static void dispatch(struct ctrl_conn *conn)
{
	if (conn->dispatching || conn->state == CONN_STATE_CLOSING)
		return;
	conn->dispatching = true;
	run_lines(conn);
	conn->dispatching = false;
	if (conn->state == CONN_STATE_OPEN)
		start_reading(conn);
	else if (conn->state != CONN_STATE_CLOSING)
		close_if_done(conn);
}

/* --- input --- */

/* Never more than the buffer's room, so that an append can't fail for its maximum. */
static void conn_alloc_cb(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	const struct ctrl_conn *conn = handle->data;
	size_t room = conn->in.max - buf_len(&conn->in);

	(void)suggested;
	*buf = uv_buf_init(conn->server->scratch,
			   (unsigned int)(room < SCRATCH_LEN ? room : SCRATCH_LEN));
}

static void take_bytes(struct ctrl_conn *conn, const char *bytes, size_t n)
{
	conn->progress_ms = uv_now(conn->pipe.loop);
	if (buf_append(&conn->in, bytes, n) < 0) {
		close_conn(conn);
		return;
	}
	if (buf_len(&conn->in) == conn->in.max)
		uv_read_stop((uv_stream_t *)&conn->pipe);
	dispatch(conn);
}

/* Both ways, not only its sending half: who follows a stream has nothing more to say. */
static bool has_left(const struct ctrl_conn *conn)
{
	struct pollfd pfd = {.fd = -1};

	if (uv_fileno((const uv_handle_t *)&conn->pipe, &pfd.fd) < 0)
		return true;
	return poll(&pfd, 1, 0) > 0 && pfd.revents & (POLLHUP | POLLERR | POLLNVAL);
}

static void take_end(struct ctrl_conn *conn)
{
	uv_read_stop((uv_stream_t *)&conn->pipe);
	set_state(conn, CONN_STATE_ENDED);
	if (is_streaming(conn) && has_left(conn))
		close_conn(conn);
	else
		dispatch(conn);
}

static void conn_read_cb(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct ctrl_conn *conn = stream->data;

	if (n > 0)
		take_bytes(conn, buf->base, (size_t)n);
	else if (n == UV_EOF)
		take_end(conn);
	else if (n < 0)
		close_conn(conn);
}

static void start_reading(struct ctrl_conn *conn)
{
	int r;

	if (buf_len(&conn->in) == conn->in.max)
		return;
	r = uv_read_start((uv_stream_t *)&conn->pipe, conn_alloc_cb, conn_read_cb);
	if (r < 0 && r != UV_EALREADY)
		close_conn(conn);
}

/* --- the start of a client --- */

static int read_uid(const uv_pipe_t *pipe, uid_t *uidp)
{
	struct ucred cred;
	socklen_t n = sizeof(cred);
	int fd;
	int r = uv_fileno((const uv_handle_t *)pipe, &fd);

	if (r < 0)
		return r;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) < 0)
		return -errno;
	*uidp = cred.uid;
	return 0;
}

static struct ctrl_conn *add_conn(struct ctrl_server *s)
{
	struct ctrl_conn *conn = xnew(struct ctrl_conn);

	conn->server = s;
	buf_init(&conn->in, CTRL_REQUEST_MAX + 1);
	uv_pipe_init(s->listener.loop, &conn->pipe, 0);
	conn->pipe.data = conn;
	conn->progress_ms = uv_now(s->listener.loop);
	list_append(&s->conns, &conn->node);
	s->n_conns++;
	s->n_handles++;
	return conn;
}

void ctrl_conn_accept(struct ctrl_server *s)
{
	struct ctrl_conn *conn = add_conn(s);

	if (uv_accept((uv_stream_t *)&s->listener, (uv_stream_t *)&conn->pipe) < 0 ||
	    read_uid(&conn->pipe, &conn->uid) < 0) {
		close_conn(conn);
	} else if (s->n_conns > CTRL_CLIENTS_MAX) {
		log_warn("control client refused: too many", log_int("max", CTRL_CLIENTS_MAX));
		set_state(conn, CONN_STATE_LAST);
		send_error(conn, "busy", "too many clients; try again");
	} else {
		start_reading(conn);
	}
}

void ctrl_conn_close(struct list *node)
{
	close_conn(list_entry(node, struct ctrl_conn, node));
}

static void sweep_stream(struct ctrl_conn *conn, uint64_t now_ms)
{
	bool owed = uv_stream_get_write_queue_size((uv_stream_t *)&conn->pipe) > 0;

	if (owed && now_ms >= conn->progress_ms + CTRL_IDLE_MS) {
		log_warn("control client dropped: it does not read", log_int("uid", conn->uid));
		close_conn(conn);
	} else if (has_left(conn)) {
		close_conn(conn);
	}
}

void ctrl_conn_sweep(struct list *node, uint64_t now_ms)
{
	struct ctrl_conn *conn = list_entry(node, struct ctrl_conn, node);

	if (is_streaming(conn))
		sweep_stream(conn, now_ms);
	else if (!conn->request && !conn->on_gone && now_ms >= conn->progress_ms + CTRL_IDLE_MS)
		close_conn(conn);
}
