/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The descriptor side of a relay.
 *
 * Read interest stays armed while the stream takes what is read, so that a
 * message costs one read and no epoll_ctl. It is dropped when the descriptor is
 * readable although the stream did not ask (window full), and armed again by
 * the read that finds nothing. A short read counts as "nothing left".
 */

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/err.h"
#include "wire/relay_private.h"

static bool is_pair(const struct relay *r)
{
	return r->fd->out != NULL;
}

static struct relay_poll *in_of(const struct relay *r)
{
	return &r->fd->in;
}

static struct relay_poll *out_of(const struct relay *r)
{
	return r->fd->out ? r->fd->out : &r->fd->in;
}

static void in_poll_cb(uv_poll_t *poll, int status, int events);
static void out_poll_cb(uv_poll_t *poll, int status, int events);

static void free_relay(struct relay *r)
{
	free(r->gather);
	free(r->fd->out);
	free(r);
}

/* The last of the handles takes the relay with it, once the relay itself is over. */
static void relay_closed_cb(uv_handle_t *handle)
{
	struct relay *r = handle->data;

	if (--r->n_handles == 0 && r->fd->in.fd < 0)
		free_relay(r);
}

static bool is_open(const struct relay_poll *p)
{
	return p->poll.data && !uv_is_closing((const uv_handle_t *)&p->poll);
}

static void close_poll(struct relay_poll *p)
{
	if (is_open(p))
		uv_close((uv_handle_t *)&p->poll, relay_closed_cb);
}

/* ---- interest ---- */

static int arm(struct relay_poll *p, int events, uv_poll_cb cb)
{
	if (p->armed == events)
		return 0;
	p->armed = events;
	return events ? uv_poll_start(&p->poll, events, cb) : uv_poll_stop(&p->poll);
}

static void want(struct relay *r, int in_events, int out_events)
{
	int e = 0;

	if (!is_pair(r)) {
		e = arm(in_of(r), in_events | out_events, in_poll_cb);
	} else {
		if (!(r->a.bits & SIDE_FILE))
			e = arm(in_of(r), in_events, in_poll_cb);
		if (e == 0 && is_open(out_of(r)))
			e = arm(out_of(r), out_events, out_poll_cb);
	}
	if (e < 0)
		relay_fail(&r->a, e);
}

static void want_readable(struct relay *r, bool on)
{
	want(r, on ? UV_READABLE : 0, out_of(r)->armed & UV_WRITABLE);
}

static void want_writable(struct relay *r, bool on)
{
	want(r, in_of(r)->armed & UV_READABLE, on ? UV_WRITABLE : 0);
}

/* ---- descriptor to stream ---- */

static ssize_t end_of_input(struct relay *r, int error)
{
	r->a.bits |= SIDE_IN_ENDED;
	want_readable(r, false);
	/* A stock peer can't be told a reset from an end. */
	if (r->mode != RELAY_STOCK_ACCEPTOR && (error != 0 || r->error != 0)) {
		relay_fail(&r->a, error ? error : r->error);
		return -EAGAIN;
	}
	relay_post(r);
	return 0;
}

static ssize_t wait_for_input(struct relay *r)
{
	want_readable(r, true);
	return -EAGAIN;
}

ssize_t relay_fd_read(void *ctx, uint8_t *buf, size_t cap)
{
	struct relay *r = ctx;
	ssize_t n;

	if (r->a.bits & SIDE_IN_ENDED)
		return r->a.bits & SIDE_FAILED ? -EAGAIN : 0;
	if (r->a.bits & SIDE_IN_DRAINED)
		return wait_for_input(r);
	do {
		n = read(in_of(r)->fd, buf, cap);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return wait_for_input(r);
	if (n <= 0)
		return end_of_input(r, n < 0 ? -errno : 0);
	if ((size_t)n < cap && !(r->a.bits & SIDE_FILE))
		r->a.bits |= SIDE_IN_DRAINED;
	r->a.n_bytes += (uint64_t)n;
	return n;
}

static void on_readable(struct relay *r)
{
	r->a.bits &= ~(unsigned int)SIDE_IN_DRAINED;
	if (r->b.stream && h2_stream_is_waiting(r->b.stream))
		h2_stream_resume(r->b.stream);
	else
		want_readable(r, false);
}

void relay_fd_start(struct relay *r)
{
	if (r->a.bits & SIDE_FILE) {
		h2_stream_resume(r->b.stream);
		return;
	}
	r->a.bits |= SIDE_IN_DRAINED;
	want_readable(r, true);
}

/* ---- stream to descriptor ---- */

/* What arrived for a descriptor that takes no more is dropped, its credit given. */
static void fail_output(struct relay *r, int error)
{
	relay_drop_queue(&r->b);
	r->a.bits |= SIDE_OUT_ENDED;
	want_writable(r, false);
	/* What the target said before it closed may still be read: that read finds the end. Nothing
	 * comes to an end because this host had no memory. */
	if (!is_pair(r) && !(r->a.bits & SIDE_IN_ENDED) && error != -ENOBUFS && error != -ENOMEM)
		r->error = error;
	else
		relay_fail(&r->a, error);
}

bool relay_fd_gather(struct relay *r, const uint8_t *data, size_t n)
{
	if (r->gather && r->gather->n == RELAY_GATHER_MAX)
		relay_fd_write_gathered(r);
	if (!buf_is_empty(&r->b.queue))
		return false;
	if (!r->gather) {
		r->gather = malloc(sizeof(*r->gather));
		if (!r->gather)
			return false;
		r->gather->n = 0;
	}
	r->gather->slices[r->gather->n++] =
		(struct iovec){.iov_base = (void *)(uintptr_t)data, .iov_len = n};
	return true;
}

/* What writev() took, 0 if it took nothing or the output failed. */
static size_t write_slices(struct relay *r, const struct relay_gather *g)
{
	ssize_t n;

	if (r->a.bits & SIDE_OUT_ENDED)
		return 0;
	do {
		n = writev(out_of(r)->fd, g->slices, (int)g->n);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN)
		fail_output(r, -errno);
	return n < 0 ? 0 : (size_t)n;
}

/* What is left of the slices after their first @written bytes. */
static void keep_slices(struct relay *r, const struct relay_gather *g, size_t written)
{
	for (size_t i = 0; i < g->n; i++) {
		size_t len = g->slices[i].iov_len;
		size_t done = written < len ? written : len;

		written -= done;
		if (done == len)
			continue;
		if (r->a.bits & SIDE_OUT_ENDED)
			r->b.taken_bytes += (uint32_t)(len - done);
		else if (relay_keep(&r->b, (const uint8_t *)g->slices[i].iov_base + done,
				    len - done) < 0)
			relay_fail(&r->b, -ENOBUFS);
	}
}

void relay_fd_write_gathered(struct relay *r)
{
	struct relay_gather *g = r->gather;
	size_t written;

	r->gather = NULL;
	if (g) {
		written = write_slices(r, g);
		relay_took(&r->b, written);
		keep_slices(r, g, written);
		free(g);
	}
	/* Also what there was no memory to gather. */
	if (!buf_is_empty(&r->b.queue))
		want_writable(r, true);
}

/* Writes from the queue until it is empty or the descriptor blocks. */
static void write_queue(struct relay *r)
{
	struct buf *q = &r->b.queue;

	while (!buf_is_empty(q)) {
		ssize_t n = write(out_of(r)->fd, buf_peek(q), buf_len(q));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			if (errno != EAGAIN)
				fail_output(r, -errno);
			return;
		}
		buf_consume(q, (size_t)n);
		io_loop_unbuffered(r->loop, (size_t)n);
		relay_took(&r->b, (size_t)n);
	}
}

