/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One pass per UDP or echo flow of the engine, for as long as that flow lives. A pass has a stream
 * to the edge, or it was refused: then what comes is answered from memory for a moment, so that an
 * application that goes on sending doesn't make the edge decide again for each datagram.
 * Datagrams to a local service have no stream.
 */

#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "client/capture_private.h"
#include "client/datagram_flow.h"
#include "client/keeper.h"

struct datagram_pass {
	struct list node; /* in capture.passes */
	struct capture *capture;
	struct nat_flow *flow;
	struct datagram_flow *stream; /* NULL: refused, or local */
	bool is_local;
	uint16_t last_sequence; /* echo: what an error is about */
	enum nat_refusal refusal;
	uint64_t refused_until_ms; /* 0: not refused */
};

static bool is_echo(const struct datagram_pass *p)
{
	return p->flow->key.transport == IPPROTO_ICMP;
}

static size_t *count_of(struct datagram_pass *p)
{
	return is_echo(p) ? &p->capture->counts.n_echo : &p->capture->counts.n_udp;
}

/* ---- to the application ---- */

static void reject(struct datagram_pass *p, enum nat_refusal why)
{
	struct nat_frame frame;

	nat_reject(p->capture->nat, p->flow, why, p->last_sequence, &frame);
	capture_write(p->capture, NAT_SIDE_A, &frame);
}

static void on_open(void *ctx UNUSED, struct datagram_flow *stream UNUSED)
{
}

static void deliver_echo(struct datagram_pass *p, const uint8_t *data, size_t n)
{
	struct capture *c = p->capture;
	struct nat_frame frame;
	uint16_t sequence;

	if (n < ECHO_SEQUENCE_LEN)
		return;
	sequence = (uint16_t)(data[0] << 8 | data[1]);
	if (nat_build_echo(c->nat, p->flow, sequence, data + ECHO_SEQUENCE_LEN,
			   n - ECHO_SEQUENCE_LEN, capture_now_ms(c), &frame) == 0)
		capture_write(c, NAT_SIDE_A, &frame);
}

static void on_datagram(void *ctx, struct datagram_flow *stream UNUSED, const uint8_t *data,
			size_t n)
{
	struct datagram_pass *p = ctx;

	if (is_echo(p))
		deliver_echo(p, data, n);
	else
		capture_answer(p->capture, p->flow, data, n);
}

/* What an error of the far network means here; others aren't worth passing on. */
static const struct {
	bool is_v6;
	uint8_t type, code;
	enum nat_refusal why;
} icmp_rows[] = {
	{false, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, NAT_REFUSED},
	{false, ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, NAT_UNREACHABLE},
	{false, ICMP_DEST_UNREACH, ICMP_NET_UNREACH, NAT_NO_ROUTE},
	{false, ICMP_DEST_UNREACH, ICMP_NET_ANO, NAT_FORBIDDEN},
	{false, ICMP_DEST_UNREACH, ICMP_HOST_ANO, NAT_FORBIDDEN},
	{false, ICMP_DEST_UNREACH, ICMP_PKT_FILTERED, NAT_FORBIDDEN},
	{true, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOPORT, NAT_REFUSED},
	{true, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADDR, NAT_UNREACHABLE},
	{true, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOROUTE, NAT_NO_ROUTE},
	{true, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADMIN, NAT_FORBIDDEN},
};

static void on_icmp_error(void *ctx, struct datagram_flow *stream UNUSED, uint8_t type,
			  uint8_t code)
{
	struct datagram_pass *p = ctx;

	for (size_t i = 0; i < ARRAY_SIZE(icmp_rows); i++) {
		if (icmp_rows[i].is_v6 == p->flow->key.is_v6 && icmp_rows[i].type == type &&
		    icmp_rows[i].code == code) {
			reject(p, icmp_rows[i].why);
			return;
		}
	}
}

/* ---- to the edge ---- */

static void be_refused(struct datagram_pass *p, enum nat_refusal why)
{
	p->refusal = why;
	p->refused_until_ms = capture_now_ms(p->capture) + CAPTURE_REFUSED_MS;
	reject(p, why);
}

/* An idle stream ends in order; the next datagram makes a new one. */
static void on_end(void *ctx, struct datagram_flow *stream, const struct datagram_flow_end *end)
{
	struct datagram_pass *p = ctx;

	p->stream = NULL;
	datagram_flow_free(stream);
	if (end->was_open)
		return;
	be_refused(p, end->error != STREAM_ERROR_NONE ? capture_refusal(end->error) : NAT_NO_ROUTE);
}

