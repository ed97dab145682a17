/* SPDX-License-Identifier: Apache-2.0 */

/*
 * TCP through the engine: packets are rewritten, never made, but for a refusal and for the RST that
 * ends a connection nobody knows.
 *
 * One connection, one question: the first SYN's sequence number names the connection. The same SYN
 * again is the kernel's retransmission; another one under the same 5-tuple is a new connection, for
 * which the old flow makes room in whatever state it is. So a packet never reaches the listener as
 * the start of a connection that wasn't admitted.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tun/nat_private.h"

#define FLAGS_OF_INTEREST (PACKET_TCP_SYN | PACKET_TCP_ACK | PACKET_TCP_FIN | PACKET_TCP_RST)

#define FIN_OF_A 1u
#define FIN_OF_B 2u

static bool is_first_syn(const struct packet *p)
{
	return (p->tcp_flags & FLAGS_OF_INTEREST) == PACKET_TCP_SYN;
}

static void forward(struct nat_pass *pass, enum nat_side to)
{
	pass->v->action = NAT_FORWARD;
	pass->v->to = to;
	pass->v->frame = (struct nat_frame){pass->p.frame, packet_frame_bytes(&pass->p)};
	pass->nat->stats.forwarded[to]++;
}

static void rewrite_for_b(struct nat *nat, const struct nat_flow *f, struct packet *p)
{
	const struct nat_family *family = nat_family_of(nat, p->is_v6);

	packet_rewrite(p, &(struct packet_ends){
				  .src = family->peer.bytes,
				  .dst = family->listener.bytes,
				  .sport = f->nat_port,
				  .dport = family->listener_port,
			  });
}

static void rewrite_for_a(const struct nat_flow *f, struct packet *p)
{
	packet_rewrite(p, &(struct packet_ends){
				  .src = f->key.dst,
				  .dst = f->key.src,
				  .sport = f->key.dport,
				  .dport = f->key.sport,
			  });
}

/* Follows the connection by the packet's flags; false: the flow is gone. */
static bool track(struct nat_pass *pass, struct nat_flow *f, uint8_t fin)
{
	struct nat *nat = pass->nat;

	if (pass->p.tcp_flags & PACKET_TCP_RST) {
		nat_end(nat, f, NAT_END_RESET, pass->now_ms, NULL);
		return false;
	}
	if (!(pass->p.tcp_flags & PACKET_TCP_FIN) || (f->fins & fin)) {
		flow_touch(nat->table, f, pass->now_ms);
		return true;
	}
	f->fins |= fin;
	flow_set_state(nat->table, f,
		       f->state == FLOW_STATE_ACTIVE ? FLOW_STATE_CLOSING : FLOW_STATE_CLOSED,
		       pass->now_ms);
	return true;
}

static void hold(struct nat_pass *pass)
{
	size_t n = packet_frame_bytes(&pass->p);
	struct nat *nat = pass->nat;
	struct nat_flow *f;
	uint8_t *copy;
	int r;

	if (n > nat->config.held_bytes_max - nat->held_bytes) {
		nat_drop(pass, DROP_HELD_LIMIT);
		return;
	}
	copy = malloc(n);
	r = copy ? flow_table_add(nat->table, &pass->key, pass->now_ms, &f) : FLOW_E_HELD;
	if (r != 0) {
		free(copy);
		nat_drop(pass, r == FLOW_E_HELD ? DROP_HELD_LIMIT : DROP_FLOW_LIMIT);
		return;
	}
	memcpy(copy, pass->p.frame, n);
	f->held = copy;
	f->n_held = (uint32_t)n;
	f->isn = pass->p.tcp_seq;
	nat->held_bytes += n;
	nat->stats.asked++;
	pass->v->action = NAT_HOLD;
	pass->v->flow = f;
	pass->v->is_new = true;
}

/*
 * The application closed, silently as kernels do, and connects again from the same port: the
 * question is the same, the SYN isn't.
 */
static void replace_held(struct nat_pass *pass, struct nat_flow *f)
{
	size_t n = packet_frame_bytes(&pass->p);
	struct nat *nat = pass->nat;
	uint8_t *copy = NULL;

	if (n <= nat->config.held_bytes_max - (nat->held_bytes - f->n_held))
		copy = malloc(n);
	if (!copy) {
		nat_drop(pass, DROP_HELD_LIMIT);
		return;
	}
	memcpy(copy, pass->p.frame, n);
	free(f->held);
	f->held = copy;
	nat->held_bytes += n - f->n_held;
	f->n_held = (uint32_t)n;
	f->isn = pass->p.tcp_seq;
	nat->stats.held_replaced++;
	nat_drop(pass, DROP_HELD_AGAIN);
}

static void packet_of_held(struct nat_pass *pass, struct nat_flow *f)
{
	if (pass->p.tcp_flags & PACKET_TCP_RST) {
		nat_end(pass->nat, f, NAT_END_GAVE_UP, pass->now_ms, NULL);
		nat_drop(pass, DROP_GAVE_UP);
	} else if (!is_first_syn(&pass->p)) {
		nat_drop(pass, DROP_NO_FLOW);
	} else if (pass->p.tcp_seq != f->isn) {
		replace_held(pass, f);
	} else {
		nat_drop(pass, DROP_HELD_AGAIN);
	}
}

