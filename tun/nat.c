/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The engine's frame: configuration, what every packet goes through, ends of flows, time.
 *
 * Invariants: held_bytes is the sum of n_held over all flows, which only HELD ones have. Each flow
 * that a verdict showed as new ends once: by nat_end(), which tells, or by the caller's own call.
 */
#include "tun/nat.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/err.h"
#include "tun/nat_private.h"

#define SECOND_MS 1000u
#define HOUR_MS	  (3600u * SECOND_MS)

void nat_config_init(struct nat_config *c)
{
	*c = (struct nat_config){
		.held_bytes_max = 1024 * 1024,
		.limits =
			{
				/* Ports from 1024 on are 64,512: as many flows as can be told
				   apart. */
				.n_tcp = 64512,
				.n_udp = 16384,
				.n_echo = 1024,
				.n_held = 4096,
				.nat_port_first = 1024,
				.nat_port_last = 65535,
				.time_ms =
					{
						[FLOW_QUEUE_HELD] = 30 * SECOND_MS,
						/* Ends come as packets; this is for those that were
						   lost. */
						[FLOW_QUEUE_TCP] = 24 * HOUR_MS,
						/* Linux's TIME_WAIT. */
						[FLOW_QUEUE_CLOSED] = 60 * SECOND_MS,
						[FLOW_QUEUE_UDP] = 210 * SECOND_MS,
						[FLOW_QUEUE_DNS] = 10 * SECOND_MS,
						[FLOW_QUEUE_ECHO] = 30 * SECOND_MS,
					},
			},
	};
}

static bool family_is_sane(const struct nat_family *f, int family, bool one_device)
{
	if (!f->local.family)
		return true;
	return f->local.family == family && f->listener.family == family &&
	       f->peer.family == family && f->listener_port && !ip_equal(&f->peer, &f->local) &&
	       !ip_equal(&f->peer, &f->listener) &&
	       (!one_device || ip_equal(&f->listener, &f->local));
}

static bool config_is_sane(const struct nat_config *c)
{
	return (c->v4.local.family || c->v6.local.family) && c->held_bytes_max &&
	       family_is_sane(&c->v4, AF_INET, c->one_device) &&
	       family_is_sane(&c->v6, AF_INET6, c->one_device);
}

int nat_new(struct nat **natp, const struct nat_config *config, const struct nat_events *events)
{
	struct nat *nat CLEANUP(nat_free) = NULL;
	int r;

	if (!config_is_sane(config))
		return err_trace(-EINVAL);
	nat = xnew(struct nat);
	nat->config = *config;
	nat->events = events;
	r = flow_table_new(&nat->table, &config->limits, config->hash_seed);
	if (r == 0)
		*natp = steal_ptr(nat);
	return r;
}

void nat_free(struct nat *nat)
{
	if (!nat)
		return;
	flow_table_free(nat->table);
	free(nat);
}

void nat_drop(struct nat_pass *pass, enum drop_reason reason)
{
	pass->v->action = NAT_DROP;
	pass->v->drop = reason;
	pass->nat->stats.dropped[reason]++;
}

void nat_reply(struct nat_pass *pass, size_t n)
{
	pass->v->action = NAT_REPLY;
	pass->v->to = NAT_SIDE_A;
	pass->v->frame = (struct nat_frame){pass->nat->out, n};
}

bool nat_source_is_local(const struct nat_pass *pass)
{
	const struct nat *nat = pass->nat;
	struct ip_addr source = {.family = pass->p.is_v6 ? AF_INET6 : AF_INET};

	memcpy(source.bytes, packet_src(&pass->p), packet_addr_bytes(&pass->p));
	if (ip_equal(&source, &nat_family_of(nat, pass->p.is_v6)->local))
		return true;
	return nat->config.is_local && nat->config.is_local(nat->events->ctx, &source);
}

/* The frame of a HELD flow goes with it (flow_set_state()); here it is no longer counted. */
static void remove_flow(struct nat *nat, struct nat_flow *f, uint64_t now_ms)
{
	nat->held_bytes -= f->n_held;
	f->n_held = 0;
	flow_set_state(nat->table, f, FLOW_STATE_FREE, now_ms);
}

void nat_end(struct nat *nat, struct nat_flow *f, enum nat_end why, uint64_t now_ms,
	     const struct nat_frame *answer)
{
	nat->stats.ended[why]++;
	nat->events->on_gone(nat->events->ctx, f, why, answer);
	remove_flow(nat, f, now_ms);
}

void nat_forget(struct nat *nat, struct nat_flow *flow, uint64_t now_ms)
{
	remove_flow(nat, flow, now_ms);
}

static void fill_key(struct nat_pass *pass)
{
	const struct packet *p = &pass->p;

	pass->key = (struct flow_key){
		.sport = p->sport,
		.dport = p->dport,
		.is_v6 = p->is_v6,
		.transport = p->transport,
	};
	memcpy(pass->key.src, packet_src(p), packet_addr_bytes(p));
	memcpy(pass->key.dst, packet_dst(p), packet_addr_bytes(p));
}

