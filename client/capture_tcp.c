/* SPDX-License-Identifier: Apache-2.0 */

/*
 *   WAITING   there is no link to the edge: the next try decides
 *   ASKING    CONNECT was sent
 *   ARRIVING  accepted by the edge (or ours to serve): the SYN is on its way to the listener
 *   RELAYING  the accepted socket and the stream are a relay's; the engine's flow lives its own
 * life
 *
 * Until RELAYING the engine's flow points here and this points to it; whichever ends first tells
 * the other. A connection that is refused is a flow less, with the reason in the application's
 * hands; one that the application gives up takes its question with it.
 */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "client/capture_private.h"
#include "client/connect_stream.h"
#include "client/keeper.h"
#include "wire/h2_session.h"
#include "wire/tcp_socket.h"

/* A kernel that took the SYN answers at once; longer is a connection that nobody wants. */
#define ARRIVE_MS 60000

/*
 * The device's queue is short, and a RST that it drops isn't sent again: the answer to a probe is
 * what tells that a program is gone. Probes don't leave this machine.
 */
#define KEEP_ALIVE_MS 30000

enum tcp_state {
	TCP_STATE_WAITING,
	TCP_STATE_ASKING,
	TCP_STATE_ARRIVING,
	TCP_STATE_RELAYING,
	TCP_STATE_ENDED,
	TCP_STATE_N,
};

struct tcp_flow {
	struct list node; /* in capture.tcp_flows or .arriving */
	struct capture *capture;
	struct nat_flow *flow; /* NULL from RELAYING on */
	struct ip_addr target;
	enum tcp_state state;
	bool is_local; /* for capture_local: no stream */
	uint64_t deadline_ms;
	struct keeper_waiter waiter;	/* WAITING */
	struct connect_stream *request; /* ASKING, ARRIVING */
	struct relay *relay;		/* RELAYING */
};

#define MAY(state) (1u << TCP_STATE_##state)

static const struct {
	const char *name;
	unsigned int next; /* states that may follow */
} states[TCP_STATE_N] = {
	[TCP_STATE_WAITING] = {"waiting", MAY(WAITING) | MAY(ASKING) | MAY(ARRIVING) | MAY(ENDED)},
	[TCP_STATE_ASKING] = {"asking", MAY(ARRIVING) | MAY(ENDED)},
	[TCP_STATE_ARRIVING] = {"arriving", MAY(RELAYING) | MAY(ENDED)},
	[TCP_STATE_RELAYING] = {"relaying", MAY(ENDED)},
	[TCP_STATE_ENDED] = {"ended", 0},
};

static void set_state(struct tcp_flow *t, enum tcp_state to)
{
	assert(states[t->state].next & (1u << to));
	log_debug("captured connection", log_text("from", states[t->state].name),
		  log_text("to", states[to].name));
	t->state = to;
}

/* ---- end ---- */

/* The engine's flow must have been let go of. */
static void end(struct tcp_flow *t)
{
	set_state(t, TCP_STATE_ENDED);
	keeper_forget(&t->waiter);
	connect_stream_free(t->request);
	list_remove(&t->node);
	t->capture->counts.n_tcp--;
	free(t);
}

static void refuse(struct tcp_flow *t, enum nat_refusal why)
{
	struct capture *c = t->capture;
	struct nat_frame answer;

	nat_refuse(c->nat, t->flow, why, capture_now_ms(c), &answer);
	capture_write(c, NAT_SIDE_A, &answer);
	end(t);
}

/* ---- from the answer to the socket ---- */

static void admit(struct tcp_flow *t)
{
	struct capture *c = t->capture;
	struct nat_frame syn;

	set_state(t, TCP_STATE_ARRIVING);
	t->deadline_ms = capture_now_ms(c) + ARRIVE_MS;
	list_remove(&t->node);
	list_append(&c->arriving, &t->node);
	nat_admit(c->nat, t->flow, capture_now_ms(c), &syn);
	capture_write(c, NAT_SIDE_B, &syn);
	capture_arm_tick(c);
}

static void on_relay_done(void *ctx, const struct relay_result *result UNUSED)
{
	end(ctx);
}

static void join(struct tcp_flow *t, int fd)
{
	struct connect_stream *request = steal_ptr(t->request);

	t->flow->user = NULL;
	t->flow = NULL;
	list_remove(&t->node);
	list_append(&t->capture->tcp_flows, &t->node);
	set_state(t, TCP_STATE_RELAYING);
	if (connect_stream_join(request, fd, fd, on_relay_done, t, &t->relay) < 0)
		end(t);
}

static void hand_over(struct tcp_flow *t, int fd)
{
	struct capture *c = t->capture;

	t->flow->user = NULL;
	end(t);
	c->opt.local->on_connection(c->opt.local_ctx, fd);
}

/* Nobody's any more: the application hears a reset and not an end. */
static void close_reset(int fd)
{
	const struct linger reset = {.l_onoff = 1};

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close_fd(fd);
}

