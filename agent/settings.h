/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * settings - what config.yml, environment and flags say, as one struct
 *
 * Rows in settings.c describe each key; docs/config.md is generated from them.
 * A loaded struct is immutable: reload makes a new one and swaps.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/log.h"
#include "routing/ports.h"
#include "routing/prefix.h"
#include "wire/route_msg.h"

struct diag;

/* Where a route's traffic really goes: another address, another port, or both. */
struct via_setting {
	struct ip_addr ip; /* family 0: the address asked for */
	uint16_t port;	   /* 0: the port asked for */
};

struct route_setting {
	struct prefix network;
	char virtual_network[ROUTE_VNET_MAX]; /* "": the edge's default network */
	char comment[ROUTE_COMMENT_MAX];
	bool has_via; /* on single addresses only */
	struct via_setting via;
	struct ports ports; /* empty: all */
	unsigned int line;  /* in the file */
};

struct vnet_setting {
	char name[ROUTE_VNET_MAX];
	char comment[ROUTE_COMMENT_MAX];
	unsigned int line;
};

/* Destinations served although not advertised. */
struct allow_setting {
	struct prefix network;
	struct ports ports;
	unsigned int line;
};

struct warp_routing {
	uint32_t connect_timeout_ms; /* default 5 s */
	uint32_t tcp_keep_alive_ms;  /* default 30 s; 0: off */
	uint32_t max_active_flows;   /* 0: unlimited */
};

struct settings {
	char *tunnel;		/* id or name; NULL when the credentials say it */
	char *credentials_file; /* NULL: see credentials.h */
	char **edges;		/* "host:port", "cloudflare", "srv:name" */
	size_t n_edges;
	char *edge_server_name;		   /* NULL: follows from each entry of edges */
	struct ip_addr edge_bind_address;  /* family 0: any */
	char *edge_ip_version;		   /* "auto", "4" or "6" */
	char *edge_proxy;		   /* see edge_proxy.h; NULL: none */
	char *edge_proxy_credentials_file; /* NULL: none */
	char *edge_ca_file;		   /* `cacert`; NULL: the system's roots */
	char *resolver;			   /* "ip[:port],..." or NULL: the system's */
	uint32_t ha_connections;	   /* 4 */
	uint32_t grace_period_ms;
	bool exit_on_auth_failure;
	bool remote_config; /* accept warp-routing from the edge */
	struct warp_routing warp_routing;
	uint32_t max_udp_flows; /* UDP and echo streams at one time */
	uint32_t max_dials;	/* connections to local servers that are being made */
	enum log_level log_level;
	enum log_format log_format;
	char *control_socket;	      /* /run/adit/adit.sock */
	char *state_dir;	      /* /var/lib/adit */
	uint64_t buffer_budget_bytes; /* soft limit of buffered bytes */
	uint64_t window_budget_bytes; /* for the windows of all connections */
	uint64_t max_frame_bytes;     /* largest HTTP/2 frame that the edge may send */
	struct vnet_setting *vnets;   /* no two of one name */
	size_t n_vnets;
	struct route_setting *routes; /* in the order of the file; no two of one network */
	size_t n_routes;
	struct allow_setting *allows;
	size_t n_allows;
};

#define CONFIG_PATH "/etc/adit/config.yml"

/* Flags of the command line; NULL members weren't given. They beat environment and file. */
struct settings_overrides {
	const char *const *edges;
	size_t n_edges;
	const char *log_level;
	const char *credentials_file;
	const char *control_socket;
	const char *state_dir;
};

/*
 * Reads @path (NULL: defaults only), then the environment (TUNNEL_EDGE, ...),
 * then @overrides (may be NULL). All problems go to @diag. Returns 0, or -EINVAL
 * when there were errors.
 */
NODISCARD int settings_load(struct settings **settingsp, const char *path,
			    const struct settings_overrides *overrides, struct diag *diag);
struct settings *settings_free(struct settings *s);

/* The effective configuration as YAML, defaults included, no secrets. */
void settings_show(const struct settings *s, FILE *out);

/* As schema_next_difference(), of keys that take effect at reload. */
const char *settings_next_change(const struct settings *old, const struct settings *new_,
				 size_t *atp);

/*
 * Comma-separated keys that differ and only take effect after a restart, into
 * @out. Returns how many.
 */
int settings_diff_restart(const struct settings *old, const struct settings *new_, char *out,
			  size_t n_out);

/* The part of docs/config.md about config.yml. */
void settings_write_reference(FILE *out);
