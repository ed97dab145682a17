/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Flows are slots of one array, named by their index from 1 on; 0 ends a chain. Slots that were
 * never used lie behind `n_used`, so that memory is touched only when it is needed; returned ones
 * are taken first.
 *
 * Invariants: a flow is in its bucket, in its queue and (TCP) in by_port exactly while its state
 * isn't FREE. A port is either in the ring or in by_port.
 */
#include "tun/flow_table.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#define LIMIT_MAX (1u << 20)

/* NAT ports of one family: those that are free in the order in which they became so. */
struct nat_ports {
	uint16_t *ring;
	uint32_t n_ring;
	uint32_t head;
	uint32_t n_free;
	uint32_t *flow_of; /* index of a flow by port - first */
};

struct flow_table {
	struct flow_limits limits;
	uint8_t seed[FLOW_SEED_BYTES];
	struct nat_flow *slots;
	uint32_t n_slots; /* slot 0 included, which is nobody's */
	uint32_t n_used;
	uint32_t free_head;
	uint32_t *buckets;
	uint32_t bucket_mask;
	struct nat_ports ports[2]; /* by is_v6 */
	struct list queues[FLOW_QUEUE_N];
	uint32_t by_state[FLOW_STATE_N];
	uint32_t n_tcp[2];
	uint32_t n_udp;
	uint32_t n_echo;
};

static const bool may_follow[FLOW_STATE_N][FLOW_STATE_N] = {
	[FLOW_STATE_FREE] = {[FLOW_STATE_HELD] = true, [FLOW_STATE_OPEN] = true},
	[FLOW_STATE_HELD] = {[FLOW_STATE_ACTIVE] = true, [FLOW_STATE_FREE] = true},
	[FLOW_STATE_ACTIVE] = {[FLOW_STATE_CLOSING] = true, [FLOW_STATE_FREE] = true},
	[FLOW_STATE_CLOSING] = {[FLOW_STATE_CLOSED] = true, [FLOW_STATE_FREE] = true},
	[FLOW_STATE_CLOSED] = {[FLOW_STATE_FREE] = true},
	[FLOW_STATE_OPEN] = {[FLOW_STATE_FREE] = true},
};

static uint64_t rotate(uint64_t x, unsigned int n_bits)
{
	return x << n_bits | x >> (64 - n_bits);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_round(v);
	sip_round(v);
	v[0] ^= word;
}

