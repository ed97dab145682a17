/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * tunnel - a client's link to the edge: look up, dial, HTTP/2
 *
 * IDLE       tunnel_start() has not been called
 * RESOLVING  the addresses of one entry of the edges are looked up
 * HELD       before_dial said TUNNEL_WAIT: tunnel_go_on() lets it dial
 * DIALLING   one address is dialled; if it fails, or after a second of silence beside it, the
 *            next one, then the next entry; the first that answers is the tunnel
 * OPEN       streams can be opened; on_ready ran
 * ENDED      no address worked, or the link was lost; on_end ran. Final.
 *
 * A tunnel does not reconnect: its owner makes a new one.
 */

#include <stddef.h>

#include "base/compiler.h"
#include "client/client_credentials.h"
#include "client/exit_code.h"
#include "wire/resolve.h"

struct h2_session;
struct io_loop;
struct tls_context;
struct tunnel;

#define TUNNEL_TEXT_MAX 512

enum tunnel_outcome {
	TUNNEL_WAIT = 1, /* from before_dial: tunnel_go_on() will come */
};

/* What the last look-up of an edge gave. The empty value is { 0 }. */
struct tunnel_known {
	struct ip_addr ips[RESOLVE_MAX];
	size_t n;
};

/* All borrowed for the tunnel's lifetime. */
struct tunnel_options {
	struct io_loop *loop;
	struct resolver *resolver;
	struct tls_context *tls; /* offers ALPN h2 */
	const struct client_edge *edges;
	size_t n_edges;
	const char *server_name; /* SNI and verified name; "": the edge's host */
	/*
	 * Asked after each look-up, before the first of its addresses is dialled, also about
	 * addresses that it was asked about before. 0: dial; TUNNEL_WAIT; -errno: these
	 * addresses are not dialled. @ips is borrowed for the call. It must not free the
	 * tunnel. NULL: dial.
	 */
	int (*before_dial)(void *ctx, const struct ip_addr *ips, size_t n);
	void *before_dial_ctx;
	/*
	 * @n_edges of them, kept from one tunnel to the next: a name that can't be looked up has
	 * the addresses that it had last. Name servers may be behind the very tunnel that is
	 * being made again. NULL: none.
	 */
	struct tunnel_known *known;
};

/* All must be set. None runs before tunnel_start() has returned. */
struct tunnel_events {
	void (*on_ready)(void *ctx, struct tunnel *t);
	/* The edge goes away: open streams live, new ones need another tunnel. */
	void (*on_goaway)(void *ctx, struct tunnel *t);
	/* Last event. @text says which edge and why. tunnel_free() may be called from inside. */
	void (*on_end)(void *ctx, struct tunnel *t, enum client_exit why, const char *text);
};

/* @events is borrowed (static const). */
struct tunnel *tunnel_new(const struct tunnel_options *opt, const struct tunnel_events *events,
			  void *ctx);
/* Once. 0 or -errno. */
NODISCARD int tunnel_start(struct tunnel *t);
/*
 * What before_dial waited for is decided: 0, or -errno if the addresses can't be dialled. Runs
 * on_end inside when nothing is left to dial. Without effect unless the tunnel is HELD.
 */
void tunnel_go_on(struct tunnel *t, int status);
/* No more events; streams are closed. Its memory goes when the loop runs again. NULL is fine. */
void tunnel_free(struct tunnel *t);

/* NULL unless streams can be opened now. */
struct h2_session *tunnel_session(const struct tunnel *t);
/* Which of the options' edges it leads or led to; n_edges when all have failed. */
size_t tunnel_edge(const struct tunnel *t);
/* Streams that are open, also after a GOAWAY. */
size_t tunnel_n_streams(const struct tunnel *t);
