/* SPDX-License-Identifier: Apache-2.0 */
#include "client/edge_request.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "client/client_credentials.h"
#include "wire/h2_session.h"

#define AUTHORIZATION_MAX (CLIENT_TOKEN_MAX + 16)

int edge_request_open(struct h2_session *session, struct h2_stream **streamp,
		      const struct edge_request *request)
{
	struct h2_header headers[EDGE_REQUEST_HEADERS + 2];
	char authorization[AUTHORIZATION_MAX];
	size_t n = request->n_headers;
	int r;

	assert(n <= EDGE_REQUEST_HEADERS);
	memcpy(headers, request->headers, n * sizeof(*headers));
	snprintf(authorization, sizeof(authorization), "Bearer %s", request->token);
	headers[n++] = (struct h2_header){
		.name = "proxy-authorization", .value = authorization, .secret = true};
	if (request->network)
		headers[n++] =
			(struct h2_header){.name = HDR_VIRTUAL_NETWORK, .value = request->network};
	r = h2_stream_open(session, streamp, headers, n, request->is_whole, request->events,
			   request->ctx);
	explicit_bzero(authorization, sizeof(authorization));
	return r;
}

/* ---- the answer ---- */

bool edge_response_accepts(const struct h2_headers *hdrs)
{
	const char *status = h2_headers_get(hdrs, ":status");

	return status && status[0] == '2';
}

static const struct {
	const char *status;
	enum client_exit why;
} status_rows[] = {
	{"403", CLIENT_EXIT_NOT_GRANTED},     {"404", CLIENT_EXIT_NO_ROUTE},
	{"407", CLIENT_EXIT_UNAUTHENTICATED}, {"503", CLIENT_EXIT_CONNECTOR_DOWN},
	{"504", CLIENT_EXIT_TIMEOUT},
};

static enum client_exit exit_of_status(const char *status)
{
	for (size_t i = 0; i < ARRAY_SIZE(status_rows); i++) {
		if (strcmp(status, status_rows[i].status) == 0)
			return status_rows[i].why;
	}
	return CLIENT_EXIT_EDGE_FAULT;
}

void edge_refusal_read(struct edge_refusal *r, const struct h2_headers *hdrs)
{
	const char *status = h2_headers_get(hdrs, ":status");

	r->error = stream_error_parse(h2_headers_get(hdrs, HDR_ADIT_ERROR));
	if (r->error != STREAM_ERROR_NONE) {
		r->why = client_exit_of_stream_error(r->error);
		r->text = stream_error_info(r->error)->text;
		return;
	}
	r->why = exit_of_status(status ? status : "");
	snprintf(r->status_text, sizeof(r->status_text), "the edge answered %.3s",
		 status ? status : "nothing");
	r->text = r->status_text;
}

/* ---- letting go ---- */

static ssize_t no_more(void *ctx UNUSED, uint8_t *buf UNUSED, size_t cap UNUSED)
{
	return 0;
}

void edge_stream_end(struct h2_stream **streamp)
{
	struct h2_stream *stream = steal_ptr(*streamp);

	if (!stream)
		return;
	h2_stream_set_events(stream, NULL, NULL);
	h2_stream_set_source(stream, no_more, NULL);
}

void edge_stream_reset(struct h2_stream **streamp)
{
	struct h2_stream *stream = steal_ptr(*streamp);

	if (!stream)
		return;
	h2_stream_set_events(stream, NULL, NULL);
	h2_stream_reset(stream, H2_CODE_CANCEL);
}
