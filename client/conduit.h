/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * conduit - one CONNECT through the edge, joined to local descriptors
 *
 * RESOLVING  the host name is looked up (a literal is its own answer)
 * ASKING     CONNECT was sent for one address; if it is refused the next one is tried
 * RELAYING   the edge said 200: bytes go both ways, each way ends by itself
 * ENDED      done ran
 *
 * The edge takes addresses only (RFC 9113 8.5 with a literal authority), so names
 * are looked up here, by this machine's resolver.
 */

#include <stdint.h>

#include "base/compiler.h"
#include "client/exit_code.h"

struct conduit;
struct h2_session;
struct io_loop;
struct resolver;

#define CONDUIT_TEXT_MAX 512

/* All borrowed until done. */
struct conduit_options {
	struct io_loop *loop;
	struct resolver *resolver;
	const char *host; /* name or literal address */
	uint16_t port;
	const char *network; /* virtual network, NULL: the edge's default */
	const char *token;
	/* The session to open a stream on, or NULL when no link is up. */
	struct h2_session *(*session)(void *ctx);
	void *session_ctx;
	/*
	 * Runs when the edge has accepted, before any byte flows: for what must be said on the
	 * descriptors first, and for letting go of them. 0 or -errno, which ends the conduit.
	 * With it the descriptors are the caller's until it has returned 0, also when the
	 * conduit ends before. NULL: they are the conduit's from the start. @ctx as for done.
	 */
	int (*on_answer)(void *ctx);
};

/* Once, never before conduit_start() has returned; the conduit is gone after it. @text: one line.
 */
typedef void (*conduit_done)(void *ctx, enum client_exit why, const char *text);

/*
 * @in_fd and @out_fd (may be the same) are owned from here on, also on failure, unless there is
 * an on_answer. Nothing is read from them before the edge has accepted. 0 or -errno.
 */
NODISCARD int conduit_start(struct conduit **cp, const struct conduit_options *opt, int in_fd,
			    int out_fd, conduit_done done, void *ctx);
/* Ends it: done runs now, or from a task when bytes were flowing. */
void conduit_abort(struct conduit *c);
