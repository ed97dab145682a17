/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request, whose answer doesn't end. The owner may close the feed from its callbacks, while we
 * run on it: then it is freed when the outermost of our callbacks returns.
 */
#include "client/routes_feed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "client/edge_request.h"
#include "client/feed_lines.h"
#include "wire/h2_session.h"
#include "wire/h2_stream.h"
#include "wire/proto.h"

#define TEXT_MAX  256
#define AUTHORITY "adit-edge" /* HTTP wants one; the edge doesn't look */

struct routes_feed {
	const struct routes_feed_events *events;
	void *ctx;
	struct h2_stream *stream; /* NULL: it has ended */
	struct feed_lines *lines;
	bool is_accepted; /* the edge said 200 */
	bool is_busy;	  /* inside a callback of ours */
	bool is_closed;	  /* nobody wants to hear of it any more */
};

static void free_feed(struct routes_feed *f)
{
	edge_stream_reset(&f->stream);
	feed_lines_free(f->lines);
	free(f);
}

void routes_feed_close(struct routes_feed *f)
{
	if (!f)
		return;
	f->is_closed = true;
	if (f->is_busy)
		edge_stream_reset(&f->stream);
	else
		free_feed(f);
}

bool routes_feed_is_passing(enum client_exit why)
{
	return why == CLIENT_EXIT_CUT || why == CLIENT_EXIT_CONNECTOR_DOWN;
}

/* Frees @f. */
static void end(struct routes_feed *f, enum client_exit why, const char *text)
{
	f->is_busy = true;
	if (!f->is_closed)
		f->events->on_end(f->ctx, why, text);
	free_feed(f);
}

/* ---- the stream ---- */

static bool on_set(void *ctx, const struct feed_route *routes, size_t n)
{
	struct routes_feed *f = ctx;

	f->events->on_routes(f->ctx, routes, n);
	return !f->is_closed;
}

static void end_refused(struct routes_feed *f, const struct h2_headers *hdrs)
{
	enum stream_error e = stream_error_parse(h2_headers_get(hdrs, HDR_ADIT_ERROR));
	const char *status = h2_headers_get(hdrs, ":status");
	enum client_exit why = CLIENT_EXIT_EDGE_FAULT;
	char text[TEXT_MAX];

	/* An edge from before the feed has only CONNECT. */
	if (e != STREAM_ERROR_NONE && e != STREAM_ERROR_UNSUPPORTED) {
		why = client_exit_of_stream_error(e);
		snprintf(text, sizeof(text), "routes: %s", stream_error_info(e)->text);
	} else {
		snprintf(text, sizeof(text),
			 "routes: the edge answered %.3s: it is too old, or no adit-edge",
			 status ? status : "nothing");
	}
	edge_stream_end(&f->stream);
	end(f, why, text);
}

static void on_response(void *ctx, struct h2_stream *stream UNUSED, const struct h2_headers *hdrs)
{
	const char *status = h2_headers_get(hdrs, ":status");
	struct routes_feed *f = ctx;

	if (status && strcmp(status, "200") == 0)
		f->is_accepted = true;
	else
		end_refused(f, hdrs);
}

static void end_bad(struct routes_feed *f, int r)
{
	char text[TEXT_MAX];

	if (r == FEED_LINES_E_BAD)
		snprintf(text, sizeof(text), "routes: the edge sent %s",
			 feed_lines_error(f->lines));
	else
		snprintf(text, sizeof(text), "routes: %s", strerror(-r));
	end(f, r < 0 ? CLIENT_EXIT_INTERNAL : CLIENT_EXIT_EDGE_FAULT, text);
}

static void on_data(void *ctx, struct h2_stream *stream, const uint8_t *data, size_t n)
{
	struct routes_feed *f = ctx;
	int r;

	f->is_busy = true;
	r = feed_lines_push(f->lines, data, n);
	f->is_busy = false;
	if (f->is_closed)
		free_feed(f);
	else if (r != 0)
		end_bad(f, r);
	else
		h2_stream_credit(stream, n);
}

static void on_eof(void *ctx, struct h2_stream *stream UNUSED)
{
	struct routes_feed *f = ctx;

	edge_stream_end(&f->stream);
	end(f, CLIENT_EXIT_CUT, "routes: the edge ended the feed");
}

static void on_closed(void *ctx, struct h2_stream *stream UNUSED, uint32_t h2_code UNUSED)
{
	struct routes_feed *f = ctx;

	f->stream = NULL;
	end(f, CLIENT_EXIT_CUT,
	    f->is_accepted ? "routes: the edge cut the feed"
			   : "routes: the connection to the edge was lost before it answered");
}

static const struct h2_stream_events stream_events = {
	.on_response = on_response,
	.on_data = on_data,
	.on_eof = on_eof,
	.on_closed = on_closed,
};

/* ---- opening ---- */

static int open_stream(struct routes_feed *f, struct h2_session *session,
		       const struct routes_feed_options *opt)
{
	const struct h2_header headers[] = {
		{.name = ":method", .value = "GET"},
		{.name = ":scheme", .value = "https"},
		{.name = ":authority", .value = AUTHORITY},
		{.name = ":path", .value = PATH_ROUTES},
	};

	return edge_request_open(session, &f->stream,
				 &(const struct edge_request){
					 .headers = headers,
					 .n_headers = ARRAY_SIZE(headers),
					 .token = opt->token,
					 .network = opt->network,
					 .is_whole = true,
					 .events = &stream_events,
					 .ctx = f,
				 });
}

int routes_feed_open(struct routes_feed **feedp, struct h2_session *session,
		     const struct routes_feed_options *opt, const struct routes_feed_events *events,
		     void *ctx)
{
	struct routes_feed *f = xnew(struct routes_feed);
	int r;

	f->events = events;
	f->ctx = ctx;
	f->lines = feed_lines_new(on_set, f);
	r = open_stream(f, session, opt);
	if (r != 0) {
		free_feed(f);
		return r;
	}
	*feedp = f;
	return 0;
}
