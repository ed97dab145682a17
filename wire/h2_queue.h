/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * h2_queue - a bounded byte queue as a stream's source
 *
 * For streams that carry messages rather than a relayed socket: the control
 * stream, a configuration's answer. A tunnel's secret goes through it: memory is
 * wiped when bytes have left it.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct h2_stream;

struct h2_queue {
	struct h2_stream *stream; /* NULL once closed */
	struct buf bytes;
	bool ended;
};

/* Becomes @stream's source; holds at most @max bytes. */
void h2_queue_init(struct h2_queue *q, struct h2_stream *stream, size_t max);
/* Call it from the stream's on_closed at the latest. Nothing is sent any more. */
void h2_queue_deinit(struct h2_queue *q);
/* Copies all of @data. 0, -ENOBUFS over the maximum, -EPIPE after the end. */
int h2_queue_write(struct h2_queue *q, const void *data, size_t n);
/* END_STREAM follows the bytes queued so far. */
void h2_queue_end(struct h2_queue *q);
