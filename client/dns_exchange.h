/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * dns_exchange - one query and its answer with one name server, by TCP through the edge
 *
 * ASKING     CONNECT was sent
 * TALKING    the stream is joined with one end of a socket pair; on the other end the query is
 *            written, then the answer read
 * LINGERING  done ran with the answer; the server was told the end and closes its side, or is cut
 * ENDED      nothing more happens but what frees the memory
 *
 * DNS_EXCHANGE_MS for ASKING and TALKING together, and as long for LINGERING.
 */

#include "base/addr.h"
#include "base/list.h"
#include "client/dns_frame.h"

struct dns_exchange;
struct h2_session;
struct io_loop;

#define DNS_EXCHANGE_MS 5000

/* Borrowed for the call, but @loop. */
struct dns_exchange_options {
	struct io_loop *loop;
	struct h2_session *session; /* one that can open streams */
	struct endpoint server;
	const char *network; /* virtual network, NULL: the edge's default */
	const char *token;
};

/*
 * Once, never inside dns_exchange_new(). @answer is NULL if none came; else a whole message, which
 * the callee may take (and zero). The exchange isn't to be freed any more.
 */
typedef void (*dns_exchange_done)(void *ctx, struct dns_frame *answer);

/*
 * @query is whole, and borrowed until done. It is a member of @all as long as it lives, for those
 * that linger. 0, H2_E_DRAINING, H2_E_LIMIT or -errno.
 */
NODISCARD int dns_exchange_new(struct dns_exchange **xp, const struct dns_exchange_options *opt,
			       struct dns_frame *query, struct list *all, dns_exchange_done done,
			       void *ctx);
/* Without done. NULL is fine; memory goes on the loop. */
void dns_exchange_free(struct dns_exchange *x);
/* All of a list. */
void dns_exchange_free_all(struct list *all);
