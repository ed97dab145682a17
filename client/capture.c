/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Each device is read until it is empty, at most so many frames a turn, so that links and sockets
 * have their turns. A verdict's frame lies in the buffer that was read into or in the engine's
 * own: it is written before anything else is asked of the engine.
 */

#include "client/capture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "client/capture_private.h"
#include "routing/prefix_set.h"
#include "tun/netlink_addr_get.h"
#include "tun/packet.h"
#include "tun/tun_addresses.h"
#include "wire/io_loop.h"
#include "wire/tcp_socket.h"
#include "wire/tls_crypto.h"

#define FRAMES_PER_TURN 64
/* Time limits are in seconds: no need to look more often. */
#define TICK_MIN_MS 100

#define SOURCE_KNOWN_MS 1000

uint64_t capture_now_ms(const struct capture *c)
{
	return io_loop_now_ms(c->opt.loop);
}

enum nat_refusal capture_refusal(enum stream_error error)
{
	static const enum nat_refusal of[STREAM_ERROR_N] = {
		[STREAM_ERROR_REFUSED] = NAT_REFUSED,
		[STREAM_ERROR_TIMEOUT] = NAT_UNREACHABLE,
		[STREAM_ERROR_UNREACHABLE] = NAT_UNREACHABLE,
		[STREAM_ERROR_FORBIDDEN] = NAT_FORBIDDEN,
		[STREAM_ERROR_LIMIT] = NAT_UNREACHABLE,
		[STREAM_ERROR_DRAINING] = NAT_NO_ROUTE,
		[STREAM_ERROR_BAD_DESTINATION] = NAT_UNREACHABLE,
		[STREAM_ERROR_NO_ROUTE] = NAT_NO_ROUTE,
		[STREAM_ERROR_NOT_GRANTED] = NAT_FORBIDDEN,
		[STREAM_ERROR_CONNECTOR_DOWN] = NAT_NO_ROUTE,
		[STREAM_ERROR_NO_NETWORK] = NAT_NO_ROUTE,
		[STREAM_ERROR_UNAUTHENTICATED] = NAT_FORBIDDEN,
		[STREAM_ERROR_UNSUPPORTED] = NAT_FORBIDDEN,
		[STREAM_ERROR_INTERNAL] = NAT_UNREACHABLE,
		[STREAM_ERROR_PING_UNAVAILABLE] = NAT_FORBIDDEN,
	};

	return of[error];
}

/* A machine that forwards sends them in bursts: each second one question per source in a row. */
bool capture_source_is_local(void *capture, const struct ip_addr *source)
{
	struct capture *c = capture;
	struct capture_source *last = &c->last_source;
	uint64_t now_ms = capture_now_ms(c);

	if (now_ms < last->until_ms && ip_equal(source, &last->ip))
		return last->is_local;
	*last = (struct capture_source){.ip = *source, .until_ms = now_ms + SOURCE_KNOWN_MS};
	if (netlink_address_exists(source, &last->is_local) < 0)
		last->is_local = false;
	return last->is_local;
}

/* ---- writing ---- */

/* EIO: set down; EBADFD: deleted. */
static void break_down(struct capture *c, int error)
{
	if (c->is_broken)
		return;
	c->is_broken = true;
	for (size_t i = 0; i < NAT_SIDE_N; i++) {
		if (c->devices[i].fd >= 0)
			uv_poll_stop(&c->devices[i].poll);
	}
	c->opt.on_broken(c->ctx, error);
}

static int device_fd(const struct capture *c, enum nat_side side)
{
	return c->devices[side].fd >= 0 ? c->devices[side].fd : c->devices[NAT_SIDE_A].fd;
}

void capture_write(struct capture *c, enum nat_side to, const struct nat_frame *frame)
{
	if (write(device_fd(c, to), frame->bytes, frame->n) >= 0)
		return;
	c->n_write_failures++;
	if (errno == EIO || errno == EBADFD)
		break_down(c, -errno);
}

void capture_answer(struct capture *c, struct nat_flow *flow, const uint8_t *data, size_t n)
{
	struct nat_frame frame;

	if (nat_build_udp(c->nat, flow, data, n, capture_now_ms(c), &frame) == 0)
		capture_write(c, NAT_SIDE_A, &frame);
}

/* ---- reading ---- */

