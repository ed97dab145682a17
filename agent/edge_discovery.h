/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * edge_discovery - which edge addresses there are, and which one an uplink dials next
 *
 * Entries of `edge:` are literal endpoints, names, "cloudflare" (SRV) or "srv:name".
 * Resolving is asynchronous; the pool of addresses is pure and hands each uplink an
 * address such that uplinks spread over them, four on one address if there is only one.
 *
 * Name that is sent as SNI and verified: `edge-server-name` if set; else the stock
 * name for "cloudflare", the entry's host or literal address, and for "srv:name" the
 * name without its leading _service._proto labels. Never the target of an SRV record:
 * DNS isn't trusted to say who the edge is.
 *
 * With `edge-proxy` only the proxy's own name and SRV records are looked up: names of the edge
 * are the proxy's to resolve. There is one entry for each of the proxy's addresses and each edge,
 * so that an uplink that avoids what failed tries the proxy's other addresses, too.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/list.h"

#define EDGE_ADDRESSES_MAX 64

struct edge_discovery;
struct resolver;
struct settings;

struct edge_address {
	struct endpoint ep;		  /* family 0: only `host` is known, and the port */
	struct endpoint proxy;		  /* where TCP goes, if not to ep; family 0: no proxy */
	char host[HOST_NAME_MAX_LEN + 1]; /* what the proxy resolves; "" with an address */
	char server_name[HOST_NAME_MAX_LEN + 1]; /* SNI and verified name for this address */
};

#define EDGE_ADDRESS_TEXT_MAX (HOST_NAME_MAX_LEN + 8) /* host:65535 and NUL */

/* The same edge by the same way. */
bool edge_address_equal(const struct edge_address *a, const struct edge_address *b);
/* The edge, not the proxy: "10.0.0.1:7844" or "edge.example:7844". Returns @out. */
const char *edge_address_format(const struct edge_address *a, char out[EDGE_ADDRESS_TEXT_MAX]);

/*
 * ---- pool: pure ----
 *
 * A failure is held against an address until it works again, or for EDGE_FAILURE_MS. Meanwhile it
 * is also held against its address family, if nothing of that family has worked since: where the
 * network swallows IPv6, one try shows it for all of the edge's IPv6 addresses.
 */
#define EDGE_FAILURE_MS (5 * 60 * 1000)

/*
 * For TCP to stand, if there are addresses of the other family: at one that nothing is held
 * against, and at one of a family that doesn't work where the other one has worked. On a path that
 * is well it is enough for a SYN and its repetition after 1 s; where nothing has worked yet, the
 * second try has as long as ever.
 */
#define EDGE_HASTY_CONNECT_MS 2500

/* How often uplinks are spread again over addresses, for those that were away for a while. */
#define EDGE_MOVE_MS 30000

struct edge_pool {
	struct edge_address addrs[EDGE_ADDRESSES_MAX];
	uint16_t n_users[EDGE_ADDRESSES_MAX];	/* uplinks that dial or use it */
	uint64_t failed_ms[EDGE_ADDRESSES_MAX]; /* last failure to register; 0: none */
	uint64_t worked_ms[EDGE_ADDRESSES_MAX]; /* last registration; 0: none */
	size_t n;
};

/* Replaces the addresses (at most EDGE_ADDRESSES_MAX); what stays keeps its users and failures. */
void edge_pool_set(struct edge_pool *p, const struct edge_address *addrs, size_t n);
/*
 * By these, in this order: another one than @avoid (NULL: none), one that nothing is held against,
 * a family that nothing is held against, the fewest users, the longest time since the failure
 * (never failed first), @random. Its index, or -1 when empty. The taker counts as a user.
 */
int edge_pool_take(struct edge_pool *p, const struct edge_address *avoid, uint32_t random,
		   uint64_t now_ms);
/*
 * Where an uplink that uses @at would better be: an address with at least two users fewer, of a
 * family that works, whose last failure, if any, is EDGE_MOVE_MS ago. NULL: where it is. The
 * address is the pool's.
 */
const struct edge_address *edge_pool_find_better(const struct edge_pool *p,
						 const struct edge_address *at, uint64_t now_ms);
/* Takes @address as edge_pool_take() does. Its index, or -1: it isn't in the pool any more. */
int edge_pool_take_this(struct edge_pool *p, const struct edge_address *address);
/* How long TCP to address @at may take; 0: as long as the protocol's deadline (wire/proto.h). */
uint32_t edge_pool_connect_ms(const struct edge_pool *p, size_t at, uint64_t now_ms);
/* The host's network changed: what failed may work now. */
void edge_pool_forgive(struct edge_pool *p);
/* These ignore an address that isn't in the pool any more. */
void edge_pool_release(struct edge_pool *p, const struct edge_address *address);
void edge_pool_mark_failed(struct edge_pool *p, const struct edge_address *address,
			   uint64_t now_ms);
void edge_pool_mark_worked(struct edge_pool *p, const struct edge_address *address,
			   uint64_t now_ms);

/* ---- discovery: asks the resolver ---- */

/*
 * @status 0: @addrs holds all found, in the order of the entries, each endpoint once;
 * else -errno. @text names the entries that failed and why, "" if none did.
 * The discovery may be freed or started again from inside.
 */
typedef void (*edge_discovery_cb)(void *ctx, int status, const struct edge_address *addrs, size_t n,
				  const char *text);

/*
 * @settings and @resolver are borrowed for its lifetime. @region: credentials'
 * endpoint or "". 0, or -EINVAL for an entry that is none.
 */
NODISCARD int edge_discovery_new(struct edge_discovery **dp, struct resolver *resolver,
				 const struct settings *settings, const char *region);
/* A running lookup is dropped without its callback. NULL is fine. */
void edge_discovery_free(struct edge_discovery *d);
/* Starts a lookup unless one runs (0 then, too). The callback never runs before the return. */
int edge_discovery_start(struct edge_discovery *d, edge_discovery_cb cb, void *ctx);
