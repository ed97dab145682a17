/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * ctrl_server - the control socket of a daemon
 *
 * JSON lines over a unix stream socket, mode 0660:
 *   {"v":1,"command":"status","args":{...}}
 *   {"v":1,"ok":true,"result":{...}}
 *   {"v":1,"ok":false,"error":{"code":"...","text":"..."}}
 * Requests of one client are answered in order, one after the other. At most
 * CTRL_CLIENTS_MAX clients, requests of CTRL_REQUEST_MAX bytes; a client that does not
 * read is dropped when CTRL_REPLY_MAX bytes wait, and one that neither says nor reads
 * anything for CTRL_IDLE_MS while no answer is owed to it. Commands that change something
 * need the daemon's own uid or root (SO_PEERCRED).
 *
 * A command may answer with a stream, as many lines {"v":1,"ok":true,"event":{...}} as it
 * likes before the answer proper. It is never ahead of its reader by more than
 * CTRL_STREAM_QUEUE_MAX, and a reader that takes nothing for CTRL_IDLE_MS is dropped.
 *
 * The program must ignore SIGPIPE: libuv writes without MSG_NOSIGNAL.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <uv.h>

#include "base/compiler.h"
#include "ctrl/ctrl_proto.h"

#define CTRL_CLIENTS_MAX      32
#define CTRL_IDLE_MS	      60000
#define CTRL_STREAM_QUEUE_MAX (64 * 1024) /* bytes that wait: no room */

struct ctrl_conn;
struct ctrl_request;
struct ctrl_server;
struct ctrl_socket;
struct json_t; /* jansson's */

/*
 * @args is a JSON object (empty when the request had none), borrowed for the call.
 * The handler answers @req exactly once, now or later. If the client is gone by then the
 * answer is dropped.
 */
typedef void (*ctrl_handler)(void *ctx, struct ctrl_request *req, const struct json_t *args);

struct ctrl_command {
	const char *name;
	bool changes; /* own uid or root only */
	ctrl_handler run;
	const char *help;
};

enum ctrl_outcome {
	CTRL_E_RUNNING = 1, /* another daemon answers on that socket */
};

/*
 * Binds @path (directory must exist). A stale socket is removed only if connect()
 * to it is refused; -EEXIST when @path is something else than a socket, which stays.
 * <@path>.lock, kept beside it, decides between two daemons that start at once. A umask
 * without group bits still gives 0660. @commands is borrowed, sorted by name.
 * 0, CTRL_E_RUNNING or -errno.
 */
NODISCARD int ctrl_server_new(struct ctrl_server **sp, uv_loop_t *uv, const char *path,
			      const struct ctrl_command *commands, size_t n_commands, void *ctx);
/*
 * Closes all clients, removes the socket file. Handles close on the loop, memory goes with
 * the last of them. Requests not answered yet stay valid and are answered into the void.
 * NULL is fine.
 */
void ctrl_server_free(struct ctrl_server *s);

/* As ctrl_server_new(), of a name that another process handed over; takes it, also on failure. */
NODISCARD int ctrl_server_adopt(struct ctrl_server **sp, uv_loop_t *uv, struct ctrl_socket *name,
				const struct ctrl_command *commands, size_t n_commands, void *ctx);
/*
 * After the name was handed over: nobody new is served, those who are there go on, the socket file
 * stays. ctrl_server_free() follows. NULL is fine.
 */
void ctrl_server_give_up(struct ctrl_server *s);

/* Drops clients that were idle or stuck for CTRL_IDLE_MS before @now_ms (of uv_now()). */
void ctrl_server_sweep(struct ctrl_server *s, uint64_t now_ms);

/* Uid of the process that sent @req. Valid until the answer. */
uid_t ctrl_request_uid(const struct ctrl_request *req);

/* True: may run what changes something. Valid until the answer. */
bool ctrl_request_may_change(const struct ctrl_request *req);

/*
 * Several requests of one client belong together: from here on it isn't dropped for being idle,
 * and @on_gone runs once when it has left, never from within a handler. The client is returned, and
 * valid until @on_gone has run.
 */
struct ctrl_conn *ctrl_request_bind(struct ctrl_request *req, void (*on_gone)(void *ctx),
				    void *ctx);
/* The @ctx that an earlier request of the same client was bound to, or NULL. */
void *ctrl_request_bound(const struct ctrl_request *req);
/* The client has sent something, or left, and it was not read yet. */
bool ctrl_conn_has_input(const struct ctrl_conn *conn);
/*
 * Unasked: tells the client why it is served no more, reads nothing further of it, and closes
 * when that is sent.
 */
void ctrl_conn_dismiss(struct ctrl_conn *conn, const char *code, const char *text);

/* Never called from within a call about the same request. */
struct ctrl_stream_events {
	/* The client has read, there is room again. */
	void (*on_room)(void *ctx, struct ctrl_request *req);
	/*
	 * The client has left or was dropped. @req ends with the return; it must not be answered
	 * any more. Not called after an answer.
	 */
	void (*on_gone)(void *ctx, struct ctrl_request *req);
};

/* Within the handler: @req is answered by a stream. @events is borrowed (static const). */
void ctrl_stream_begin(struct ctrl_request *req, const struct ctrl_stream_events *events,
		       void *ctx);
/* False while enough waits to be read (on_room follows), or when the client is gone. */
bool ctrl_stream_has_room(const struct ctrl_request *req);
/* @event, an object, is stolen. The stream ends by an answer. */
void ctrl_stream_send(struct ctrl_request *req, struct json_t *event);

/* @result is stolen (a new reference); NULL: an empty object. */
void ctrl_reply_ok(struct ctrl_request *req, struct json_t *result);
/*
 * Likewise, with copies of our listening socket and its lock, in this order. We keep ours until
 * ctrl_server_give_up(). A client that can't take them now is dropped.
 */
void ctrl_reply_name(struct ctrl_request *req, struct json_t *result);
/* @code: short stable word ("not-found", "invalid", "forbidden", "conflict", "unavailable"). */
void ctrl_reply_error(struct ctrl_request *req, const char *code, const char *fmt, ...)
	PRINTF(3, 4);
