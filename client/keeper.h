/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * keeper - a link to the edge that is made again
 *
 * One tunnel is the current one. When it is lost or can't be made, the next try comes
 * after a back-off, for ever. When the edge says that it goes away, the tunnel is retired:
 * it lives on, out of sight, until its streams have ended, and a new one is made beside
 * it. Who needs a session while there is none waits for the next try to be decided.
 */

#include <stddef.h>

#include "base/compiler.h"
#include "base/list.h"
#include "client/exit_code.h"
#include "client/tunnel.h"

struct h2_session;
struct keeper;

/* A member may be NULL. None runs inside keeper_start(), none may call keeper_free(). */
struct keeper_events {
	/*
	 * A tunnel is up. Without an on_down before it: the last one was retired, and streams
	 * that never end by themselves should move to this one.
	 */
	void (*on_up)(void *ctx, struct h2_session *session);
	/* The tunnel was lost, or a try failed; the next is planned. @text: one line. */
	void (*on_down)(void *ctx, enum client_exit why, const char *text);
};

/* Embedded by who waits; @node belongs to the keeper, all zeroes when new. */
struct keeper_waiter {
	struct list node;
	/*
	 * Once, after on_up or on_down. CLIENT_EXIT_OK: there is a session. Else @text is why
	 * not. It may wait again, for the next try.
	 */
	void (*on_decided)(struct keeper_waiter *w, enum client_exit why, const char *text);
};

/* @opt is copied, what it points to is borrowed; @events is borrowed (static const). */
struct keeper *keeper_new(const struct tunnel_options *opt, const struct keeper_events *events,
			  void *ctx);
/* Starts the first try. */
void keeper_start(struct keeper *k);
/*
 * Ends every tunnel: streams are closed inside, waiters are dropped without a call. Memory
 * goes when the loop has let go of the timers. NULL is fine.
 */
void keeper_free(struct keeper *k);

/* To open streams on, now; NULL when there is none. */
struct h2_session *keeper_session(const struct keeper *k);

void keeper_wait(struct keeper *k, struct keeper_waiter *w);
/* It will not be called. Harmless when it does not wait. */
void keeper_forget(struct keeper_waiter *w);

/* tunnel_go_on() of the tunnel that is being made, for the options' before_dial. */
void keeper_go_on(struct keeper *k, int status);
