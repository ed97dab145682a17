/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * net_helper - the process that keeps CAP_NET_ADMIN, and how the main process asks it
 *
 * Forked before privileges are dropped, and while there is one thread. It holds its end of a socket
 * pair, a netlink socket of its own, stdio and what it is told to keep, and no other descriptor.
 * When the main process closes its end or dies, however, the helper takes rules, routes and DNS
 * settings back and ends. It leaves the session of the terminal, so that Ctrl-C doesn't reach it;
 * SIGTERM makes it clean up and end.
 *
 * A request outside the bounds is refused with -EPERM, logged and counted, and the helper goes on:
 * each request is judged alone, so ending would only punish the user. Answers come in the order of
 * requests.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "base/diag.h"
#include "client/net_request.h"

#define NET_HELPER_PENDING_MAX 16384 /* requests without an answer */

struct net_helper;

struct net_helper_config {
	struct net_bounds bounds; /* copied, prefixes too */
	int keep_fd;		/* held until the clean-up is done: the instance's lock; -1: none */
	const char *resolvectl; /* absolute path; NULL: where Debian has it */
};

/* @text is "" or says more, e.g. the kernel's words; for the call. */
typedef void (*net_helper_done)(void *ctx, int result, const char *text);

/* Forks. 0, or -errno with the reason in @d (may be NULL). */
int net_helper_start(const struct net_helper_config *config, struct net_helper **helperp,
		     struct diag *d);

/*
 * Answers are read on @loop from now on. @on_lost, once, when the helper is gone though nobody
 * closed it: what waits is answered with -EPIPE before, and so is every later request. It may call
 * net_helper_free(). 0 or -errno.
 */
int net_helper_attach(struct net_helper *h, uv_loop_t *loop, void (*on_lost)(void *ctx), void *ctx);

/*
 * Requests: queued at once, never blocking, @done (may be NULL) exactly once and never from within
 * the call, unless that fails: -ENOBUFS (NET_HELPER_PENDING_MAX), -EPIPE (helper gone), -EPERM (out
 * of bounds, as the helper would say), -EINVAL (domains). Only after net_helper_attach().
 */
int net_helper_route_add(struct net_helper *h, enum netlink_route_kind kind,
			 const struct prefix *prefix, net_helper_done done, void *ctx);
int net_helper_route_delete(struct net_helper *h, enum netlink_route_kind kind,
			    const struct prefix *prefix, net_helper_done done, void *ctx);
int net_helper_rule_add(struct net_helper *h, enum netlink_rule_kind kind, uint8_t family,
			net_helper_done done, void *ctx);
int net_helper_rule_delete(struct net_helper *h, enum netlink_rule_kind kind, uint8_t family,
			   net_helper_done done, void *ctx);
/*
 * The names @domains are asked of the stub on the IPv4 peer address from now on; none: taken
 * back.
 * The result is -EOPNOTSUPP where resolvectl isn't installed.
 */
int net_helper_dns_set(struct net_helper *h, const char *const *domains, size_t n_domains,
		       net_helper_done done, void *ctx);

size_t net_helper_n_pending(const struct net_helper *h);
pid_t net_helper_pid(const struct net_helper *h);

/*
 * Tells it to clean up and end, and waits for that, blocking (10 s at most). What still waits is
 * dropped without @done. The helper's exit status (0: everything is gone) or -errno.
 */
int net_helper_stop(struct net_helper *h);

/* Stops if that wasn't done, and frees; its uv handle closes on the loop. Accepts NULL. */
void net_helper_free(struct net_helper *h);