uint64_t flow_hash(const uint8_t seed[FLOW_SEED_BYTES], const uint64_t *words, size_t n)
{
	uint64_t v[4];
	uint64_t k[2] = {0};

	for (unsigned int i = 0; i < FLOW_SEED_BYTES; i++)
		k[i / 8] |= (uint64_t)seed[i] << (i % 8 * 8);
	v[0] = k[0] ^ 0x736f6d6570736575;
	v[1] = k[1] ^ 0x646f72616e646f6d;
	v[2] = k[0] ^ 0x6c7967656e657261;
	v[3] = k[1] ^ 0x7465646279746573;
	for (size_t i = 0; i < n; i++)
		sip_word(v, words[i]);
	sip_word(v, (uint64_t)n * 8 << 56);
	v[2] ^= 0xff;
	for (unsigned int i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* IPv4 keys are two words: half of the work. The family is in the last one. */
static uint32_t *bucket_of(struct flow_table *t, const struct flow_key *key)
{
	uint64_t words[5];
	size_t n = 0;

	if (key->is_v6) {
		memcpy(words, key->src, 16);
		memcpy(words + 2, key->dst, 16);
		n = 4;
	} else {
		memcpy(words, key->src, 4);
		memcpy((uint8_t *)words + 4, key->dst, 4);
		n = 1;
	}
	words[n++] = (uint64_t)key->sport << 48 | (uint64_t)key->dport << 32 |
		     (uint64_t)key->transport << 8 | key->is_v6;
	return &t->buckets[flow_hash(t->seed, words, n) & t->bucket_mask];
}

static bool limits_are_sane(const struct flow_limits *l)
{
	uint32_t n_ports = (uint32_t)l->nat_port_last - l->nat_port_first + 1;

	for (unsigned int i = 0; i < FLOW_QUEUE_N; i++) {
		if (!l->time_ms[i])
			return false;
	}
	return l->nat_port_first && l->nat_port_last >= l->nat_port_first && l->n_tcp &&
	       l->n_tcp <= n_ports && l->n_udp && l->n_udp <= LIMIT_MAX && l->n_echo &&
	       l->n_echo <= LIMIT_MAX && l->n_held;
}

static int init_ports(struct nat_ports *p, const struct flow_limits *l)
{
	p->n_ring = (uint32_t)l->nat_port_last - l->nat_port_first + 1;
	p->ring = calloc(p->n_ring, sizeof(*p->ring));
	p->flow_of = calloc(p->n_ring, sizeof(*p->flow_of));
	if (!p->ring || !p->flow_of)
		return err_trace(-ENOMEM);
	for (uint32_t i = 0; i < p->n_ring; i++)
		p->ring[i] = (uint16_t)(l->nat_port_first + i);
	p->n_free = p->n_ring;
	return 0;
}

static int reserve(struct flow_table *t)
{
	uint32_t n_buckets = 1;
	int r;

	t->n_slots = 1 + 2 * t->limits.n_tcp + t->limits.n_udp + t->limits.n_echo;
	t->n_used = 1;
	while (n_buckets < t->n_slots)
		n_buckets *= 2;
	t->bucket_mask = n_buckets - 1;
	t->slots = calloc(t->n_slots, sizeof(*t->slots));
	t->buckets = calloc(n_buckets, sizeof(*t->buckets));
	if (!t->slots || !t->buckets)
		return err_trace(-ENOMEM);
	r = init_ports(&t->ports[0], &t->limits);
	return r == 0 ? init_ports(&t->ports[1], &t->limits) : r;
}

int flow_table_new(struct flow_table **tablep, const struct flow_limits *limits,
		   const uint8_t seed[FLOW_SEED_BYTES])
{
	struct flow_table *t CLEANUP(flow_table_free) = NULL;
	int r;

	if (!limits_are_sane(limits))
		return err_trace(-EINVAL);
	t = xnew(struct flow_table);
	t->limits = *limits;
	memcpy(t->seed, seed, FLOW_SEED_BYTES);
	for (unsigned int i = 0; i < FLOW_QUEUE_N; i++)
		list_init(&t->queues[i]);
	r = reserve(t);
	if (r == 0)
		*tablep = steal_ptr(t);
	return r;
}

void flow_table_free(struct flow_table *t)
{
	if (!t)
		return;
	for (uint32_t i = 1; t->slots && i < t->n_used; i++)
		free(t->slots[i].held);
	for (unsigned int i = 0; i < 2; i++) {
		free(t->ports[i].ring);
		free(t->ports[i].flow_of);
	}
	free(t->slots);
	free(t->buckets);
	free(t);
}

struct nat_flow *flow_table_find(struct flow_table *t, const struct flow_key *key)
{
	uint32_t i = *bucket_of(t, key);

	while (i && memcmp(&t->slots[i].key, key, sizeof(*key)) != 0)
		i = t->slots[i].next_index;
	return i ? &t->slots[i] : NULL;
}

struct nat_flow *flow_table_find_port(struct flow_table *t, bool is_v6, uint16_t nat_port)
{
	uint32_t i;

	if (nat_port < t->limits.nat_port_first || nat_port > t->limits.nat_port_last)
		return NULL;
	i = t->ports[is_v6].flow_of[nat_port - t->limits.nat_port_first];
	return i ? &t->slots[i] : NULL;
}

static uint32_t *count_of(struct flow_table *t, const struct flow_key *key, uint32_t *limitp)
{
	switch (key->transport) {
	case IPPROTO_TCP:
		*limitp = t->limits.n_tcp;
		return &t->n_tcp[key->is_v6];
	case IPPROTO_UDP:
		*limitp = t->limits.n_udp;
		return &t->n_udp;
	default:
		*limitp = t->limits.n_echo;
		return &t->n_echo;
	}
}

static void take_port(struct flow_table *t, struct nat_flow *f)
{
	struct nat_ports *p = &t->ports[f->key.is_v6];

	assert(p->n_free > 0); /* n_tcp is at most the number of ports */
	f->nat_port = p->ring[p->head];
	p->head = (p->head + 1) % p->n_ring;
	p->n_free--;
	p->flow_of[f->nat_port - t->limits.nat_port_first] = (uint32_t)(f - t->slots);
}

static void return_port(struct flow_table *t, struct nat_flow *f)
{
	struct nat_ports *p = &t->ports[f->key.is_v6];

	p->flow_of[f->nat_port - t->limits.nat_port_first] = 0;
	p->ring[(p->head + p->n_free) % p->n_ring] = f->nat_port;
	p->n_free++;
}

static struct nat_flow *take_slot(struct flow_table *t)
{
	struct nat_flow *f;

	if (t->free_head) {
		f = &t->slots[t->free_head];
		t->free_head = f->next_index;
	} else {
		assert(t->n_used < t->n_slots);
		f = &t->slots[t->n_used++];
	}
	*f = (struct nat_flow){0};
	list_init(&f->node);
	return f;
}

int flow_table_add(struct flow_table *t, const struct flow_key *key, uint64_t now_ms,
		   struct nat_flow **flowp)
{
	bool is_tcp = key->transport == IPPROTO_TCP;
	uint32_t *bucket = bucket_of(t, key);
	struct nat_flow *f;
	uint32_t limit;
	uint32_t *count = count_of(t, key, &limit);

	if (is_tcp && t->by_state[FLOW_STATE_HELD] >= t->limits.n_held)
		return FLOW_E_HELD;
	if (*count >= limit)
		return FLOW_E_LIMIT;
	f = take_slot(t);
	f->key = *key;
	f->next_index = *bucket;
	*bucket = (uint32_t)(f - t->slots);
	(*count)++;
	if (is_tcp)
		take_port(t, f);
	flow_set_state(t, f, is_tcp ? FLOW_STATE_HELD : FLOW_STATE_OPEN, now_ms);
	*flowp = f;
	return 0;
}

static enum flow_queue queue_of(const struct flow_key *key, enum flow_state state)
{
	if (state == FLOW_STATE_HELD)
		return FLOW_QUEUE_HELD;
	if (state == FLOW_STATE_CLOSED)
		return FLOW_QUEUE_CLOSED;
	if (key->transport == IPPROTO_TCP)
		return FLOW_QUEUE_TCP;
	if (key->transport == IPPROTO_UDP)
		return key->dport == 53 ? FLOW_QUEUE_DNS : FLOW_QUEUE_UDP;
	return FLOW_QUEUE_ECHO;
}

static void release(struct flow_table *t, struct nat_flow *f)
{
	uint32_t *link = bucket_of(t, &f->key);
	uint32_t index = (uint32_t)(f - t->slots);
	uint32_t limit;

	while (*link != index)
		link = &t->slots[*link].next_index;
	*link = f->next_index;
	if (f->nat_port)
		return_port(t, f);
	(*count_of(t, &f->key, &limit))--;
	free(f->held);
	f->held = NULL;
	f->next_index = t->free_head;
	t->free_head = index;
}

static void enqueue(struct flow_table *t, struct nat_flow *f, uint64_t now_ms)
{
	list_remove(&f->node);
	f->deadline_ms = now_ms + t->limits.time_ms[f->queue];
	list_append(&t->queues[f->queue], &f->node);
}

void flow_set_state(struct flow_table *t, struct nat_flow *f, enum flow_state to, uint64_t now_ms)
{
	assert(may_follow[f->state][to]);
	t->by_state[f->state]--;
	t->by_state[to]++;
	f->state = (uint8_t)to;
	if (to == FLOW_STATE_FREE) {
		list_remove(&f->node);
		release(t, f);
		return;
	}
	f->queue = (uint8_t)queue_of(&f->key, to);
	enqueue(t, f, now_ms);
}

void flow_touch(struct flow_table *t, struct nat_flow *f, uint64_t now_ms)
{
	/* Most packets of a batch share their millisecond: nothing to do for all but the first. */
	if (f->state != FLOW_STATE_HELD && f->deadline_ms != now_ms + t->limits.time_ms[f->queue])
		enqueue(t, f, now_ms);
}

struct nat_flow *flow_table_oldest(struct flow_table *t, enum flow_queue queue)
{
	struct list *head = &t->queues[queue];

	return list_is_empty(head) ? NULL : list_entry(head->next, struct nat_flow, node);
}

struct nat_flow *flow_table_expired(struct flow_table *t, uint64_t now_ms)
{
	for (unsigned int i = 0; i < FLOW_QUEUE_N; i++) {
		struct nat_flow *f = flow_table_oldest(t, i);

		if (f && f->deadline_ms <= now_ms)
			return f;
	}
	return NULL;
}

uint64_t flow_table_next_deadline(const struct flow_table *t)
{
	uint64_t next = UINT64_MAX;

	for (unsigned int i = 0; i < FLOW_QUEUE_N; i++) {
		const struct list *head = &t->queues[i];

		if (!list_is_empty(head) &&
		    list_entry(head->next, struct nat_flow, node)->deadline_ms < next)
			next = list_entry(head->next, struct nat_flow, node)->deadline_ms;
	}
	return next;
}

uint32_t flow_table_count(const struct flow_table *t, enum flow_state state)
{
	return state == FLOW_STATE_FREE ? 0 : t->by_state[state];
}

size_t flow_table_bytes(const struct flow_table *t)
{
	size_t n_ports = t->ports[0].n_ring;

	return sizeof(*t) + t->n_slots * sizeof(*t->slots) +
	       (t->bucket_mask + (size_t)1) * sizeof(*t->buckets) +
	       2 * n_ports * (sizeof(*t->ports[0].ring) + sizeof(*t->ports[0].flow_of));
}
