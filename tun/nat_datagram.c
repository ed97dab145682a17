/* SPDX-License-Identifier: Apache-2.0 */

/* UDP and ping end here: payloads come out, answers are whole packets of our own. */
#include <assert.h>
#include <netinet/in.h>

#include "base/compiler.h"
#include "tun/nat_private.h"

static const struct packet_icmp echo_replies[2] = {{0, 0}, {129, 0}};
static const struct packet_icmp echo_requests[2] = {{8, 0}, {128, 0}};

static uint64_t idle_ms(const struct nat *nat, const struct nat_flow *f, uint64_t now_ms)
{
	return now_ms - (f->deadline_ms - nat->config.limits.time_ms[f->queue]);
}

/* Of the queues that share a limit, the flow unused for the longest. */
static struct nat_flow *find_idle(struct nat *nat, uint8_t transport, uint64_t now_ms)
{
	static const enum flow_queue queues[] = {FLOW_QUEUE_UDP, FLOW_QUEUE_DNS, FLOW_QUEUE_ECHO};
	struct nat_flow *idlest = NULL;

	for (unsigned int i = 0; i < ARRAY_SIZE(queues); i++) {
		struct nat_flow *f = flow_table_oldest(nat->table, queues[i]);

		if (!f || f->key.transport != transport)
			continue;
		if (!idlest || idle_ms(nat, f, now_ms) > idle_ms(nat, idlest, now_ms))
			idlest = f;
	}
	return idlest && idle_ms(nat, idlest, now_ms) >= NAT_EVICT_IDLE_MS ? idlest : NULL;
}

/* A full table makes room only at the cost of a flow that nobody seems to use. */
static struct nat_flow *add_flow(struct nat_pass *pass)
{
	struct nat *nat = pass->nat;
	struct nat_flow *f = NULL;
	struct nat_flow *idle;
	int r = flow_table_add(nat->table, &pass->key, pass->now_ms, &f);

	if (r == 0)
		return f;
	idle = find_idle(nat, pass->key.transport, pass->now_ms);
	if (!idle)
		return NULL;
	nat_end(nat, idle, NAT_END_EVICTED, pass->now_ms, NULL);
	r = flow_table_add(nat->table, &pass->key, pass->now_ms, &f);
	assert(r == 0);
	return f;
}

/* The flow of a sound packet, known or new; NULL: dropped. */
static struct nat_flow *flow_for(struct nat_pass *pass)
{
	struct nat_flow *f;

	if (!packet_checksum_ok(&pass->p)) {
		nat_drop(pass, DROP_CHECKSUM);
		return NULL;
	}
	f = flow_table_find(pass->nat->table, &pass->key);
	if (f) {
		flow_touch(pass->nat->table, f, pass->now_ms);
		return f;
	}
	if (!nat_source_is_local(pass)) {
		nat_drop(pass, DROP_FOREIGN);
		return NULL;
	}
	f = add_flow(pass);
	if (!f)
		nat_drop(pass, DROP_FLOW_LIMIT);
	else
		pass->v->is_new = true;
	return f;
}

static void show_payload(struct nat_pass *pass, struct nat_flow *f, enum nat_action action)
{
	pass->v->action = action;
	pass->v->flow = f;
	pass->v->payload = pass->p.ip + pass->p.payload_at;
	pass->v->n_payload = pass->p.n_payload;
}

static size_t count_segments(const struct packet *p)
{
	if (!p->segment_bytes || !p->n_payload)
		return 1;
	return (p->n_payload + p->segment_bytes - 1) / p->segment_bytes;
}

void nat_udp_from_a(struct nat_pass *pass)
{
	struct nat_flow *f = flow_for(pass);

	if (!f)
		return;
	show_payload(pass, f, NAT_DATAGRAM);
	pass->v->segment_bytes = pass->p.segment_bytes;
	pass->v->has_next = true;
	pass->nat->stats.datagrams_in += count_segments(&pass->p);
}

bool nat_next_datagram(struct nat_verdict *v, const uint8_t **payloadp, size_t *np)
{
	size_t n = v->n_payload;

	if (!v->has_next)
		return false;
	if (v->segment_bytes && n > v->segment_bytes)
		n = v->segment_bytes;
	*payloadp = v->payload;
	*np = n;
	v->payload += n;
	v->n_payload -= n;
	v->has_next = v->n_payload > 0;
	return true;
}

