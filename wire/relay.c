/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Two sides, four event bits, one task.
 *
 * Bytes flow in the callbacks; ends are decided in one place, settle(), which
 * runs as a task after anything changed. So no callback frees or resets what
 * its caller still holds, and each rule of half-close is written once.
 */

#include "wire/relay.h"

#include <errno.h>

#include "base/err.h"
#include "wire/h2_session.h"
#include "wire/pressure.h"
#include "wire/relay_private.h"

/* More than any stream window of ours: the peer can't reach it without breaking flow control. */
#define QUEUE_MAX ((size_t)16 * 1024 * 1024 + 65536)

static struct relay_side *side_of(void *ctx)
{
	return ctx;
}

void relay_post(struct relay *r)
{
	io_task_post(r->loop, &r->task);
}

void relay_took(struct relay_side *side, size_t n)
{
	side->n_bytes += n;
	side->taken_bytes += (uint32_t)n;
}

int relay_keep(struct relay_side *side, const uint8_t *data, size_t n)
{
	int r = buf_append(&side->queue, data, n);

	if (r == 0)
		io_loop_buffered(relay_of(side)->loop, n);
	return r;
}

void relay_drop_queue(struct relay_side *side)
{
	size_t n = buf_len(&side->queue);

	io_loop_unbuffered(relay_of(side)->loop, n);
	buf_consume(&side->queue, n);
	side->taken_bytes += (uint32_t)n;
}

void relay_fail(struct relay_side *side, int error)
{
	struct relay *r = relay_of(side);

	side->bits |= SIDE_FAILED | SIDE_IN_ENDED | SIDE_OUT_ENDED;
	if (r->end == RELAY_END_CLEAN) {
		r->end = side == &r->a ? RELAY_END_A_RESET : RELAY_END_B_RESET;
		r->error = error;
	}
	relay_post(r);
}

/* ---- streams ---- */

static bool is_fd(struct relay_side *side)
{
	return !(side->bits & SIDE_IS_B) && relay_of(side)->fd;
}

/* True when the end of @from's input may be told to @to. */
static bool may_tell_end(struct relay_side *from)
{
	const struct relay *r = relay_of(from);

	if (!(from->bits & SIDE_IN_ENDED) || !buf_is_empty(&from->queue))
		return false;
	/* A stock agent drops the answer when it is told the end: only when nobody waits for it. */
	if (r->mode == RELAY_STOCK_OPENER && from == &r->a)
		return !from->stream || (r->b.bits & SIDE_IN_ENDED);
	return true;
}

/* Source of a stream whose other side is a stream. */
static ssize_t take_from_other(void *ctx, uint8_t *buf, size_t cap)
{
	struct relay_side *side = side_of(ctx);
	struct relay_side *from = relay_other(side);
	size_t n;

	/* A reset follows: the end of what is left would make it look complete. */
	if ((side->bits | from->bits) & SIDE_FAILED)
		return -EAGAIN;
	if (may_tell_end(from)) {
		side->bits |= SIDE_OUT_ENDED;
		return 0;
	}
	n = buf_take(&from->queue, buf, cap);
	if (n == 0)
		return -EAGAIN;
	io_loop_unbuffered(relay_of(side)->loop, n);
	relay_took(from, n);
	relay_post(relay_of(side));
	return (ssize_t)n;
}

static void stream_on_data(void *ctx, struct h2_stream *stream UNUSED, const uint8_t *data,
			   size_t n)
{
	struct relay_side *side = side_of(ctx);
	struct relay_side *to = relay_other(side);

	if (to->bits & SIDE_OUT_ENDED) {
		side->taken_bytes += (uint32_t)n;
		relay_post(relay_of(side));
		return;
	}
	if (is_fd(to) && relay_fd_gather(relay_of(side), data, n))
		return;
	if (relay_keep(side, data, n) < 0)
		relay_fail(side, -ENOBUFS);
}

static void give_credit(struct relay_side *side)
{
	if (side->stream && side->taken_bytes > 0)
		h2_stream_credit(side->stream, side->taken_bytes);
	side->taken_bytes = 0;
}

static void stream_on_batch(void *ctx, struct h2_stream *stream UNUSED)
{
	struct relay_side *side = side_of(ctx);
	struct relay_side *to = relay_other(side);

	if (is_fd(to))
		relay_fd_write_gathered(relay_of(side));
	else if (to->stream)
		h2_stream_resume(to->stream);
	give_credit(side);
}

