/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A leaky bucket per address, kept as the time at which it will be empty: each failure moves
 * that time on by what one failure costs, and nothing has to run in between.
 *
 * Invariants: n == length of by_age <= n_max; by_age begins with who failed longest ago; no
 * bucket is fuller than its limit, so nobody waits longer than one failure costs.
 */

#include "edge/guesses.h"

#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/list.h"

#define MINUTE_MS 60000
#define MINUTE_US (MINUTE_MS * UINT64_C(1000))

/* Chains can't get longer than n_max, whatever addresses somebody picks. */
#define N_CHAINS 1024

#define IP6_KEY_BYTES 8

struct guesser {
	struct list by_age;
	struct list by_hash;
	struct ip_addr key;
	uint64_t empty_us; /* when all is forgiven */
	uint64_t told_ms;  /* 0: never */
};

struct guesses {
	size_t n;
	size_t n_max;
	struct list by_age;
	struct list chains[N_CHAINS];
};

struct guesses *guesses_new(size_t n_max)
{
	struct guesses *g = xnew(struct guesses);

	g->n_max = n_max;
	list_init(&g->by_age);
	for (size_t i = 0; i < N_CHAINS; i++)
		list_init(&g->chains[i]);
	return g;
}

struct guesses *guesses_free(struct guesses *g)
{
	struct list *node;

	if (!g)
		return NULL;
	while ((node = list_pop(&g->by_age)) != NULL)
		free(list_entry(node, struct guesser, by_age));
	free(g);
	return NULL;
}

static struct ip_addr key_of(const struct ip_addr *ip)
{
	struct ip_addr key = ip_canonical(ip);

	if (key.family == AF_INET6)
		memset(key.bytes + IP6_KEY_BYTES, 0, sizeof(key.bytes) - IP6_KEY_BYTES);
	return key;
}

static size_t chain_of(const struct ip_addr *key)
{
	uint64_t h;

	memcpy(&h, key->bytes, sizeof(h));
	return (size_t)((h * UINT64_C(0x9e3779b97f4a7c15)) >> 32) % N_CHAINS;
}

static struct guesser *find(const struct guesses *g, const struct ip_addr *key)
{
	const struct list *chain = &g->chains[chain_of(key)];
	struct list *pos;

	list_for_each (pos, chain) {
		struct guesser *who = list_entry(pos, struct guesser, by_hash);

		if (ip_equal(&who->key, key))
			return who;
	}
	return NULL;
}

/* At the end of by_age, where who fails now belongs. */
static struct guesser *find_or_add(struct guesses *g, const struct ip_addr *key)
{
	struct guesser *who = find(g, key);

	if (who) {
		list_remove(&who->by_age);
	} else if (g->n < g->n_max) {
		who = xnew(struct guesser);
		list_init(&who->by_hash);
		g->n++;
	} else {
		who = list_entry(list_pop(&g->by_age), struct guesser, by_age);
	}
	if (!ip_equal(&who->key, key)) {
		list_remove(&who->by_hash);
		*who = (struct guesser){.key = *key};
		list_append(&g->chains[chain_of(key)], &who->by_hash);
	}
	list_append(&g->by_age, &who->by_age);
	return who;
}

static uint64_t cost_us(const struct guess_limits *limits)
{
	return MINUTE_US / limits->per_minute;
}

/* Limits that a reload has lowered hold for what is in the bucket, too. */
static void spill(struct guesser *who, const struct guess_limits *limits, uint64_t now_us)
{
	uint64_t full_us = now_us + limits->burst * cost_us(limits);

	if (who->empty_us > full_us)
		who->empty_us = full_us;
}

uint64_t guesses_wait_ms(struct guesses *g, const struct ip_addr *ip,
			 const struct guess_limits *limits, uint64_t now_ms)
{
	const struct ip_addr key = key_of(ip);
	struct guesser *who = find(g, &key);
	uint64_t room_until_us = now_ms * 1000 + (limits->burst - 1) * cost_us(limits);

	if (!who)
		return 0;
	spill(who, limits, now_ms * 1000);
	if (who->empty_us <= room_until_us)
		return 0;
	return (who->empty_us - room_until_us + 999) / 1000;
}

void guesses_failed(struct guesses *g, const struct ip_addr *ip, const struct guess_limits *limits,
		    uint64_t now_ms)
{
	const struct ip_addr key = key_of(ip);
	struct guesser *who = find_or_add(g, &key);
	uint64_t now_us = now_ms * 1000;

	who->empty_us = (who->empty_us > now_us ? who->empty_us : now_us) + cost_us(limits);
	spill(who, limits, now_us);
}

bool guesses_tell(struct guesses *g, const struct ip_addr *ip, uint64_t now_ms)
{
	const struct ip_addr key = key_of(ip);
	struct guesser *who = find(g, &key);

	if (!who || (who->told_ms != 0 && now_ms - who->told_ms < MINUTE_MS))
		return false;
	who->told_ms = now_ms;
	return true;
}

size_t guesses_count(const struct guesses *g)
{
	return g->n;
}
