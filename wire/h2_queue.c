/* SPDX-License-Identifier: Apache-2.0 */

#include "wire/h2_queue.h"

#include <errno.h>

#include "wire/h2_stream.h"

static ssize_t take_queued(void *ctx, uint8_t *out, size_t cap)
{
	struct h2_queue *q = ctx;

	if (buf_is_empty(&q->bytes))
		return q->ended ? 0 : -EAGAIN;
	return (ssize_t)buf_take(&q->bytes, out, cap);
}

void h2_queue_init(struct h2_queue *q, struct h2_stream *stream, size_t max)
{
	*q = (struct h2_queue){.stream = stream};
	buf_init_secret(&q->bytes, max);
	h2_stream_set_urgent(stream);
	h2_stream_set_quiet_source(stream, take_queued, q);
}

void h2_queue_deinit(struct h2_queue *q)
{
	if (q->stream)
		h2_stream_set_source(q->stream, NULL, NULL);
	q->stream = NULL;
	q->ended = true;
	buf_deinit(&q->bytes);
}

int h2_queue_write(struct h2_queue *q, const void *data, size_t n)
{
	int r;

	if (q->ended)
		return -EPIPE;
	r = buf_append(&q->bytes, data, n);
	if (r == 0)
		h2_stream_resume(q->stream);
	return r;
}

void h2_queue_end(struct h2_queue *q)
{
	if (q->ended)
		return;
	q->ended = true;
	h2_stream_resume(q->stream);
}
