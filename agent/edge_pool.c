/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "agent/edge_discovery.h"

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
	}
}

/* <0: @a is the better choice, 0: equally good. */
static int compare(const struct edge_pool *p, size_t a, size_t b, int avoid)
{
	bool avoid_a = (int)a == avoid;
	bool avoid_b = (int)b == avoid;

	if (avoid_a != avoid_b)
		return avoid_a ? 1 : -1;
	if (p->n_users[a] != p->n_users[b])
		return p->n_users[a] < p->n_users[b] ? -1 : 1;
	if (p->failed_ms[a] != p->failed_ms[b])
		return p->failed_ms[a] < p->failed_ms[b] ? -1 : 1;
	return 0;
}

int edge_pool_take(struct edge_pool *p, const struct edge_address *avoid, uint32_t random)
{
	size_t best[EDGE_ADDRESSES_MAX];
	int avoided = avoid ? find(p, avoid) : -1;
	size_t n_best = 0;
	size_t taken;

	if (p->n == 0)
		return -1;
	for (size_t i = 0; i < p->n; i++) {
		int order = n_best ? compare(p, i, best[0], avoided) : -1;

		if (order > 0)
			continue;
		if (order < 0)
			n_best = 0;
		best[n_best++] = i;
	}
	taken = best[random % n_best];
	p->n_users[taken]++;
	return (int)taken;
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
