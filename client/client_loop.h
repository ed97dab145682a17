/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * client_loop - what a client command runs on: event loop, resolver, TLS, signals
 *
 * SIGPIPE is ignored; SIGINT, SIGTERM and SIGHUP are handed to the owner, so that
 * descriptors shared with a terminal are put right before the process ends.
 */

#include <uv.h>

#include "base/compiler.h"
#include "client/client_credentials.h"
#include "client/tunnel.h"

struct diag;

/* What the commands of a client have in common; all borrowed. */
struct connect_options {
	const struct client_credentials *credentials;
	const struct client_edge *edges; /* instead of the credentials', if there are any */
	size_t n_edges;
	const char *host;
	uint16_t port;
	const char *network;  /* NULL: the edge's default */
	const char *resolver; /* "ip[:port],...", NULL: the system's */
};

/* @number is a signal's. */
typedef void (*client_signal_cb)(void *ctx, int number);

struct client_loop {
	uv_loop_t uv;
	struct io_loop *io;
	struct resolver *resolver;
	struct tls_context *tls;
	uv_signal_t signals[3];
	client_signal_cb on_signal;
	void *ctx;
};

/* 0; or -errno with the reason in @diag, and nothing to deinit. */
NODISCARD int client_loop_init(struct client_loop *l, const struct connect_options *opt,
			       client_signal_cb on_signal, void *ctx, struct diag *diag);
/* Runs the loop until all handles are closed: tunnels and conduits are over before. */
void client_loop_deinit(struct client_loop *l);

/* For tunnel_new(). */
struct tunnel_options client_loop_tunnel_options(const struct client_loop *l,
						 const struct connect_options *opt);
