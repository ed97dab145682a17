/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * up_settings - what client.yml and the flags of `adit up` say, as one struct
 *
 * Rows describe each key; docs/config.md is generated from them. A loaded struct is
 * immutable.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/log.h"
#include "routing/prefix.h"

struct diag;

#define UP_NETWORKS_MAX	    64
#define UP_PREFIXES_MAX	    16384 /* of one list */
#define UP_DNS_FORWARDS_MAX 64
#define UP_DNS_SERVERS_MAX  4
#define UP_NAME_MAX	    64 /* of a virtual network, with NUL */

enum up_mode {
	UP_MODE_INCLUDE, /* only what is listed, or what the edge offers */
	UP_MODE_EXCLUDE, /* everything but what is listed */
};

/* Names below `domain` are asked at `servers`, through the tunnel. */
struct up_dns_forward {
	char domain[HOST_NAME_MAX_LEN + 1]; /* lower case, without a final dot */
	struct endpoint *servers;
	size_t n_servers;
	char virtual_network[UP_NAME_MAX]; /* "": as for any other connection to the server */
	unsigned int line;
};

struct up_settings {
	char *credentials_file; /* NULL: see client_credentials.h */
	char **edges;		/* "host:port", instead of the credentials' */
	size_t n_edges;
	char *resolver;	 /* "ip[:port],..." or NULL: the system's */
	char **networks; /* virtual networks; none: all that may be reached */
	size_t n_networks;
	enum up_mode mode;
	struct prefix *includes;
	size_t n_includes;
	struct prefix *excludes; /* none in UP_MODE_EXCLUDE: the default list */
	size_t n_excludes;
	bool local_networks_win;
	struct up_dns_forward *dns;
	size_t n_dns;
	char *resolvectl;
	uint32_t instance;	  /* 0..63: its table, rules and addresses */
	struct prefix *addresses; /* one per family at most: instead of the usual ones */
	size_t n_addresses;
	char *user; /* whom to become; NULL: who called sudo, else unchanged */
	uint32_t max_tcp_flows;
	uint32_t max_udp_flows;
	enum log_level log_level;
	enum log_format log_format;
	char *runtime_dir; /* for the lock and the control socket */
};

#define UP_RUNTIME_DIRECTORY "/run/adit-client"
#define UP_SOCKET_PATH_MAX   108

/* <@runtime_dir>/<@instance>/up.sock into @out. 0, or -ENAMETOOLONG. */
int up_socket_path(const char *runtime_dir, uint32_t instance, char out[UP_SOCKET_PATH_MAX]);

/* Flags of the command line; NULL and 0 weren't given. They beat the file. */
struct up_overrides {
	const char *credentials_file;
	const char *const *edges;
	size_t n_edges;
	const char *const *networks;
	size_t n_networks;
	const char *const *includes;
	size_t n_includes;
	const char *const *excludes; /* "default" alone: the default list */
	size_t n_excludes;
	const char *resolver;
	const char *log_level;
	const char *runtime_dir;
	const char *instance;
	const char *user;
};

/*
 * Reads @path (NULL: defaults only), then @overrides. All problems go to @diag. 0, or
 * -EINVAL when there were errors.
 */
NODISCARD int up_settings_load(struct up_settings **sp, const char *path,
			       const struct up_overrides *overrides, struct diag *diag);
struct up_settings *up_settings_free(struct up_settings *s);
DEFINE_CLEANUP(struct up_settings *, up_settings_free);

/* The part of docs/config.md about client.yml. */
void up_settings_write_reference(FILE *out);
