/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* dns_stub_private - shared by dns_stub.c and dns_stub_tcp.c, nobody else */

#include <uv.h>

#include "base/list.h"
#include "client/dns_forwarder.h"
#include "client/dns_stub.h"

/* The flow to one upstream. */
struct dns_stub_flow {
	struct dns_stub *stub;
	size_t upstream;
	struct datagram_flow *flow; /* NULL: none now */
	struct h2_session *session; /* that it was opened on */
	bool is_open;
};

struct dns_stub_counts {
	uint64_t queries; /* by TCP */
	uint64_t refused;
	uint64_t failed;
	uint64_t overload; /* connections */
};

struct dns_stub {
	struct dns_stub_options opt;
	void *ctx;
	struct dns_zones *zones;
	struct dns_forwarder *forwarder;
	struct dns_stub_flow *flows; /* per upstream */
	uv_timer_t timer;	     /* the forwarder's */
	struct list connections;     /* of dns_stub_tcp.c */
	struct list exchanges;	     /* struct dns_exchange */
	size_t n_connections;
	struct dns_stub_counts counts;
};

/* The virtual network to ask @upstream in; 0, or -ENETUNREACH. */
int dns_stub_network_of(struct dns_stub *s, const struct dns_upstream *upstream,
			const char **networkp);

/* ---- dns_stub_tcp.c ---- */

/* @fd is owned from here on. */
void dns_stub_accept(struct dns_stub *s, int fd);
void dns_stub_close_connections(struct dns_stub *s);
