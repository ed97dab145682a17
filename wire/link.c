/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Life of a link: dial or adopt, secure, open, end.
 *
 * link_close() only marks; the end runs as a task, so that nothing that is on
 * the stack (a poll callback, a feed) loses its object. Memory goes in the last
 * of uv's close callbacks, and not before the owner let go.
 */

#include "wire/link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/err.h"
#include "wire/h2_stream.h"
#include "wire/link_private.h"
#include "wire/proto.h"
#include "wire/tcp_socket.h"

static const char *const end_names[LINK_END_N] = {
	[LINK_END_LOCAL] = "closed",
	[LINK_END_CONNECT] = "connect failed",
	[LINK_END_PROXY] = "proxy failed",
	[LINK_END_TLS] = "TLS failed",
	[LINK_END_CERTIFICATE] = "certificate refused",
	[LINK_END_TIMEOUT] = "timed out",
	[LINK_END_PEER_CLOSED] = "closed by the peer",
	[LINK_END_PROTOCOL] = "protocol error",
	[LINK_END_DEAD] = "peer does not answer",
	[LINK_END_LIMIT] = "buffer limit reached",
	[LINK_END_INTERNAL] = "internal error",
};

/* From (row) to (bit): anything may end. */
static const unsigned int transitions[LINK_STATE_N] = {
	[LINK_STATE_DIALLING] =
		1u << LINK_STATE_PROXY | 1u << LINK_STATE_HANDSHAKE | 1u << LINK_STATE_CLOSED,
	[LINK_STATE_PROXY] = 1u << LINK_STATE_HANDSHAKE | 1u << LINK_STATE_CLOSED,
	[LINK_STATE_HANDSHAKE] = 1u << LINK_STATE_SECURE | 1u << LINK_STATE_CLOSED,
	[LINK_STATE_SECURE] =
		1u << LINK_STATE_OPEN | 1u << LINK_STATE_LINGERING | 1u << LINK_STATE_CLOSED,
	[LINK_STATE_OPEN] = 1u << LINK_STATE_LINGERING | 1u << LINK_STATE_CLOSED,
	[LINK_STATE_LINGERING] = 1u << LINK_STATE_CLOSED,
	[LINK_STATE_CLOSED] = 0,
};

const char *link_end_name(enum link_end why)
{
	return end_names[why];
}

void link_set_state(struct link *l, enum link_state state, uint64_t timeout_ms)
{
	if (!(transitions[l->state] & 1u << state))
		abort();
	l->state = state;
	l->phase_deadline_ms =
		timeout_ms == UINT64_MAX ? UINT64_MAX : io_loop_now_ms(l->loop) + timeout_ms;
	if (state != LINK_STATE_CLOSED)
		link_schedule(l);
}

/* Until its tunnel stands, all that fails is the proxy's: it is named. */
void link_keep_error(struct link *l, const char *text)
{
	char peer[ENDPOINT_TEXT_MAX];

	if (l->error_text[0] != '\0')
		return;
	if (l->proxy)
		snprintf(l->error_text, sizeof(l->error_text), "edge-proxy %s://%s: %s",
			 proxy_kind_name(l->proxy_kind), endpoint_format(&l->peer, peer), text);
	else
		snprintf(l->error_text, sizeof(l->error_text), "%s", text);
}

/* ---- the timer: phases and liveness ---- */

static void send_ping(struct link *l, uint64_t now_ms)
{
	if (!liveness_ping_due(&l->liveness, now_ms, tcp_socket_bytes_acked(l->fd)))
		return;
	/* The opaque value is the time, so that the answer carries the round trip. */
	l->ping_us = clock_monotonic_us();
	(void)h2_session_ping(l->session, l->ping_us);
}

static void set_suspect(struct link *l, bool suspect)
{
	if (suspect == ((l->bits & LINK_SUSPECT) != 0))
		return;
	l->bits ^= LINK_SUSPECT;
	if (l->events && l->events->on_suspect)
		l->events->on_suspect(l->ctx, l, suspect);
}

void link_heard(struct link *l, uint64_t now_ms)
{
	liveness_on_read(&l->liveness, now_ms);
	/* Who sends no PING has no better sign of life to wait for. */
	if (l->liveness.mode == LIVENESS_LISTENS)
		set_suspect(l, false);
}

