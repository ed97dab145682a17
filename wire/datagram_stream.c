/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Whole capsules go into one byte queue, which is the stream's source; so all that one turn of the
 * loop queued leaves together, in frames as large as the connection has room for.
 *
 * Any event may free the object: what runs inside a callback of the stream holds it with `busy`,
 * and the memory goes when the last of them has returned.
 */

#include "wire/datagram_stream.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "wire/h2_session.h"
#include "wire/h2_stream.h"
#include "wire/io_loop.h"

struct datagram_stream {
	struct io_loop *loop;
	struct h2_stream *stream; /* NULL: ended */
	const struct datagram_stream_events *events;
	void *ctx;
	struct capsule_reader reader;
	struct buf queue; /* of whole capsules, but for the first */
	struct datagram_stream_stats stats;
	unsigned int busy;
	bool is_freed;
};

/* ---- memory ---- */

static void hold(struct datagram_stream *ds)
{
	ds->busy++;
}

static void release(struct datagram_stream *ds)
{
	if (--ds->busy == 0 && ds->is_freed)
		free(ds);
}

static void drop_buffers(struct datagram_stream *ds)
{
	io_loop_unbuffered(ds->loop, buf_len(&ds->queue) + capsule_reader_buffered(&ds->reader));
	buf_deinit(&ds->queue);
	capsule_reader_deinit(&ds->reader);
}

/* ---- the end ---- */

static ssize_t no_more(void *ctx UNUSED, uint8_t *buf UNUSED, size_t cap UNUSED)
{
	return 0;
}

/* The stream, which goes on without us; NULL if it has gone. */
static struct h2_stream *let_go(struct datagram_stream *ds)
{
	struct h2_stream *stream = steal_ptr(ds->stream);

	drop_buffers(ds);
	if (stream)
		h2_stream_set_events(stream, NULL, NULL);
	return stream;
}

static void end_in_order(struct datagram_stream *ds)
{
	struct h2_stream *stream = let_go(ds);

	if (stream)
		h2_stream_set_source(stream, no_more, NULL);
}

static void tell_end(struct datagram_stream *ds, enum datagram_end why)
{
	if (!ds->is_freed)
		ds->events->on_end(ds->ctx, why);
}

struct datagram_stream *datagram_stream_free(struct datagram_stream *ds)
{
	if (!ds)
		return NULL;
	hold(ds);
	if (ds->stream)
		end_in_order(ds);
	ds->is_freed = true;
	release(ds);
	return NULL;
}

/* ---- receiving ---- */

static void reader_on_datagram(void *ctx, const uint8_t *data, size_t n)
{
	struct datagram_stream *ds = ctx;

	if (ds->is_freed)
		return;
	ds->stats.n_in++;
	ds->events->on_datagram(ds->ctx, data, n);
}

static void reader_on_icmp_error(void *ctx, uint8_t type, uint8_t code)
{
	struct datagram_stream *ds = ctx;

	if (!ds->is_freed)
		ds->events->on_icmp_error(ds->ctx, type, code);
}

static const struct capsule_events reader_events = {
	.on_datagram = reader_on_datagram,
	.on_icmp_error = reader_on_icmp_error,
};

static void reject(struct datagram_stream *ds)
{
	h2_stream_reset(let_go(ds), H2_CODE_PROTOCOL_ERROR);
	tell_end(ds, DATAGRAM_END_BAD);
}

static void stream_on_data(void *ctx, struct h2_stream *stream, const uint8_t *data, size_t n)
{
	struct datagram_stream *ds = ctx;
	struct capsule_reader reader = ds->reader;
	int r;

	hold(ds);
	/* The reader works on a copy: an event that frees us takes nothing from under it. */
	io_loop_unbuffered(ds->loop, capsule_reader_buffered(&reader));
	buf_init(&ds->reader.value, 0);
	r = capsule_reader_feed(&reader, data, n);
	h2_stream_credit(stream, n);
	if (ds->stream) {
		ds->reader = reader;
		io_loop_buffered(ds->loop, capsule_reader_buffered(&reader));
		if (r != 0)
			reject(ds);
	} else {
		capsule_reader_deinit(&reader);
	}
	release(ds);
}

static void stream_on_eof(void *ctx, struct h2_stream *stream UNUSED)
{
	struct datagram_stream *ds = ctx;

	hold(ds);
	if (!capsule_reader_is_between(&ds->reader)) {
		reject(ds);
	} else {
		end_in_order(ds);
		tell_end(ds, DATAGRAM_END_PEER);
	}
	release(ds);
}

static void stream_on_closed(void *ctx, struct h2_stream *stream UNUSED, uint32_t h2_code UNUSED)
{
	struct datagram_stream *ds = ctx;

	hold(ds);
	ds->stream = NULL;
	drop_buffers(ds);
	tell_end(ds, DATAGRAM_END_RESET);
	release(ds);
}

static const struct h2_stream_events stream_events = {
	.on_data = stream_on_data,
	.on_eof = stream_on_eof,
	.on_closed = stream_on_closed,
};

/* ---- sending ---- */

static ssize_t take_queued(void *ctx, uint8_t *buf, size_t cap)
{
	struct datagram_stream *ds = ctx;
	size_t n = buf_take(&ds->queue, buf, cap);

	if (n == 0)
		return -EAGAIN;
	io_loop_unbuffered(ds->loop, n);
	return (ssize_t)n;
}

/* All or nothing: half a capsule would spoil the stream. */
static int queue_capsule(struct datagram_stream *ds, const uint8_t *head, size_t n_head,
			 const uint8_t *data, size_t n)
{
	if (!ds->stream)
		return -ENOTCONN;
	if (!budget_has_room(&ds->loop->budget, n_head + n) ||
	    buf_reserve(&ds->queue, n_head + n) < 0) {
		ds->stats.n_dropped++;
		return -ENOBUFS;
	}
	/* Neither can fail: there is room. */
	(void)buf_append(&ds->queue, head, n_head);
	(void)buf_append(&ds->queue, data, n);
	io_loop_buffered(ds->loop, n_head + n);
	h2_stream_resume(ds->stream);
	return 0;
}

int datagram_stream_send(struct datagram_stream *ds, const uint8_t *data, size_t n)
{
	uint8_t head[CAPSULE_PUT_MAX];
	int r;

	if (n > DATAGRAM_MAX)
		return -EMSGSIZE;
	r = queue_capsule(ds, head, capsule_put_datagram(head, n), data, n);
	if (r == 0)
		ds->stats.n_out++;
	return r;
}

int datagram_stream_send_icmp_error(struct datagram_stream *ds, uint8_t type, uint8_t code)
{
	uint8_t capsule[CAPSULE_PUT_MAX];

	return queue_capsule(ds, capsule, capsule_put_icmp_error(capsule, type, code), NULL, 0);
}

/* ---- life ---- */

struct datagram_stream *datagram_stream_new(struct io_loop *loop, struct h2_stream *stream,
					    const struct datagram_stream_events *events, void *ctx)
{
	struct datagram_stream *ds = xnew(struct datagram_stream);

	ds->loop = loop;
	ds->stream = stream;
	ds->events = events;
	ds->ctx = ctx;
	capsule_reader_init(&ds->reader, &reader_events, ds);
	buf_init(&ds->queue, DATAGRAM_QUEUE_BYTES);
	h2_stream_set_events(stream, &stream_events, ds);
	h2_stream_set_quiet_source(stream, take_queued, ds);
	return ds;
}

void datagram_stream_get_stats(const struct datagram_stream *ds, struct datagram_stream_stats *out)
{
	*out = ds->stats;
}
