/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * edge_request - what all requests of a client to an edge have in common
 *
 * Each shows the token anew. The stream belongs to whoever asked, until it is let go of here.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "client/exit_code.h"
#include "wire/h2_stream.h"
#include "wire/proto.h"

struct h2_session;

/* For the answer: longer than an edge waits for its connector, so that its own comes first. */
#define EDGE_ANSWER_MS 90000

#define EDGE_REFUSAL_TEXT_MAX 64

/* Everything is borrowed for the call of edge_request_open(), but @events (static const). */
struct edge_request {
	const struct h2_header *headers; /* but token and network, at most EDGE_REQUEST_HEADERS */
	size_t n_headers;
	const char *token;
	const char *network; /* virtual network, NULL: none is named */
	bool is_whole;	     /* nothing follows the headers */
	const struct h2_stream_events *events;
	void *ctx;
};

#define EDGE_REQUEST_HEADERS 8

/* As h2_stream_open(). */
NODISCARD int edge_request_open(struct h2_session *session, struct h2_stream **streamp,
				const struct edge_request *request);

/* True for 2xx. */
bool edge_response_accepts(const struct h2_headers *hdrs);

/* Why not: the edge's own word or, of an edge that says none, what its status means. */
struct edge_refusal {
	enum client_exit why;
	enum stream_error error; /* NONE if it said none */
	const char *text;	 /* for people, without the target; may be @status_text */
	char status_text[EDGE_REFUSAL_TEXT_MAX];
};
void edge_refusal_read(struct edge_refusal *r, const struct h2_headers *hdrs);

/*
 * No more events of *@streamp, which becomes NULL; NULL is fine. The first is for a stream that was
 * refused: its end is in order, since an edge counts resets and cuts off who sends many.
 */
void edge_stream_end(struct h2_stream **streamp);
void edge_stream_reset(struct h2_stream **streamp);
