/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Whatever bytes come, a session takes them, ends with an error or goes on, and what it has to say
 * can be pulled. The first byte chooses the role and whether the peer's opening is prepended, so
 * that mutations get behind it; the second, into which pieces the rest is cut.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "wire/h2_session.h"
#include "wire/h2_stream.h"

#define OUT_BYTES  (64 * 1024)
#define PULLS_MAX  64
#define OPENS	   2
#define BODY_BYTES 40000

enum choice {
	CHOOSE_OPENER = 1,
	CHOOSE_OPENING = 2,
	CHOOSE_WITHHOLD = 4,
};

struct peer {
	struct h2_session *session;
	size_t body_left;
	unsigned int choices;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* ---- streams: credit what comes, send a body that doesn't fit a frame ---- */

static void on_data(void *ctx UNUSED, struct h2_stream *stream, const uint8_t *data UNUSED,
		    size_t n)
{
	h2_stream_credit(stream, n);
}

static void on_eof(void *ctx UNUSED, struct h2_stream *stream)
{
	h2_stream_resume(stream);
}

static const struct h2_stream_events stream_events = {.on_data = on_data, .on_eof = on_eof};

static ssize_t read_body(void *ctx, uint8_t *buf, size_t cap)
{
	struct peer *p = ctx;
	size_t n = p->body_left < cap ? p->body_left : cap;

	memset(buf, 'x', n);
	p->body_left -= n;
	return (ssize_t)n;
}

/* ---- session ---- */

static void on_settings(void *ctx UNUSED)
{
}

static void on_open(void *ctx, struct h2_stream *stream, const struct h2_headers *hdrs)
{
	static const struct h2_header response[] = {{.name = ":status", .value = "200"}};
	struct peer *p = ctx;

	h2_stream_set_events(stream, &stream_events, p);
	if (!h2_headers_get(hdrs, ":authority")) {
		h2_stream_reset(stream, H2_CODE_CANCEL);
		return;
	}
	p->body_left = BODY_BYTES;
	if (h2_stream_respond(stream, response, ARRAY_SIZE(response), false) == 0)
		h2_stream_set_source(stream, read_body, p);
}

static void on_goaway(void *ctx UNUSED, uint32_t h2_code UNUSED)
{
}

static void on_ping_ack(void *ctx UNUSED, uint64_t opaque UNUSED)
{
}

static void on_output(void *ctx UNUSED)
{
}

static bool on_received(void *ctx, size_t n UNUSED)
{
	return !(((struct peer *)ctx)->choices & CHOOSE_WITHHOLD);
}

static const struct h2_session_events session_events = {
	.on_settings = on_settings,
	.on_open = on_open,
	.on_goaway = on_goaway,
	.on_ping_ack = on_ping_ack,
	.on_output = on_output,
	.on_received = on_received,
};

static const struct h2_limits limits = {
	.max_streams = 16,
	.stream_window_bytes = 64 * 1024,
	.conn_window_bytes = 128 * 1024,
	.header_list_bytes = 4096,
	.max_frame_bytes = 16384,
	.resets_burst = 20,
	.resets_per_s = 20,
};

/* Bounded: a peer that only acknowledges must not keep us talking. */
static void pull_all(struct peer *p)
{
	static uint8_t out[OUT_BYTES];
	size_t n = 1;

	for (int i = 0; i < PULLS_MAX && n > 0; i++) {
		if (h2_session_pull(p->session, out, sizeof(out), &n) < 0)
			return;
		if (n > sizeof(out))
			abort();
	}
}

static bool feed(struct peer *p, const void *data, size_t n)
{
	int r = h2_session_feed(p->session, data, n);

	pull_all(p);
	return r == H2_OK;
}

static void open_streams(struct peer *p)
{
	static const struct h2_header request[] = {
		{.name = ":method", .value = "GET"},
		{.name = ":scheme", .value = "https"},
		{.name = ":path", .value = "/"},
		{.name = ":authority", .value = "10.116.0.3:22"},
	};
	struct h2_stream *stream;

	p->body_left = BODY_BYTES;
	for (int i = 0; i < OPENS; i++)
		if (h2_stream_open(p->session, &stream, request, ARRAY_SIZE(request), false,
				   &stream_events, p) == 0)
			h2_stream_set_source(stream, read_body, p);
}

static bool feed_opening(struct peer *p)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	static const uint8_t settings[9] = {0, 0, 0, 4};

	if (!(p->choices & CHOOSE_OPENER) && !feed(p, preface, sizeof(preface) - 1))
		return false;
	return feed(p, settings, sizeof(settings));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct peer p = {.choices = n > 0 ? data[0] : 0};
	size_t piece = n > 1 && data[1] ? data[1] : SIZE_MAX;
	bool goes_on = true;

	if (h2_session_new(&p.session,
			   p.choices & CHOOSE_OPENER ? H2_ROLE_OPENER : H2_ROLE_ACCEPTOR, &limits,
			   &session_events, &p) < 0)
		abort();
	pull_all(&p);
	if (p.choices & CHOOSE_OPENING)
		goes_on = feed_opening(&p);
	if (p.choices & CHOOSE_OPENER)
		open_streams(&p);
	for (size_t at = 2; goes_on && at < n; at += piece < n - at ? piece : n - at)
		goes_on = feed(&p, data + at, piece < n - at ? piece : n - at);
	h2_session_free(p.session);
	return 0;
}
