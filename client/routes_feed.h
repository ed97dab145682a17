/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * routes_feed - what this client can reach, as the edge tells it, live
 *
 * GET /adit/v1/routes on a session to the edge (docs/protocol.md, "Routes feed"). The set is
 * whole from the first on_routes on and stays so: changes come in batches, and each batch is
 * shown only when it is complete. The set is what the edge claims, bounded in size and well
 * formed; what of it may be captured (short prefixes, forbidden ranges) is for the caller.
 *
 * Loop thread only. Callbacks run inside h2_session_feed() or h2_session_free(): they may
 * close this feed, never feed, pull or free the session.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "client/exit_code.h"
#include "routing/prefix.h"
#include "routing/vnet.h"

struct h2_session;
struct routes_feed;

#define FEED_ROUTES_MAX 16384 /* in one set; more end the feed */

struct feed_route {
	struct prefix prefix;
	char network[VNET_NAME_MAX]; /* the virtual network's name */
	bool up;		     /* a connector serves it now */
};

/* Both must be set. */
struct routes_feed_events {
	/*
	 * After the snapshot (also an empty one) and after each batch of changes: the whole set,
	 * sorted by network, then as prefix_compare(), no pair twice. Borrowed for the call.
	 */
	void (*on_routes)(void *ctx, const struct feed_route *routes, size_t n);
	/*
	 * The feed is over and gone: not by routes_feed_close(). Runs once, never before
	 * routes_feed_open() has returned. CUT (session lost, stream ended), EDGE_FAULT (not an
	 * edge of this kind, or what it sent makes no sense), INTERNAL, or the edge's own word.
	 * @text: one line.
	 */
	void (*on_end)(void *ctx, enum client_exit why, const char *text);
};

/* Borrowed for the call only. */
struct routes_feed_options {
	const char *token;
	const char *network; /* only this virtual network; NULL: all that can be reached */
};

/*
 * Asks on @session, which can open streams; @events is borrowed (static const). 0, H2_E_DRAINING,
 * H2_E_LIMIT or -errno: then nothing is called.
 */
NODISCARD int routes_feed_open(struct routes_feed **feedp, struct h2_session *session,
			       const struct routes_feed_options *opt,
			       const struct routes_feed_events *events, void *ctx);
/* True if @why of on_end says nothing against asking again: lost, or the edge shuts down. */
bool routes_feed_is_passing(enum client_exit why);
/* Silently; NULL is fine. Not after on_end. */
void routes_feed_close(struct routes_feed *f);
