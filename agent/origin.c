/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A flow has one owner of its stream and socket at a time: its dial until the connect() is
 * through, then the relay, whose end is the flow's. What the edge sends meanwhile is kept within
 * the stream's window and counted in the loop's budget; its credit is the relay's to give.
 * Thousands of flows may idle in their relays: what only dialling needs is the dial's, whose
 * memory goes as soon as uv lets go of its handles.
 */

#include "agent/origin.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "agent/reply.h"
#include "agent/shortage.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/heap_peak.h"
#include "base/list.h"
#include "base/log.h"
#include "wire/h2_session.h"
#include "wire/h2_stream.h"
#include "wire/io_loop.h"
#include "wire/pressure.h"
#include "wire/tcp_socket.h"

/* No stream window of ours is ever larger: more is a broken peer. */
#define EARLY_BYTES_MAX (16 * 1024 * 1024)

struct origins {
	struct io_loop *loop;
	struct list flows;
	size_t n_flows;
	size_t n_dials;	       /* of them, whose connect() is under way */
	struct heap_peak peak; /* of n_flows */
	struct shortage shortage;
	void (*on_ended)(void *ctx);
	void *ctx;
};

struct flow {
	struct list node;
	struct origins *origins;
	struct dial *dial;	    /* NULL: the relay has taken over */
	struct relay *relay;	    /* NULL while dialling */
	struct endpoint *requested; /* NULL: the target itself */
	struct endpoint target;
	unsigned int conn_index;
};

static_assert(sizeof(struct flow) <= 80, "thousands of them idle");

struct dial {
	struct flow *flow; /* NULL: over, waits for its uv handles only */
	struct h2_stream *stream;
	enum relay_mode mode;
	int fd;		  /* -1 once it is the relay's */
	struct buf early; /* received before the connection stood */
	bool is_marked;	  /* was here when the buffer budget was looked at */
	uv_poll_t poll;
	uv_timer_t timer;
	unsigned int n_handles; /* that uv still knows */
};

struct origins *origins_new(struct io_loop *loop, void (*on_ended)(void *ctx), void *ctx)
{
	struct origins *o = xnew(struct origins);

	o->loop = loop;
	o->on_ended = on_ended;
	o->ctx = ctx;
	list_init(&o->flows);
	return o;
}

size_t origins_count(const struct origins *o)
{
	return o->n_flows;
}

size_t origins_n_dials(const struct origins *o)
{
	return o->n_dials;
}

void origins_tidy(struct origins *o)
{
	(void)heap_peak_fall(&o->peak, o->n_flows);
}

/* ---- the end ---- */

static void dial_closed_cb(uv_handle_t *handle)
{
	struct dial *d = handle->data;

	if (--d->n_handles == 0)
		free(d);
}

/* @d stays valid for the rest of this turn. */
static void close_handles(struct dial *d)
{
	if (d->n_handles == 0 || uv_is_closing((uv_handle_t *)&d->poll))
		return;
	uv_close((uv_handle_t *)&d->poll, dial_closed_cb);
	uv_close((uv_handle_t *)&d->timer, dial_closed_cb);
}

/* Its stream is somebody else's by now, or closed. */
static void end_dial(struct flow *f)
{
	struct dial *d = steal_ptr(f->dial);

	f->origins->n_dials--;
	io_loop_unbuffered(f->origins->loop, buf_len(&d->early));
	buf_deinit(&d->early);
	close_handles(d);
	d->fd = close_fd(d->fd);
	d->flow = NULL;
	if (d->n_handles == 0)
		free(d);
}

static void end_flow(struct flow *f)
{
	struct origins *o = f->origins;

	if (f->dial)
		end_dial(f);
	list_remove(&f->node);
	free(f->requested);
	free(f);
	o->n_flows--;
	o->on_ended(o->ctx);
}

static void log_flow(const struct flow *f, const char *message, const char *reason)
{
	char requested[ENDPOINT_TEXT_MAX], target[ENDPOINT_TEXT_MAX];

	log_debug(message, log_int("conn_index", f->conn_index),
		  log_text("destination",
			   endpoint_format(f->requested ? f->requested : &f->target, requested)),
		  log_text("target", endpoint_format(&f->target, target)),
		  log_text("reason", reason));
}

/* ---- relaying ---- */

static void relay_ended(void *ctx, const struct relay_result *result)
{
	static const char *const reasons[] = {
		[RELAY_END_CLEAN] = "both ended",
		[RELAY_END_A_RESET] = "target failed",
		[RELAY_END_B_RESET] = "stream was reset",
		[RELAY_END_ABORTED] = "cut",
	};
	struct flow *f = ctx;

	log_flow(f, "stream ended", reasons[result->end]);
	end_flow(f);
}

/* Takes the early bytes over. */
static void start_relay(struct flow *f)
{
	struct dial *d = f->dial;
	int fd = d->fd;
	int r;

	/* uv takes a descriptor once: ours ends before the relay's begins. */
	close_handles(d);
	d->fd = -1;
	r = reply_accept(d->stream);
	if (r == 0)
		r = relay_new_fd(&f->relay, f->origins->loop, fd, fd, d->stream, d->mode,
				 relay_ended, f);
	else
		close_fd(fd);
	if (r < 0) {
		h2_stream_set_events(d->stream, NULL, NULL);
		h2_stream_reset(d->stream, H2_CODE_INTERNAL_ERROR);
		end_flow(f);
		return;
	}
	relay_preload_b(f->relay, &d->early, h2_stream_peer_ended(d->stream));
	end_dial(f);
}

/* ---- dialling ---- */

