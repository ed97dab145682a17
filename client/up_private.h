/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* up_private - the owner object; shared by up.c and its up_*.c, nobody else */

#include <stdbool.h>
#include <stdint.h>

#include "base/privileges.h"
#include "client/capture.h"
#include "client/client_loop.h"
#include "client/keeper.h"
#include "client/net_helper.h"
#include "client/network_map.h"
#include "client/routes_feed.h"
#include "client/up.h"
#include "routing/prefix_set.h"
#include "tun/private_ns.h"
#include "tun/tun_device.h"
#include "tun/tun_numbers.h"

struct ctrl_server;
struct dns_stub;
struct json_t; /* jansson's */
struct netlink_watch;

/* What was made with privileges; up_setup.c. */
struct up_host {
	struct tun_numbers numbers;
	struct tun_addresses addresses;
	struct tun_device device; /* A */
	struct private_ns ns;	  /* B and the listeners */
	struct net_helper *helper;
	struct privileges_user user;
	bool has_user; /* whom to become */
	int lock_fd;   /* -1: none */
	char socket_path[UP_SOCKET_PATH_MAX];
};

/* up_routes.c */
struct up_routes {
	struct routes_feed *feed; /* NULL: none now */
	struct network_map *map;  /* what the edge shows; NULL: nothing yet */
	struct prefix_set includes;
	struct prefix_set excludes;
	struct prefix_set captured; /* what is to go through the tunnel */
	struct prefix_set doomed;   /* routes that are still there, for a moment; a list */
	struct prefix_set due;	    /* of those, the ones that go next */
	uv_timer_t deleter;	    /* of those */
	struct prefix_set thrown;   /* addresses of the edge, kept outside */
	size_t n_throws_pending;
	int throw_status; /* of those */
	size_t n_pending; /* route requests */
	size_t n_failed;
	size_t n_not_taken;	/* routes of the edge, since the start */
	size_t n_overlaps;	/* in the map that is being built */
	size_t n_overlaps_told; /* since the start */
	size_t n_missing;	/* networks that the edge doesn't show, since the start */
	bool is_computed;	/* there was a capture to ask for */
	bool is_up;		/* it is in place, and that was told */
	uv_timer_t retry;	/* of the feed */
};

/* up_dns.c */
struct up_dns {
	struct dns_stub *stub; /* NULL: nothing is configured */
	bool is_wired;	       /* systemd-resolved was told */
};

struct up {
	const struct up_options *opt;
	struct up_settings *settings;
	struct client_credentials *credentials;
	struct connect_options connect;
	struct client_edge edges[CLIENT_EDGES_MAX];
	struct up_host host;
	struct client_loop loop;
	struct ctrl_server *ctrl;
	struct netlink_watch *watch; /* NULL: the kernel doesn't tell */
	struct keeper *keeper;
	struct capture *capture;
	struct nat_config nat;
	struct up_routes routes;
	struct up_dns dns;
	char last_error[UP_TEXT_MAX]; /* of the link to the edge; "" while it is up */
	uv_timer_t ready;	      /* until systemd was told */
	bool is_ready;		      /* it was */
	bool is_connected;
	bool is_stopping;
	int64_t since_ms; /* wall clock */
	int exit_code;
};

/* Tells systemd that the start is over, if that wasn't told. */
void up_tell_ready(struct up *u);
/* Ends the loop; the first call's @exit_code counts. */
void up_stop(struct up *u, int exit_code);

/* ---- up_setup.c: with privileges, before the loop. 0 or an exit code, after telling why ---- */

int up_host_open(struct up *u);
/* Takes routes and rules back. While the loop is there, if the helper was attached to it. */
void up_host_stop_helper(struct up *u);
/* Helper, devices, lock; what the kernel still has of ours is gone after it. */
void up_host_close(struct up *u);
/* Gives every privilege up. */
int up_host_let_go(struct up *u);

/* ---- up_routes.c ---- */

/* Timers; up_routes_stop() closes them. */
void up_routes_init(struct up *u);
/* Rules, before the first dial. 0 or -errno. */
int up_routes_start(struct up *u);
/* Closes what is open on the loop. */
void up_routes_stop(struct up *u);
void up_routes_deinit(struct up *u);
/* A session is there: the feed moves to it. */
void up_routes_on_session(struct up *u, struct h2_session *session);
/* For tunnel_options.before_dial and capture_options.network_of. */
int up_routes_before_dial(void *ctx, const struct ip_addr *ips, size_t n);
int up_routes_network_of(void *ctx, const struct ip_addr *ip, const char **networkp);

/* ---- up_routes_json.c ---- */

/*
 * Networks of this machine that win over a capture. Asked anew each time: they come and go with
 * the machine's networks. A new reference.
 */
struct json_t *up_local_networks_json(const struct up *u);
/* Captures, networks, overlaps with local networks; a new reference. */
struct json_t *up_routes_json(const struct up *u);

/* ---- up_dns.c ---- */

/* Before the capture. 0 or -errno. */
int up_dns_open(struct up *u);
/* Tells the machine's resolver, or the user, where to ask; once it is up. */
void up_dns_wire(struct up *u);
/* After the capture, before the keeper. */
void up_dns_close(struct up *u);
/* A new reference; null without a stub. */
struct json_t *up_dns_json(const struct up *u);

/* ---- up_ctrl.c ---- */

/* 0 or an exit code, after telling why. */
int up_ctrl_open(struct up *u);

/* ---- up_confine.c: the last step before the loop runs. 0, or -errno after telling why ---- */

NODISCARD int up_confine(struct up *u);
