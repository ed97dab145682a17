/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Flows of one idle time are in one list, the longest idle first: a datagram moves its flow to the
 * end, and the tick looks at the heads only.
 *
 * A flow that has ended is off its list and silent; it waits for uv to let go of its handle.
 */

#include "agent/datagram_origins.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#include "agent/echo_origin.h"
#include "agent/reply.h"
#include "agent/shortage.h"
#include "agent/udp_origin.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "wire/datagram_stream.h"
#include "wire/h2_session.h"
#include "wire/h2_stream.h"
#include "wire/io_loop.h"

#define TICK_MS 1000

#define DNS_PORT 53

/* Datagrams read at once, and such reads per turn: one flow must not keep the others waiting. */
#define BATCH_N	    16
#define BATCHES_MAX 4
#define PACKET_MAX  65536

/* An error queue holds what the socket's buffer allows; the rest is for the next turn. */
#define ERRORS_MAX 64

enum idle_class {
	IDLE_USUAL,
	IDLE_DNS,
	IDLE_ECHO,
	IDLE_N,
};

static const uint64_t idle_ms[IDLE_N] = {
	[IDLE_USUAL] = DATAGRAM_IDLE_MS,
	[IDLE_DNS] = DATAGRAM_IDLE_DNS_MS,
	[IDLE_ECHO] = DATAGRAM_IDLE_ECHO_MS,
};

static const struct datagram_socket_ops *const socket_ops[DATAGRAM_KIND_N] = {
	[DATAGRAM_UDP] = &udp_origin_ops,
	[DATAGRAM_ECHO] = &echo_origin_ops,
};

struct datagram_origins {
	struct io_loop *loop;
	uint64_t (*now_ms)(void);
	void (*on_ended)(void *ctx);
	void *ctx;
	struct list idle[IDLE_N];
	struct datagram_origins_stats stats;
	uv_timer_t timer;
	struct mmsghdr messages[BATCH_N];
	struct iovec iov[BATCH_N];
	bool told_no_ping;
	struct shortage shortage;
	uint8_t *packets; /* BATCH_N of PACKET_MAX; used within one read callback only */
};

struct flow {
	struct list node;
	struct datagram_origins *origins;
	struct datagram_request req; /* its stream is not ours any more */
	struct datagram_socket socket;
	struct datagram_stream *stream; /* NULL: ended */
	enum idle_class idle;
	uint64_t last_ms;
	uint64_t n_dropped; /* by the socket */
	uv_poll_t poll;
};

/* ---- the end of a flow ---- */

static void poll_closed_cb(uv_handle_t *handle)
{
	free(container_of(handle, struct flow, poll));
}

/* An echo has no port. */
static const char *show(const struct endpoint *ep, char out[ENDPOINT_TEXT_MAX])
{
	return ep->port ? endpoint_format(ep, out) : ip_format(&ep->ip, out);
}

static void log_flow(const struct flow *f, const char *message, const char *reason)
{
	char requested[ENDPOINT_TEXT_MAX], target[ENDPOINT_TEXT_MAX];

	log_debug(message, log_int("conn_index", f->req.conn_index),
		  log_text("protocol", socket_ops[f->req.kind]->name),
		  log_text("destination", show(&f->req.requested, requested)),
		  log_text("target", show(&f->req.target, target)),
		  log_int("dropped", (int64_t)f->n_dropped), log_text("reason", reason));
}

static void end_flow(struct flow *f, const char *reason)
{
	struct datagram_origins *o = f->origins;
	struct datagram_stream_stats stats;

	datagram_stream_get_stats(f->stream, &stats);
	f->n_dropped += stats.n_dropped;
	o->stats.n_dropped += stats.n_dropped;
	f->stream = datagram_stream_free(f->stream);
	log_flow(f, "datagram flow ended", reason);
	list_remove(&f->node);
	o->stats.n_flows--;
	uv_close((uv_handle_t *)&f->poll, poll_closed_cb);
	f->socket.fd = close_fd(f->socket.fd);
	if (o->stats.n_flows == 0)
		uv_timer_stop(&o->timer);
	o->on_ended(o->ctx);
}

/* ---- idle ---- */

static void touch(struct flow *f)
{
	f->last_ms = f->origins->now_ms();
	list_remove(&f->node);
	list_append(&f->origins->idle[f->idle], &f->node);
}

void datagram_origins_tick(struct datagram_origins *o, uint64_t now_ms)
{
	for (size_t i = 0; i < IDLE_N; i++) {
		while (!list_is_empty(&o->idle[i])) {
			struct flow *f = list_entry(o->idle[i].next, struct flow, node);

			if (now_ms < f->last_ms + idle_ms[i])
				break;
			end_flow(f, "idle");
		}
	}
}