static void stream_on_eof(void *ctx, struct h2_stream *stream UNUSED)
{
	struct relay_side *side = side_of(ctx);

	side->bits |= SIDE_IN_ENDED;
	relay_post(relay_of(side));
}

static bool ended_well(struct relay_side *side, uint32_t h2_code)
{
	const struct relay *r = relay_of(side);

	/* Our own stock teardown: END_STREAM and RST_STREAM(NO_ERROR). */
	if (r->mode == RELAY_STOCK_ACCEPTOR && h2_code == 0 && (r->a.bits & SIDE_IN_ENDED))
		return true;
	if (!(side->bits & SIDE_IN_ENDED))
		return false;
	/* A client that ended its input and left has had all that it wanted of a stock agent. */
	return h2_code == 0 || (r->mode == RELAY_STOCK_OPENER && side == &r->a);
}

static void stream_on_closed(void *ctx, struct h2_stream *stream UNUSED, uint32_t h2_code)
{
	struct relay_side *side = side_of(ctx);

	side->stream = NULL;
	if (!ended_well(side, h2_code))
		relay_fail(side, 0);
	side->bits |= SIDE_IN_ENDED | SIDE_OUT_ENDED;
	relay_post(relay_of(side));
}

static const struct h2_stream_events stream_events = {
	.on_data = stream_on_data,
	.on_batch = stream_on_batch,
	.on_eof = stream_on_eof,
	.on_closed = stream_on_closed,
};

/* ---- the end ---- */

static uint32_t reset_code(const struct relay *r)
{
	return r->end == RELAY_END_ABORTED ? H2_CODE_CANCEL : H2_CODE_CONNECT_ERROR;
}

/* Tells @side what has become of the other one. */
static void settle_stream(struct relay_side *side)
{
	struct relay_side *from = relay_other(side);

	if (!side->stream)
		return;
	if ((from->bits | side->bits) & SIDE_FAILED) {
		h2_stream_reset(side->stream, reset_code(relay_of(side)));
		return;
	}
	if (!from->stream && !is_fd(from)) {
		/* Nobody is left to take what this one still sends. */
		relay_drop_queue(side);
		h2_stream_reset_after_end(side->stream);
	}
	if (may_tell_end(from) || !buf_is_empty(&from->queue))
		h2_stream_resume(side->stream);
}

static void settle_fd(struct relay *r)
{
	if ((r->b.bits & SIDE_FAILED) || (r->a.bits & SIDE_FAILED)) {
		relay_drop_queue(&r->b);
		r->a.bits |= SIDE_OUT_ENDED;
		return;
	}
	relay_fd_drain(r);
}

static bool is_over(struct relay *r)
{
	if (r->b.stream || r->a.stream)
		return false;
	if (!is_fd(&r->a))
		return true;
	return (r->a.bits & SIDE_OUT_ENDED) != 0 && buf_is_empty(&r->b.queue);
}

/* An output that failed late, after the stream's own good end, is no clean end. */
static enum relay_end end_of(const struct relay *r)
{
	if (r->end == RELAY_END_CLEAN && r->error != 0 && r->mode == RELAY_HALF_CLOSE)
		return RELAY_END_A_RESET;
	return r->end;
}

static void finish(struct relay *r)
{
	struct relay_result result = {
		.end = end_of(r),
		.error = r->error,
		.a_to_b_bytes = r->a.n_bytes,
		.b_to_a_bytes = r->b.n_bytes,
	};

	r->finished = true;
	io_task_cancel(&r->task);
	relay_drop_queue(&r->a);
	relay_drop_queue(&r->b);
	buf_deinit(&r->a.queue);
	buf_deinit(&r->b.queue);
	r->done(r->ctx, &result);
	if (is_fd(&r->a))
		relay_fd_close(r, result.end != RELAY_END_CLEAN && r->mode == RELAY_HALF_CLOSE);
	else
		free(r);
}

static void settle(struct io_task *task)
{
	struct relay *r = container_of(task, struct relay, task);

	if (r->finished)
		return;
	if (is_fd(&r->a))
		settle_fd(r);
	else
		settle_stream(&r->a);
	settle_stream(&r->b);
	give_credit(&r->a);
	give_credit(&r->b);
	if (is_over(r))
		finish(r);
}