static void check_liveness(struct link *l, uint64_t now_ms)
{
	enum liveness_verdict v =
		liveness_check(&l->liveness, now_ms, tcp_socket_bytes_acked(l->fd));

	/*
	 * It is we who are late, after a stop of the process or a sleep of the host: timers run
	 * before polls. In this turn still the link hears what is there.
	 */
	if (v == LIVENESS_DEAD && tcp_socket_has_input(l->fd))
		return;
	if (v == LIVENESS_DEAD) {
		link_keep_error(l, "no answer to PING and nothing read");
		link_close(l, LINK_END_DEAD);
		return;
	}
	if (liveness_is_stalled(&l->liveness, now_ms, l->bits & LINK_WANTS_WRITABLE)) {
		link_keep_error(l, "the peer reads nothing");
		link_close(l, LINK_END_DEAD);
		return;
	}
	set_suspect(l, v == LIVENESS_SUSPECT);
	send_ping(l, now_ms);
}

static const char *phase_text(const struct link *l)
{
	switch (l->state) {
	case LINK_STATE_DIALLING:
		return "no answer to the TCP connect";
	case LINK_STATE_PROXY:
		return "no whole answer in time: is it a proxy of this kind, and can it reach the "
		       "edge?";
	case LINK_STATE_HANDSHAKE:
		return "TLS handshake not finished in time";
	case LINK_STATE_OPEN:
		return "no HTTP/2 SETTINGS from the peer in time";
	case LINK_STATE_SECURE:
	case LINK_STATE_LINGERING:
	case LINK_STATE_CLOSED:
	case LINK_STATE_N:
		break;
	}
	return "timed out";
}

static void on_time(struct link *l)
{
	uint64_t now_ms = io_loop_now_ms(l->loop);

	if (now_ms >= l->phase_deadline_ms) {
		if (l->state == LINK_STATE_LINGERING) {
			link_finish(l);
			return;
		}
		link_keep_error(l, phase_text(l));
		link_close(l, LINK_END_TIMEOUT);
		return;
	}
	if (l->state == LINK_STATE_OPEN)
		check_liveness(l, now_ms);
	io_loop_give_back(l->loop);
	link_schedule(l);
}

static void link_timer_cb(uv_timer_t *timer)
{
	on_time(timer->data);
}

void link_schedule(struct link *l)
{
	uint64_t now_ms = io_loop_now_ms(l->loop);
	uint64_t at_ms = l->phase_deadline_ms;
	uint64_t wait_ms;

	if (l->state == LINK_STATE_CLOSED ||
	    (l->bits & LINK_ENDING && l->state != LINK_STATE_LINGERING))
		return;
	if (l->state == LINK_STATE_OPEN) {
		uint64_t live_ms = liveness_deadline_ms(&l->liveness, now_ms);

		/* At once would be in this round of timers, before any poll. */
		if (live_ms <= now_ms)
			live_ms = now_ms + 1;
		at_ms = live_ms < at_ms ? live_ms : at_ms;
	}
	if (at_ms == UINT64_MAX)
		return;
	wait_ms = at_ms > now_ms ? at_ms - now_ms : 0;
	/* The loop's clock stands still during a callback; ours doesn't. */
	uv_update_time(l->loop->uv);
	uv_timer_start(&l->timer, link_timer_cb, wait_ms, 0);
}

/* ---- end ---- */

static void free_link(struct link *l)
{
	tls_conn_free(l->tls);
	proxy_dial_free(l->proxy);
	free(l->server_name);
	free(l);
}

static void link_closed_cb(uv_handle_t *handle)
{
	struct link *l = handle->data;

	if (--l->n_handles == 0 && !l->events)
		free_link(l);
}

void link_finish(struct link *l)
{
	if (l->state == LINK_STATE_CLOSED)
		return;
	link_set_state(l, LINK_STATE_CLOSED, UINT64_MAX);
	io_task_cancel(&l->flush);
	io_task_cancel(&l->read_on);
	io_task_cancel(&l->end);
	io_task_cancel(&l->relief);
	l->session = h2_session_free(l->session);
	link_window_close(l);
	uv_close((uv_handle_t *)&l->poll, link_closed_cb);
	uv_close((uv_handle_t *)&l->timer, link_closed_cb);
	/* One direction may be dead alone: a peer that hears us needn't find out by itself. */
	if (l->why == LINK_END_DEAD)
		tcp_socket_reset_on_close(l->fd);
	/* uv has let go of the descriptor in uv_close(). */
	l->fd = close_fd(l->fd);
	/* Not before here: the end of a stream may have made the owner let go. */
	if (l->events)
		l->events->on_closed(l->ctx, l, l->why);
}