void capture_tcp_accepted(struct capture *c, int fd, bool is_v6, uint16_t peer_port)
{
	struct nat_flow *flow = nat_flow_of_peer(c->nat, is_v6, peer_port);
	struct tcp_flow *t = flow ? flow->user : NULL;

	if (!t || t->state != TCP_STATE_ARRIVING) {
		close_reset(fd);
		return;
	}
	tcp_socket_tune_origin(fd, KEEP_ALIVE_MS);
	if (t->is_local)
		hand_over(t, fd);
	else
		join(t, fd);
}

/* ---- asking ---- */

static void on_answer(void *ctx, const struct connect_answer *answer)
{
	struct tcp_flow *t = ctx;

	if (answer->why == CLIENT_EXIT_OK)
		admit(t);
	else if (answer->error != STREAM_ERROR_NONE)
		refuse(t, capture_refusal(answer->error));
	else
		refuse(t, NAT_UNREACHABLE);
}

/* The application has its SYN-ACK, or nearly: all that is left to say is a reset. */
static void on_lost(void *ctx)
{
	struct tcp_flow *t = ctx;

	t->flow->user = NULL;
	nat_forget(t->capture->nat, t->flow, capture_now_ms(t->capture));
	end(t);
}

static const struct connect_stream_events stream_events = {
	.on_answer = on_answer,
	.on_lost = on_lost,
};

static void ask(struct tcp_flow *t, struct h2_session *session)
{
	struct capture *c = t->capture;
	struct connect_stream_options opt = {
		.loop = c->opt.loop,
		.session = session,
		.target = nat_flow_dst(t->flow),
		.token = c->opt.token,
	};

	if (c->opt.network_of(c->ctx, &opt.target.ip, &opt.network) < 0) {
		refuse(t, NAT_NO_ROUTE);
		return;
	}
	set_state(t, TCP_STATE_ASKING);
	if (connect_stream_new(&t->request, &opt, &stream_events, t) != 0)
		refuse(t, NAT_UNREACHABLE);
}

static void on_decided(struct keeper_waiter *waiter, enum client_exit why, const char *text UNUSED)
{
	struct tcp_flow *t = container_of(waiter, struct tcp_flow, waiter);
	struct h2_session *session = keeper_session(t->capture->opt.keeper);

	if (why == CLIENT_EXIT_OK && session)
		ask(t, session);
	else
		refuse(t, NAT_NO_ROUTE);
}

static bool is_ours(const struct capture *c, const struct endpoint *target)
{
	return c->opt.local && target->port == c->opt.local->port &&
	       (ip_equal(&target->ip, &c->opt.nat->v4.peer) ||
		ip_equal(&target->ip, &c->opt.nat->v6.peer));
}

void capture_tcp_ask(struct capture *c, struct nat_flow *flow)
{
	struct h2_session *session = keeper_session(c->opt.keeper);
	struct endpoint target = nat_flow_dst(flow);
	struct tcp_flow *t = xnew(struct tcp_flow);

	t->capture = c;
	t->flow = flow;
	t->target = target.ip;
	t->waiter.on_decided = on_decided;
	flow->user = t;
	list_append(&c->tcp_flows, &t->node);
	c->counts.n_tcp++;
	t->is_local = is_ours(c, &target);
	if (t->is_local)
		admit(t);
	else if (session)
		ask(t, session);
	else
		keeper_wait(c->opt.keeper, &t->waiter);
}

/* ---- the engine's end, time, and ours ---- */

void capture_tcp_gone(struct nat_flow *flow, enum nat_end why UNUSED)
{
	struct tcp_flow *t = flow->user;

	if (t)
		end(t);
}

uint64_t capture_tcp_next_ms(const struct capture *c)
{
	struct list *first = c->arriving.next;

	return list_is_empty(&c->arriving) ? UINT64_MAX
					   : list_entry(first, struct tcp_flow, node)->deadline_ms;
}

void capture_tcp_tick(struct capture *c, uint64_t now_ms)
{
	while (capture_tcp_next_ms(c) <= now_ms)
		on_lost(list_entry(c->arriving.next, struct tcp_flow, node));
}

static void leave(struct tcp_flow *t)
{
	if (t->state == TCP_STATE_RELAYING)
		relay_abort(t->relay);
	else if (t->state == TCP_STATE_ARRIVING)
		on_lost(t);
	else
		refuse(t, NAT_NO_ROUTE);
}

void capture_tcp_leave(struct capture *c, const struct prefix_set *captured)
{
	struct list *const lists[] = {&c->arriving, &c->tcp_flows};
	struct list *node, *tmp;

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		list_for_each_safe (node, tmp, lists[i]) {
			struct tcp_flow *t = list_entry(node, struct tcp_flow, node);

			if (!capture_stays(c, &t->target, captured))
				leave(t);
		}
	}
}
