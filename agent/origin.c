/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A flow has one owner of its stream and socket at a time: this file until the connect() is
 * through, then the relay, whose end is the flow's. What the edge sends meanwhile is kept within
 * the stream's window and counted in the loop's budget; its credit is the relay's to give.
 * A flow that has ended only waits for uv to let go of its handles (GONE).
 */

#include "agent/origin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "agent/reply.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "wire/h2_session.h"
#include "wire/h2_stream.h"
#include "wire/io_loop.h"
#include "wire/tcp_socket.h"

/* No stream window of ours is larger (wire/h2_session.h grows none): more is a broken peer. */
#define EARLY_BYTES_MAX (16 * 1024 * 1024)

enum flow_state {
	FLOW_STATE_DIALLING,
	FLOW_STATE_RELAYING,
	FLOW_STATE_GONE, /* waits for its uv handles only */
};

struct origins {
	struct io_loop *loop;
	struct list flows;
	size_t n_flows;
	void (*on_ended)(void *ctx);
	void *ctx;
};

struct flow {
	struct list node;
	struct origins *origins;
	struct origin_request req;
	enum flow_state state;
	int fd;		  /* -1 once the relay owns it */
	struct buf early; /* received before the connection stood */
	struct relay *relay;
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

/* ---- the end of a flow ---- */

static void handle_closed_cb(uv_handle_t *handle)
{
	struct flow *f = handle->data;

	if (--f->n_handles == 0 && f->state == FLOW_STATE_GONE)
		free(f);
}

static void close_handles(struct flow *f)
{
	if (f->n_handles && !uv_is_closing((uv_handle_t *)&f->poll)) {
		uv_close((uv_handle_t *)&f->poll, handle_closed_cb);
		uv_close((uv_handle_t *)&f->timer, handle_closed_cb);
	}
}

static void drop_early(struct flow *f)
{
	io_loop_unbuffered(f->origins->loop, buf_len(&f->early));
	buf_deinit(&f->early);
}

/* The flow's stream, descriptor and relay are somebody else's by now, or closed. */
static void end_flow(struct flow *f)
{
	struct origins *o = f->origins;

	close_handles(f);
	drop_early(f);
	f->fd = close_fd(f->fd);
	f->state = FLOW_STATE_GONE;
	list_remove(&f->node);
	o->n_flows--;
	if (f->n_handles == 0)
		free(f);
	o->on_ended(o->ctx);
}

static void log_flow(const struct flow *f, const char *message, const char *reason)
{
	char requested[ENDPOINT_TEXT_MAX], target[ENDPOINT_TEXT_MAX];

	log_debug(message, log_int("conn_index", f->req.conn_index),
		  log_text("destination", endpoint_format(&f->req.requested, requested)),
		  log_text("target", endpoint_format(&f->req.target, target)),
		  log_text("reason", reason));
}

/* ---- relaying ---- */

static void relay_ended(void *ctx, const struct relay_result *result)
{
	static const char *const reasons[] = {
		[RELAY_END_CLEAN] = "both ended",
		[RELAY_END_A_RESET] = "target failed",
		[RELAY_END_B_RESET] = "stream was reset",
		[RELAY_END_ABORTED] = "shut down",
	};
	struct flow *f = ctx;

	log_flow(f, "stream ended", reasons[result->end]);
	f->relay = NULL;
	end_flow(f);
}

static void start_relay(struct flow *f)
{
	struct h2_stream *stream = f->req.stream;
	bool peer_ended = h2_stream_peer_ended(stream);
	int fd = f->fd;
	int r;

	close_handles(f);
	f->fd = -1;
	r = reply_accept(stream);
	if (r == 0)
		r = relay_new_fd(&f->relay, f->origins->loop, fd, fd, stream, f->req.mode,
				 relay_ended, f);
	else
		close_fd(fd);
	if (r < 0) {
		h2_stream_set_events(stream, NULL, NULL);
		h2_stream_reset(stream, H2_CODE_INTERNAL_ERROR);
		end_flow(f);
		return;
	}
	f->state = FLOW_STATE_RELAYING;
	if (relay_preload_b(f->relay, buf_peek(&f->early), buf_len(&f->early), peer_ended) < 0)
		relay_abort(f->relay);
	drop_early(f);
}

/* ---- dialling ---- */

static void refuse(struct flow *f, enum stream_error why, const char *reason)
{
	struct h2_stream *stream = f->req.stream;

	log_flow(f, "target not reached", reason);
	h2_stream_set_events(stream, NULL, NULL);
	reply_refuse(stream, why);
	end_flow(f);
}

static void connect_poll_cb(uv_poll_t *poll, int status, int events)
{
	struct flow *f = poll->data;
	int r = tcp_socket_error(f->fd);

	(void)events;
	if (r == 0 && status < 0)
		r = -ECONNABORTED;
	if (r < 0)
		refuse(f, stream_error_of_errno(r), strerror(-r));
	else
		start_relay(f);
}

static void connect_timer_cb(uv_timer_t *timer)
{
	refuse(timer->data, STREAM_ERROR_TIMEOUT, "connecting took too long");
}

static void early_data(void *ctx, struct h2_stream *stream, const uint8_t *data, size_t n)
{
	struct flow *f = ctx;

	if (buf_append(&f->early, data, n) < 0) {
		h2_stream_reset(stream, H2_CODE_INTERNAL_ERROR);
		return;
	}
	io_loop_buffered(f->origins->loop, n);
}

static void stream_closed(void *ctx, struct h2_stream *stream, uint32_t h2_code)
{
	struct flow *f = ctx;

	(void)stream;
	(void)h2_code;
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
	int fd = tcp_socket_open(&req->target, &any);
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

static int watch_connect(struct flow *f)
{
	uv_loop_t *uv = f->origins->loop->uv;
	int r = uv_poll_init(uv, &f->poll, f->fd);

	if (r < 0)
		return r;
	uv_timer_init(uv, &f->timer);
	f->poll.data = f;
	f->timer.data = f;
	f->n_handles = 2;
	r = uv_poll_start(&f->poll, UV_WRITABLE, connect_poll_cb);
	if (r < 0)
		return r;
	return uv_timer_start(&f->timer, connect_timer_cb, f->req.connect_timeout_ms, 0);
}

void origins_open(struct origins *o, const struct origin_request *req)
{
	struct flow *f;
	int r;

	if (req->max_flows && o->n_flows >= req->max_flows) {
		reply_flow_limited(req->stream);
		return;
	}
	f = xnew(struct flow);
	f->origins = o;
	f->req = *req;
	f->fd = -1;
	buf_init(&f->early, EARLY_BYTES_MAX);
	list_append(&o->flows, &f->node);
	o->n_flows++;
	r = connect_socket(req);
	if (r >= 0) {
		f->fd = r;
		r = watch_connect(f);
	}
	if (r < 0)
		refuse(f, stream_error_of_errno(r), strerror(-r));
	else
		h2_stream_set_events(req->stream, &dialling_events, f);
}

/* ---- all flows ---- */

static void abort_flow(struct flow *f)
{
	if (f->state == FLOW_STATE_RELAYING)
		relay_abort(f->relay);
	else
		refuse(f, STREAM_ERROR_DRAINING, "shut down");
}

void origins_abort_all(struct origins *o)
{
	struct list *pos, *tmp;

	list_for_each_safe (pos, tmp, &o->flows)
		abort_flow(list_entry(pos, struct flow, node));
}

struct origins *origins_free(struct origins *o)
{
	free(o);
	return NULL;
}
