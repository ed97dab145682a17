/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "agent/edge_discovery.h"
#include "base/compiler.h"

bool edge_address_equal(const struct edge_address *a, const struct edge_address *b)
{
	return endpoint_equal(&a->ep, &b->ep) && endpoint_equal(&a->proxy, &b->proxy) &&
	       strcmp(a->host, b->host) == 0;
}

const char *edge_address_format(const struct edge_address *a, char out[EDGE_ADDRESS_TEXT_MAX])
{
	char ep[ENDPOINT_TEXT_MAX];

	if (a->host[0])
		snprintf(out, EDGE_ADDRESS_TEXT_MAX, "%s:%u", a->host, (unsigned int)a->ep.port);
	else
		snprintf(out, EDGE_ADDRESS_TEXT_MAX, "%s", endpoint_format(&a->ep, ep));
	return out;
}

static int find(const struct edge_pool *p, const struct edge_address *address)
{
	for (size_t i = 0; i < p->n; i++) {
		if (edge_address_equal(&p->addrs[i], address))
			return (int)i;
	}
	return -1;
}

void edge_pool_set(struct edge_pool *p, const struct edge_address *addrs, size_t n)
{
	struct edge_pool old = *p;

	p->n = n < EDGE_ADDRESSES_MAX ? n : EDGE_ADDRESSES_MAX;
	for (size_t i = 0; i < p->n; i++) {
		int was = find(&old, &addrs[i]);

		p->addrs[i] = addrs[i];
		p->n_users[i] = was < 0 ? 0 : old.n_users[was];
		p->failed_ms[i] = was < 0 ? 0 : old.failed_ms[was];
		p->worked_ms[i] = was < 0 ? 0 : old.worked_ms[was];
	}
}

/* ---- what is held against whom ---- */

static bool is_held(uint64_t failed_ms, uint64_t now_ms)
{
	return failed_ms && now_ms < failed_ms + EDGE_FAILURE_MS;
}

/* Of where TCP goes. */
static uint8_t family_of(const struct edge_address *a)
{
	return a->proxy.ip.family ? a->proxy.ip.family : a->ep.ip.family;
}

static bool is_family_held(const struct edge_pool *p, uint8_t family, uint64_t now_ms)
{
	uint64_t failed_ms = 0, worked_ms = 0;

	for (size_t i = 0; i < p->n; i++) {
		if (family_of(&p->addrs[i]) != family)
			continue;
		failed_ms = p->failed_ms[i] > failed_ms ? p->failed_ms[i] : failed_ms;
		worked_ms = p->worked_ms[i] > worked_ms ? p->worked_ms[i] : worked_ms;
	}
	return failed_ms > worked_ms && is_held(failed_ms, now_ms);
}

uint32_t edge_pool_connect_ms(const struct edge_pool *p, size_t at, uint64_t now_ms)
{
	uint8_t family = family_of(&p->addrs[at]);
	bool has_other = false, other_works = false;

	/* A proxy needs time for its own connect. */
	if (p->addrs[at].proxy.ip.family)
		return 0;
	for (size_t i = 0; i < p->n; i++) {
		if (family_of(&p->addrs[i]) == family)
			continue;
		has_other = true;
		other_works |= p->worked_ms[i] > 0;
	}
	if (!has_other)
		return 0;
	if (is_held(p->failed_ms[at], now_ms))
		return other_works && is_family_held(p, family, now_ms) ? EDGE_HASTY_CONNECT_MS : 0;
	return EDGE_HASTY_CONNECT_MS;
}

/* ---- the choice ---- */

/* What counts for an address, the weightiest first; less is better. */
struct rank {
	uint64_t by[5];
};

static struct rank rank_of(const struct edge_pool *p, size_t i, int avoided, uint64_t now_ms)
{
	return (struct rank){{
		(int)i == avoided,
		is_held(p->failed_ms[i], now_ms),
		is_family_held(p, family_of(&p->addrs[i]), now_ms),
		p->n_users[i],
		p->failed_ms[i],
	}};
}

static int compare(const struct rank *a, const struct rank *b)
{
	for (size_t i = 0; i < ARRAY_SIZE(a->by); i++) {
		if (a->by[i] != b->by[i])
			return a->by[i] < b->by[i] ? -1 : 1;
	}
	return 0;
}

int edge_pool_take(struct edge_pool *p, const struct edge_address *avoid, uint32_t random,
		   uint64_t now_ms)
{
	int avoided = avoid ? find(p, avoid) : -1;
	size_t best[EDGE_ADDRESSES_MAX];
	struct rank lowest = {{0}};
	size_t n_best = 0;
	size_t taken;

	if (p->n == 0)
		return -1;
	for (size_t i = 0; i < p->n; i++) {
		struct rank rank = rank_of(p, i, avoided, now_ms);
		int order = n_best ? compare(&rank, &lowest) : -1;

		if (order > 0)
			continue;
		if (order < 0)
			n_best = 0;
		lowest = rank;
		best[n_best++] = i;
	}
	taken = best[random % n_best];
	p->n_users[taken]++;
	return (int)taken;
}

int edge_pool_take_this(struct edge_pool *p, const struct edge_address *address)
{
	int at = find(p, address);

	if (at >= 0)
		p->n_users[at]++;
	return at;
}

/*
 * A failure is held against it for less long than against one that is dialled in need: the uplink
 * that tries has a connection. Which shows that the family of @from works.
 */
static bool is_worth_a_move(const struct edge_pool *p, size_t from, size_t i, uint64_t now_ms)
{
	uint8_t family = family_of(&p->addrs[i]);

	if (family != family_of(&p->addrs[from]) && is_family_held(p, family, now_ms))
		return false;
	return !p->failed_ms[i] || now_ms >= p->failed_ms[i] + EDGE_MOVE_MS;
}

const struct edge_address *edge_pool_find_better(const struct edge_pool *p,
						 const struct edge_address *at, uint64_t now_ms)
{
	int from = find(p, at), best = -1;

	for (size_t i = 0; from >= 0 && i < p->n; i++) {
		if (p->n_users[i] + 2 > p->n_users[from] ||
		    !is_worth_a_move(p, (size_t)from, i, now_ms))
			continue;
		if (best < 0 || p->n_users[i] < p->n_users[best])
			best = (int)i;
	}
	return best < 0 ? NULL : &p->addrs[best];
}

void edge_pool_release(struct edge_pool *p, const struct edge_address *address)
{
	int at = find(p, address);

	/* An address that went and came back has lost count of its earlier users. */
	if (at >= 0 && p->n_users[at] > 0)
		p->n_users[at]--;
}

void edge_pool_mark_failed(struct edge_pool *p, const struct edge_address *address, uint64_t now_ms)
{
	int at = find(p, address);

	if (at >= 0)
		p->failed_ms[at] = now_ms;
}

void edge_pool_mark_worked(struct edge_pool *p, const struct edge_address *address, uint64_t now_ms)
{
	int at = find(p, address);

	if (at < 0)
		return;
	p->failed_ms[at] = 0;
	p->worked_ms[at] = now_ms;
}

void edge_pool_forgive(struct edge_pool *p)
{
	memset(p->failed_ms, 0, sizeof(p->failed_ms));
}
