/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Bytes of a link: socket -> TLS -> session, session -> TLS -> socket.
 *
 * Two traps are guarded here. A read loop that stops at its bound leaves bytes
 * inside OpenSSL that no poll will announce: it posts itself. A flush that
 * stops at its bound, or that the socket stopped, waits for WRITABLE.
 */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "wire/link_private.h"
#include "wire/proto.h"
#include "wire/tcp_socket.h"

/* One busy link must not starve the others of the loop. */
#define READS_PER_TURN	     4
#define FLUSH_BYTES_PER_TURN (1024 * 1024)

/* How long a goodbye may take, and how many flushes of what was queued go before it. */
#define LINGER_MS	 2000
#define LAST_WORDS_PULLS 16

int link_arm(struct link *l)
{
	int events = UV_READABLE;

	if (l->state == LINK_STATE_DIALLING)
		events = UV_WRITABLE;
	else if (l->bits & LINK_WANTS_WRITABLE)
		events |= UV_WRITABLE;
	return uv_poll_start(&l->poll, events, link_poll_cb);
}

static void want_writable(struct link *l, bool wanted)
{
	if (wanted == ((l->bits & LINK_WANTS_WRITABLE) != 0))
		return;
	l->bits ^= LINK_WANTS_WRITABLE;
	if (link_arm(l) < 0)
		link_close(l, LINK_END_INTERNAL);
}

/* ---- out ---- */

/* Sends what TLS has ready. 0 when all is gone, TLS_E_AGAIN, or TLS_E_EOF when the peer is gone. */
static int send_output(struct link *l)
{
	const uint8_t *data;
	size_t n;

	while ((n = tls_output(l->tls, &data)) > 0) {
		ssize_t sent = send(l->fd, data, n, MSG_NOSIGNAL);

		if (sent >= 0) {
			tls_output_sent(l->tls, (size_t)sent);
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno == EAGAIN)
			return TLS_E_AGAIN;
		link_keep_error(l, strerror(errno));
		return TLS_E_EOF;
	}
	return 0;
}

/* One pull into TLS. 1: something was written, 0: nothing to say, negative: failed. */
static int fill_output(struct link *l)
{
	size_t n;
	int r = h2_session_pull(l->session, l->loop->tx, IO_LOOP_TX_BYTES, &n);

	if (r < 0 || n == 0)
		return r;
	l->bytes_out += n;
	r = tls_write(l->tls, l->loop->tx, n);
	return r == 0 ? 1 : -EPROTO;
}

/* The peer takes no more. What it said before may still be unread: that read finds its end. */
static void stop_sending(struct link *l)
{
	l->bits |= LINK_DEAF;
	want_writable(l, false);
	io_task_post(l->loop, &l->read_on);
}

/* All is said that there was to say. */
static void flushed(struct link *l)
{
	want_writable(l, false);
	if (!h2_session_is_broken(l->session))
		return;
	link_keep_error(l, h2_session_error_text(l->session));
	link_close(l, LINK_END_PROTOCOL);
}

static void flush(struct link *l)
{
	uint64_t enough = l->bytes_out + FLUSH_BYTES_PER_TURN;

	while (l->bytes_out < enough) {
		int r = send_output(l);

		if (r == TLS_E_EOF) {
			stop_sending(l);
			return;
		}
		if (r == TLS_E_AGAIN) {
			want_writable(l, true);
			return;
		}
		r = fill_output(l);
		if (r < 0) {
			link_close(l, r == -EPROTO ? LINK_END_TLS : LINK_END_INTERNAL);
			return;
		}
		if (r == 0) {
			flushed(l);
			return;
		}
	}
	want_writable(l, true);
}

/* True while the session may be asked for output. */
static bool is_talking(const struct link *l)
{
	return l->state == LINK_STATE_OPEN && !(l->bits & (LINK_ENDING | LINK_DEAF));
}

void link_flush_run(struct io_task *task)
{
	struct link *l = container_of(task, struct link, flush);

	if (is_talking(l))
		flush(l);
}

/* ---- in ---- */