static void refuse(struct flow *f, enum stream_error why, const char *reason)
{
	struct h2_stream *stream = f->dial->stream;

	log_flow(f, "target not reached", reason);
	h2_stream_set_events(stream, NULL, NULL);
	reply_refuse(stream, why);
	end_flow(f);
}

static void connect_poll_cb(uv_poll_t *poll, int status, int events UNUSED)
{
	struct dial *d = poll->data;
	int r = tcp_socket_error(d->fd);

	if (r == 0 && status < 0)
		r = -ECONNABORTED;
	if (r < 0)
		refuse(d->flow, stream_error_of_errno(r), strerror(-r));
	else
		start_relay(d->flow);
}

static void connect_timer_cb(uv_timer_t *timer)
{
	struct dial *d = timer->data;

	refuse(d->flow, STREAM_ERROR_TIMEOUT, "connecting took too long");
}

static void early_data(void *ctx, struct h2_stream *stream, const uint8_t *data, size_t n)
{
	struct flow *f = ctx;

	if (buf_append(&f->dial->early, data, n) < 0) {
		h2_stream_reset(stream, H2_CODE_INTERNAL_ERROR);
		return;
	}
	io_loop_buffered(f->origins->loop, n);
}

static void stream_closed(void *ctx, struct h2_stream *stream UNUSED, uint32_t h2_code UNUSED)
{
	struct flow *f = ctx;

	log_flow(f, "dialling cancelled", "stream was reset");
	end_flow(f);
}

static const struct h2_stream_events dialling_events = {
	.on_data = early_data,
	.on_closed = stream_closed,
};

/* A socket on its way to the target, or -errno. */
static int connect_socket(const struct origin_request *req)
{
	const struct ip_addr any = {.family = 0};
	int fd = fd_leave_spare(tcp_socket_open(&req->target, &any));
	int r;

	if (fd < 0)
		return fd;
	tcp_socket_tune_origin(fd, req->keep_alive_ms);
	r = tcp_socket_connect(fd, &req->target);
	if (r == 0 || r == -EINPROGRESS)
		return fd;
	close_fd(fd);
	return r;
}

static int watch_connect(struct dial *d, uv_loop_t *uv, uint32_t timeout_ms)
{
	int r = uv_poll_init(uv, &d->poll, d->fd);

	if (r < 0)
		return r;
	uv_timer_init(uv, &d->timer);
	d->poll.data = d;
	d->timer.data = d;
	d->n_handles = 2;
	r = uv_poll_start(&d->poll, UV_WRITABLE, connect_poll_cb);
	if (r < 0)
		return r;
	return uv_timer_start(&d->timer, connect_timer_cb, timeout_ms, 0);
}

static struct flow *new_flow(struct origins *o, const struct origin_request *req)
{
	struct flow *f = xnew(struct flow);
	struct dial *d = xnew(struct dial);

	d->flow = f;
	d->stream = req->stream;
	d->mode = req->mode;
	d->fd = -1;
	buf_init(&d->early, EARLY_BYTES_MAX);
	f->origins = o;
	f->dial = d;
	o->n_dials++;
	if (!endpoint_equal(&req->requested, &req->target)) {
		f->requested = xnew(struct endpoint);
		*f->requested = req->requested;
	}
	f->target = req->target;
	f->conn_index = req->conn_index;
	list_append(&o->flows, &f->node);
	heap_peak_rise(&o->peak, ++o->n_flows);
	return f;
}

void origins_open(struct origins *o, const struct origin_request *req)
{
	struct flow *f;
	int r;

	if (req->max_flows && o->n_flows >= req->max_flows) {
		reply_flow_limited(req->stream);
		return;
	}
	f = new_flow(o, req);
	r = connect_socket(req);
	if (r >= 0) {
		f->dial->fd = r;
		r = watch_connect(f->dial, o->loop->uv, req->connect_timeout_ms);
	}
	if (r < 0) {
		shortage_note(&o->shortage, r, io_loop_now_ms(o->loop));
		refuse(f, stream_error_of_errno(r), strerror(-r));
		return;
	}
	h2_stream_set_events(req->stream, &dialling_events, f);
}

/* ---- all flows ---- */

static void abort_flow(struct flow *f, enum stream_error why, const char *reason)
{
	if (f->relay)
		relay_abort(f->relay);
	else
		refuse(f, why, reason);
}

void origins_abort_all(struct origins *o)
{
	struct list *pos, *tmp;

	list_for_each_safe (pos, tmp, &o->flows)
		abort_flow(list_entry(pos, struct flow, node), STREAM_ERROR_DRAINING, "shut down");
}

static void mark(struct list *node)
{
	struct flow *f = list_entry(node, struct flow, node);

	if (f->dial)
		f->dial->is_marked = true;
	else
		relay_mark(f->relay);
}

/* Nobody takes anything before the connection stands. */
static size_t stalled(struct list *node, uint64_t elapsed_ms)
{
	const struct flow *f = list_entry(node, struct flow, node);

	if (f->dial)
		return f->dial->is_marked ? buf_len(&f->dial->early) : 0;
	return relay_stalled(f->relay, elapsed_ms);
}

static void cut(struct list *node)
{
	struct flow *f = list_entry(node, struct flow, node);

	/* A relay says so itself, at its end. */
	abort_flow(f, STREAM_ERROR_LIMIT, "buffer-budget is used up and it isn't read");
}

unsigned int origins_relieve(struct origins *o, struct pressure *p)
{
	static const struct pressure_ops ops = {.mark = mark, .stalled = stalled, .cut = cut};

	return pressure_relieve(p, &o->loop->budget, &o->flows, &ops, io_loop_now_ms(o->loop));
}

struct origins *origins_free(struct origins *o)
{
	free(o);
	return NULL;
}
