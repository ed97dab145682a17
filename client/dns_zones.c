/* SPDX-License-Identifier: Apache-2.0 */
#include "client/dns_zones.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

static bool is_same(const struct dns_upstream *a, const struct dns_upstream *b)
{
	return endpoint_equal(&a->server, &b->server) &&
	       strcmp(a->network ? a->network : "", b->network ? b->network : "") == 0;
}

static size_t find_upstream(struct dns_zones *z, const struct dns_upstream *wanted)
{
	for (size_t i = 0; i < z->n_upstreams; i++) {
		if (is_same(&z->upstreams[i], wanted))
			return i;
	}
	z->upstreams[z->n_upstreams] = *wanted;
	return z->n_upstreams++;
}

static int add_zone(struct dns_zones *z, const struct up_dns_forward *forward)
{
	struct dns_zone *zone = &z->items[z->n];
	int n_name = dns_name_from_text(forward->domain, zone->name);

	if (n_name < 0 || forward->n_servers == 0 || forward->n_servers > UP_DNS_SERVERS_MAX)
		return -EINVAL;
	zone->n_name = (size_t)n_name;
	for (size_t i = 0; i < forward->n_servers; i++) {
		const struct dns_upstream upstream = {
			.server = forward->servers[i],
			.network = forward->virtual_network[0] ? forward->virtual_network : NULL,
		};

		zone->upstreams[zone->n_upstreams++] = find_upstream(z, &upstream);
	}
	z->n++;
	return 0;
}

int dns_zones_new(struct dns_zones **zp, const struct up_dns_forward *forwards, size_t n)
{
	CLEANUP(dns_zones_free) struct dns_zones *z = xnew(struct dns_zones);
	int r = n > UP_DNS_FORWARDS_MAX ? -EINVAL : 0;

	z->items = xzalloc(UP_DNS_FORWARDS_MAX * sizeof(*z->items));
	z->upstreams =
		xzalloc((size_t)UP_DNS_FORWARDS_MAX * UP_DNS_SERVERS_MAX * sizeof(*z->upstreams));
	for (size_t i = 0; r == 0 && i < n; i++)
		r = add_zone(z, &forwards[i]);
	if (r < 0)
		return r;
	*zp = steal_ptr(z);
	return 0;
}

struct dns_zones *dns_zones_free(struct dns_zones *z)
{
	if (z) {
		free(z->items);
		free(z->upstreams);
	}
	free(z);
	return NULL;
}

static const struct dns_zone *find(const struct dns_zones *z, const struct dns_question *q)
{
	const struct dns_zone *best = NULL;

	for (size_t i = 0; i < z->n; i++) {
		const struct dns_zone *zone = &z->items[i];

		if ((!best || zone->n_name > best->n_name) &&
		    dns_name_is_below(q->name, q->n_name, zone->name, zone->n_name))
			best = zone;
	}
	return best;
}

int dns_zones_route(const struct dns_zones *z, const void *data, size_t n, struct dns_question *q,
		    const struct dns_zone **zonep)
{
	const struct dns_zone *zone;
	int r = dns_query_parse(data, n, q);

	if (r != 0)
		return r;
	zone = find(z, q);
	if (!zone)
		return DNS_REFUSED;
	if (q->type == DNS_TYPE_AXFR || q->type == DNS_TYPE_IXFR)
		return DNS_NOTIMP;
	*zonep = zone;
	return 0;
}