static void act(struct capture *c, struct nat_verdict *v)
{
	switch (v->action) {
	case NAT_FORWARD:
	case NAT_REPLY:
		capture_write(c, v->to, &v->frame);
		break;
	case NAT_HOLD:
		capture_tcp_ask(c, v->flow);
		break;
	case NAT_DATAGRAM:
	case NAT_ECHO:
		capture_datagrams(c, v);
		break;
	case NAT_DROP:
	case NAT_ACTION_N:
		break;
	}
}

static void feed(struct capture_device *d, size_t n)
{
	struct capture *c = d->capture;
	struct nat_verdict v = {0};

	if (d->side == NAT_SIDE_A)
		nat_feed_a(c->nat, c->frame, n, capture_now_ms(c), &v);
	else
		nat_feed_b(c->nat, c->frame, n, capture_now_ms(c), &v);
	act(c, &v);
}

static void read_device(struct capture_device *d)
{
	struct capture *c = d->capture;

	for (size_t i = 0; i < FRAMES_PER_TURN && !c->is_broken; i++) {
		ssize_t n = read(d->fd, c->frame, PACKET_FRAME_MAX);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			break_down(c, -errno);
			return;
		}
		feed(d, (size_t)n);
	}
	capture_arm_tick(c);
}

static void on_device(uv_poll_t *poll, int status, int events UNUSED)
{
	struct capture_device *d = container_of(poll, struct capture_device, poll);

	if (status < 0)
		break_down(d->capture, status);
	else
		read_device(d);
}

/* ---- the listeners ---- */

/* One that was reset meanwhile has no peer any more, and port 0 is nobody's. */
static void on_accept(void *ctx, int fd)
{
	const struct capture_listener *l = ctx;
	struct endpoint peer = {0};

	(void)tcp_socket_peer(fd, &peer);
	capture_tcp_accepted(l->capture, fd, l->is_v6, peer.port);
}

/* ---- time ---- */

static void on_tick(uv_timer_t *timer)
{
	struct capture *c = container_of(timer, struct capture, tick);

	capture_tcp_tick(c, capture_now_ms(c));
	(void)nat_tick(c->nat, capture_now_ms(c));
	capture_arm_tick(c);
}

/* A flow that came since may be due before what the timer was set for. */
void capture_arm_tick(struct capture *c)
{
	uint64_t next_ms = flow_table_next_deadline(nat_flows(c->nat));
	uint64_t tcp_ms = capture_tcp_next_ms(c);
	uint64_t now_ms = capture_now_ms(c);
	uint64_t delay_ms = TICK_MIN_MS;

	if (tcp_ms < next_ms)
		next_ms = tcp_ms;
	if (next_ms == UINT64_MAX || uv_is_closing((uv_handle_t *)&c->tick))
		return;
	if (next_ms > now_ms + TICK_MIN_MS)
		delay_ms = next_ms - now_ms;
	if (!uv_is_active((uv_handle_t *)&c->tick) || uv_timer_get_due_in(&c->tick) > delay_ms)
		uv_timer_start(&c->tick, on_tick, delay_ms, 0);
}

/* ---- flows that the engine let go ---- */

static void on_gone(void *ctx, struct nat_flow *flow, enum nat_end why,
		    const struct nat_frame *answer)
{
	struct capture *c = ctx;

	if (answer)
		capture_write(c, NAT_SIDE_A, answer);
	if (flow->key.transport == IPPROTO_TCP)
		capture_tcp_gone(flow, why);
	else
		capture_datagram_gone(flow);
}

bool capture_stays(const struct capture *c, const struct ip_addr *target,
		   const struct prefix_set *captured)
{
	return captured &&
	       (prefix_set_contains_ip(captured, target) ||
		ip_equal(target, &c->opt.nat->v4.peer) || ip_equal(target, &c->opt.nat->v6.peer));
}

void capture_leave(struct capture *c, const struct prefix_set *captured)
{
	capture_tcp_leave(c, captured);
	capture_datagram_leave(c, captured);
}

/* ---- life ---- */

static struct nat_family family_of(const struct ip_addr *local, const struct ip_addr *peer,
				   uint16_t port)
{
	return (struct nat_family){
		.local = *local, .listener = *local, .listener_port = port, .peer = *peer};
}

void capture_nat_config(struct nat_config *n, const struct tun_addresses *a, uint16_t port)
{
	nat_config_init(n);
	n->v4 = family_of(&a->local4, &a->peer4, port);
	n->v6 = family_of(&a->local6, &a->peer6, port);
	random_bytes(n->hash_seed, sizeof(n->hash_seed));
}

