/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * remote_config - configuration pushed by the edge (update-configuration)
 *
 * Changes warp-routing within local bounds and nothing else. Version starts at
 * -1; an old version is answered like success. Pure.
 *
 * Bounds, so that the edge can tune the agent but neither disarm nor exhaust it.
 * A value outside is moved to the nearest bound, a key that the push leaves out
 * takes the local value again:
 *   connectTimeout  1 s to 60 s, or to the local value if that is longer
 *   tcpKeepAlive    10 s to 2 h; 0 takes the local value: the edge can't turn it off
 *   maxActiveFlows  up to the local value; 0 takes it. Any value if that is 0 (unlimited)
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/settings.h"

/* As in the JSON, seconds; -1: not given. */
struct remote_values {
	int64_t connect_timeout_s;
	int64_t tcp_keep_alive_s;
	int64_t max_active_flows;
};

enum remote_config_outcome {
	REMOTE_CONFIG_APPLIED,
	REMOTE_CONFIG_OLD,	  /* version not newer: nothing changed, answered with success */
	REMOTE_CONFIG_INVALID,	  /* or remote-config is off; answered with err not null */
	REMOTE_CONFIG_UNREADABLE, /* outer JSON broken, empty, too large or too deep: 502 */
};

/* @version: in force now; @note: as of remote_config_apply(). */
typedef void (*remote_config_watcher)(void *ctx, enum remote_config_outcome outcome,
				      int32_t version, const char *note);

struct remote_config {
	int32_t version;	    /* last applied; -1 at start */
	struct warp_routing local;  /* what the file says */
	struct remote_values asked; /* by the edge */
	struct warp_routing effective;
	bool enabled;		       /* remote-config: on */
	remote_config_watcher watcher; /* NULL: nobody */
	void *watcher_ctx;
};

void remote_config_init(struct remote_config *rc, const struct warp_routing *local, bool enabled);
/* @watcher is told of every push that was handled, after it was. */
void remote_config_watch(struct remote_config *rc, remote_config_watcher watcher, void *ctx);
/* "applied", "old", "refused", "unreadable". */
const char *remote_config_outcome_name(enum remote_config_outcome outcome);
/* After reload: new bounds; the remote values are applied again within them, or not if off. */
void remote_config_rebase(struct remote_config *rc, const struct warp_routing *local, bool enabled);

#define REMOTE_CONFIG_ANSWER_MAX 512
#define REMOTE_CONFIG_DEPTH_MAX	 16

/*
 * Applies @body (at most CONFIG_BODY_MAX bytes are read). All or nothing. @answer
 * receives the JSON of docs/protocol.md, "update-configuration" ("" for
 * UNREADABLE). @note, for the log, is never NULL: after APPLIED the keys that adit
 * doesn't serve, comma-separated; after INVALID and UNREADABLE the reason; else "".
 */
enum remote_config_outcome remote_config_apply(struct remote_config *rc, const void *body, size_t n,
					       char answer[REMOTE_CONFIG_ANSWER_MAX], char *note,
					       size_t n_note);
