/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What nghttp2 tells us, turned into events.
 *
 * Every callback tolerates a stream that is gone: frames may be reported after
 * its close. A peer's rudeness never fails the process: it costs the stream
 * (TEMPORAL_CALLBACK_FAILURE), or, as a flood, the session.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "wire/h2_private.h"

static struct h2_stream *stream_of(struct h2_session *s, int32_t id)
{
	return nghttp2_session_get_stream_user_data(s->ng, id);
}

void h2_session_flooded(struct h2_session *s, const char *what)
{
	if (s->bits & H2_SESSION_FLOODED)
		return;
	s->bits |= H2_SESSION_FLOODED;
	snprintf(s->error_text, sizeof(s->error_text), "peer floods with %s", what);
	nghttp2_session_terminate_session(s->ng, NGHTTP2_ENHANCE_YOUR_CALM);
}

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *user_data)
{
	struct h2_session *s = user_data;
	struct h2_stream *st = stream_of(s, frame->hd.stream_id);

	if (!st) {
		if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
			return 0;
		st = h2_stream_new(s, frame->hd.stream_id);
		nghttp2_session_set_stream_user_data(ng, st->id, st);
	}
	h2_headers_free(st->hdrs);
	st->hdrs = calloc(1, sizeof(*st->hdrs));
	return st->hdrs ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_header(nghttp2_session *ng UNUSED, const nghttp2_frame *frame, const uint8_t *name,
		     size_t n_name, const uint8_t *value, size_t n_value, uint8_t flags UNUSED,
		     void *user_data)
{
	struct h2_session *s = user_data;
	struct h2_stream *st = stream_of(s, frame->hd.stream_id);

	if (!st || !st->hdrs)
		return 0;
	if (!h2_headers_add(st->hdrs, name, n_name, value, n_value, s->limits.header_list_bytes))
		return 0;
	/* Counted like a reset by the peer: it makes us send one, and HPACK lets few bytes on the
	 * wire become many here. */
	if (!h2_bucket_take(&s->resets, s->now_ms))
		h2_session_flooded(s, "oversized header lists");
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static void mark_ended(struct h2_stream *st)
{
	st->bits |= H2_STREAM_PEER_ENDED;
	if (!list_is_linked(&st->touched))
		list_append(&st->session->touched, &st->touched);
}

static bool is_final(const struct h2_headers *h)
{
	const char *status = h2_headers_get(h, ":status");

	return status && status[0] != '1';
}

static void deliver_headers(struct h2_session *s, struct h2_stream *st, const nghttp2_frame *frame)
{
	if (!st->hdrs)
		return;
	if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
		s->events->on_open(s->ctx, st, st->hdrs);
	} else if (!(st->bits & H2_STREAM_ANSWERED) && s->role == H2_ROLE_OPENER) {
		if (!is_final(st->hdrs)) {
			if (!h2_bucket_take(&s->nuisance, s->now_ms))
				h2_session_flooded(s, "interim responses");
			return;
		}
		st->bits |= H2_STREAM_ANSWERED;
		if (st->events && st->events->on_response)
			st->events->on_response(st->ctx, st, st->hdrs);
	}
	st->hdrs = h2_headers_free(st->hdrs);
}

static void on_settings_frame(struct h2_session *s, const nghttp2_frame *frame)
{
	if ((frame->hd.flags & NGHTTP2_FLAG_ACK) || (s->bits & H2_SESSION_GOT_SETTINGS))
		return;
	s->bits |= H2_SESSION_GOT_SETTINGS;
	s->events->on_settings(s->ctx);
}

static void on_ping_frame(struct h2_session *s, const nghttp2_frame *frame)
{
	uint64_t opaque;

	if (!(frame->hd.flags & NGHTTP2_FLAG_ACK))
		return;
	memcpy(&opaque, frame->ping.opaque_data, sizeof(opaque));
	s->events->on_ping_ack(s->ctx, opaque);
}

static void resume_starved(struct h2_session *s)
{
	struct list *node = s->starved.next;

	while (node != &s->starved) {
		struct h2_stream *st = list_entry(node, struct h2_stream, starved);

		node = node->next;
		h2_stream_refill(st);
	}
}

/* Frames without payload were counted before nghttp2 saw them (h2_frame_count.h): of an open stream
 * its end is none too many, and there is one. */
static void forgive_end(struct h2_session *s, const nghttp2_frame *frame)
{
	if (frame->hd.length == 0 && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		h2_bucket_give(&s->nuisance, 1);
}

static int on_frame_recv(nghttp2_session *ng UNUSED, const nghttp2_frame *frame, void *user_data)
{
	struct h2_session *s = user_data;
	struct h2_stream *st = NULL;

	if (frame->hd.stream_id != 0)
		st = stream_of(s, frame->hd.stream_id);
	switch (frame->hd.type) {
	case NGHTTP2_DATA:
		if (st)
			forgive_end(s, frame);
		/* Padding counts for the window, and nobody else takes it. */
		if (st && frame->data.padlen > 0)
			h2_stream_credit(st, frame->data.padlen);
		break;
	case NGHTTP2_HEADERS:
		if (st)
			deliver_headers(s, st, frame);
		break;
	case NGHTTP2_SETTINGS:
		on_settings_frame(s, frame);
		break;
	case NGHTTP2_PING:
		on_ping_frame(s, frame);
		break;
	case NGHTTP2_GOAWAY:
		s->bits |= H2_SESSION_PEER_GOAWAY;
		s->events->on_goaway(s->ctx, frame->goaway.error_code);
		break;
	case NGHTTP2_WINDOW_UPDATE:
		if (st)
			h2_stream_refill(st);
		else
			resume_starved(s);
		break;
	case NGHTTP2_RST_STREAM:
		/* To an opener NO_ERROR says that the response came early (RFC 9113 8.1). */
		if ((s->role == H2_ROLE_ACCEPTOR ||
		     frame->rst_stream.error_code != NGHTTP2_NO_ERROR) &&
		    !h2_bucket_take(&s->resets, s->now_ms))
			h2_session_flooded(s, "stream resets");
		break;
	default:
		break;
	}
	if (st && (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
	    (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		mark_ended(st);
	return 0;
}

static int on_data_chunk(nghttp2_session *ng UNUSED, uint8_t flags UNUSED, int32_t id,
			 const uint8_t *data, size_t n, void *user_data)
{
	struct h2_session *s = user_data;
	struct h2_stream *st = stream_of(s, id);

	if (!s->events->on_received(s->ctx, n))
		s->conn_withheld_bytes += n;
	if (st)
		h2_stream_received(st, data, n);
	return 0;
}

static int on_stream_close(nghttp2_session *ng, int32_t id, uint32_t h2_code, void *user_data)
{
	struct h2_session *s = user_data;
	struct h2_stream *st = stream_of(s, id);

	if (!st)
		return 0;
	nghttp2_session_set_stream_user_data(ng, id, NULL);
	h2_stream_finish(st, h2_code);
	return 0;
}

/* A peer that makes us reset streams by its errors is counted like one that resets them. */
static int on_invalid_frame(nghttp2_session *ng UNUSED, const nghttp2_frame *frame UNUSED,
			    int lib_error UNUSED, void *user_data)
{
	struct h2_session *s = user_data;

	if (!h2_bucket_take(&s->resets, s->now_ms))
		h2_session_flooded(s, "invalid frames");
	return 0;
}

/* nghttp2 says what the peer did wrong, then ignores all input. */
static void mark_broken(struct h2_session *s, const nghttp2_goaway *goaway)
{
	s->bits |= H2_SESSION_BROKEN;
	if (s->error_text[0] == '\0')
		snprintf(s->error_text, sizeof(s->error_text), "%.*s", (int)goaway->opaque_data_len,
			 (const char *)goaway->opaque_data);
}

static int on_frame_send(nghttp2_session *ng, const nghttp2_frame *frame, void *user_data)
{
	struct h2_session *s = user_data;
	struct h2_stream *st;

	if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR)
		mark_broken(s, &frame->goaway);
	if (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	st = stream_of(s, frame->hd.stream_id);
	if (!st)
		return 0;
	if (frame->hd.type == NGHTTP2_HEADERS)
		h2_stream_headers_sent(st);
	if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	st->bits |= H2_STREAM_END_SENT;
	if ((st->bits & H2_STREAM_RESET_AFTER_END) && !(st->bits & H2_STREAM_PEER_ENDED)) {
		st->bits |= H2_STREAM_RESET;
		nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, st->id, NGHTTP2_NO_ERROR);
	}
	return 0;
}

static ssize_t on_send(nghttp2_session *ng UNUSED, const uint8_t *data, size_t n, int flags UNUSED,
		       void *user_data)
{
	struct h2_session *s = user_data;

	/* A DATA frame may follow in the same pull. */
	if (s->out.len + n + H2_RECORD > s->out.cap)
		return NGHTTP2_ERR_WOULDBLOCK;
	memcpy(s->out.bytes + s->out.len, data, n);
	s->out.len += n;
	return (ssize_t)n;
}

/* What was sent is answered with WINDOW_UPDATEs. */
static void expect_credit(struct h2_session *s, size_t n)
{
	s->unpaid_bytes += (uint32_t)n;
	h2_bucket_give(&s->nuisance, s->unpaid_bytes / H2_NUISANCE_SENT_BYTES);
	s->unpaid_bytes %= H2_NUISANCE_SENT_BYTES;
}

static void note_sender(struct h2_session *s, int32_t id)
{
	if (s->sender.id != id)
		s->sender.n_frames = 0;
	s->sender.id = id;
	s->sender.n_frames++;
}

/* From what the running pull has up to @limit. */
static size_t room_of(const struct h2_session *s, size_t limit)
{
	return limit > s->out.len ? limit - s->out.len : 0;
}

static int on_send_data(nghttp2_session *ng UNUSED, nghttp2_frame *frame,
			const uint8_t *frame_header, size_t length,
			nghttp2_data_source *source UNUSED, void *user_data)
{
	struct h2_session *s = user_data;

	memcpy(s->out.bytes + s->out.len, frame_header, H2_FRAME_HEADER);
	s->out.len += H2_FRAME_HEADER + length;
	note_sender(s, frame->hd.stream_id);
	expect_credit(s, length);
	if (s->out.len >= H2_PULL_FILL || room_of(s, s->out.cap - H2_PULL_SLACK) == 0)
		return NGHTTP2_ERR_PAUSE;
	return 0;
}

static ssize_t on_read_length(nghttp2_session *ng UNUSED, uint8_t frame_type UNUSED, int32_t id,
			      int32_t conn_window UNUSED, int32_t stream_window UNUSED,
			      uint32_t peer_max_frame, void *user_data)
{
	const struct h2_session *s = user_data;
	bool is_alone = s->sender.id == id && s->sender.n_frames >= H2_ALONE_FRAMES;
	size_t whole = room_of(s, is_alone ? s->out.cap - H2_PULL_SLACK : H2_PULL_FILL);

	if (whole > peer_max_frame + H2_FRAME_HEADER)
		whole = peer_max_frame + H2_FRAME_HEADER;
	if (whole > H2_FRAME_MAX)
		whole = H2_FRAME_MAX;
	if (whole < H2_RECORD)
		whole = H2_RECORD;
	return (ssize_t)(whole / H2_RECORD * H2_RECORD - H2_FRAME_HEADER);
}

static int on_error(nghttp2_session *ng UNUSED, int lib_error UNUSED, const char *text, size_t n,
		    void *user_data)
{
	struct h2_session *s = user_data;

	snprintf(s->error_text, sizeof(s->error_text), "%.*s", (int)n, text);
	return 0;
}

nghttp2_session_callbacks *h2_callbacks_new(void)
{
	nghttp2_session_callbacks *cb;

	if (nghttp2_session_callbacks_new(&cb) != 0)
		return NULL;
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data_chunk);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb, on_invalid_frame);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
	nghttp2_session_callbacks_set_send_callback(cb, on_send);
	nghttp2_session_callbacks_set_send_data_callback(cb, on_send_data);
	nghttp2_session_callbacks_set_data_source_read_length_callback(cb, on_read_length);
	nghttp2_session_callbacks_set_error_callback2(cb, on_error);
	return cb;
}
