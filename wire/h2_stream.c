/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Streams: headers, credit, sources and the order of their last events.
 *
 * A stream lives from nghttp2's first headers (or our request) to
 * h2_stream_finish(), which is called once, by nghttp2's close callback, by the
 * request that could not be sent, or by the end of the session.
 *
 * nghttp2 has an item for a stream's DATA only while there are bytes: a source that has no more
 * ends it with the frame that took the last ones. That is 160 bytes of an idle stream's 900.
 */

#include "wire/h2_stream.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "wire/h2_private.h"

#define FIELD_OVERHEAD	 32 /* RFC 9113 10.5.1 */
#define SEND_HEADERS_MAX 16

/* It may be a client's token. */
static void free_field(struct h2_field *f)
{
	explicit_bzero(f->value, strlen(f->value));
	free(f->name);
}

struct h2_headers *h2_headers_free(struct h2_headers *h)
{
	if (!h)
		return NULL;
	for (size_t i = 0; i < h->n; i++)
		free_field(&h->fields[i]);
	free(h->fields);
	free(h);
	return NULL;
}

static int grow_fields(struct h2_headers *h)
{
	size_t cap = h->cap ? h->cap * 2 : 8;
	struct h2_field *fields = realloc(h->fields, cap * sizeof(*fields));

	if (!fields)
		return -ENOMEM;
	h->fields = fields;
	h->cap = cap;
	return 0;
}

int h2_headers_add(struct h2_headers *h, const uint8_t *name, size_t n_name, const uint8_t *value,
		   size_t n_value, size_t max_bytes)
{
	struct h2_field *f;
	char *text;

	h->bytes += n_name + n_value + FIELD_OVERHEAD;
	if (h->bytes > max_bytes)
		return -EMSGSIZE;
	if (h->n == h->cap && grow_fields(h) < 0)
		return -ENOMEM;
	text = malloc(n_name + n_value + 2);
	if (!text)
		return -ENOMEM;
	f = &h->fields[h->n++];
	f->name = text;
	memcpy(f->name, name, n_name);
	f->name[n_name] = '\0';
	f->value = text + n_name + 1;
	memcpy(f->value, value, n_value);
	f->value[n_value] = '\0';
	return 0;
}

const char *h2_headers_get(const struct h2_headers *h, const char *name)
{
	for (size_t i = 0; i < h->n; i++) {
		if (strcmp(h->fields[i].name, name) == 0)
			return h->fields[i].value;
	}
	return NULL;
}

size_t h2_headers_count(const struct h2_headers *h)
{
	return h->n;
}

struct h2_stream *h2_stream_new(struct h2_session *s, int32_t id)
{
	struct h2_stream *st = xnew(struct h2_stream);

	st->session = s;
	st->id = id;
	st->bits = H2_STREAM_WAITING;
	st->window_bytes = s->limits.stream_window_bytes;
	list_init(&st->touched);
	list_init(&st->starved);
	list_append(&s->streams, &st->node);
	s->n_streams++;
	return st;
}

void h2_stream_run_batch(struct h2_stream *st)
{
	list_remove(&st->touched);
	if (st->events && st->events->on_batch)
		st->events->on_batch(st->ctx, st);
	if (!(st->bits & H2_STREAM_PEER_ENDED) || (st->bits & H2_STREAM_EOF_TOLD))
		return;
	st->bits |= H2_STREAM_EOF_TOLD;
	if (st->events && st->events->on_eof)
		st->events->on_eof(st->ctx, st);
}

void h2_stream_finish(struct h2_stream *st, uint32_t h2_code)
{
	/* Its last events may resume it: nghttp2 would keep an item that nobody frees. */
	st->bits &= ~(unsigned int)H2_STREAM_HEADERS_SENT;
	if (list_is_linked(&st->touched))
		h2_stream_run_batch(st);
	list_remove(&st->node);
	list_remove(&st->starved);
	st->session->n_streams--;
	if (st->events && st->events->on_closed)
		st->events->on_closed(st->ctx, st, h2_code);
	h2_headers_free(st->hdrs);
	free(st);
}

void h2_stream_received(struct h2_stream *st, const uint8_t *data, size_t n)
{
	st->held_bytes += (uint32_t)n;
	if (!st->events || !st->events->on_data) {
		h2_stream_credit(st, n);
		return;
	}
	if (!list_is_linked(&st->touched))
		list_append(&st->session->touched, &st->touched);
	st->events->on_data(st->ctx, st, data, n);
}

/* Room for DATA of @st: the connection window less the urgent reserve, and its own cap. */
static size_t window_room(const struct h2_stream *st)
{
	nghttp2_session *ng = st->session->ng;
	int64_t room = nghttp2_session_get_remote_window_size(ng);

	if (!(st->bits & H2_STREAM_URGENT))
		room -= H2_URGENT_RESERVE;
	if (st->in_flight_max > 0) {
		int64_t initial = nghttp2_session_get_remote_settings(
			ng, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE);
		int64_t left = nghttp2_session_get_stream_remote_window_size(ng, st->id);
		int64_t own = (int64_t)st->in_flight_max - (initial - left);

		room = own < room ? own : room;
	}
	return room > 0 ? (size_t)room : 0;
}

