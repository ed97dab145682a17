/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * dns_forwarder - queries in flight to name servers, without I/O
 *
 * A query goes to the first server of its zone, and to the next one after DNS_TRY_MS without an
 * answer, twice round all of them at most. DNS_PATIENCE_MS after it came it is answered with
 * SERVFAIL. A server that is known not to answer is passed over at once, but only within a round:
 * the second round is for a path that comes back.
 *
 * Towards servers a query has an id of its own, drawn at random. An answer counts if it has this id
 * and this question and comes from a server that was asked; all else is dropped. It goes
 * back with the application's id, otherwise as it came, "truncated" included.
 *
 * Time, randomness and datagrams come from outside. No event may call back.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/dns_zones.h"

struct dns_forwarder;

#define DNS_TRY_MS 2000
/* Before the packet engine forgets an idle flow to port 53, after 10 s. */
#define DNS_PATIENCE_MS	   8000
#define DNS_IN_FLIGHT_MAX  512
#define DNS_UDP_QUERY_MAX  4096
#define DNS_UDP_ANSWER_MAX 65507 /* of an IPv4 packet of 65,535 octets */
#define DNS_ROUNDS_MAX	   2

/* Who asked: two pointers of the caller's, compared and given back. */
struct dns_asker {
	void *via;
	void *flow;
};

struct dns_forwarder_events {
	/*
	 * To @upstream, an index of the zones. 0; -EAGAIN: dns_forwarder_upstream_open() will
	 * be called; another -errno: this server can't be asked now.
	 */
	int (*send)(void *ctx, size_t upstream, const uint8_t *data, size_t n);
	void (*answer)(void *ctx, const struct dns_asker *asker, const uint8_t *data, size_t n);
	uint16_t (*draw_id)(void *ctx);
};

struct dns_forwarder_stats {
	uint64_t queries;  /* all that came and were some */
	uint64_t refused;  /* names of no zone */
	uint64_t failed;   /* no server answered */
	uint64_t overload; /* DNS_IN_FLIGHT_MAX */
	uint64_t dropped;  /* answers that nobody waits for */
	size_t n_in_flight;
};

/* @zones and @events are borrowed. */
struct dns_forwarder *dns_forwarder_new(const struct dns_zones *zones,
					const struct dns_forwarder_events *events, void *ctx);
/* Queries in flight go without an answer. NULL is fine. */
void dns_forwarder_free(struct dns_forwarder *f);

/* A query of @asker; borrowed for the call. */
void dns_forwarder_ask(struct dns_forwarder *f, const struct dns_asker *asker, const uint8_t *data,
		       size_t n, uint64_t now_ms);
/* The flow of that asker is gone, and its queries with it. */
void dns_forwarder_forget(struct dns_forwarder *f, const void *flow);

/* A datagram from @upstream. */
void dns_forwarder_take(struct dns_forwarder *f, size_t upstream, const uint8_t *data, size_t n);
/* What waited for @upstream may be sent now. */
void dns_forwarder_upstream_open(struct dns_forwarder *f, size_t upstream, uint64_t now_ms);
/* What was asked of it last won't be answered. */
void dns_forwarder_upstream_failed(struct dns_forwarder *f, size_t upstream, uint64_t now_ms);

void dns_forwarder_tick(struct dns_forwarder *f, uint64_t now_ms);
/* When that is due; UINT64_MAX: never. */
uint64_t dns_forwarder_next_ms(const struct dns_forwarder *f);

void dns_forwarder_get_stats(const struct dns_forwarder *f, struct dns_forwarder_stats *out);