/* 0 if the packet can be judged further; otherwise it was dropped. */
static enum drop_reason begin(struct nat_pass *pass, uint8_t *frame, size_t n)
{
	enum drop_reason reason = packet_parse(frame, n, &pass->p);

	*pass->v = (struct nat_verdict){0};
	if (reason == DROP_NONE && !nat_family_of(pass->nat, pass->p.is_v6)->local.family)
		reason = DROP_FAMILY;
	if (reason != DROP_NONE)
		nat_drop(pass, reason);
	return reason;
}

/* The listener's answers: they alone go to P. */
static bool is_answer(const struct nat_pass *pass)
{
	const struct nat_family *f = nat_family_of(pass->nat, pass->p.is_v6);
	const struct packet *p = &pass->p;

	return p->transport == IPPROTO_TCP && p->sport == f->listener_port &&
	       memcmp(packet_src(p), f->listener.bytes, packet_addr_bytes(p)) == 0 &&
	       memcmp(packet_dst(p), f->peer.bytes, packet_addr_bytes(p)) == 0;
}

void nat_feed_a(struct nat *nat, uint8_t *frame, size_t n, uint64_t now_ms, struct nat_verdict *v)
{
	struct nat_pass pass = {.nat = nat, .now_ms = now_ms, .v = v};

	if (begin(&pass, frame, n) != DROP_NONE)
		return;
	if (nat->config.one_device && is_answer(&pass)) {
		nat_tcp_from_b(&pass);
		return;
	}
	fill_key(&pass);
	if (pass.p.transport == IPPROTO_TCP)
		nat_tcp_from_a(&pass);
	else if (pass.p.transport == IPPROTO_UDP)
		nat_udp_from_a(&pass);
	else
		nat_echo_from_a(&pass);
}

void nat_feed_b(struct nat *nat, uint8_t *frame, size_t n, uint64_t now_ms, struct nat_verdict *v)
{
	struct nat_pass pass = {.nat = nat, .now_ms = now_ms, .v = v};

	if (begin(&pass, frame, n) != DROP_NONE)
		return;
	if (is_answer(&pass))
		nat_tcp_from_b(&pass);
	else
		nat_drop(&pass, DROP_NO_FLOW);
}

/* What applications make of each was measured: other codes give them odd errors. */
struct packet_icmp nat_icmp_for(bool is_v6, enum nat_refusal why)
{
	static const struct packet_icmp v4[NAT_REFUSAL_N] = {
		[NAT_REFUSED] = {3, 3},
		[NAT_UNREACHABLE] = {3, 1},
		[NAT_NO_ROUTE] = {3, 0},
		[NAT_FORBIDDEN] = {3, 13},
	};
	static const struct packet_icmp v6[NAT_REFUSAL_N] = {
		[NAT_REFUSED] = {1, 4},
		[NAT_UNREACHABLE] = {1, 3},
		[NAT_NO_ROUTE] = {1, 0},
		[NAT_FORBIDDEN] = {1, 1},
	};

	return is_v6 ? v6[why] : v4[why];
}

static void expire(struct nat *nat, struct nat_flow *f, uint64_t now_ms)
{
	struct nat_frame answer;

	if (f->state != FLOW_STATE_HELD) {
		nat_end(nat, f, f->state == FLOW_STATE_CLOSED ? NAT_END_CLOSED : NAT_END_IDLE,
			now_ms, NULL);
		return;
	}
	answer = (struct nat_frame){nat->out, nat_tcp_refusal(nat, f, NAT_UNREACHABLE, now_ms)};
	nat_end(nat, f, NAT_END_TIME_LIMIT, now_ms, &answer);
}

uint64_t nat_tick(struct nat *nat, uint64_t now_ms)
{
	uint64_t next;

	for (unsigned int i = 0; i < NAT_TICK_MAX; i++) {
		struct nat_flow *f = flow_table_expired(nat->table, now_ms);

		if (!f)
			break;
		expire(nat, f, now_ms);
	}
	next = flow_table_next_deadline(nat->table);
	return next < now_ms ? now_ms : next;
}

struct nat_flow *nat_flow_of_peer(struct nat *nat, bool is_v6, uint16_t port)
{
	struct nat_flow *f = flow_table_find_port(nat->table, is_v6, port);

	return f && f->state != FLOW_STATE_HELD ? f : NULL;
}

static struct endpoint endpoint_of(const struct flow_key *key, const uint8_t *addr, uint16_t port)
{
	struct endpoint ep = {.ip.family = key->is_v6 ? AF_INET6 : AF_INET, .port = port};

	memcpy(ep.ip.bytes, addr, key->is_v6 ? 16 : 4);
	return ep;
}

struct endpoint nat_flow_dst(const struct nat_flow *flow)
{
	return endpoint_of(&flow->key, flow->key.dst, flow->key.dport);
}

struct endpoint nat_flow_src(const struct nat_flow *flow)
{
	return endpoint_of(&flow->key, flow->key.src, flow->key.sport);
}

const struct nat_stats *nat_stats(const struct nat *nat)
{
	return &nat->stats;
}

const struct flow_table *nat_flows(const struct nat *nat)
{
	return nat->table;
}

size_t nat_held_bytes(const struct nat *nat)
{
	return nat->held_bytes;
}
