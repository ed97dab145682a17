/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One tunnel, and when it is open one conduit on it. Whichever ends first stops the
 * loop; its reason is the one that counts. Nothing is read from stdin before the
 * edge has said 200.
 */
#include "client/connect.h"

#include <string.h>

#include "base/diag.h"
#include "client/conduit.h"
#include "client/stdio_ends.h"

struct connect {
	const struct connect_options *opt;
	struct client_loop loop;
	struct stdio_ends ends;
	struct tunnel *tunnel;
	struct conduit *conduit;
	connect_explain explain;
	bool finished;
	int status;
};

static void finish(struct connect *c, int status, const char *text)
{
	if (c->finished)
		return;
	c->finished = true;
	c->status = status;
	if (status != CLIENT_EXIT_OK && text[0])
		c->explain(text);
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
	};
	int r = stdio_ends_take(&c->ends);

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

static void on_end(void *ctx, struct tunnel *t, enum client_exit why, const char *text)
{
	struct connect *c = ctx;

	c->tunnel = NULL;
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

static void run(struct connect *c)
{
	struct tunnel_options opt = client_loop_tunnel_options(&c->loop, c->opt);
	int r;

	c->tunnel = tunnel_new(&opt, &tunnel_events, c);
	r = tunnel_start(c->tunnel);
	if (r < 0)
		finish(c, CLIENT_EXIT_EDGE, strerror(-r));
	else
		uv_run(&c->loop.uv, UV_RUN_DEFAULT);
	if (c->conduit)
		conduit_abort(c->conduit);
	tunnel_free(c->tunnel);
	c->tunnel = NULL;
}

int connect_run(const struct connect_options *opt, connect_explain explain)
{
	struct connect c = {
		.opt = opt,
		.ends = {.in_flags = -1, .out_flags = -1},
		.explain = explain,
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
		client_loop_deinit(&c.loop);
		stdio_ends_restore(&c.ends);
	}
	diag_deinit(&diag);
	return c.status;
}