static void feed(struct link *l, size_t n)
{
	uint64_t now_ms = io_loop_now_ms(l->loop);
	int r;

	l->bytes_in += n;
	h2_session_set_now(l->session, now_ms);
	r = h2_session_feed(l->session, l->loop->rx, n);
	link_window_fed(l);
	if (r == 0)
		return;
	link_keep_error(l, r == H2_E_PEER ? h2_session_error_text(l->session) : strerror(-r));
	link_close(l, r == H2_E_PEER ? LINK_END_PROTOCOL : LINK_END_INTERNAL);
}

static void end_of_input(struct link *l, int outcome)
{
	const char *text = tls_conn_error_text(l->tls);

	if (*text)
		link_keep_error(l, text);
	if (outcome == TLS_E_FAILED)
		(void)send_output(l); /* the alert says why; the peer should see it */
	link_close(l, outcome == TLS_E_FAILED ? LINK_END_TLS : LINK_END_PEER_CLOSED);
}

/* The socket has no more for now. */
static void wait_for_input(struct link *l)
{
	const uint8_t *data;

	if (l->bits & LINK_DEAF)
		link_close(l, LINK_END_PEER_CLOSED);
	else if (tls_output(l->tls, &data) > 0)
		io_task_post(l->loop, &l->flush); /* TLS answers by itself, too */
}

static void read_some(struct link *l)
{
	size_t n;

	for (unsigned int i = 0; i < READS_PER_TURN; i++) {
		int outcome = tls_read(l->tls, l->loop->rx, IO_LOOP_RX_BYTES, &n);

		/* A slow path takes longer for one record than a dead one is given. */
		if (tls_took_input(l->tls))
			link_heard(l, io_loop_now_ms(l->loop));
		if (n > 0)
			feed(l, n);
		if (l->bits & LINK_ENDING)
			return;
		if (outcome == TLS_E_AGAIN) {
			wait_for_input(l);
			return;
		}
		if (outcome != 0) {
			end_of_input(l, outcome);
			return;
		}
	}
	io_task_post_later(l->loop, &l->read_on);
}

void link_read_run(struct io_task *task)
{
	struct link *l = container_of(task, struct link, read_on);

	if (l->state == LINK_STATE_OPEN && !(l->bits & LINK_ENDING))
		read_some(l);
}

/* ---- set-up ---- */

static void fail_handshake(struct link *l)
{
	/* The alert says why; the peer should see it. */
	(void)send_output(l);
	link_keep_error(l, tls_conn_error_text(l->tls));
	link_close(l, tls_conn_is_cert_error(l->tls) ? LINK_END_CERTIFICATE : LINK_END_TLS);
}

static void shake_hands(struct link *l)
{
	int r = tls_handshake(l->tls);
	int sent;

	if (r == TLS_E_FAILED) {
		fail_handshake(l);
		return;
	}
	if (r == TLS_E_EOF) {
		end_of_input(l, r);
		return;
	}
	sent = send_output(l);
	if (sent == TLS_E_EOF) {
		link_close(l, LINK_END_PEER_CLOSED);
		return;
	}
	want_writable(l, sent == TLS_E_AGAIN);
	if (r == 0 && !(l->bits & LINK_ENDING))
		link_secured(l);
	/* The peer's first frames may have come with its last handshake record. */
	if (l->state == LINK_STATE_OPEN && tls_has_input(l->tls))
		io_task_post(l->loop, &l->read_on);
}

static void connected(struct link *l)
{
	int r = tcp_socket_error(l->fd);

	if (r < 0) {
		link_keep_error(l, strerror(-r));
		link_close(l, LINK_END_CONNECT);
		return;
	}
	(void)tcp_socket_local(l->fd, &l->local);
	if (l->proxy)
		link_proxy_begin(l);
	else
		link_begin_tls(l);
}

void link_begin_tls(struct link *l)
{
	int r = tls_conn_new_dialler(&l->tls, l->tls_context, l->fd, l->server_name);
	if (r == 0) {
		link_set_state(l, LINK_STATE_HANDSHAKE, TLS_HANDSHAKE_MS);
		r = link_arm(l);
	}
	if (r < 0)
		link_close(l, LINK_END_INTERNAL);
	else
		shake_hands(l); /* the dialler speaks first */
}

