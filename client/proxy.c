/* SPDX-License-Identifier: Apache-2.0 */
#include "client/proxy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "client/acceptor.h"
#include "client/keeper.h"
#include "client/proxy_client.h"

struct proxy {
	const struct connect_options *opt;
	struct client_loop loop;
	struct acceptor *acceptors[PROXY_LISTENERS_MAX];
	struct keeper *keeper;
	struct list connections;
	size_t n_connections;
	int status;
};

struct connection {
	struct list node;
	struct proxy *proxy;
	struct proxy_client *client;
};

/* ---- connections ---- */

static void forget(struct connection *c)
{
	list_remove(&c->node);
	c->proxy->n_connections--;
	free(c);
}

static void on_client_done(void *ctx, struct proxy_client *client UNUSED)
{
	forget(ctx);
}

static void add_connection(struct proxy *p, int fd)
{
	const struct proxy_client_options opt = {
		.loop = p->loop.io,
		.resolver = p->loop.resolver,
		.keeper = p->keeper,
		.token = p->opt->credentials->token,
		.network = p->opt->network,
	};
	struct connection *c = xnew(struct connection);
	int r;

	c->proxy = p;
	list_append(&p->connections, &c->node);
	p->n_connections++;
	r = proxy_client_new(&c->client, &opt, fd, on_client_done, c);
	if (r == 0)
		return;
	log_warn("connection failed", log_text("reason", strerror(-r)));
	forget(c);
}

static void on_accept(void *ctx, int fd)
{
	struct proxy *p = ctx;

	if (p->n_connections < PROXY_CONNECTIONS_MAX) {
		add_connection(p, fd);
		return;
	}
	log_warn("too many connections", log_int("limit", PROXY_CONNECTIONS_MAX));
	close_fd(fd);
}

/* ---- life ---- */

static void on_signal(void *ctx, int number)
{
	struct proxy *p = ctx;

	p->status = CLIENT_EXIT_SIGNAL + number;
	uv_stop(&p->loop.uv);
}

static void stop(struct proxy *p)
{
	struct list *node;
	struct list *tmp;

	for (size_t i = 0; i < PROXY_LISTENERS_MAX; i++)
		acceptor_free(p->acceptors[i]);
	list_for_each_safe (node, tmp, &p->connections)
		proxy_client_abort(list_entry(node, struct connection, node)->client);
	keeper_free(p->keeper);
}

static int listen_on(struct proxy *p, const struct endpoint *at, size_t n,
		     char text[CONNECT_TEXT_MAX])
{
	char where[ENDPOINT_TEXT_MAX];

	for (size_t i = 0; i < n; i++) {
		int r = acceptor_new(&p->acceptors[i], &p->loop.uv, &at[i], on_accept, p);

		endpoint_format(&at[i], where);
		if (r < 0) {
			snprintf(text, CONNECT_TEXT_MAX, "can't listen on %s: %s", where,
				 strerror(-r));
			return r;
		}
		log_info("listening", log_text("address", where));
	}
	return 0;
}

static void serve(struct proxy *p, const struct endpoint *at, size_t n, char text[CONNECT_TEXT_MAX])
{
	static const struct keeper_events no_events;
	struct tunnel_options opt = client_loop_tunnel_options(&p->loop, p->opt);

	p->keeper = keeper_new(&opt, &no_events, NULL);
	if (listen_on(p, at, n, text) == 0) {
		keeper_start(p->keeper);
		uv_run(&p->loop.uv, UV_RUN_DEFAULT);
	}
	stop(p);
}

int proxy_run(const struct connect_options *opt, const struct endpoint *at, size_t n,
	      char text[CONNECT_TEXT_MAX])
{
	struct proxy p = {.opt = opt, .status = CLIENT_EXIT_INTERNAL};
	struct diag diag;

	text[0] = '\0';
	list_init(&p.connections);
	diag_init(&diag, NULL);
	if (client_loop_init(&p.loop, opt, on_signal, &p, &diag) < 0) {
		diag_format(&diag, text, CONNECT_TEXT_MAX);
	} else {
		serve(&p, at, n, text);
		client_loop_deinit(&p.loop);
	}
	diag_deinit(&diag);
	return p.status;
}