/* ---- making ---- */

static void init_side(struct relay_side *side, unsigned int bits, struct h2_stream *stream)
{
	side->bits = bits;
	side->stream = stream;
	buf_init(&side->queue, QUEUE_MAX);
}

static void take_stream(struct relay_side *side)
{
	h2_stream_set_events(side->stream, &stream_events, side);
}

/* @r is zeroed. */
static struct relay *init_relay(struct relay *r, struct io_loop *loop, enum relay_mode mode,
				relay_done done, void *ctx)
{
	r->loop = loop;
	r->mode = (uint8_t)mode;
	r->done = done;
	r->ctx = ctx;
	io_task_init(&r->task, settle);
	return r;
}

int relay_new_fd(struct relay **relayp, struct io_loop *loop, int in_fd, int out_fd,
		 struct h2_stream *stream, enum relay_mode mode, relay_done done, void *ctx)
{
	struct {
		struct relay relay;
		struct relay_fd fd;
	} *both = xzalloc(sizeof(*both));
	struct relay *r = init_relay(&both->relay, loop, mode, done, ctx);
	int e;

	r->fd = &both->fd;
	init_side(&r->a, 0, NULL);
	init_side(&r->b, SIDE_IS_B, stream);
	e = relay_fd_open(r, in_fd, out_fd);
	if (e < 0) {
		if (in_fd != out_fd)
			close_fd(out_fd);
		close_fd(in_fd);
		return err_trace(e);
	}
	take_stream(&r->b);
	if (mode == RELAY_STOCK_ACCEPTOR)
		h2_stream_reset_after_end(stream);
	h2_stream_set_quiet_source(stream, relay_fd_read, r);
	relay_fd_start(r);
	*relayp = r;
	return 0;
}

int relay_new_streams(struct relay **relayp, struct io_loop *loop, struct h2_stream *a,
		      struct h2_stream *b, enum relay_mode b_mode, relay_done done, void *ctx)
{
	struct relay *r = init_relay(xnew(struct relay), loop, b_mode, done, ctx);

	init_side(&r->a, 0, a);
	init_side(&r->b, SIDE_IS_B, b);
	take_stream(&r->a);
	take_stream(&r->b);
	h2_stream_set_quiet_source(a, take_from_other, &r->a);
	h2_stream_set_quiet_source(b, take_from_other, &r->b);
	*relayp = r;
	return 0;
}

static void preload(struct relay_side *side, struct buf *early, bool ended)
{
	buf_move(&side->queue, early);
	if (ended)
		side->bits |= SIDE_IN_ENDED;
	relay_post(relay_of(side));
}

void relay_preload_a(struct relay *r, struct buf *early, bool ended)
{
	preload(&r->a, early, ended);
}

void relay_preload_b(struct relay *r, struct buf *early, bool ended)
{
	preload(&r->b, early, ended);
}

/* Less than a KiB is no movement. */
static uint32_t mark_of(const struct relay_side *side)
{
	return (uint32_t)(side->n_bytes / 1024 + 1);
}

void relay_mark(struct relay *r)
{
	r->a_mark = mark_of(&r->a);
	r->b_mark = mark_of(&r->b);
}

static size_t stalled(const struct relay_side *side, uint32_t mark, uint64_t elapsed_ms)
{
	uint64_t taken = (uint64_t)(mark_of(side) - mark) * 1024;
	size_t held = buf_len(&side->queue);

	return mark != 0 && pressure_is_stalled(held, taken, elapsed_ms) ? held : 0;
}

size_t relay_stalled(const struct relay *r, uint64_t elapsed_ms)
{
	if (r->end == RELAY_END_ABORTED)
		return 0;
	return stalled(&r->a, r->a_mark, elapsed_ms) + stalled(&r->b, r->b_mark, elapsed_ms);
}

void relay_abort(struct relay *r)
{
	if (r->finished || r->end != RELAY_END_CLEAN)
		return;
	r->end = RELAY_END_ABORTED;
	r->a.bits |= SIDE_FAILED | SIDE_IN_ENDED | SIDE_OUT_ENDED;
	r->b.bits |= SIDE_FAILED | SIDE_IN_ENDED | SIDE_OUT_ENDED;
	relay_post(r);
}