/* ---- goodbye ---- */

/* nghttp2 sends no DATA behind a GOAWAY: it is the last that the session says. */
static void end_session(struct link *l)
{
	h2_session_terminate(l->session,
			     l->why == LINK_END_LOCAL ? H2_CODE_NO_ERROR : H2_CODE_PROTOCOL_ERROR);
	(void)fill_output(l);
	l->session = h2_session_free(l->session);
	tls_shutdown(l->tls);
}

/* Cuts the goodbye short: for an owner that is gone, and can't be kept waiting with its streams. */
static void drop_session(struct link *l)
{
	l->session = h2_session_free(l->session);
	tls_shutdown(l->tls);
}

/* Answers that are queued already go first. As long as they don't, the streams live. */
static int say_last_words(struct link *l)
{
	int r = send_output(l);

	while (r == 0 && l->session) {
		int filled = l->n_last_pulls > 0 ? fill_output(l) : 0;

		/* What TLS has made of a part goes out, but nothing can follow. */
		if (filled < 0)
			drop_session(l);
		else if (filled == 0)
			end_session(l);
		else
			l->n_last_pulls--;
		r = send_output(l);
	}
	return r;
}

void link_linger_on(struct link *l)
{
	int r = say_last_words(l);

	if (r == TLS_E_EOF) {
		link_finish(l);
		return;
	}
	if (l->session && !l->events)
		drop_session(l);
	want_writable(l, r == TLS_E_AGAIN);
	if (r == 0 && !(l->bits & LINK_FIN_SENT)) {
		l->bits |= LINK_FIN_SENT;
		(void)shutdown(l->fd, SHUT_WR);
	}
}

void link_linger(struct link *l)
{
	link_set_state(l, LINK_STATE_LINGERING, LINGER_MS);
	l->n_last_pulls = LAST_WORDS_PULLS;
	if (!l->session)
		tls_shutdown(l->tls);
	link_linger_on(l);
}

/* Input after our goodbye is read and dropped, until the peer's end. */
static void drop_input(struct link *l)
{
	for (unsigned int i = 0; i < READS_PER_TURN; i++) {
		ssize_t n = recv(l->fd, l->loop->rx, IO_LOOP_RX_BYTES, 0);

		if (n > 0)
			continue;
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			link_finish(l);
		return;
	}
}

static void on_poll(struct link *l, int events)
{
	switch (l->state) {
	case LINK_STATE_DIALLING:
		connected(l);
		break;
	case LINK_STATE_PROXY:
		link_proxy_go_on(l);
		break;
	case LINK_STATE_HANDSHAKE:
		shake_hands(l);
		break;
	case LINK_STATE_OPEN:
		/* Read first: what the input produces goes out in the same turn. */
		if (events & (UV_READABLE | UV_DISCONNECT))
			read_some(l);
		if ((events & UV_WRITABLE) && is_talking(l))
			flush(l);
		break;
	case LINK_STATE_LINGERING:
		if (events & UV_WRITABLE)
			link_linger_on(l);
		if ((events & UV_READABLE) && l->state == LINK_STATE_LINGERING)
			drop_input(l);
		break;
	case LINK_STATE_SECURE:
	case LINK_STATE_CLOSED:
	case LINK_STATE_N:
		break;
	}
}

/* True while the poll is of use. */
static bool is_watched(const struct link *l)
{
	return l->state == LINK_STATE_LINGERING ||
	       (l->state != LINK_STATE_CLOSED && !(l->bits & LINK_ENDING));
}

void link_poll_cb(uv_poll_t *poll, int status, int events)
{
	struct link *l = poll->data;

	if (!is_watched(l))
		return;
	/* uv reports EBADF for POLLERR: the socket's own calls say what it is. */
	on_poll(l, status < 0 ? UV_READABLE | UV_WRITABLE : events);
	/* It has also stopped the poll, and not all may have been read. */
	if (status < 0 && is_watched(l) && link_arm(l) < 0)
		link_close(l, LINK_END_INTERNAL);
}
