/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * dns_stub - a name server on our address P that asks others through the tunnel
 *
 * For names of configured domains only; others are REFUSED, so that a resolver asks elsewhere.
 * Queries go on as they came: by UDP as datagrams, over one flow per server that all share;
 * by TCP as a connection of their own for each query.
 *
 * It is a capture_local: its packets come from a capture and there is no socket. A capture must be
 * freed before its stub, and the stub before the keeper. Loop thread only.
 */

#include "base/compiler.h"
#include "client/capture.h"
#include "client/up_settings.h"

struct dns_stub;

#define DNS_STUB_PORT		 53
#define DNS_STUB_CONNECTIONS_MAX 64
#define DNS_STUB_IDLE_MS	 10000 /* of a TCP connection */

struct dns_stub_options {
	struct io_loop *loop;
	struct keeper *keeper;
	const char *token;
	const struct up_dns_forward *forwards;
	size_t n_forwards;
	/* As of capture_options, for servers without a virtual network of their own. */
	int (*network_of)(void *ctx, const struct ip_addr *ip, const char **networkp);
};

/* For capture_options.local; local_ctx is the stub. */
extern const struct capture_local dns_stub_local;

/* @opt is copied, what it points to borrowed. @ctx: of network_of. 0, or -EINVAL (forwards). */
NODISCARD int dns_stub_new(struct dns_stub **sp, const struct dns_stub_options *opt, void *ctx);
/* Handles close on the loop. NULL is fine. */
void dns_stub_free(struct dns_stub *s);

/* Domains, servers and counts for `adit up --status`; a new reference. */
struct json_t *dns_stub_json(const struct dns_stub *s);
