/* SPDX-License-Identifier: Apache-2.0 */

/*
 * At most DNS_IN_FLIGHT_MAX queries, in one list that is walked: a name server on the far side
 * of a tunnel costs more than that. A query is sent again from its own copy, which already has the
 * id for the servers.
 */

#include "client/dns_forwarder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/list.h"

struct query {
	struct list node;
	struct dns_asker asker;
	const struct dns_zone *zone;
	struct dns_question question;
	uint16_t asker_id;
	uint16_t id;
	unsigned int asked; /* bit per server of the zone */
	size_t n_tries;
	size_t current;	 /* upstream of the last try */
	bool is_waiting; /* for that upstream to be open */
	uint64_t next_ms;
	uint64_t deadline_ms;
	size_t n;
	uint8_t data[];
};

struct dns_forwarder {
	const struct dns_zones *zones;
	const struct dns_forwarder_events *events;
	void *ctx;
	struct list queries;
	struct dns_forwarder_stats stats;
};

static struct query *query_of(struct list *node)
{
	return list_entry(node, struct query, node);
}

static void drop(struct dns_forwarder *f, struct query *q)
{
	list_remove(&q->node);
	f->stats.n_in_flight--;
	free(q);
}

static void reply(struct dns_forwarder *f, const struct dns_asker *asker, const void *data,
		  const struct dns_question *question, enum dns_rcode rcode)
{
	uint8_t out[DNS_REPLY_MAX];

	f->events->answer(f->ctx, asker, out, dns_reply_build(data, question, rcode, false, out));
}

/* What fits no datagram: the application asks again by TCP. */
static void truncate_answer(struct dns_forwarder *f, struct query *q)
{
	uint8_t out[DNS_REPLY_MAX];
	size_t n;

	dns_set_id(q->data, q->asker_id);
	n = dns_reply_build(q->data, &q->question, DNS_NOERROR, true, out);
	f->events->answer(f->ctx, &q->asker, out, n);
	drop(f, q);
}

static void fail(struct dns_forwarder *f, struct query *q)
{
	f->stats.failed++;
	dns_set_id(q->data, q->asker_id);
	reply(f, &q->asker, q->data, &q->question, DNS_SERVFAIL);
	drop(f, q);
}

/* ---- to the servers ---- */

static int send_query(struct dns_forwarder *f, struct query *q)
{
	int r = f->events->send(f->ctx, q->current, q->data, q->n);

	q->is_waiting = r == -EAGAIN;
	return q->is_waiting ? 0 : r;
}

static bool has_tries(const struct query *q)
{
	return q->n_tries < q->zone->n_upstreams * DNS_ROUNDS_MAX;
}

/* After a failure: there is another server in this round, or nothing is left to wait for. */
static bool may_hurry(const struct query *q)
{
	return q->n_tries % q->zone->n_upstreams != 0 || !has_tries(q);
}

/* The last server that is asked has all the time that is left. */
static uint64_t next_look(const struct query *q, uint64_t now_ms)
{
	uint64_t next_ms = now_ms + DNS_TRY_MS;

	return has_tries(q) && next_ms < q->deadline_ms ? next_ms : q->deadline_ms;
}

/* May free @q. */
static void ask_next(struct dns_forwarder *f, struct query *q, uint64_t now_ms)
{
	int r;

	do {
		size_t position = q->n_tries % q->zone->n_upstreams;

		if (!has_tries(q) || now_ms >= q->deadline_ms) {
			fail(f, q);
			return;
		}
		q->n_tries++;
		q->asked |= 1u << position;
		q->current = q->zone->upstreams[position];
		q->next_ms = next_look(q, now_ms);
		r = send_query(f, q);
	} while (r < 0 && may_hurry(q));
}

void dns_forwarder_upstream_open(struct dns_forwarder *f, size_t upstream, uint64_t now_ms)
{
	struct list *node, *tmp;

	list_for_each_safe (node, tmp, &f->queries) {
		struct query *q = query_of(node);

		if (q->current == upstream && q->is_waiting && send_query(f, q) < 0 && may_hurry(q))
			ask_next(f, q, now_ms);
	}
}

void dns_forwarder_upstream_failed(struct dns_forwarder *f, size_t upstream, uint64_t now_ms)
{
	struct list *node, *tmp;

	list_for_each_safe (node, tmp, &f->queries) {
		struct query *q = query_of(node);

		if (q->current != upstream)
			continue;
		q->is_waiting = false;
		if (may_hurry(q))
			ask_next(f, q, now_ms);
	}
}

/* ---- queries ---- */

static struct query *find_id(const struct dns_forwarder *f, uint16_t id)
{
	struct list *node;

	list_for_each (node, &f->queries) {
		if (query_of(node)->id == id)
			return query_of(node);
	}
	return NULL;
}

/* An application that is impatient sends the same again: one answer serves both. */
static bool is_in_flight(const struct dns_forwarder *f, const struct dns_asker *asker, uint16_t id,
			 const struct dns_question *question)
{
	struct list *node;

	list_for_each (node, &f->queries) {
		const struct query *q = query_of(node);

		if (q->asker.flow == asker->flow && q->asker_id == id &&
		    dns_question_equal(&q->question, question))
			return true;
	}
	return false;
}

