/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * flow - one CONNECT of a client, carried to an agent: TCP, UDP or ICMP echo
 *
 * Datagram streams are extended CONNECTs of one kind on both sides (edge/flow_request.h); their
 * capsules pass as bytes, unread.
 *
 * DIALLING  the agent's stream is open, its answer is awaited; bytes that the client sends
 *           early are kept, at most its stream window
 * RELAYING  the agent said 200, so did we
 *
 * A flow that an agent could not take (stream refused, link lost before the answer, agent
 * draining) tries other connections before the client hears of it; the target has seen at
 * most a TCP connection by then. A flow owns neither stream: either may end first.
 */

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/uuid.h"
#include "edge/decide.h"

struct connection;
struct edge;
struct h2_stream;
struct relay;

enum flow_state {
	FLOW_STATE_DIALLING,
	FLOW_STATE_RELAYING,
	FLOW_STATE_N,
};

/* Connections that are asked for one flow: those of two agents. */
#define FLOW_TRIES_MAX 8

#define FLOW_WHY_MAX 96 /* "blocked by policy NAME" and NUL */

/* Of DIALLING only: thousands of flows may idle in their relays. */
struct flow_dial {
	struct buf early; /* from the client, before the answer; counted in the budget */
	bool client_ended;
	bool is_marked; /* was here when the buffer budget was looked at (edge/relief.h) */
	uint64_t tried[FLOW_TRIES_MAX]; /* serials of connections */
	size_t n_tried;
	struct uuid leaving[FLOW_TRIES_MAX]; /* connectors that said they drain */
	size_t n_leaving;
	struct uuid connectors[EDGE_CONNECTORS_MAX]; /* that serve the route, but those */
	size_t n_connectors;
	enum stream_error failure; /* what the client hears when nobody is left */
	uint64_t deadline_ms;	   /* boot clock, for the agent's answer */
};

struct flow {
	struct list node;	   /* in edge.flows */
	struct list by_connection; /* in connection.flows */
	struct edge *edge;
	struct connection *connection;	   /* NULL: between two tries, or gone */
	char connection_id[UUID_TEXT_MAX]; /* of the last one, for the log */
	struct h2_stream *client_stream;
	struct h2_stream *agent_stream; /* NULL as above */
	struct relay *relay;
	enum flow_state state;
	struct uuid client;
	char client_name[EDGE_NAME_MAX];
	char token_id[EDGE_KEY_ID_MAX];
	struct decision decision;
	struct flow_dial *dial; /* NULL: relaying */
	char *cut_reason;	/* why flow_cut() was called, or NULL */
	uint64_t started_ms;
};

static_assert(sizeof(struct flow) <= 512, "thousands of them idle");

/* Carries @stream, an allowed request of @client; @token_id: the token that opened it. */
void flow_new(struct edge *e, struct h2_stream *stream, const struct edge_client *client,
	      const char *token_id, const struct decision *decision);

/* The client may not (any more) have it: cut now. @why (copied) is for the logs. Frees @f now or
 * from a task, and no other flow. */
void flow_cut(struct flow *f, enum stream_error error, const char *why);
/* Its connection is about to be freed; the streams have ended already. */
void flow_lose_connection(struct flow *f);
/* Deadline, once a second. May free @f. */
void flow_tick(struct flow *f, uint64_t now_ms);

/* Answers a request with @error's status and adit-error, and ends it. */
void flow_refuse_request(struct h2_stream *stream, enum stream_error error);
/* Answers 405 and ends it; @allow names the method that is served (RFC 9110 15.5.6). */
void flow_refuse_method(struct h2_stream *stream, const char *allow);