static ssize_t wait_for_source(struct h2_stream *st)
{
	st->bits |= H2_STREAM_WAITING;
	return NGHTTP2_ERR_DEFERRED;
}

static ssize_t wait_for_window(struct h2_stream *st)
{
	if (!list_is_linked(&st->starved))
		list_append(&st->session->starved, &st->starved);
	return NGHTTP2_ERR_DEFERRED;
}

/*
 * Asks the source until @cap is full or it has no more: what it said last is in *@lastp, 1 when
 * the room was the end. The number of bytes.
 */
static size_t ask_until_full(struct h2_stream *st, uint8_t *out, size_t cap, ssize_t *lastp)
{
	size_t n = 0;

	*lastp = 1;
	while (n < cap) {
		*lastp = st->read_into(st->source_ctx, out + n, cap - n);
		if (*lastp <= 0)
			break;
		n += (size_t)*lastp;
	}
	return n;
}

/*
 * Lets the source write behind the place of the frame header in the output
 * buffer, which on_send_data() fills in next.
 */
static ssize_t read_source(nghttp2_session *ng UNUSED, int32_t id UNUSED, uint8_t *buf UNUSED,
			   size_t length, uint32_t *flags, nghttp2_data_source *source,
			   void *user_data)
{
	struct h2_session *s = user_data;
	struct h2_stream *st = source->ptr;
	size_t used = s->out.len + H2_FRAME_HEADER;
	size_t room = window_room(st);
	ssize_t last;
	size_t n;

	if (!st->read_into)
		return wait_for_source(st);
	if (room == 0)
		return wait_for_window(st);
	if (length > room)
		length = room;
	if (length > s->out.cap - used)
		length = s->out.cap - used;
	n = ask_until_full(st, s->out.bytes + used, length, &last);
	if (last < 0 && last != -EAGAIN)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (last <= 0)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (last < 0) {
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		st->bits |= H2_STREAM_WAITING;
		st->bits &= ~(unsigned int)H2_STREAM_SENDING;
	}
	return (ssize_t)n;
}

/* nghttp2 is to ask for DATA of @st, which isn't waiting, when it can. */
static void start_sending(struct h2_stream *st)
{
	nghttp2_data_provider provider = {.source = {.ptr = st}, .read_callback = read_source};
	nghttp2_session *ng = st->session->ng;

	if (!(st->bits & H2_STREAM_HEADERS_SENT) ||
	    (st->bits & (H2_STREAM_RESET | H2_STREAM_END_SENT)))
		return;
	if (st->bits & H2_STREAM_SENDING)
		nghttp2_session_resume_data(ng, st->id);
	else if (nghttp2_submit_data(ng, NGHTTP2_FLAG_END_STREAM, st->id, &provider) == 0)
		st->bits |= H2_STREAM_SENDING;
	else
		h2_stream_reset(st, H2_CODE_INTERNAL_ERROR);
	h2_session_touch(st->session);
}

void h2_stream_headers_sent(struct h2_stream *st)
{
	st->bits |= H2_STREAM_HEADERS_SENT;
	if (!(st->bits & H2_STREAM_WAITING))
		start_sending(st);
}

static nghttp2_nv to_nv(const struct h2_header *h)
{
	return (nghttp2_nv){
		.name = (uint8_t *)(uintptr_t)h->name,
		.namelen = strlen(h->name),
		.value = (uint8_t *)(uintptr_t)h->value,
		.valuelen = strlen(h->value),
		.flags = h->secret ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE,
	};
}

static int may_open(const struct h2_session *s)
{
	uint32_t max =
		nghttp2_session_get_remote_settings(s->ng, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);

	if (!h2_session_can_open(s))
		return H2_E_DRAINING;
	return s->n_streams < max ? 0 : H2_E_LIMIT;
}

int h2_stream_open(struct h2_session *s, struct h2_stream **streamp, const struct h2_header *hdrs,
		   size_t n_hdrs, bool end, const struct h2_stream_events *events, void *ctx)
{
	nghttp2_nv nv[SEND_HEADERS_MAX];
	struct h2_stream *st;
	int r = may_open(s);

	if (r != 0)
		return r;
	if (n_hdrs > SEND_HEADERS_MAX)
		return err_trace(-E2BIG);
	for (size_t i = 0; i < n_hdrs; i++)
		nv[i] = to_nv(&hdrs[i]);
	st = h2_stream_new(s, 0);
	st->events = events;
	st->ctx = ctx;
	r = nghttp2_submit_headers(s->ng, end ? NGHTTP2_FLAG_END_STREAM : NGHTTP2_FLAG_NONE, -1,
				   NULL, nv, n_hdrs, st);
	if (r < 0) {
		st->events = NULL;
		h2_stream_finish(st, H2_CODE_INTERNAL_ERROR);
		return r == NGHTTP2_ERR_STREAM_ID_NOT_AVAILABLE ? H2_E_DRAINING
								: err_trace(h2_error(r));
	}
	st->id = r;
	h2_session_touch(s);
	*streamp = st;
	return 0;
}

