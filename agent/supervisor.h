/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * supervisor - the agent's uplinks together: addresses, timers, health
 *
 * Starts all uplinks at once, gives each an edge address such that they spread,
 * looks the addresses up at start and again when every known one has failed, and
 * runs whatever is due by one timer. What one loop turn changed is settled once,
 * at its end; then on_settled runs.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/edge_discovery.h"
#include "agent/edge_link.h"
#include "agent/uplink.h"
#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/log.h"

struct supervisor;

#define SUPERVISOR_UPLINKS_MAX 64 /* ha-connections at most */

/* All members must be set. Any of them may call supervisor_stop() and supervisor_kill(). */
struct supervisor_events {
	/* A request of the edge on connection @index. */
	void (*on_stream)(void *ctx, unsigned int index, struct edge_link *el,
			  struct h2_stream *stream, const struct h2_headers *hdrs);
	/* An answer on a link of supervisor_links(). */
	void (*on_advertised)(void *ctx, uint64_t link, uint64_t generation,
			      const struct route_verdict *verdicts, size_t n_verdicts,
			      bool send_all, const char *failed);
	/* Something may have changed. Returns when to call again at the latest, or UINT64_MAX. */
	uint64_t (*on_settled)(void *ctx, uint64_t now_ms);
	/* An event for agent/events.h; may come from any call of ours. Calls nothing of ours. */
	void (*on_event)(void *ctx, const char *kind, const struct log_field *fields);
	/* The edge refused our credentials. */
	void (*on_unauthorized)(void *ctx);
	/* All uplinks are stopped; once. */
	void (*on_stopped)(void *ctx);
};

/* Borrowed, except what is copied by value. */
struct supervisor_options {
	struct edge_link_options link;
	struct edge_discovery *discovery;
	const struct registration_request *identity; /* index, address, attempts are filled in */
	unsigned int n_uplinks;
};

struct supervisor *supervisor_new(const struct supervisor_options *opt,
				  const struct supervisor_events *events, void *ctx);
/* The loop must turn until its handles are closed. NULL is fine. */
struct supervisor *supervisor_free(struct supervisor *s);
DEFINE_CLEANUP(struct supervisor *, supervisor_free);

void supervisor_start(struct supervisor *s);
/* Unregisters all, lets streams end for up to @grace_ms. on_stopped follows, never at once. */
void supervisor_stop(struct supervisor *s, uint32_t grace_ms);
/* Closes all. on_stopped follows, never at once. */
void supervisor_kill(struct supervisor *s);
/* What connection 0 tells an edge that does not manage us; copied. */
void supervisor_set_local_config(struct supervisor *s, const char *json);
/* Something outside changed (a stream ended, routes were reloaded): settle this turn. */
void supervisor_poke(struct supervisor *s);

/*
 * The host's network changed (tun/netlink_watch.h). Links whose own address is gone are replaced
 * at once, the others probed; back-offs end now. Nothing that works is closed.
 */
struct supervisor_recheck {
	unsigned int n_replaced; /* links */
	unsigned int n_hurried;	 /* uplinks whose back-off ended */
};

void supervisor_network_changed(struct supervisor *s, struct supervisor_recheck *out);

/* ---- views ---- */

unsigned int supervisor_n_uplinks(const struct supervisor *s);
unsigned int supervisor_n_registered(const struct supervisor *s);

/* A registered link; @link names it for good. */
struct supervisor_link {
	uint64_t link;
	struct edge_link *el;
};

/* Registered links by ascending connection index; returns how many (at most n_uplinks). */
size_t supervisor_links(const struct supervisor *s, struct supervisor_link *out, size_t cap);
/* NULL when it is gone or not registered any more. */
struct edge_link *supervisor_find_link(const struct supervisor *s, uint64_t link);

struct supervisor_connection {
	enum uplink_state state;
	uint64_t since_ms;		 /* of the state */
	bool has_edge;			 /* an address was dialled */
	const struct edge_address *edge; /* borrowed */
	const char *location;		 /* "" unless registered; borrowed */
	const char *last_error;		 /* "" if none; borrowed */
	struct link_stats stats;	 /* bytes are those of all links of this index */
};

/* @index below n_uplinks. */
void supervisor_get_connection(const struct supervisor *s, unsigned int index,
			       struct supervisor_connection *out);