static void run_end(struct io_task *task)
{
	struct link *l = container_of(task, struct link, end);

	if (l->state == LINK_STATE_LINGERING)
		link_linger_on(l);
	/* Something to say and somebody who may listen: not after a time-out or a dead peer. */
	else if ((l->state == LINK_STATE_OPEN || l->state == LINK_STATE_SECURE) &&
		 (l->why == LINK_END_LOCAL || l->why == LINK_END_PROTOCOL ||
		  l->why == LINK_END_LIMIT))
		link_linger(l);
	else
		link_finish(l);
}

void link_close(struct link *l, enum link_end why)
{
	if (l->bits & LINK_ENDING)
		return;
	l->bits |= LINK_ENDING;
	l->why = why;
	link_keep_error(l, end_names[why]);
	io_task_post(l->loop, &l->end);
}

void link_free(struct link *l)
{
	if (!l)
		return;
	l->events = NULL;
	if (l->state == LINK_STATE_LINGERING)
		io_task_post(l->loop, &l->end);
	else if (l->state != LINK_STATE_CLOSED)
		link_close(l, LINK_END_LOCAL);
	else if (l->n_handles == 0)
		free_link(l);
}

/* ---- HTTP/2 events ---- */

static void session_on_settings(void *ctx)
{
	struct link *l = ctx;

	l->phase_deadline_ms = UINT64_MAX;
	link_schedule(l);
	if (l->events && l->events->on_ready)
		l->events->on_ready(l->ctx, l);
}

static void session_on_open(void *ctx, struct h2_stream *stream, const struct h2_headers *hdrs)
{
	struct link *l = ctx;

	if (l->events && l->events->on_open)
		l->events->on_open(l->ctx, l, stream, hdrs);
	else
		h2_stream_reset(stream, H2_CODE_REFUSED_STREAM);
}

static void session_on_goaway(void *ctx, uint32_t h2_code)
{
	struct link *l = ctx;

	if (l->events && l->events->on_goaway)
		l->events->on_goaway(l->ctx, l, h2_code);
}

static void session_on_ping_ack(void *ctx, uint64_t opaque)
{
	struct link *l = ctx;

	if (link_window_pong(l, opaque))
		return;
	/* An answer to anything but our last question is not counted. */
	if (opaque != l->ping_us || l->liveness.ping_sent_ms == 0)
		return;
	liveness_on_ping_ack(&l->liveness, clock_monotonic_us() - opaque);
	set_suspect(l, false);
	link_schedule(l);
}

static void session_on_output(void *ctx)
{
	struct link *l = ctx;

	if (l->state == LINK_STATE_OPEN && !(l->bits & LINK_WANTS_WRITABLE))
		io_task_post(l->loop, &l->flush);
}

static bool session_on_received(void *ctx, size_t n)
{
	return link_window_received(ctx, n);
}

static const struct h2_session_events session_events = {
	.on_settings = session_on_settings,
	.on_open = session_on_open,
	.on_goaway = session_on_goaway,
	.on_ping_ack = session_on_ping_ack,
	.on_output = session_on_output,
	.on_received = session_on_received,
};

static void run_relief(struct io_task *task)
{
	link_window_relieve(container_of(task, struct link, relief));
}

/* ---- making ---- */

static struct link *new_link(struct io_loop *loop, struct tls_context *tls, int fd,
			     const struct link_events *events, void *ctx)
{
	struct link *l = xnew(struct link);

	l->loop = loop;
	l->tls_context = tls;
	l->fd = fd;
	l->events = events;
	l->ctx = ctx;
	l->phase_deadline_ms = UINT64_MAX;
	io_task_init(&l->flush, link_flush_run);
	io_task_init(&l->read_on, link_read_run);
	io_task_init(&l->end, run_end);
	io_task_init(&l->relief, run_relief);
	return l;
}

/* Until here nothing is registered with uv; after it only link_finish() undoes it. */
static int watch(struct link *l)
{
	int r = uv_poll_init(l->loop->uv, &l->poll, l->fd);

	if (r < 0)
		return r;
	uv_timer_init(l->loop->uv, &l->timer);
	l->n_handles = 2;
	l->poll.data = l;
	l->timer.data = l;
	return 0;
}

