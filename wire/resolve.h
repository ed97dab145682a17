/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * resolve - names to addresses and SRV records (c-ares on the uv loop)
 *
 * Lookups go to the configured servers or the system's, nowhere else. With
 * configured servers neither /etc/hosts nor search domains are used. Answers are
 * bounded: RESOLVE_MAX results; the rest is dropped. The system's configuration is
 * read anew whenever a lookup starts while no other runs.
 */

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/compiler.h"

#define RESOLVE_MAX 16

struct resolver;
struct resolve_query;

struct resolve_srv {
	char target[HOST_NAME_MAX_LEN + 1];
	uint16_t port;
	uint16_t priority;
	uint16_t weight;
};

/*
 * @servers: "ip[:port],..." (IPv6 with a port in brackets) or NULL for the
 * system's; @timeout_ms per try, of which there are three.
 * 0, -EINVAL for a bad list, or -errno.
 */
NODISCARD int resolver_new(struct resolver **rp, uv_loop_t *uv, const char *servers,
			   unsigned int timeout_ms);
/* Running queries are dropped without their callback. NULL is fine. Handles close on the loop. */
void resolver_free(struct resolver *r);
DEFINE_CLEANUP(struct resolver *, resolver_free);

/*
 * @status: 0, or -errno: -ENOENT (no such name), -ENODATA (none of the kind), -ECONNREFUSED
 * (no server gave an answer: absent, failed or refusing), -ETIMEDOUT, -EBADMSG
 * (garbage), -EINVAL (not a name). resolve_status_text() says it in words.
 */
typedef void (*resolve_host_cb)(void *ctx, int status, const struct ip_addr *ips, size_t n);
/* Sorted by priority, shuffled by weight (RFC 2782). */
typedef void (*resolve_srv_cb)(void *ctx, int status, const struct resolve_srv *srv, size_t n);

/*
 * A and AAAA of @name (a literal is its own answer), in the order RFC 6724
 * gives; localhost and names below it are loopback, whatever a name server says, unless the hosts
 * file has them. The callback never runs before the return. -EINVAL: name too long.
 */
NODISCARD int resolve_host(struct resolver *r, const char *name, resolve_host_cb cb, void *ctx,
			   struct resolve_query **queryp);
NODISCARD int resolve_srv(struct resolver *r, const char *name, resolve_srv_cb cb, void *ctx,
			  struct resolve_query **queryp);
/* The callback will not run. Valid until the callback ran; NULL is fine. */
void resolve_cancel(struct resolve_query *q);

/* "no such name", "the name server did not answer", ... Never NULL. */
const char *resolve_status_text(int status);

/*
 * RFC 2782: by priority, within one by weighted chance. @randoms: @n uniform
 * values, one per place. Pure.
 */
void resolve_srv_order(struct resolve_srv *srv, size_t n, const uint32_t *randoms);