void nat_echo_from_a(struct nat_pass *pass)
{
	struct nat_flow *f;

	if (pass->p.echo_is_reply) {
		nat_drop(pass, DROP_ICMP);
		return;
	}
	f = flow_for(pass);
	if (!f)
		return;
	show_payload(pass, f, NAT_ECHO);
	pass->v->echo_sequence = pass->p.echo_sequence;
	pass->nat->stats.echoes_in++;
}

static struct packet_ends ends_to_app(const struct nat_flow *f)
{
	return (struct packet_ends){f->key.dst, f->key.src, f->key.dport, f->key.sport};
}

static struct packet_ends ends_from_app(const struct nat_flow *f)
{
	return (struct packet_ends){f->key.src, f->key.dst, f->key.sport, f->key.dport};
}

/* @n: the frame's length, 0 if it was too large. */
static int finish(struct nat *nat, size_t n, uint64_t *counter, struct nat_frame *framep)
{
	if (!n) {
		nat->stats.dropped[DROP_TOO_LARGE]++;
		return NAT_E_TOO_LARGE;
	}
	(*counter)++;
	*framep = (struct nat_frame){nat->out, n};
	return 0;
}

int nat_build_udp(struct nat *nat, struct nat_flow *flow, const uint8_t *payload, size_t n,
		  uint64_t now_ms, struct nat_frame *framep)
{
	const struct packet_ends ends = ends_to_app(flow);

	assert(flow->state == FLOW_STATE_OPEN && flow->key.transport == IPPROTO_UDP);
	n = packet_build_udp(nat->out, flow->key.is_v6, &ends, payload, n);
	flow_touch(nat->table, flow, now_ms);
	return finish(nat, n, &nat->stats.datagrams_out, framep);
}

int nat_build_echo(struct nat *nat, struct nat_flow *flow, uint16_t sequence,
		   const uint8_t *payload, size_t n, uint64_t now_ms, struct nat_frame *framep)
{
	const struct packet_ends ends = ends_to_app(flow);

	assert(flow->state == FLOW_STATE_OPEN && flow->key.transport == IPPROTO_ICMP);
	n = packet_build_echo(nat->out, flow->key.is_v6, &ends, echo_replies[flow->key.is_v6],
			      flow->key.sport, sequence, payload, n);
	flow_touch(nat->table, flow, now_ms);
	return finish(nat, n, &nat->stats.echoes_out, framep);
}

/* Headers of what the application sent, without its payload; returns the frame's length. */
static size_t rebuild_request(const struct nat_flow *f, uint16_t sequence, uint8_t *out)
{
	const struct packet_ends ends = ends_from_app(f);

	if (f->key.transport == IPPROTO_UDP)
		return packet_build_udp(out, f->key.is_v6, &ends, NULL, 0);
	return packet_build_echo(out, f->key.is_v6, &ends, echo_requests[f->key.is_v6],
				 f->key.sport, sequence, NULL, 0);
}

void nat_reject(struct nat *nat, const struct nat_flow *flow, enum nat_refusal why,
		uint16_t echo_sequence, struct nat_frame *framep)
{
	uint8_t request[PACKET_VNET_BYTES + PACKET_V6_BYTES + PACKET_UDP_BYTES];
	struct packet p;
	enum drop_reason reason;
	bool is_v6 = flow->key.is_v6;

	assert(flow->state == FLOW_STATE_OPEN);
	reason = packet_parse(request, rebuild_request(flow, echo_sequence, request), &p);
	assert(reason == DROP_NONE);
	(void)reason;
	if (flow->key.transport == IPPROTO_ICMP && why == NAT_REFUSED)
		why = NAT_UNREACHABLE; /* a ping has no port */
	nat->stats.refused++;
	*framep = (struct nat_frame){
		nat->out,
		packet_build_icmp(nat->out, nat_family_of(nat, is_v6)->peer.bytes,
				  nat_icmp_for(is_v6, why), &p),
	};
}
