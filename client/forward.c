/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Connections share the keeper's tunnel. While there is none, accepted ones wait for its next
 * try and are refused when that fails.
 */

#include "client/forward.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "client/acceptor.h"
#include "client/conduit.h"
#include "client/keeper.h"
#include "wire/tcp_socket.h"

struct forward {
	const struct connect_options *opt;
	struct client_loop loop;
	struct acceptor *acceptor;
	struct keeper *keeper;
	struct list connections;
	size_t n_connections;
	bool stopping;
	int status;
};

struct connection {
	struct list node;
	struct forward *forward;
	int fd;			 /* -1 once the conduit owns it */
	struct conduit *conduit; /* NULL: waits for the tunnel */
	struct keeper_waiter waiter;
	char peer[ENDPOINT_TEXT_MAX];
};

/* ---- connections ---- */

static void free_connection(struct connection *c)
{
	struct forward *fw = c->forward;

	close_fd(c->fd);
	keeper_forget(&c->waiter);
	list_remove(&c->node);
	fw->n_connections--;
	free(c);
}

static void log_failure(const struct connection *c, enum client_exit why, const char *text)
{
	if (!c->forward->stopping)
		log_warn("connection failed", log_text("peer", c->peer), log_text("reason", text),
			 log_int("code", why));
}

static void on_conduit_done(void *ctx, enum client_exit why, const char *text)
{
	struct connection *c = ctx;

	if (why == CLIENT_EXIT_OK)
		log_debug("connection ended", log_text("peer", c->peer));
	else
		log_failure(c, why, text);
	free_connection(c);
}

static struct h2_session *session_of(void *ctx)
{
	struct forward *fw = ctx;

	return keeper_session(fw->keeper);
}

static void start_conduit(struct connection *c)
{
	struct forward *fw = c->forward;
	const struct conduit_options opt = {
		.loop = fw->loop.io,
		.resolver = fw->loop.resolver,
		.host = fw->opt->host,
		.port = fw->opt->port,
		.network = fw->opt->network,
		.token = fw->opt->credentials->token,
		.session = session_of,
		.session_ctx = fw,
	};
	int fd = c->fd;
	int r;

	c->fd = -1;
	r = conduit_start(&c->conduit, &opt, fd, fd, on_conduit_done, c);
	if (r < 0) {
		log_failure(c, CLIENT_EXIT_INTERNAL, strerror(-r));
		free_connection(c);
	}
}

static void on_decided(struct keeper_waiter *w, enum client_exit why, const char *text)
{
	struct connection *c = container_of(w, struct connection, waiter);

	if (why == CLIENT_EXIT_OK) {
		start_conduit(c);
		return;
	}
	log_failure(c, why, text);
	free_connection(c);
}

static struct connection *add_connection(struct forward *fw, int fd)
{
	struct connection *c = xnew(struct connection);
	struct endpoint peer = {0};

	(void)tcp_socket_peer(fd, &peer);
	tcp_socket_tune_origin(fd, TCP_SOCKET_KEEP_ALIVE_MS);
	c->forward = fw;
	c->fd = fd;
	c->waiter.on_decided = on_decided;
	endpoint_format(&peer, c->peer);
	list_append(&fw->connections, &c->node);
	fw->n_connections++;
	return c;
}

static void on_accept(void *ctx, int fd)
{
	struct forward *fw = ctx;
	struct connection *c;

	if (fw->n_connections == FORWARD_CONNECTIONS_MAX) {
		log_warn("too many connections", log_int("limit", FORWARD_CONNECTIONS_MAX));
		close_fd(fd);
		return;
	}
	c = add_connection(fw, fd);
	if (keeper_session(fw->keeper))
		start_conduit(c);
	else
		keeper_wait(fw->keeper, &c->waiter);
}

/* ---- life ---- */

static void on_signal(void *ctx, int number)
{
	struct forward *fw = ctx;

	fw->status = CLIENT_EXIT_SIGNAL + number;
	uv_stop(&fw->loop.uv);
}

static void stop(struct forward *fw)
{
	struct list *node;
	struct list *tmp;

	fw->stopping = true;
	acceptor_free(fw->acceptor);
	list_for_each_safe (node, tmp, &fw->connections) {
		struct connection *c = list_entry(node, struct connection, node);

		if (c->conduit)
			conduit_abort(c->conduit);
		else
			free_connection(c);
	}
	keeper_free(steal_ptr(fw->keeper));
}

static void serve(struct forward *fw, const struct endpoint *at)
{
	static const struct keeper_events no_events;
	struct tunnel_options opt = client_loop_tunnel_options(&fw->loop, fw->opt);
	char text[ENDPOINT_TEXT_MAX];

	log_info("listening", log_text("address", endpoint_format(at, text)));
	fw->keeper = keeper_new(&opt, &no_events, NULL);
	keeper_start(fw->keeper);
	uv_run(&fw->loop.uv, UV_RUN_DEFAULT);
	stop(fw);
}

static void run(struct forward *fw, const struct endpoint *at, char text[CONNECT_TEXT_MAX])
{
	int r = acceptor_new(&fw->acceptor, &fw->loop.uv, at, on_accept, fw);
	char where[ENDPOINT_TEXT_MAX];

	if (r == 0)
		serve(fw, at);
	else
		snprintf(text, CONNECT_TEXT_MAX, "can't listen on %s: %s",
			 endpoint_format(at, where), strerror(-r));
}

int forward_run(const struct connect_options *opt, const struct endpoint *at,
		char text[CONNECT_TEXT_MAX])
{
	struct forward fw = {.opt = opt, .status = CLIENT_EXIT_INTERNAL};
	struct diag diag;
	int r;

	text[0] = '\0';
	list_init(&fw.connections);
	diag_init(&diag, NULL);
	r = client_loop_init(&fw.loop, opt, on_signal, &fw, &diag);
	if (r < 0) {
		diag_format(&diag, text, CONNECT_TEXT_MAX);
	} else {
		run(&fw, at, text);
		client_loop_deinit(&fw.loop);
	}
	diag_deinit(&diag);
	return fw.status;
}
