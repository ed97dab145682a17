/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * ctrl_server - the control socket of a daemon
 *
 * JSON lines over a unix stream socket, mode 0660:
 *   {"v":1,"command":"status","args":{...}}
 *   {"v":1,"ok":true,"result":{...}}
 *   {"v":1,"ok":false,"error":{"code":"...","text":"..."}}
 * Requests of one client are answered in order. At most CTRL_CLIENTS_MAX clients,
 * requests of CTRL_REQUEST_MAX bytes; a client that does not read is dropped when
 * CTRL_REPLY_MAX bytes wait. Commands that change something need the daemon's
 * own uid or root (SO_PEERCRED).
 */

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "base/compiler.h"

#define CTRL_VERSION	 1
#define CTRL_REQUEST_MAX (64 * 1024)
#define CTRL_REPLY_MAX	 (8 * 1024 * 1024)
#define CTRL_CLIENTS_MAX 32

struct ctrl_request;
struct ctrl_server;
struct json_t; /* jansson's */

/*
 * @args is a JSON object (empty when the request had none), borrowed for the call.
 * The handler answers @req exactly once, now or later. If the client is gone by then the
 * answer is dropped.
 */
typedef void (*ctrl_handler)(void *ctx, struct ctrl_request *req, const struct json_t *args);

struct ctrl_command {
	const char *name;
	bool changes;		/* own uid or root only */
	ctrl_handler run;
	const char *help;
};

enum ctrl_outcome {
	CTRL_E_RUNNING = 1,	/* another daemon answers on that socket */
};

/*
 * Binds @path (directory must exist). A stale socket is removed only if connect()
 * to it is refused. @commands is borrowed, sorted by name. 0, CTRL_E_RUNNING or -errno.
 */
NODISCARD int ctrl_server_new(struct ctrl_server **sp, uv_loop_t *uv, const char *path,
			      const struct ctrl_command *commands, size_t n_commands, void *ctx);
/* Closes all clients, removes the socket file. Handles close on the loop. NULL is fine. */
void ctrl_server_free(struct ctrl_server *s);

/* @result is stolen (a new reference); NULL: an empty object. */
void ctrl_reply_ok(struct ctrl_request *req, struct json_t *result);
/* @code: short stable word ("not-found", "invalid", "forbidden", "conflict", "unavailable"). */
void ctrl_reply_error(struct ctrl_request *req, const char *code, const char *fmt, ...) PRINTF(3, 4);
