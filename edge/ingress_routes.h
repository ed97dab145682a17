/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * ingress_routes - GET /adit/v1/routes: what a client can reach, live (docs/protocol.md)
 *
 * JSON lines: `reset`, the whole set as `add` lines, `commit`; then for each change `add` and
 * `delete` lines and `commit`. One feed per link. It ends when its token is revoked.
 *
 * IDLE     the client knows all; the stream waits
 * SENDING  lines of one batch go out as the client takes them; what changes meanwhile is the
 *          next batch, computed when this one is out: a client that doesn't read costs two sets
 */

#include <stdbool.h>

#include "base/uuid.h"

struct edge;
struct edge_client;
struct h2_headers;
struct h2_stream;
struct ingress;
struct ingress_routes;

/* Is this a request for that path, whatever its method? */
bool ingress_routes_are_asked(const struct h2_headers *hdrs);
/* Answers the request of @client, who showed the token that @in remembers. */
void ingress_routes_open(struct ingress *in, struct h2_stream *stream,
			 const struct edge_client *client, const struct h2_headers *hdrs);
/* Its link is gone; NULL is fine. */
void ingress_routes_close(struct ingress_routes *r);

/* What @client (NULL: anybody) sees may be different now. Cheap; the work is done in a task. */
void ingress_routes_changed(struct edge *e, const struct uuid *client);
/* A network has another name: all clients get a fresh snapshot, as lines name networks. */
void ingress_routes_renamed(struct edge *e);
/* Ends the feeds that this token opened. */
void ingress_routes_revoke(struct edge *e, const struct uuid *client, const char *token_id);
