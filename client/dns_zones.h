/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * dns_zones - which name servers know which domains
 *
 * A name belongs to the longest domain that it is in. Servers that several domains share, in the
 * same virtual network, are one upstream. Immutable; nothing here does I/O.
 */

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/compiler.h"
#include "client/dns_message.h"
#include "client/up_settings.h"

struct dns_upstream {
	struct endpoint server;
	const char *network; /* as configured; NULL: the one that routes the server's address */
};

struct dns_zone {
	uint8_t name[DNS_NAME_MAX];
	size_t n_name;
	size_t upstreams[UP_DNS_SERVERS_MAX]; /* in the order to ask them */
	size_t n_upstreams;
};

struct dns_zones {
	struct dns_zone *items;
	size_t n;
	struct dns_upstream *upstreams;
	size_t n_upstreams;
};

/* @forwards must outlive them. 0, or -EINVAL: a domain that is no name, or without servers. */
NODISCARD int dns_zones_new(struct dns_zones **zp, const struct up_dns_forward *forwards, size_t n);
struct dns_zones *dns_zones_free(struct dns_zones *z);
DEFINE_CLEANUP(struct dns_zones *, dns_zones_free);

/*
 * Reads a query. 0 and the zone that its name is in; or the rcode to answer with: REFUSED for a
 * name in none of them, NOTIMP for a transfer of a whole zone; or -EBADMSG: no answer.
 */
int dns_zones_route(const struct dns_zones *z, const void *data, size_t n, struct dns_question *q,
		    const struct dns_zone **zonep);