/* Ends: of 65,536 ids at most DNS_IN_FLIGHT_MAX are taken. */
static uint16_t free_id(const struct dns_forwarder *f)
{
	uint16_t id = f->events->draw_id(f->ctx);

	while (find_id(f, id))
		id++;
	return id;
}

static struct query *add(struct dns_forwarder *f, const struct dns_asker *asker,
			 const uint8_t *data, size_t n)
{
	struct query *q = f->stats.n_in_flight < DNS_IN_FLIGHT_MAX ? malloc(sizeof(*q) + n) : NULL;

	if (!q)
		return NULL;
	*q = (struct query){.asker = *asker, .asker_id = dns_id(data), .n = n};
	q->id = free_id(f);
	memcpy(q->data, data, n);
	dns_set_id(q->data, q->id);
	list_append(&f->queries, &q->node);
	f->stats.n_in_flight++;
	return q;
}

static void forward(struct dns_forwarder *f, const struct dns_asker *asker, const uint8_t *data,
		    size_t n, const struct dns_question *question, const struct dns_zone *zone,
		    uint64_t now_ms)
{
	struct query *q = add(f, asker, data, n);

	if (!q) {
		f->stats.overload++;
		reply(f, asker, data, question, DNS_SERVFAIL);
		return;
	}
	q->question = *question;
	q->zone = zone;
	q->deadline_ms = now_ms + DNS_PATIENCE_MS;
	ask_next(f, q, now_ms);
}

void dns_forwarder_ask(struct dns_forwarder *f, const struct dns_asker *asker, const uint8_t *data,
		       size_t n, uint64_t now_ms)
{
	const struct dns_zone *zone = NULL;
	struct dns_question question;
	int r = dns_zones_route(f->zones, data, n, &question, &zone);

	if (r < 0)
		return;
	if (r == 0 && is_in_flight(f, asker, dns_id(data), &question))
		return;
	f->stats.queries++;
	if (r == 0 && n > DNS_UDP_QUERY_MAX)
		r = DNS_FORMERR;
	if (r == 0) {
		forward(f, asker, data, n, &question, zone, now_ms);
		return;
	}
	f->stats.refused += r == DNS_REFUSED;
	reply(f, asker, data, &question, (enum dns_rcode)r);
}

void dns_forwarder_forget(struct dns_forwarder *f, const void *flow)
{
	struct list *node, *tmp;

	list_for_each_safe (node, tmp, &f->queries) {
		if (query_of(node)->asker.flow == flow)
			drop(f, query_of(node));
	}
}

/* ---- answers ---- */

static bool was_asked(const struct query *q, size_t upstream)
{
	for (size_t i = 0; i < q->zone->n_upstreams; i++) {
		if (q->zone->upstreams[i] == upstream && q->asked & 1u << i)
			return true;
	}
	return false;
}

static struct query *find(const struct dns_forwarder *f, size_t upstream, const uint8_t *data,
			  size_t n)
{
	struct dns_question question;
	struct query *q;

	if (dns_answer_parse(data, n, &question) < 0)
		return NULL;
	q = find_id(f, dns_id(data));
	return q && was_asked(q, upstream) && dns_question_equal(&q->question, &question) ? q
											  : NULL;
}

/* The datagram is borrowed, and only its id changes. */
static void pass_on(struct dns_forwarder *f, struct query *q, const uint8_t *data, size_t n)
{
	uint8_t *copy = malloc(n);

	if (!copy) {
		fail(f, q);
		return;
	}
	memcpy(copy, data, n);
	dns_set_id(copy, q->asker_id);
	f->events->answer(f->ctx, &q->asker, copy, n);
	free(copy);
	drop(f, q);
}

void dns_forwarder_take(struct dns_forwarder *f, size_t upstream, const uint8_t *data, size_t n)
{
	struct query *q = find(f, upstream, data, n);

	if (!q)
		f->stats.dropped++;
	else if (n > DNS_UDP_ANSWER_MAX)
		truncate_answer(f, q);
	else
		pass_on(f, q, data, n);
}

/* ---- time ---- */

void dns_forwarder_tick(struct dns_forwarder *f, uint64_t now_ms)
{
	struct list *node, *tmp;

	list_for_each_safe (node, tmp, &f->queries) {
		if (query_of(node)->next_ms <= now_ms)
			ask_next(f, query_of(node), now_ms);
	}
}

uint64_t dns_forwarder_next_ms(const struct dns_forwarder *f)
{
	uint64_t next_ms = UINT64_MAX;
	struct list *node;

	list_for_each (node, &f->queries) {
		if (query_of(node)->next_ms < next_ms)
			next_ms = query_of(node)->next_ms;
	}
	return next_ms;
}

/* ---- life ---- */

struct dns_forwarder *dns_forwarder_new(const struct dns_zones *zones,
					const struct dns_forwarder_events *events, void *ctx)
{
	struct dns_forwarder *f = xnew(struct dns_forwarder);

	f->zones = zones;
	f->events = events;
	f->ctx = ctx;
	list_init(&f->queries);
	return f;
}

void dns_forwarder_free(struct dns_forwarder *f)
{
	struct list *node, *tmp;

	if (!f)
		return;
	list_for_each_safe (node, tmp, &f->queries)
		drop(f, query_of(node));
	free(f);
}

void dns_forwarder_get_stats(const struct dns_forwarder *f, struct dns_forwarder_stats *out)
{
	*out = f->stats;
}