static void tick_cb(uv_timer_t *timer)
{
	struct datagram_origins *o = container_of(timer, struct datagram_origins, timer);

	datagram_origins_tick(o, o->now_ms());
}

/* ---- from the target ---- */

static void deliver(struct flow *f, const uint8_t *packet, size_t n)
{
	const uint8_t *data = f->socket.ops->unwrap(&f->socket, packet, &n);

	if (!data)
		return;
	touch(f);
	/* What finds no room is counted by the stream. */
	if (datagram_stream_send(f->stream, data, n) == 0)
		f->origins->stats.n_from_target++;
}

/* Returns how many; fewer than BATCH_N: there are no more. */
static unsigned int read_batch(struct flow *f)
{
	struct datagram_origins *o = f->origins;
	int n = recvmmsg(f->socket.fd, o->messages, BATCH_N, MSG_DONTWAIT, NULL);

	for (int i = 0; i < n; i++)
		deliver(f, o->iov[i].iov_base, o->messages[i].msg_len);
	return n > 0 ? (unsigned int)n : 0;
}

static void take_errors(struct flow *f)
{
	for (unsigned int i = 0; i < ERRORS_MAX; i++) {
		uint8_t type, code;

		switch (datagram_socket_take_error(&f->socket, &type, &code)) {
		case DATAGRAM_SOCKET_NO_ERROR:
			return;
		case DATAGRAM_SOCKET_ICMP_ERROR:
			(void)datagram_stream_send_icmp_error(f->stream, type, code);
			break;
		case DATAGRAM_SOCKET_OTHER_ERROR:
			break;
		}
	}
}

static void readable_cb(uv_poll_t *poll, int status, int events UNUSED)
{
	struct flow *f = container_of(poll, struct flow, poll);

	if (status < 0) {
		/* uv stops watching when the kernel reports an error. */
		take_errors(f);
		if (uv_poll_start(poll, UV_READABLE, readable_cb) < 0)
			end_flow(f, "its socket can't be watched");
		return;
	}
	for (unsigned int i = 0; i < BATCHES_MAX; i++) {
		if (read_batch(f) < BATCH_N)
			return;
	}
}

/* ---- from the edge ---- */

/* What this host's own routes say, in the words that a router would have for it. */
static const struct {
	int error;
	uint8_t v4_code; /* of type 3 */
	uint8_t v6_code; /* of type 1 */
} unreachable[] = {
	{-ENETUNREACH, 0, 0},
	{-EHOSTUNREACH, 1, 3},
	{-ENETDOWN, 0, 0},
};

static void tell_unreachable(struct flow *f, int r)
{
	bool v6 = f->socket.family == AF_INET6;

	for (size_t i = 0; i < ARRAY_SIZE(unreachable); i++) {
		if (unreachable[i].error != r)
			continue;
		(void)datagram_stream_send_icmp_error(f->stream, v6 ? 1 : 3,
						      v6 ? unreachable[i].v6_code
							 : unreachable[i].v4_code);
	}
}

static void on_datagram(void *ctx, const uint8_t *data, size_t n)
{
	struct flow *f = ctx;
	int r = f->socket.ops->send(&f->socket, data, n);

	touch(f);
	if (r < 0 && r != -EMSGSIZE && r != -EAGAIN) {
		/* The error of an earlier datagram, which stood in this one's way. */
		take_errors(f);
		r = f->socket.ops->send(&f->socket, data, n);
	}
	if (r < 0) {
		tell_unreachable(f, r);
		f->n_dropped++;
		f->origins->stats.n_dropped++;
	} else {
		f->origins->stats.n_to_target++;
	}
}

/* Clients have nothing to report that a target could be told. */
static void on_icmp_error(void *ctx UNUSED, uint8_t type UNUSED, uint8_t code UNUSED)
{
}

static void on_end(void *ctx, enum datagram_end why)
{
	static const char *const reasons[] = {
		[DATAGRAM_END_PEER] = "the client ended it",
		[DATAGRAM_END_RESET] = "stream was reset",
		[DATAGRAM_END_BAD] = "the edge sent no capsule",
	};

	end_flow(ctx, reasons[why]);
}

static const struct datagram_stream_events stream_events = {
	.on_datagram = on_datagram,
	.on_icmp_error = on_icmp_error,
	.on_end = on_end,
};

/* ---- opening ---- */

static enum idle_class idle_class_of(const struct datagram_request *req)
{
	if (req->kind == DATAGRAM_ECHO)
		return IDLE_ECHO;
	return req->requested.port == DNS_PORT ? IDLE_DNS : IDLE_USUAL;
}

static enum stream_error error_of(const struct flow *f, int r)
{
	if (f->req.kind == DATAGRAM_ECHO && r == ECHO_E_NOT_ALLOWED)
		return STREAM_ERROR_PING_UNAVAILABLE;
	return stream_error_of_errno(r);
}

