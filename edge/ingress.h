/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * ingress - one link of a client: CONNECT requests with a bearer token (RFC 9113 8.5), extended
 * ones for UDP (RFC 9298) and ICMP echo, and the routes feed (ingress_routes.h)
 *
 * Every request is authenticated and decided on its own. What is refused gets its status
 * and adit-error: 400 not a literal address and port, 403 not granted, 404 no such route
 * or network, 405 not CONNECT, 407 token missing or not valid, 503 too many tokens that weren't
 * valid from this address, or a limit is reached, 502, 503, 504 as the agent says.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/uuid.h"
#include "edge/model.h"

struct edge;
struct ingress_routes;
struct json_t; /* jansson's */
struct link;

struct ingress {
	struct list node; /* in edge.clients */
	struct edge *edge;
	struct link *link;
	struct uuid id;
	char id_text[UUID_TEXT_MAX];
	/* Of the last request that was authenticated: */
	struct uuid client;
	char client_name[EDGE_NAME_MAX];
	char token_id[EDGE_KEY_ID_MAX];
	struct ingress_routes *routes; /* its routes feed, or NULL */
	unsigned int n_refused;	       /* requests that weren't */
	int64_t since_ms;
	uint64_t deadline_ms; /* boot clock: a link of a stranger is closed */
	bool is_surplus;      /* beyond max-clients: only hears so */
};

/* Takes @link over from the listener's on_secure. @is_surplus: see edge/limits.h. */
void ingress_new(struct edge *e, struct link *link, bool is_surplus);
void ingress_close(struct ingress *in, const char *why);
/*
 * Closes the oldest link that showed no valid token; its place is free in this turn of the
 * loop. False: there is none.
 */
bool ingress_evict_stranger(struct edge *e);
/* GOAWAY; streams that are open go on. */
void ingress_drain(struct ingress *in);
void ingress_tick(struct ingress *in, uint64_t now_ms);
/* An element of `adit-edge connections`; a new reference. */
struct json_t *ingress_json(const struct ingress *in);
