/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * edge - the running edge: owner of everything, one loop
 *
 * Its modules reach each other through this struct: listener (accepts), connection (one link
 * of an agent), ingress (one link of a client), flow (one stream of a client to an agent).
 * Start: edge_new(), then uv_run(). Stop: SIGTERM drains, a second one ends at once.
 */

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/heap_peak.h"
#include "base/list.h"
#include "base/quota.h"
#include "edge/admin.h"
#include "edge/edge_settings.h"
#include "edge/limits.h"
#include "edge/model.h"
#include "wire/h2_session.h"
#include "wire/pressure.h"

struct access_log;
struct ctrl_server;
struct decision;
struct diag;
struct guesses;
struct io_loop;
struct listener;
struct registry;
struct store;
struct tls_context;

/* A place (tunnel, connector, index) that an administrator closed for a while. */
struct edge_hold {
	struct list node;
	struct uuid tunnel;
	struct uuid connector;
	uint8_t index;
	uint64_t until_ms;
};

/* The certificate in use. */
struct edge_certificate {
	int64_t mtime_ns;     /* of its file */
	int64_t not_after_ms; /* wall clock */
	uint64_t checked_ms;  /* boot clock */
	uint64_t warned_ms;   /* boot clock; 0: never */
};

/* Where the settings came from, for reload. NULL members weren't given. */
struct edge_source {
	const char *config_path;
	const struct edge_settings_overrides *overrides;
};

struct edge {
	uv_loop_t *uv;
	struct io_loop *io;
	struct edge_settings *boot;	/* as started: what needs a restart */
	struct edge_settings *settings; /* as reloaded; may be the same */
	const struct edge_source *source;
	struct tls_context *tls;
	struct store *store;
	struct edge_model *model;
	struct edge_admin admin;
	struct ctrl_server *ctrl;
	struct registry *registry;
	struct listener *listener;
	struct guesses *bad_tokens;  /* what clients showed */
	struct guesses *bad_secrets; /* what agents showed */
	struct list connections;     /* links of agents */
	struct list clients;	     /* links of clients */
	struct list flows;
	size_t n_flows;
	size_t n_dials; /* of them, whose agent hasn't answered */
	struct heap_peak flows_peak;
	struct list feeds;	 /* routes feeds of clients (ingress_routes.h) */
	struct list stale_feeds; /* of these, whose next batch has to be found */
	struct list holds;
	uint32_t n_connections; /* without surplus ones, as n_clients */
	uint32_t n_clients;
	uint32_t n_surplus; /* links that are there to hear of a limit */
	struct pressure pressure;
	uint64_t n_cut;	    /* flows that held the buffer budget for too long */
	uint64_t n_limited; /* refused at a limit, of any kind */
	struct quota limits_told[EDGE_LIMIT_N];
	struct quota cuts_told;
	struct quota again_told;
	uint64_t started_ms;	 /* clock_boot_ms() */
	uint64_t drain_until_ms; /* 0: not shutting down */
	bool is_ready;		 /* READY=1 has reached systemd */
	struct edge_certificate certificate;
	struct access_log *access_log; /* NULL: off */
	uv_signal_t signals[3];
	uv_timer_t timer;
};

/* Windows and caps of a link; see docs/decisions.md for the derivation. */
extern const struct h2_limits edge_agent_limits;
extern const struct h2_limits edge_client_limits;

/* Exit codes; cmd/commands.h has the same. */
enum edge_exit {
	EDGE_EXIT_OK = 0,
	EDGE_EXIT_FAILED = 1,	/* the host refuses something that we can't do without */
	EDGE_EXIT_RUNNING = 73, /* another edge has the control socket or the database */
	EDGE_EXIT_CONFIG = 78,	/* no usable certificate, or access log */
};

/*
 * Runs an edge with @settings (taken over), which came from @source (borrowed), until it is
 * told to stop; has said what failed.
 */
enum edge_exit edge_run(struct edge_settings *settings, const struct edge_source *source);

/* What became of one request of a client, allowed or not. */
struct edge_access {
	bool is_end;			 /* of an allowed one; else it was refused */
	const char *client;		 /* name */
	const struct decision *decision; /* a zeroed one if it came to none */
	const char *target;		 /* NULL: the decision's destination */
	const char *protocol;		 /* NULL: the decision's */
	const char *network;		 /* name, when the decision knows none; may be NULL */
	uint64_t up_bytes;
	uint64_t down_bytes;
	uint64_t duration_ms;
	const char *result;
};

/* The line of the access log: the one way into it, for flows, refusals and feeds. */
void edge_note_access(const struct edge *e, const struct edge_access *access);

/* The operations behind `status`, `connections` and the like (edge_ops.c). */
extern const struct edge_runtime_ops edge_ops;
