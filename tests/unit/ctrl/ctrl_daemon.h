/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * ctrl_daemon - a control server on its own loop and thread, and raw clients of it
 *
 * The server exists before the thread starts, so nothing has to be waited for. Every read
 * of a client has a time limit that only a broken server reaches.
 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <jansson.h>
#include <uv.h>

#include "base/compiler.h"
#include "base/log.h"
#include "ctrl/ctrl_client.h"
#include "ctrl/ctrl_log_level.h"
#include "ctrl/ctrl_server.h"
#include "ctrl/ctrl_socket.h"

#define CLIENT_LIMIT_S	20
#define CALL_LIMIT_MS	20000
#define BIG_REPLY_BYTES (1024 * 1024)
#define STREAM_EVENTS	6000 /* more than sockets and queues hold unread */

struct daemon {
	uv_loop_t loop;
	uv_async_t stop;
	pthread_t thread;
	struct ctrl_server *server;
	struct ctrl_request *stream; /* of the command "stream", until its client is gone */
	unsigned int n_sent;
	unsigned int n_gone;
	struct ctrl_request *held; /* of the command "hold", until "release" */
	char folder[64];
	char path[96];
};

static void run_big(void *ctx, struct ctrl_request *req, const json_t *args)
{
	char *text = malloc(BIG_REPLY_BYTES + 1);

	(void)ctx;
	(void)args;
	memset(text, 'b', BIG_REPLY_BYTES);
	text[BIG_REPLY_BYTES] = '\0';
	ctrl_reply_ok(req, json_pack("{s:s}", "text", text));
	free(text);
}

static void run_change(void *ctx, struct ctrl_request *req, const json_t *args)
{
	(void)ctx;
	(void)args;
	ctrl_reply_ok(req, NULL);
}

static void run_echo(void *ctx, struct ctrl_request *req, const json_t *args)
{
	(void)ctx;
	ctrl_reply_ok(req, json_deep_copy(args));
}

static void run_fail(void *ctx, struct ctrl_request *req, const json_t *args)
{
	(void)ctx;
	(void)args;
	ctrl_reply_error(req, "conflict", "it is %s", "\xff taken");
}

static void run_hold(void *ctx, struct ctrl_request *req, const json_t *args)
{
	struct daemon *d = ctx;

	(void)args;
	assert_null(d->held);
	d->held = req;
}

static void run_is_held(void *ctx, struct ctrl_request *req, const json_t *args)
{
	struct daemon *d = ctx;

	(void)args;
	ctrl_reply_ok(req, json_pack("{s:b}", "held", d->held != NULL));
}

static void run_set_level(void *ctx, struct ctrl_request *req, const json_t *args)
{
	json_t *level = json_pack("{s:s}", CTRL_LOG_LEVEL_LEVEL, "error");
	enum log_level before, now;

	(void)ctx;
	(void)args;
	if (ctrl_log_level_run(req, level, &before, &now)) {
		assert_int_equal(before, LOG_LEVEL_ERROR);
		assert_int_equal(now, LOG_LEVEL_ERROR);
	}
	json_decref(level);
}

static void run_show_level(void *ctx, struct ctrl_request *req, const json_t *args)
{
	enum log_level before, now;

	(void)ctx;
	assert_false(ctrl_log_level_run(req, args, &before, &now));
}

static void run_release(void *ctx, struct ctrl_request *req, const json_t *args)
{
	struct daemon *d = ctx;
	struct ctrl_request *held = d->held;

	(void)args;
	d->held = NULL;
	ctrl_reply_ok(held, json_pack("{s:b}", "released", 1));
	ctrl_reply_ok(req, NULL);
}