static void handle_closed_cb(uv_handle_t *handle)
{
	struct capture *c = handle->data;

	if (--c->n_handles > 0)
		return;
	nat_free(c->nat);
	free(c->frame);
	free(c->echo);
	free(c);
}

static int watch_device(struct capture_device *d, int fd)
{
	int r = uv_poll_init(d->capture->opt.loop->uv, &d->poll, fd);

	if (r < 0)
		return r;
	d->fd = fd;
	d->poll.data = d->capture;
	d->capture->n_handles++;
	return uv_poll_start(&d->poll, UV_READABLE, on_device);
}

static int watch_all(struct capture *c)
{
	const int fds[NAT_SIDE_N] = {c->opt.user_fd, c->opt.private_fd};
	const int listen_fds[] = {c->opt.listen4_fd, c->opt.listen6_fd};
	int r = 0;

	for (size_t i = 0; r == 0 && i < NAT_SIDE_N; i++) {
		if (fds[i] >= 0)
			r = watch_device(&c->devices[i], fds[i]);
	}
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(listen_fds); i++) {
		if (listen_fds[i] >= 0)
			r = acceptor_new_fd(&c->listeners[i].acceptor, c->opt.loop->uv,
					    listen_fds[i], on_accept, &c->listeners[i]);
	}
	return r;
}

static void init_parts(struct capture *c)
{
	list_init(&c->tcp_flows);
	list_init(&c->arriving);
	list_init(&c->passes);
	for (unsigned int i = 0; i < NAT_SIDE_N; i++)
		c->devices[i] =
			(struct capture_device){.capture = c, .fd = -1, .side = (enum nat_side)i};
	for (size_t i = 0; i < ARRAY_SIZE(c->listeners); i++)
		c->listeners[i] = (struct capture_listener){.capture = c, .is_v6 = i == 1};
	uv_timer_init(c->opt.loop->uv, &c->tick);
	c->tick.data = c;
	c->n_handles++;
	c->frame = xzalloc(PACKET_FRAME_MAX);
	c->echo = xzalloc(PACKET_FRAME_MAX);
}

int capture_new(struct capture **cp, const struct capture_options *opt, void *ctx)
{
	struct capture *c = xnew(struct capture);
	int r;

	c->nat_events = (struct nat_events){.ctx = c, .on_gone = on_gone};
	r = nat_new(&c->nat, opt->nat, &c->nat_events);
	if (r < 0) {
		free(c);
		return r;
	}
	c->opt = *opt;
	c->ctx = ctx;
	init_parts(c);
	r = watch_all(c);
	if (r < 0) {
		capture_free(c);
		return r;
	}
	*cp = c;
	return 0;
}

void capture_free(struct capture *c)
{
	if (!c)
		return;
	capture_leave(c, NULL);
	for (size_t i = 0; i < NAT_SIDE_N; i++) {
		if (c->devices[i].fd >= 0)
			uv_close((uv_handle_t *)&c->devices[i].poll, handle_closed_cb);
	}
	for (size_t i = 0; i < ARRAY_SIZE(c->listeners); i++)
		acceptor_free(c->listeners[i].acceptor);
	uv_close((uv_handle_t *)&c->tick, handle_closed_cb);
}

/* ---- what there is ---- */

static json_t *drops_json(const struct nat_stats *stats)
{
	json_t *drops = json_object();

	for (unsigned int i = DROP_NONE + 1; i < DROP_N; i++) {
		if (stats->dropped[i])
			json_object_set_new(drops, drop_reason_text((enum drop_reason)i),
					    json_integer((json_int_t)stats->dropped[i]));
	}
	return drops;
}

struct json_t *capture_json(const struct capture *c)
{
	const struct nat_stats *stats = nat_stats(c->nat);

	return json_pack(
		"{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "tcp", (json_int_t)c->counts.n_tcp,
		"udp", (json_int_t)c->counts.n_udp, "echo", (json_int_t)c->counts.n_echo, "held",
		(json_int_t)flow_table_count(nat_flows(c->nat), FLOW_STATE_HELD), "asked",
		(json_int_t)stats->asked, "refused", (json_int_t)stats->refused, "write_failures",
		(json_int_t)c->n_write_failures, "dropped", drops_json(stats));
}