static const struct datagram_flow_events stream_events = {
	.on_open = on_open,
	.on_datagram = on_datagram,
	.on_icmp_error = on_icmp_error,
	.on_end = on_end,
};

static struct h2_session *get_session(void *ctx)
{
	const struct capture *c = ctx;

	return keeper_session(c->opt.keeper);
}

static void open_stream(struct datagram_pass *p)
{
	struct capture *c = p->capture;
	struct datagram_flow_options opt = {
		.loop = c->opt.loop,
		.kind = is_echo(p) ? DATAGRAM_ECHO : DATAGRAM_UDP,
		.target = nat_flow_dst(p->flow),
		.token = c->opt.token,
		.session = get_session,
		.session_ctx = c,
	};

	p->refused_until_ms = 0;
	if (c->opt.network_of(c->ctx, &opt.target.ip, &opt.network) < 0)
		be_refused(p, NAT_NO_ROUTE);
	else
		p->stream = datagram_flow_new(&opt, &stream_events, p);
}

static void send_one(struct datagram_pass *p, const uint8_t *data, size_t n)
{
	struct capture *c = p->capture;

	if (p->is_local) {
		c->opt.local->on_datagram(c->opt.local_ctx, c, p->flow, data, n);
		return;
	}
	if (!p->stream && p->refused_until_ms > capture_now_ms(c)) {
		reject(p, p->refusal);
		return;
	}
	if (!p->stream)
		open_stream(p);
	if (p->stream)
		(void)datagram_flow_send(p->stream, data, n);
}

/* ---- from the engine ---- */

static bool is_ours(const struct capture *c, const struct nat_flow *flow)
{
	struct endpoint target = nat_flow_dst(flow);

	return c->opt.local && flow->key.transport == IPPROTO_UDP &&
	       target.port == c->opt.local->port &&
	       (ip_equal(&target.ip, &c->opt.nat->v4.peer) ||
		ip_equal(&target.ip, &c->opt.nat->v6.peer));
}

static struct datagram_pass *pass_of(struct capture *c, struct nat_flow *flow)
{
	struct datagram_pass *p = flow->user;

	if (p)
		return p;
	p = xnew(struct datagram_pass);
	p->capture = c;
	p->flow = flow;
	p->is_local = is_ours(c, flow);
	flow->user = p;
	list_append(&c->passes, &p->node);
	++*count_of(p);
	return p;
}

static void send_echo(struct datagram_pass *p, const struct nat_verdict *v)
{
	struct capture *c = p->capture;

	p->last_sequence = v->echo_sequence;
	c->echo[0] = (uint8_t)(v->echo_sequence >> 8);
	c->echo[1] = (uint8_t)v->echo_sequence;
	memcpy(c->echo + ECHO_SEQUENCE_LEN, v->payload, v->n_payload);
	send_one(p, c->echo, ECHO_SEQUENCE_LEN + v->n_payload);
}

void capture_datagrams(struct capture *c, struct nat_verdict *v)
{
	struct datagram_pass *p = pass_of(c, v->flow);
	const uint8_t *data;
	size_t n;

	if (v->action == NAT_ECHO) {
		send_echo(p, v);
		return;
	}
	while (nat_next_datagram(v, &data, &n))
		send_one(p, data, n);
}

static void free_pass(struct datagram_pass *p)
{
	struct capture *c = p->capture;

	if (p->is_local)
		c->opt.local->on_datagram_gone(c->opt.local_ctx, p->flow);
	p->flow->user = NULL;
	--*count_of(p);
	datagram_flow_free(p->stream);
	list_remove(&p->node);
	free(p);
}

void capture_datagram_gone(struct nat_flow *flow)
{
	if (flow->user)
		free_pass(flow->user);
}

void capture_datagram_leave(struct capture *c, const struct prefix_set *captured)
{
	struct list *node, *tmp;

	list_for_each_safe (node, tmp, &c->passes) {
		struct datagram_pass *p = list_entry(node, struct datagram_pass, node);
		struct endpoint target = nat_flow_dst(p->flow);

		if (!capture_stays(c, &target.ip, captured))
			free_pass(p);
	}
}