int h2_stream_respond(struct h2_stream *st, const struct h2_header *hdrs, size_t n_hdrs, bool end)
{
	nghttp2_nv nv[SEND_HEADERS_MAX];
	int r;

	if (n_hdrs > SEND_HEADERS_MAX)
		return err_trace(-E2BIG);
	if (st->bits & H2_STREAM_ANSWERED)
		return err_trace(-EALREADY);
	for (size_t i = 0; i < n_hdrs; i++)
		nv[i] = to_nv(&hdrs[i]);
	if (end)
		h2_stream_reset_after_end(st);
	r = nghttp2_submit_headers(st->session->ng,
				   end ? NGHTTP2_FLAG_END_STREAM : NGHTTP2_FLAG_NONE, st->id, NULL,
				   nv, n_hdrs, NULL);
	if (r == 0)
		st->bits |= H2_STREAM_ANSWERED;
	h2_session_touch(st->session);
	return r == 0 ? 0 : err_trace(h2_error(r));
}

void h2_stream_set_events(struct h2_stream *st, const struct h2_stream_events *events, void *ctx)
{
	st->events = events;
	st->ctx = ctx;
}

void h2_stream_set_quiet_source(struct h2_stream *st, h2_read_into read_into, void *ctx)
{
	st->read_into = read_into;
	st->source_ctx = ctx;
}

void h2_stream_set_source(struct h2_stream *st, h2_read_into read_into, void *ctx)
{
	h2_stream_set_quiet_source(st, read_into, ctx);
	if (read_into)
		h2_stream_resume(st);
}

void h2_stream_resume(struct h2_stream *st)
{
	if (!(st->bits & H2_STREAM_WAITING))
		return;
	st->bits &= ~(unsigned int)H2_STREAM_WAITING;
	start_sending(st);
}

bool h2_stream_is_waiting(const struct h2_stream *st)
{
	return (st->bits & H2_STREAM_WAITING) != 0;
}

/*
 * A reader that keeps up gets what the path has turned out to need, at most twice as much at a
 * time. For one that doesn't more would only wait here.
 */
static void grow_window(struct h2_stream *st)
{
	uint32_t wanted = st->session->grown_stream_bytes;

	if (st->window_bytes >= wanted || st->held_bytes > st->window_bytes / H2_WINDOW_HELD_SHARE)
		return;
	if (wanted / 2 > st->window_bytes)
		wanted = st->window_bytes * 2;
	st->owed_bytes += wanted - st->window_bytes;
	st->window_bytes = wanted;
}

void h2_stream_credit(struct h2_stream *st, size_t n)
{
	struct h2_session *s = st->session;

	st->owed_bytes += (uint32_t)n;
	st->held_bytes -= n < st->held_bytes ? (uint32_t)n : st->held_bytes;
	if (st->bits & (H2_STREAM_PEER_ENDED | H2_STREAM_RESET))
		return;
	/* The share of what the peer knows: one of a larger window might never be reached. */
	if (st->owed_bytes < st->window_bytes / H2_WINDOW_UPDATE_SHARE)
		return;
	grow_window(st);
	if (nghttp2_submit_window_update(s->ng, NGHTTP2_FLAG_NONE, st->id,
					 (int32_t)st->owed_bytes) == 0)
		st->owed_bytes = 0;
	h2_session_touch(s);
}

void h2_stream_refill(struct h2_stream *st)
{
	if (!list_is_linked(&st->starved))
		return;
	list_remove(&st->starved);
	nghttp2_session_resume_data(st->session->ng, st->id);
	h2_session_touch(st->session);
}

void h2_stream_reset_after_end(struct h2_stream *st)
{
	st->bits |= H2_STREAM_RESET_AFTER_END;
	if ((st->bits & H2_STREAM_END_SENT) && !(st->bits & H2_STREAM_PEER_ENDED))
		h2_stream_reset(st, H2_CODE_NO_ERROR);
}

void h2_stream_limit_in_flight(struct h2_stream *st, uint32_t bytes)
{
	st->in_flight_max = bytes;
	h2_stream_refill(st);
}

void h2_stream_set_urgent(struct h2_stream *st)
{
	st->bits |= H2_STREAM_URGENT;
	h2_stream_refill(st);
}

void h2_stream_reset(struct h2_stream *st, uint32_t h2_code)
{
	if (st->bits & H2_STREAM_RESET)
		return;
	st->bits |= H2_STREAM_RESET;
	nghttp2_submit_rst_stream(st->session->ng, NGHTTP2_FLAG_NONE, st->id, h2_code);
	h2_session_touch(st->session);
}

bool h2_stream_peer_ended(const struct h2_stream *st)
{
	return (st->bits & H2_STREAM_PEER_ENDED) != 0;
}
