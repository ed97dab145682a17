/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * ctrl_talk - several requests to a daemon on one connection, on the loop
 *
 * For a daemon that asks another one; the command line has ctrl_client. One request is out at a
 * time. Time limits are the caller's: it frees the talk when it has waited long enough.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <uv.h>

#include "base/compiler.h"
#include "ctrl/ctrl_proto.h"

struct ctrl_talk;
struct json_t; /* jansson's */

#define CTRL_TALK_FDS 2

/* The talk may be freed from either. */
struct ctrl_talk_events {
	/*
	 * @error is NULL, or says why the daemon refused. @result is borrowed. @fds are descriptors
	 * that came along, -1 where there is none: those that are set to -1 were taken.
	 */
	void (*on_answer)(void *ctx, const struct json_t *result, const struct ctrl_error *error,
			  int fds[CTRL_TALK_FDS]);
	/* The daemon has closed, or what it says is no answer. Nothing follows. */
	void (*on_end)(void *ctx, const char *reason);
};

/*
 * Connects; to a full backlog within @timeout_ms, which blocks. 0 or -errno as
 * ctrl_socket_connect(). @events is borrowed (static const).
 */
NODISCARD int ctrl_talk_new(struct ctrl_talk **tp, uv_loop_t *uv, const char *path,
			    unsigned int timeout_ms, const struct ctrl_talk_events *events,
			    void *ctx);
/* Uid of the process that listens there. 0 or -errno. */
NODISCARD int ctrl_talk_uid(const struct ctrl_talk *t, uid_t *uidp);
/* @args is borrowed, may be NULL. 0, or -errno: the daemon doesn't take it. */
NODISCARD int ctrl_talk_ask(struct ctrl_talk *t, const char *command, struct json_t *args);
/* It has answered, or ended, and neither was reported yet. NULL: no. */
bool ctrl_talk_has_input(const struct ctrl_talk *t);
/* The loop must turn for its handle. NULL is fine. */
struct ctrl_talk *ctrl_talk_free(struct ctrl_talk *t);