int link_dial(struct link **linkp, struct io_loop *loop, struct tls_context *tls,
	      const struct link_dial_options *opt, const struct link_events *events, void *ctx)
{
	int fd = tcp_socket_open(&opt->peer, &opt->bind);
	struct link *l;
	int r;

	if (fd < 0)
		return err_trace(fd);
	l = new_link(loop, tls, fd, events, ctx);
	l->peer = opt->peer;
	l->server_name = xstrdup(opt->server_name);
	if (opt->proxy) {
		l->proxy_kind = opt->proxy->kind;
		l->proxy = proxy_dial_new(opt->proxy);
	}
	tcp_socket_tune_link(fd);
	r = watch(l);
	if (r < 0) {
		close_fd(fd);
		free_link(l);
		return err_trace(r);
	}
	l->state = LINK_STATE_DIALLING;
	l->phase_deadline_ms =
		io_loop_now_ms(loop) + (opt->connect_ms ? opt->connect_ms : TCP_CONNECT_MS);
	r = tcp_socket_connect(fd, &opt->peer);
	if (r == 0 || r == -EINPROGRESS) {
		(void)tcp_socket_local(fd, &l->local);
		r = link_arm(l);
	}
	if (r < 0) {
		link_keep_error(l, strerror(-r));
		link_close(l, LINK_END_CONNECT);
	}
	link_schedule(l);
	*linkp = l;
	return 0;
}

int link_adopt(struct link **linkp, struct io_loop *loop, struct tls_context *tls, int fd,
	       const struct link_events *events, void *ctx)
{
	struct link *l = new_link(loop, tls, fd, events, ctx);
	int r = tcp_socket_peer(fd, &l->peer);

	if (r == 0)
		r = tcp_socket_local(fd, &l->local);
	if (r == 0)
		r = tls_conn_new_listener(&l->tls, tls, fd);
	if (r == 0)
		r = watch(l);
	if (r < 0) {
		close_fd(fd);
		free_link(l);
		return err_trace(r);
	}
	tcp_socket_tune_link(fd);
	l->state = LINK_STATE_HANDSHAKE;
	l->phase_deadline_ms = io_loop_now_ms(loop) + TLS_HANDSHAKE_MS;
	r = link_arm(l);
	if (r < 0)
		link_close(l, LINK_END_INTERNAL);
	link_schedule(l);
	*linkp = l;
	return 0;
}

void link_secured(struct link *l)
{
	link_set_state(l, LINK_STATE_SECURE, H2_PREFACE_MS);
	if (l->events)
		l->events->on_secure(l->ctx, l);
}

int link_start(struct link *l, enum h2_role role, const struct h2_limits *limits,
	       enum liveness_mode liveness)
{
	struct h2_limits granted = *limits;
	int r;

	if (!link_window_open(l, &granted)) {
		link_keep_error(l, "its window would not fit the buffer budget");
		link_close(l, LINK_END_LIMIT);
		return -ENOBUFS;
	}
	r = h2_session_new(&l->session, role, &granted, &session_events, l);
	if (r < 0) {
		link_close(l, LINK_END_INTERNAL);
		return r;
	}
	liveness_init(&l->liveness, liveness, io_loop_now_ms(l->loop));
	link_set_state(l, LINK_STATE_OPEN, H2_PREFACE_MS);
	session_on_output(l);
	return 0;
}

void link_set_owner(struct link *l, const struct link_events *events, void *ctx)
{
	l->events = events;
	l->ctx = ctx;
}

void link_set_liveness(struct link *l, enum liveness_mode mode)
{
	if (l->liveness.mode == mode)
		return;
	liveness_init(&l->liveness, mode, io_loop_now_ms(l->loop));
	link_schedule(l);
}

void link_probe(struct link *l)
{
	uint64_t now_ms = io_loop_now_ms(l->loop);

	if (l->state != LINK_STATE_OPEN || l->bits & LINK_ENDING)
		return;
	liveness_hurry(&l->liveness, now_ms);
	send_ping(l, now_ms);
	link_schedule(l);
}

/* ---- questions ---- */

struct h2_session *link_session(struct link *l)
{
	return l->bits & LINK_ENDING ? NULL : l->session;
}

const char *link_alpn(const struct link *l)
{
	return l->tls ? tls_alpn(l->tls) : NULL;
}

const struct endpoint *link_peer(const struct link *l)
{
	return &l->peer;
}

const struct endpoint *link_local(const struct link *l)
{
	return &l->local;
}

const char *link_error_text(const struct link *l)
{
	return l->error_text;
}

void link_get_stats(const struct link *l, struct link_stats *out)
{
	*out = (struct link_stats){
		.bytes_in = l->bytes_in,
		.bytes_out = l->bytes_out,
		.rtt_us = l->liveness.rtt_us,
		.last_read_ms = l->liveness.last_read_ms,
		.n_streams = l->session ? h2_session_n_streams(l->session) : 0,
		.suspect = (l->bits & LINK_SUSPECT) != 0,
	};
	if (out->rtt_us == 0 && l->fd >= 0)
		out->rtt_us = tcp_socket_rtt_us(l->fd);
}
