/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One tunnel, and when it is open one conduit on it. Whichever ends first stops the
 * loop; its reason is the one that counts. Nothing is read from stdin before an edge
 * has said 200, so that until then the next edge can be asked: each knows only the
 * connectors that are connected to it.
 */
#include "client/connect.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/diag.h"
#include "client/conduit.h"
#include "client/stdio_ends.h"

struct connect {
	const struct connect_options *opt;
	struct client_loop loop;
	struct stdio_ends ends;
	struct tunnel *tunnel;
	struct conduit *conduit;
	struct client_edge edges[CLIENT_EDGES_MAX]; /* that may still be asked */
	size_t n_edges;
	bool has_ends;
	bool is_accepted; /* the ends are the conduit's */
	bool finished;
	int status;
	char text[CONNECT_TEXT_MAX];
};

/* An edge that couldn't be reached says less than one before it that answered. */
static bool is_worth_telling(const struct connect *c, int status)
{
	return status != CLIENT_EXIT_EDGE || !c->text[0];
}

static void conclude(struct connect *c, int status, const char *text)
{
	c->finished = true;
	if (!is_worth_telling(c, status))
		return;
	c->status = status;
	snprintf(c->text, sizeof(c->text), "%s", text);
}

static void finish(struct connect *c, int status, const char *text)
{
	if (c->finished)
		return;
	conclude(c, status, text);
	uv_stop(&c->loop.uv);
}

static void on_conduit_done(void *ctx, enum client_exit why, const char *text)
{
	struct connect *c = ctx;

	c->conduit = NULL;
	finish(c, (int)why, text);
}

static struct h2_session *session_of(void *ctx)
{
	struct connect *c = ctx;

	return c->tunnel ? tunnel_session(c->tunnel) : NULL;
}

static int on_answer(void *ctx)
{
	struct connect *c = ctx;

	c->is_accepted = true;
	return 0;
}

/* Once: the next edge finds them as they are. */
static int take_ends(struct connect *c)
{
	int r = c->has_ends ? 0 : stdio_ends_take(&c->ends);

	c->has_ends = r == 0;
	return r;
}

static void close_ends(struct connect *c)
{
	if (!c->has_ends || c->is_accepted)
		return;
	close_fd(c->ends.in_fd);
	close_fd(c->ends.out_fd);
}

static void start_conduit(struct connect *c)
{
	const struct conduit_options opt = {
		.loop = c->loop.io,
		.resolver = c->loop.resolver,
		.host = c->opt->host,
		.port = c->opt->port,
		.network = c->opt->network,
		.token = c->opt->credentials->token,
		.session = session_of,
		.session_ctx = c,
		.on_answer = on_answer,
	};
	int r = take_ends(c);

	if (r == 0)
		r = conduit_start(&c->conduit, &opt, c->ends.in_fd, c->ends.out_fd, on_conduit_done,
				  c);
	if (r < 0)
		finish(c, CLIENT_EXIT_INTERNAL, strerror(-r));
}

static void on_ready(void *ctx, struct tunnel *t UNUSED)
{
	start_conduit(ctx);
}

/* The one stream lives on. */
static void on_goaway(void *ctx UNUSED, struct tunnel *t UNUSED)
{
}

/* A slow one before it, which the tunnel didn't wait for, may still be asked. */
static void drop_edge(struct connect *c, const struct tunnel *t)
{
	size_t i = tunnel_edge(t);

	if (i >= c->n_edges) {
		c->n_edges = 0;
		return;
	}
	c->n_edges--;
	memmove(&c->edges[i], &c->edges[i + 1], (c->n_edges - i) * sizeof(c->edges[0]));
}

static void on_end(void *ctx, struct tunnel *t, enum client_exit why, const char *text)
{
	struct connect *c = ctx;

	c->tunnel = NULL;
	drop_edge(c, t);
	finish(c, (int)why, text);
	tunnel_free(t);
}

static const struct tunnel_events tunnel_events = {
	.on_ready = on_ready,
	.on_goaway = on_goaway,
	.on_end = on_end,
};

static void on_signal(void *ctx, int number)
{
	finish(ctx, CLIENT_EXIT_SIGNAL + number, "");
}

static void ask(struct connect *c, const struct tunnel_options *opt)
{
	int r;

	c->finished = false;
	c->tunnel = tunnel_new(opt, &tunnel_events, c);
	r = tunnel_start(c->tunnel);
	if (r < 0)
		conclude(c, CLIENT_EXIT_EDGE, strerror(-r));
	else
		uv_run(&c->loop.uv, UV_RUN_DEFAULT);
	if (c->conduit)
		conduit_abort(c->conduit);
	if (c->tunnel)
		drop_edge(c, c->tunnel);
	tunnel_free(c->tunnel);
	c->tunnel = NULL;
}

static bool may_ask_another(const struct connect *c)
{
	bool may_differ = c->status == CLIENT_EXIT_CONNECTOR_DOWN || c->status == CLIENT_EXIT_CUT;

	return may_differ && !c->is_accepted && c->n_edges > 0;
}

static void run(struct connect *c)
{
	struct tunnel_options opt = client_loop_tunnel_options(&c->loop, c->opt);

	c->n_edges = opt.n_edges;
	memcpy(c->edges, opt.edges, opt.n_edges * sizeof(opt.edges[0]));
	opt.edges = c->edges;
	do {
		opt.n_edges = c->n_edges;
		ask(c, &opt);
	} while (may_ask_another(c));
}

int connect_run(const struct connect_options *opt, connect_explain explain)
{
	struct connect c = {
		.opt = opt,
		.ends = {.in_flags = -1, .out_flags = -1},
		.status = CLIENT_EXIT_INTERNAL,
	};
	char text[CONNECT_TEXT_MAX];
	struct diag diag;
	int r;

	diag_init(&diag, NULL);
	r = client_loop_init(&c.loop, opt, on_signal, &c, &diag);
	if (r < 0) {
		diag_format(&diag, text, sizeof(text));
		explain(text);
	} else {
		run(&c);
		/* Before stdout ends: whoever reads it may end us then. */
		if (c.status != CLIENT_EXIT_OK && c.text[0])
			explain(c.text);
		close_ends(&c);
		client_loop_deinit(&c.loop);
		stdio_ends_restore(&c.ends);
	}
	diag_deinit(&diag);
	return c.status;
}
