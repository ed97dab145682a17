/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * connection - one link of an agent, as the edge sees it
 *
 * OPENING      TLS is done; SETTINGS are awaited, then the control stream is opened
 * REGISTERING  the control stream is open; registerConnection is awaited
 * REGISTERED   takes streams
 * DRAINING     takes no new ones; those that run go on. It closes when the last has ended;
 *              after unregister (and when the edge stops) also when drain-timeout is over
 * CLOSED       link_close() was called; only on_closed follows
 *
 * A refused registration closes TCP at once: a stock agent would wait for ever. The end of
 * the control stream is the end of the connection.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/uuid.h"
#include "edge/model.h"
#include "edge/registry.h"
#include "wire/h2_queue.h"

struct control_server;
struct edge;
struct json_t; /* jansson's */
struct link;

enum connection_state {
	CONNECTION_STATE_OPENING,
	CONNECTION_STATE_REGISTERING,
	CONNECTION_STATE_REGISTERED,
	CONNECTION_STATE_DRAINING,
	CONNECTION_STATE_CLOSED,
	CONNECTION_STATE_N,
};

struct connection {
	struct list node; /* in edge.connections */
	struct edge *edge;
	struct link *link;
	struct registry_entry entry; /* in the registry from REGISTERED on */
	enum connection_state state;
	struct uuid id;
	char id_text[UUID_TEXT_MAX];
	char key_id[EDGE_KEY_ID_MAX]; /* the secret that opened it */
	char version[64];	      /* as the agent said, for people */
	bool is_adit;
	bool is_surplus;	   /* beyond max-connections: its registration is refused */
	unsigned int n_expected;   /* connections that its process means to keep */
	const char *drain_reason;  /* of DRAINING, a literal */
	int64_t since_ms;	   /* wall clock, of REGISTERED; 0: never was */
	uint64_t opened_ms;	   /* boot clock */
	uint64_t deadline_ms;	   /* boot clock, of the state; UINT64_MAX: none */
	struct h2_stream *control; /* NULL when closed */
	struct h2_queue out;
	struct control_server *rpc;
	struct list flows; /* flows that run over it */
};

/* Takes @link over from the listener's on_secure. @is_surplus: see edge/limits.h. */
void connection_new(struct edge *e, struct link *link, bool is_surplus);

/* Flushes, then closes TCP; frees nothing yet. @why for the log. */
void connection_close(struct connection *c, const char *why);
/*
 * Closes the oldest connection that hasn't registered; its place is free in this turn of the
 * loop. False: there is none.
 */
bool connection_evict_stranger(struct edge *e);
/* GOAWAY and no new streams; closes when the last has ended or at @deadline_ms (boot clock;
 * UINT64_MAX: none). @why, a literal, for the log. */
void connection_drain(struct connection *c, uint64_t deadline_ms, const char *why);
/* A stream couldn't be opened although the connection seemed to take some. */
void connection_cant_open(struct connection *c);
/* A flow on it ended: closes if that was what a draining one waited for. */
void connection_flow_ended(struct connection *c);
/* Deadlines, once a second. */
void connection_tick(struct connection *c, uint64_t now_ms);

/* The connection that takes a stream now: registry_pick() on fresh facts. NULL: none. */
struct connection *connection_pick(struct edge *e, const struct registry_query *query);
/* "registered", "draining" ... */
const char *connection_state_name(enum connection_state state);

/* An element of `adit-edge connections`; a new reference. */
struct json_t *connection_json(const struct connection *c);

static inline struct connection *connection_of_entry(struct registry_entry *e)
{
	return container_of(e, struct connection, entry);
}
