/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * proxy_client - one connection to a proxy: what it asks for, and then its bytes
 *
 * HANDSHAKE   the request is read; PROXY_HANDSHAKE_MS for all of it
 * WAITING     there is no link to the edge: the next try decides
 * ASKING      a conduit looks the name up and asks the edge
 * RELAYING    the client was told yes; the conduit has the socket
 * ASSOCIATED  UDP ASSOCIATE: datagrams flow until the client closes this connection
 * LINGERING   the client was told no; what it still sends is dropped, so that no reset
 *             overtakes the answer
 * ENDED       done ran
 *
 * Bytes behind the request stay in the socket until the conduit reads them.
 */

#include "base/compiler.h"

struct io_loop;
struct keeper;
struct proxy_client;
struct resolver;

#define PROXY_HANDSHAKE_MS 10000
#define PROXY_LINGER_MS	   2000

/* All borrowed for the client's life. */
struct proxy_client_options {
	struct io_loop *loop;
	struct resolver *resolver;
	struct keeper *keeper;
	const char *token;
	const char *network; /* for who names none; NULL: the edge's default */
};

/* Once, never inside proxy_client_new(); @c is gone after it. */
typedef void (*proxy_client_done)(void *ctx, struct proxy_client *c);

/* @fd: an accepted TCP socket, non-blocking; owned from here on, also on failure. 0 or -errno. */
NODISCARD int proxy_client_new(struct proxy_client **cp, const struct proxy_client_options *opt,
			       int fd, proxy_client_done done, void *ctx);
/* Ends it: done runs now, or from a task when bytes were flowing. */
void proxy_client_abort(struct proxy_client *c);
