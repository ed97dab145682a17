/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * admin - the administrator's commands on the control socket
 *
 * A table of handlers for ctrl_server_new(); their ctx is a struct edge_admin. What only
 * the running edge knows comes through struct edge_runtime_ops. Secrets and tokens are
 * in the answer that minted them and nowhere else.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/health.h"
#include "base/uuid.h"
#include "ctrl/ctrl_server.h"

struct edge_model;
struct json_t; /* jansson's */

struct edge_tunnel_health {
	enum health state;
	unsigned int n_connections; /* registered, not suspect */
	unsigned int n_expected;
	unsigned int n_connectors; /* live processes */
};

#define EDGE_RELOAD_WHY_MAX 4096

/* Filled in by the runtime; all members must be set. JSON results are new references. */
struct edge_runtime_ops {
	/* Object: version, since, listeners, certificate, counts ... */
	struct json_t *(*status)(void *ctx);
	/* Array of connections of connectors and clients; @tunnel NULL: all. Each has "id". */
	struct json_t *(*connections)(void *ctx, const struct uuid *tunnel);
	/* Array of the live processes of @tunnel: id, version, features, connections, since ... */
	struct json_t *(*connectors)(void *ctx, const struct uuid *tunnel);
	/*
	 * Array of the connections of @connectors, processes of @tunnel: id, connector, index,
	 * kind, state, suspect, streams, and whether it is the one that takes the next stream
	 * ("chosen").
	 * *@reasonp: why that one, or why none; a literal.
	 */
	struct json_t *(*candidates)(void *ctx, const struct uuid *tunnel,
				     const struct uuid *connectors, size_t n_connectors,
				     const char **reasonp);
	/* @ever_seen: the model's memory of earlier registrations. */
	void (*tunnel_health)(void *ctx, const struct uuid *tunnel, bool ever_seen,
			      struct edge_tunnel_health *healthp);
	/*
	 * Cuts connection @id (as printed by connections) and refuses its place for @hold_ms.
	 * 0 or -ENOENT.
	 */
	int (*connection_close)(void *ctx, const char *id, uint32_t hold_ms);
	/*
	 * Reads the settings again. 0 with *@resultp: {"changed": keys, "warnings": texts}; or
	 * -errno with the findings in @why (EDGE_RELOAD_WHY_MAX bytes).
	 */
	int (*reload)(void *ctx, struct json_t **resultp, char *why);
};

struct edge_admin {
	struct edge_model *model;
	const struct edge_runtime_ops *ops;
	void *runtime;	     /* ctx of the ops */
	const char *ca_file; /* PEM that goes into users' credentials files */
};

/* Sorted by name, static. */
const struct ctrl_command *edge_admin_commands(size_t *n_commandsp);