/* In the log once; `adit status` says it whenever it is asked. */
static void say_no_ping(struct datagram_origins *o)
{
	if (!o->told_no_ping)
		log_warn("ICMP echo is not served: the host lets this process send none",
			 log_text("sysctl", "net.ipv4.ping_group_range"));
	o->told_no_ping = true;
}

static void refuse(struct flow *f, int r)
{
	if (error_of(f, r) == STREAM_ERROR_PING_UNAVAILABLE)
		say_no_ping(f->origins);
	shortage_note(&f->origins->shortage, r, f->origins->now_ms());
	log_flow(f, "target not reached", strerror(-r));
	reply_refuse(f->req.stream, error_of(f, r));
	close_fd(f->socket.fd);
	free(f);
}

static void start(struct flow *f)
{
	struct datagram_origins *o = f->origins;

	/* A client that leaves its half open must not keep the stream. */
	h2_stream_reset_after_end(f->req.stream);
	f->stream = datagram_stream_new(o->loop, f->req.stream, &stream_events, f);
	list_append(&o->idle[f->idle], &f->node);
	touch(f);
	if (o->stats.n_flows++ == 0)
		uv_timer_start(&o->timer, tick_cb, TICK_MS, TICK_MS);
	o->stats.n_opened++;
}

static int watch(struct flow *f)
{
	int r = uv_poll_init(f->origins->loop->uv, &f->poll, f->socket.fd);

	if (r < 0)
		return r;
	/* Can't fail for a descriptor that was just taken. */
	r = uv_poll_start(&f->poll, UV_READABLE, readable_cb);
	assert(r == 0);
	return r;
}

void datagram_origins_open(struct datagram_origins *o, const struct datagram_request *req)
{
	struct flow *f;
	int r;

	if (o->stats.n_flows >= req->max_flows) {
		reply_flow_limited(req->stream);
		return;
	}
	f = xnew(struct flow);
	f->origins = o;
	f->req = *req;
	f->idle = idle_class_of(req);
	f->socket = (struct datagram_socket){
		.ops = socket_ops[req->kind], .fd = -1, .family = req->target.ip.family};
	list_init(&f->node);
	r = f->socket.ops->open(&f->socket, &req->target);
	if (r == 0)
		r = watch(f);
	if (r < 0) {
		refuse(f, r);
		return;
	}
	/* It can't be answered only when it is lost already; its end comes as an event. */
	(void)reply_datagrams(req->stream);
	start(f);
}

/* ---- all flows ---- */

void datagram_origins_end_all(struct datagram_origins *o)
{
	for (size_t i = 0; i < IDLE_N; i++) {
		while (!list_is_empty(&o->idle[i]))
			end_flow(list_entry(o->idle[i].next, struct flow, node), "shut down");
	}
}

size_t datagram_origins_count(const struct datagram_origins *o)
{
	return o->stats.n_flows;
}

void datagram_origins_get_stats(const struct datagram_origins *o,
				struct datagram_origins_stats *out)
{
	*out = o->stats;
}

/* ---- life ---- */

static void aim_messages(struct datagram_origins *o)
{
	for (size_t i = 0; i < BATCH_N; i++) {
		o->iov[i] = (struct iovec){.iov_base = o->packets + i * PACKET_MAX,
					   .iov_len = PACKET_MAX};
		o->messages[i].msg_hdr.msg_iov = &o->iov[i];
		o->messages[i].msg_hdr.msg_iovlen = 1;
	}
}

struct datagram_origins *datagram_origins_new(struct io_loop *loop, uint64_t (*now_ms)(void),
					      void (*on_ended)(void *ctx), void *ctx)
{
	struct datagram_origins *o = xnew(struct datagram_origins);

	o->loop = loop;
	o->now_ms = now_ms ? now_ms : clock_boot_ms;
	o->on_ended = on_ended;
	o->ctx = ctx;
	/* Only the pages that datagrams have touched are memory. */
	o->packets = xzalloc((size_t)BATCH_N * PACKET_MAX);
	aim_messages(o);
	for (size_t i = 0; i < IDLE_N; i++)
		list_init(&o->idle[i]);
	uv_timer_init(loop->uv, &o->timer);
	return o;
}

static void nobody(void *ctx UNUSED)
{
}

static void timer_closed_cb(uv_handle_t *handle)
{
	struct datagram_origins *o = container_of(handle, struct datagram_origins, timer);

	free(o->packets);
	free(o);
}

struct datagram_origins *datagram_origins_free(struct datagram_origins *o)
{
	if (!o)
		return NULL;
	o->on_ended = nobody;
	datagram_origins_end_all(o);
	uv_close((uv_handle_t *)&o->timer, timer_closed_cb);
	return NULL;
}