static json_t *make_event(unsigned int n)
{
	return json_pack("{s:i, s:s}", "n", (int)n, "pad",
			 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
}

/* As many as fit now. */
static void stream_room(void *ctx, struct ctrl_request *req)
{
	struct daemon *d = ctx;

	assert_ptr_equal(req, d->stream);
	while (d->n_sent < STREAM_EVENTS && ctrl_stream_has_room(req))
		ctrl_stream_send(req, make_event(++d->n_sent));
}

static void stream_gone(void *ctx, struct ctrl_request *req)
{
	struct daemon *d = ctx;

	assert_ptr_equal(req, d->stream);
	d->stream = NULL;
	d->n_gone++;
}

static const struct ctrl_stream_events stream_events = {
	.on_room = stream_room,
	.on_gone = stream_gone,
};

static void run_stream(void *ctx, struct ctrl_request *req, const json_t *args)
{
	struct daemon *d = ctx;

	(void)args;
	assert_null(d->stream);
	d->stream = req;
	d->n_sent = 0;
	ctrl_stream_begin(req, &stream_events, d);
	stream_room(d, req);
}

static void run_stream_end(void *ctx, struct ctrl_request *req, const json_t *args)
{
	struct daemon *d = ctx;

	(void)args;
	if (d->stream)
		ctrl_reply_ok(d->stream, json_pack("{s:i}", "sent", (int)d->n_sent));
	d->stream = NULL;
	ctrl_reply_ok(req, NULL);
}

static void run_stream_state(void *ctx, struct ctrl_request *req, const json_t *args)
{
	struct daemon *d = ctx;

	(void)args;
	ctrl_reply_ok(req, json_pack("{s:b, s:i, s:i, s:b}", "open", d->stream != NULL, "sent",
				     (int)d->n_sent, "gone", (int)d->n_gone, "may_change",
				     ctrl_request_may_change(req)));
}

static void run_sweep(void *ctx, struct ctrl_request *req, const json_t *args)
{
	struct daemon *d = ctx;

	ctrl_server_sweep(d->server, uv_now(&d->loop) + (uint64_t)json_integer_value(
								json_object_get(args, "ms")));
	ctrl_reply_ok(req, NULL);
}

static void run_uid(void *ctx, struct ctrl_request *req, const json_t *args)
{
	(void)ctx;
	(void)args;
	ctrl_reply_ok(req, json_pack("{s:i}", "uid", (int)ctrl_request_uid(req)));
}

static const struct ctrl_command daemon_commands[] = {
	{"big", false, run_big, ""},
	{"change", true, run_change, ""},
	{"echo", false, run_echo, ""},
	{"fail", false, run_fail, ""},
	{"hold", false, run_hold, ""},
	{"is-held", false, run_is_held, ""},
	{"release", false, run_release, ""},
	{"sweep", false, run_sweep, ""},
	{"set-level", false, run_set_level, ""},
	{"show-level", false, run_show_level, ""},
	{"stream", false, run_stream, ""},
	{"stream-end", false, run_stream_end, ""},
	{"stream-state", false, run_stream_state, ""},
	{"uid", false, run_uid, ""},
};

static void daemon_stop_cb(uv_async_t *async)
{
	struct daemon *d = async->data;

	ctrl_server_free(d->server);
	uv_close((uv_handle_t *)async, NULL);
}

static void *daemon_thread(void *arg)
{
	struct daemon *d = arg;

	uv_run(&d->loop, UV_RUN_DEFAULT);
	return NULL;
}

static int daemon_start(void **state)
{
	struct daemon *d = calloc(1, sizeof(*d));

	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_LEVEL_ERROR);
	snprintf(d->folder, sizeof(d->folder), "/tmp/adit-ctrl-XXXXXX");
	if (!mkdtemp(d->folder))
		return -1;
	snprintf(d->path, sizeof(d->path), "%s/d.sock", d->folder);
	uv_loop_init(&d->loop);
	uv_async_init(&d->loop, &d->stop, daemon_stop_cb);
	d->stop.data = d;
	if (ctrl_server_new(&d->server, &d->loop, d->path, daemon_commands,
			    ARRAY_SIZE(daemon_commands), d) != 0)
		return -1;
	*state = d;
	return pthread_create(&d->thread, NULL, daemon_thread, d);
}

static int daemon_stop(void **state)
{
	struct daemon *d = *state;
	char lock[112];

	uv_async_send(&d->stop);
	pthread_join(d->thread, NULL);
	/* All handles are closed: a request may still be answered, into the void. */
	assert_int_equal(uv_loop_close(&d->loop), 0);
	if (d->held)
		ctrl_reply_ok(d->held, json_object());
	assert_int_equal(access(d->path, F_OK), -1);
	snprintf(lock, sizeof(lock), "%s.lock", d->path);
	unlink(lock);
	if (rmdir(d->folder) != 0)
		return -1;
	free(d);
	return 0;
}

/* A blocking client. */
static inline int client_open(const struct daemon *d)
{
	const struct timeval limit = {.tv_sec = CLIENT_LIMIT_S};
	int fd = ctrl_socket_connect(d->path, CALL_LIMIT_MS);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)), 0);
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	return fd;
}

/* False when the server closed meanwhile. */
static inline bool client_send(int fd, const void *bytes, size_t n)
{
	for (ssize_t sent; n; bytes = (const char *)bytes + sent, n -= (size_t)sent) {
		sent = send(fd, bytes, n, MSG_NOSIGNAL);
		if (sent < 0) {
			assert_true(errno == EPIPE || errno == ECONNRESET);
			return false;
		}
	}
	return true;
}

static inline bool client_say(int fd, const char *text)
{
	return client_send(fd, text, strlen(text));
}

/* The next line as JSON; NULL at the end. */
static inline json_t *client_hear(int fd)
{
	size_t n = 0, cap = BIG_REPLY_BYTES + 4096;
	char *line = malloc(cap);
	json_t *reply = NULL;
	ssize_t r;

	while ((r = recv(fd, line + n, 1, 0)) == 1 && line[n] != '\n')
		assert_true(++n < cap);
	if (r < 0)
		assert_int_equal(errno, ECONNRESET);
	if (r == 1)
		assert_non_null(reply = json_loadb(line, n, 0, NULL));
	free(line);
	return reply;
}

static inline void expect_error(int fd, const char *code)
{
	json_t *reply = client_hear(fd);

	assert_non_null(reply);
	assert_true(json_is_false(json_object_get(reply, "ok")));
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(reply, "error"), "code")), code);
	json_decref(reply);
}

/* A reply whose result has the number @n as member "n". */
static inline void expect_number(int fd, int n)
{
	json_t *reply = client_hear(fd);

	assert_non_null(reply);
	assert_true(json_is_true(json_object_get(reply, "ok")));
	assert_int_equal(json_integer_value(json_object_get(json_object_get(reply, "result"), "n")),
			 n);
	json_decref(reply);
}

static inline void expect_end(int fd)
{
	assert_null(client_hear(fd));
	close(fd);
}

static inline void call_ok(const struct daemon *d, const char *command)
{
	struct ctrl_error error;
	json_t *result;

	assert_int_equal(ctrl_call(d->path, command, NULL, CALL_LIMIT_MS, &result, &error), 0);
	json_decref(result);
}

/* Asks until the daemon has the held request; each call is a turn of its loop. */
static inline void wait_held(const struct daemon *d)
{
	struct ctrl_error error;
	bool held = false;

	for (int i = 0; i < 100000 && !held; i++) {
		json_t *result;

		assert_int_equal(
			ctrl_call(d->path, "is-held", NULL, CALL_LIMIT_MS, &result, &error), 0);
		held = json_is_true(json_object_get(result, "held"));
		json_decref(result);
	}
	assert_true(held);
}
