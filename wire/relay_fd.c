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
	return r->fd.in != r->fd.out;
}

static void in_poll_cb(uv_poll_t *poll, int status, int events);
static void out_poll_cb(uv_poll_t *poll, int status, int events);

/* The last of the handles takes the relay with it, once the relay itself is over. */
static void relay_closed_cb(uv_handle_t *handle)
{
	struct relay *r = handle->data;

	if (--r->n_handles == 0 && r->fd.in < 0)
		free(r);
}

static bool is_open(const uv_poll_t *poll)
{
	return poll->data && !uv_is_closing((const uv_handle_t *)poll);
}

static void close_poll(uv_poll_t *poll)
{
	if (is_open(poll))
		uv_close((uv_handle_t *)poll, relay_closed_cb);
}

/* ---- interest ---- */

static int arm(uv_poll_t *poll, int *armed, int events, uv_poll_cb cb)
{
	if (*armed == events)
		return 0;
	*armed = events;
	return events ? uv_poll_start(poll, events, cb) : uv_poll_stop(poll);
}

static void want(struct relay *r, int in_events, int out_events)
{
	int e = 0;

	if (!is_pair(r)) {
		e = arm(&r->fd.in_poll, &r->fd.in_armed, in_events | out_events, in_poll_cb);
	} else {
		if (!(r->a.bits & SIDE_FILE))
			e = arm(&r->fd.in_poll, &r->fd.in_armed, in_events, in_poll_cb);
		if (e == 0 && is_open(&r->fd.out_poll))
			e = arm(&r->fd.out_poll, &r->fd.out_armed, out_events, out_poll_cb);
	}
	if (e < 0)
		relay_fail(&r->a, e);
}

static void want_readable(struct relay *r, bool on)
{
	int out = is_pair(r) ? r->fd.out_armed : r->fd.in_armed & UV_WRITABLE;

	want(r, on ? UV_READABLE : 0, out);
}

static void want_writable(struct relay *r, bool on)
{
	want(r, r->fd.in_armed & UV_READABLE, on ? UV_WRITABLE : 0);
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
		n = read(r->fd.in, buf, cap);
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

/* ---- stream to descriptor ---- */

/* What arrived for a descriptor that takes no more is dropped, its credit given. */
static void fail_output(struct relay *r, int error)
{
	relay_drop_queue(&r->b);
	r->a.bits |= SIDE_OUT_ENDED;
	want_writable(r, false);
	/* What the target said before it closed may still be read: that read finds the end. */
	if (!is_pair(r) && !(r->a.bits & SIDE_IN_ENDED))
		r->error = error;
	else
		relay_fail(&r->a, error);
}

void relay_fd_write_gathered(struct relay *r)
{
	struct iovec iov[RELAY_GATHER_MAX];
	size_t n_slices = r->n_gathered;
	ssize_t written = 0;

	r->n_gathered = 0;
	if (n_slices == 0)
		return;
	for (size_t i = 0; i < n_slices; i++)
		iov[i] = (struct iovec){.iov_base = (void *)(uintptr_t)r->gathered[i].data,
					.iov_len = r->gathered[i].n};
	if (!(r->a.bits & SIDE_OUT_ENDED)) {
		do {
			written = writev(r->fd.out, iov, (int)n_slices);
		} while (written < 0 && errno == EINTR);
		if (written < 0 && errno != EAGAIN)
			fail_output(r, -errno);
		if (written < 0)
			written = 0;
	}
	relay_took(&r->b, (size_t)written);
	for (size_t i = 0; i < n_slices; i++) {
		size_t done = (size_t)written < iov[i].iov_len ? (size_t)written : iov[i].iov_len;
		size_t left = iov[i].iov_len - done;

		written -= (ssize_t)done;
		if (left == 0)
			continue;
		if (r->a.bits & SIDE_OUT_ENDED)
			r->b.taken_bytes += left;
		else if (relay_keep(&r->b, (uint8_t *)iov[i].iov_base + done, left) < 0)
			relay_fail(&r->b, -ENOBUFS);
	}
	if (!buf_is_empty(&r->b.queue))
		want_writable(r, true);
}

/* Writes from the queue until it is empty or the descriptor blocks. */
static void write_queue(struct relay *r)
{
	struct buf *q = &r->b.queue;

	while (!buf_is_empty(q)) {
		ssize_t n = write(r->fd.out, buf_peek(q), buf_len(q));

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
	(void)shutdown(r->fd.out, SHUT_WR);
	if (!is_pair(r))
		return;
	/* The poll goes first: uv would drop whatever is watched under this number later. */
	close_poll(&r->fd.out_poll);
	r->fd.out_armed = 0;
	r->fd.out = close_fd(r->fd.out);
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
		r->fd.in_armed = 0;
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
		r->fd.out_armed = 0;
	relay_post(r);
}

static int open_poll(struct relay *r, uv_poll_t *poll, int fd)
{
	int e = uv_poll_init(r->loop->uv, poll, fd);

	if (e < 0)
		return e;
	poll->data = r;
	r->n_handles++;
	return 0;
}

int relay_fd_open(struct relay *r, int in_fd, int out_fd)
{
	int e = open_poll(r, &r->fd.in_poll, in_fd);

	/* epoll refuses regular files: they are always ready. */
	if (e == -EPERM && in_fd != out_fd) {
		r->a.bits |= SIDE_FILE;
		e = 0;
	}
	if (e == 0 && in_fd != out_fd) {
		e = open_poll(r, &r->fd.out_poll, out_fd);
		if (e == -EPERM)
			e = 0;
	}
	if (e < 0) {
		close_poll(&r->fd.in_poll);
		close_poll(&r->fd.out_poll);
		if (r->n_handles == 0)
			free(r);
		return e;
	}
	r->fd.in = in_fd;
	r->fd.out = out_fd;
	return 0;
}

void relay_fd_close(struct relay *r, bool reset)
{
	struct linger hard = {.l_onoff = 1, .l_linger = 0};

	if (reset && !is_pair(r))
		(void)setsockopt(r->fd.in, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close_poll(&r->fd.in_poll);
	close_poll(&r->fd.out_poll);
	if (is_pair(r))
		close_fd(r->fd.out);
	r->fd.in = close_fd(r->fd.in);
	if (r->n_handles == 0)
		free(r);
}
