/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * edge_settings - what edge.yml, environment and flags say, as one struct
 *
 * Rows in edge_settings_rows.c describe each key; docs/config.md is generated from
 * them. A loaded struct is immutable: reload makes a new one and swaps.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/log.h"
#include "edge/guesses.h"

struct diag;

#define EDGE_LISTEN_MAX	  16
#define EDGE_LOCATION_MAX 32 /* with NUL */

/* A connector registers with an index that a live connection of its has. */
enum edge_duplicates {
	EDGE_DUPLICATES_REPLACE, /* the newcomer takes over */
	EDGE_DUPLICATES_REJECT,	 /* EDUPCONN, as a test of agents */
};

/* Caps per process unless the name says otherwise; each is at least 1. */
struct edge_limits {
	uint32_t max_connections;	 /* of agents */
	uint32_t max_clients;		 /* connections of clients */
	uint32_t streams_per_connection; /* opened by one client connection */
	uint32_t max_streams;		 /* of all clients */
	uint32_t max_dials;		 /* streams whose agent hasn't answered yet */
	uint32_t max_handshakes;	 /* TLS, under way */
	uint32_t handshakes_per_second;
	struct guess_limits failures; /* of one address */
};

struct edge_settings {
	struct endpoint *listen; /* [::] means both families */
	size_t n_listen;
	char *state_dir;
	char *control_socket;
	char *certificate_file; /* paths of PEM files; never NULL once loaded */
	char *key_file;
	char *ca_file;
	char location[EDGE_LOCATION_MAX]; /* what agents are told and show */
	enum edge_duplicates duplicates;
	uint32_t drain_timeout_ms;
	uint32_t route_hold_ms;	      /* how long routes of a gone agent answer 503 */
	uint64_t buffer_budget_bytes; /* soft limit of buffered bytes */
	uint64_t window_budget_bytes; /* for the windows of all connections */
	uint64_t max_frame_bytes;     /* largest HTTP/2 frame that agents may send */
	struct edge_limits limits;
	char *access_log; /* path, or "off" */
	enum log_level log_level;
	enum log_format log_format;
};

#define EDGE_ACCESS_LOG_OFF "off"

/* Flags of the command line; NULL members weren't given. They beat the file. */
struct edge_settings_overrides {
	const char *const *listen;
	size_t n_listen;
	const char *log_level;
	const char *control_socket;
	const char *state_dir;
};

/*
 * Reads @path (NULL: defaults only), then @overrides (may be NULL). All
 * problems go to @diag. Returns 0, or -EINVAL when there were errors.
 */
NODISCARD int edge_settings_load(struct edge_settings **settingsp, const char *path,
				 const struct edge_settings_overrides *overrides,
				 struct diag *diag);
struct edge_settings *edge_settings_free(struct edge_settings *s);

/* The effective configuration as YAML, defaults included. */
void edge_settings_show(const struct edge_settings *s, FILE *out);

/* As schema_next_difference(). */
const char *edge_settings_next_change(const struct edge_settings *old,
				      const struct edge_settings *new_, bool reloadable,
				      size_t *atp);

/* The part of docs/config.md about edge.yml. */
void edge_settings_write_reference(FILE *out);