/* Newest first: the rest is older than the first that is too old. */
static bool was_told(const struct nat_pass *pass)
{
	const struct nat *nat = pass->nat;

	for (unsigned int i = 1; i <= NAT_TOLD_MAX; i++) {
		const struct nat_told *t = &nat->told[(nat->n_told - i) % NAT_TOLD_MAX];

		if (t->until_ms <= pass->now_ms)
			break;
		if (t->isn == pass->p.tcp_seq && memcmp(&t->key, &pass->key, sizeof(t->key)) == 0)
			return true;
	}
	return false;
}

static void remember_told(struct nat *nat, const struct nat_flow *f, uint64_t now_ms)
{
	nat->told[nat->n_told++ % NAT_TOLD_MAX] = (struct nat_told){
		.key = f->key,
		.isn = f->isn,
		.until_ms = now_ms + NAT_TOLD_MS,
	};
}

static void packet_of_nobody(struct nat_pass *pass)
{
	if (!nat_source_is_local(pass)) {
		nat_drop(pass, DROP_FOREIGN);
	} else if (is_first_syn(&pass->p) && was_told(pass)) {
		nat_drop(pass, DROP_HELD_AGAIN);
	} else if (is_first_syn(&pass->p)) {
		hold(pass);
	} else if (pass->p.tcp_flags & PACKET_TCP_RST) {
		nat_drop(pass, DROP_NO_FLOW);
	} else {
		nat_reply(pass, packet_build_rst(pass->nat->out, &pass->p));
		pass->nat->stats.resets++;
	}
}

void nat_tcp_from_a(struct nat_pass *pass)
{
	struct nat_flow *f = flow_table_find(pass->nat->table, &pass->key);

	if (f && f->state == FLOW_STATE_HELD) {
		packet_of_held(pass, f);
		return;
	}
	if (f && is_first_syn(&pass->p) && pass->p.tcp_seq != f->isn) {
		nat_end(pass->nat, f, NAT_END_REUSED, pass->now_ms, NULL);
		f = NULL;
	}
	if (!f) {
		packet_of_nobody(pass);
		return;
	}
	rewrite_for_b(pass->nat, f, &pass->p);
	forward(pass, NAT_SIDE_B);
	pass->v->flow = track(pass, f, FIN_OF_A) ? f : NULL;
}

void nat_tcp_from_b(struct nat_pass *pass)
{
	struct nat_flow *f = nat_flow_of_peer(pass->nat, pass->p.is_v6, pass->p.dport);

	if (!f) {
		nat_drop(pass, DROP_NO_FLOW);
		return;
	}
	rewrite_for_a(f, &pass->p);
	forward(pass, NAT_SIDE_A);
	pass->v->flow = track(pass, f, FIN_OF_B) ? f : NULL;
}

/* It was accepted once, so it is again. */
static void view_held(uint8_t *frame, size_t n, struct packet *p)
{
	enum drop_reason reason = packet_parse(frame, n, p);

	assert(reason == DROP_NONE);
	(void)reason;
}

void nat_admit(struct nat *nat, struct nat_flow *flow, uint64_t now_ms, struct nat_frame *framep)
{
	struct packet p;
	size_t n = flow->n_held;

	assert(flow->state == FLOW_STATE_HELD);
	memcpy(nat->out, flow->held, n);
	view_held(nat->out, n, &p);
	rewrite_for_b(nat, flow, &p);
	free(flow->held);
	flow->held = NULL;
	flow->n_held = 0;
	nat->held_bytes -= n;
	flow_set_state(nat->table, flow, FLOW_STATE_ACTIVE, now_ms);
	nat->stats.admitted++;
	nat->stats.forwarded[NAT_SIDE_B]++;
	*framep = (struct nat_frame){nat->out, n};
}

size_t nat_tcp_refusal(struct nat *nat, struct nat_flow *f, enum nat_refusal why, uint64_t now_ms)
{
	struct packet p;

	assert(f->state == FLOW_STATE_HELD);
	view_held(f->held, f->n_held, &p);
	if (why == NAT_REFUSED)
		return packet_build_rst(nat->out, &p);
	remember_told(nat, f, now_ms);
	packet_finish_checksum(&p); /* the quote should be what a network would have seen */
	return packet_build_icmp(nat->out, nat_family_of(nat, p.is_v6)->peer.bytes,
				 nat_icmp_for(p.is_v6, why), &p);
}

void nat_refuse(struct nat *nat, struct nat_flow *flow, enum nat_refusal why, uint64_t now_ms,
		struct nat_frame *framep)
{
	*framep = (struct nat_frame){nat->out, nat_tcp_refusal(nat, flow, why, now_ms)};
	nat->stats.refused++;
	nat_forget(nat, flow, now_ms);
}