static void tell_end(struct relay *r)
{
	r->a.bits |= SIDE_OUT_ENDED;
	if (r->mode == RELAY_STOCK_ACCEPTOR) {
		/* Stock rule: the end of one direction is the end of both. */
		r->a.bits |= SIDE_IN_ENDED;
		want_readable(r, false);
		if (r->b.stream)
			h2_stream_resume(r->b.stream);
		return;
	}
	/* Two descriptors may be one socket: only shutdown() ends that. On a pipe it does nothing.
	 */
	(void)shutdown(out_of(r)->fd, SHUT_WR);
	if (!is_pair(r))
		return;
	/* The poll goes first: uv would drop whatever is watched under this number later. */
	close_poll(out_of(r));
	out_of(r)->armed = 0;
	out_of(r)->fd = close_fd(out_of(r)->fd);
}

void relay_fd_drain(struct relay *r)
{
	if (r->a.bits & SIDE_OUT_ENDED)
		return;
	write_queue(r);
	if (r->a.bits & SIDE_OUT_ENDED)
		return;
	want_writable(r, !buf_is_empty(&r->b.queue));
	if ((r->b.bits & SIDE_IN_ENDED) && buf_is_empty(&r->b.queue))
		tell_end(r);
}

/* ---- polls ---- */

static void in_poll_cb(uv_poll_t *poll, int status, int events)
{
	struct relay *r = poll->data;

	if (status < 0) {
		/* uv stopped the poll; the calls themselves say what happened. */
		in_of(r)->armed = 0;
		events = UV_READABLE | UV_WRITABLE;
	}
	if (events & UV_READABLE)
		on_readable(r);
	if (events & UV_WRITABLE)
		relay_post(r);
}

static void out_poll_cb(uv_poll_t *poll, int status, int events UNUSED)
{
	struct relay *r = poll->data;

	if (status < 0)
		out_of(r)->armed = 0;
	relay_post(r);
}

static int open_poll(struct relay *r, struct relay_poll *p, int fd)
{
	int e = uv_poll_init(r->loop->uv, &p->poll, fd);

	p->fd = fd;
	if (e < 0)
		return e;
	p->poll.data = r;
	r->n_handles++;
	return 0;
}

/* epoll refuses regular files: they are always ready. */
static int open_pair(struct relay *r, int in_fd, int out_fd)
{
	int e = open_poll(r, in_of(r), in_fd);

	r->fd->out = xnew(struct relay_poll);
	if (e == -EPERM)
		r->a.bits |= SIDE_FILE;
	else if (e < 0)
		return e;
	e = open_poll(r, out_of(r), out_fd);
	return e == -EPERM ? 0 : e;
}

static void close_polls(struct relay *r)
{
	close_poll(in_of(r));
	if (is_pair(r))
		close_poll(out_of(r));
}

/* The descriptors are somebody else's, or closed. */
static void leave(struct relay *r)
{
	in_of(r)->fd = -1;
	if (r->n_handles == 0)
		free_relay(r);
}

int relay_fd_open(struct relay *r, int in_fd, int out_fd)
{
	int e = in_fd == out_fd ? open_poll(r, in_of(r), in_fd) : open_pair(r, in_fd, out_fd);

	if (e == 0)
		return 0;
	close_polls(r);
	leave(r);
	return e;
}

void relay_fd_close(struct relay *r, bool reset)
{
	struct linger hard = {.l_onoff = 1, .l_linger = 0};

	if (reset && !is_pair(r))
		(void)setsockopt(in_of(r)->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close_polls(r);
	if (is_pair(r))
		close_fd(out_of(r)->fd);
	close_fd(in_of(r)->fd);
	leave(r);
}
