/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Connections share the current tunnel. GOAWAY retires it: it lives on until its streams have
 * ended, beside its successor. While there is none, accepted connections wait for the next one,
 * and are refused when that fails. A tunnel is never freed inside one of its own events but its
 * last.
 */

#include "client/forward.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/backoff.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "client/conduit.h"
#include "wire/tcp_socket.h"
#include "wire/tls_crypto.h"

#define ACCEPTS_PER_EVENT 64
#define STABLE_MS	  10000 /* a link that lived this long: failures are forgotten */

static const struct backoff_policy policy = {.min_ms = 200, .max_ms = 30000};

struct forward {
	const struct connect_options *opt;
	struct client_loop loop;
	int fd;
	uv_poll_t poll;
	uv_timer_t retry;
	struct backoff backoff;
	struct tunnel *tunnel;	/* NULL: the next try waits for `retry` */
	uint64_t open_since_ms; /* of the tunnel; 0: not open yet */
	struct list retired;	/* after GOAWAY, until their streams have ended */
	struct list connections;
	size_t n_connections;
	bool stopping;
	int status;
};

struct retired_tunnel {
	struct list node;
	struct tunnel *tunnel;
};

struct connection {
	struct list node;
	struct forward *forward;
	int fd;			 /* -1 once the conduit owns it */
	struct conduit *conduit; /* NULL: waits for the tunnel */
	char peer[ENDPOINT_TEXT_MAX];
};

/* ---- connections ---- */

static void reap_retired(struct forward *fw);
static void on_acceptable(uv_poll_t *poll, int status, int events);

/* Its descriptor may be the one that accept() was short of. */
static void free_connection(struct connection *c)
{
	struct forward *fw = c->forward;

	close_fd(c->fd);
	list_remove(&c->node);
	fw->n_connections--;
	free(c);
	if (!fw->stopping && !uv_is_active((uv_handle_t *)&fw->poll))
		uv_poll_start(&fw->poll, UV_READABLE, on_acceptable);
}

static void on_conduit_done(void *ctx, enum client_exit why, const char *text)
{
	struct connection *c = ctx;
	struct forward *fw = c->forward;

	if (why == CLIENT_EXIT_OK)
		log_debug("connection ended", log_text("peer", c->peer));
	else if (!fw->stopping)
		log_warn("connection failed", log_text("peer", c->peer), log_text("reason", text),
			 log_int("code", why));
	free_connection(c);
	reap_retired(fw);
}

static struct h2_session *session_of(void *ctx)
{
	struct forward *fw = ctx;

	return fw->tunnel ? tunnel_session(fw->tunnel) : NULL;
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
		log_warn("connection failed", log_text("peer", c->peer),
			 log_text("reason", strerror(-r)));
		free_connection(c);
	}
}

static void start_waiting(struct forward *fw)
{
	struct list *node;
	struct list *tmp;

	list_for_each_safe (node, tmp, &fw->connections) {
		struct connection *c = list_entry(node, struct connection, node);

		if (!c->conduit)
			start_conduit(c);
	}
}

static void refuse_waiting(struct forward *fw, const char *reason)
{
	struct list *node;
	struct list *tmp;

	list_for_each_safe (node, tmp, &fw->connections) {
		struct connection *c = list_entry(node, struct connection, node);

		if (c->conduit)
			continue;
		log_warn("connection failed", log_text("peer", c->peer),
			 log_text("reason", reason));
		free_connection(c);
	}
}

static void add_connection(struct forward *fw, int fd)
{
	struct connection *c;
	struct endpoint peer = {0};

	if (fw->n_connections == FORWARD_CONNECTIONS_MAX) {
		log_warn("too many connections", log_int("limit", FORWARD_CONNECTIONS_MAX));
		close_fd(fd);
		return;
	}
	(void)tcp_socket_peer(fd, &peer);
	tcp_socket_tune_origin(fd, 0);
	c = xnew(struct connection);
	c->forward = fw;
	c->fd = fd;
	endpoint_format(&peer, c->peer);
	list_append(&fw->connections, &c->node);
	fw->n_connections++;
	if (session_of(fw))
		start_conduit(c);
}

/* Out of descriptors: the queue waits until a connection has ended. */
static void accept_failed(struct forward *fw, int error)
{
	if (error == EAGAIN || error == EINTR || error == ECONNABORTED)
		return;
	log_warn("accept failed", log_text("reason", strerror(error)));
	if (fw->n_connections > 0)
		uv_poll_stop(&fw->poll);
}

static void on_acceptable(uv_poll_t *poll, int status, int events UNUSED)
{
	struct forward *fw = poll->data;

	for (int i = 0; status == 0 && i < ACCEPTS_PER_EVENT; i++) {
		int fd = accept4(fw->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			accept_failed(fw, errno);
			return;
		}
		add_connection(fw, fd);
	}
}

/* ---- the tunnel ---- */

static const struct tunnel_events tunnel_events;

static void on_retry(uv_timer_t *timer);

static void plan_retry(struct forward *fw, const char *reason)
{
	uint32_t wait_ms = backoff_next_ms(&fw->backoff, &policy, random_u32());

	log_warn("edge not connected", log_text("reason", reason), log_int("retry_ms", wait_ms));
	uv_timer_start(&fw->retry, on_retry, wait_ms, 0);
}

static void open_tunnel(struct forward *fw)
{
	struct tunnel_options opt = client_loop_tunnel_options(&fw->loop, fw->opt);
	int r;

	fw->open_since_ms = 0;
	fw->tunnel = tunnel_new(&opt, &tunnel_events, fw);
	r = tunnel_start(fw->tunnel);
	if (r == 0)
		return;
	tunnel_free(steal_ptr(fw->tunnel));
	plan_retry(fw, strerror(-r));
}

static void on_retry(uv_timer_t *timer)
{
	open_tunnel(timer->data);
}

static void on_ready(void *ctx, struct tunnel *t UNUSED)
{
	struct forward *fw = ctx;

	fw->open_since_ms = clock_boot_ms();
	log_info("edge connected");
	start_waiting(fw);
	reap_retired(fw);
}

static void on_goaway(void *ctx, struct tunnel *t)
{
	struct forward *fw = ctx;
	struct retired_tunnel *retired;

	if (t != fw->tunnel)
		return;
	log_info("edge goes away: connecting anew");
	retired = xnew(struct retired_tunnel);
	retired->tunnel = steal_ptr(fw->tunnel);
	list_append(&fw->retired, &retired->node);
	open_tunnel(fw);
}

/* Closed from here and not from inside an event of the tunnel itself. */
static void reap_retired(struct forward *fw)
{
	struct list *node;
	struct list *tmp;

	list_for_each_safe (node, tmp, &fw->retired) {
		struct retired_tunnel *r = list_entry(node, struct retired_tunnel, node);

		if (!fw->stopping && tunnel_n_streams(r->tunnel) > 0)
			continue;
		list_remove(&r->node);
		tunnel_free(r->tunnel);
		free(r);
	}
}

static void forget_retired(struct forward *fw, const struct tunnel *t)
{
	struct list *node;
	struct list *tmp;

	list_for_each_safe (node, tmp, &fw->retired) {
		struct retired_tunnel *r = list_entry(node, struct retired_tunnel, node);

		if (r->tunnel != t)
			continue;
		list_remove(&r->node);
		free(r);
	}
}

static void on_end(void *ctx, struct tunnel *t, enum client_exit why UNUSED, const char *text)
{
	struct forward *fw = ctx;

	if (t != fw->tunnel) {
		forget_retired(fw, t);
		tunnel_free(t);
		return;
	}
	if (fw->open_since_ms && clock_boot_ms() - fw->open_since_ms >= STABLE_MS)
		backoff_reset(&fw->backoff);
	refuse_waiting(fw, text);
	plan_retry(fw, text);
	fw->tunnel = NULL;
	tunnel_free(t);
}

static const struct tunnel_events tunnel_events = {
	.on_ready = on_ready,
	.on_goaway = on_goaway,
	.on_end = on_end,
};

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
	uv_close((uv_handle_t *)&fw->poll, NULL);
	uv_close((uv_handle_t *)&fw->retry, NULL);
	list_for_each_safe (node, tmp, &fw->connections) {
		struct connection *c = list_entry(node, struct connection, node);

		if (c->conduit)
			conduit_abort(c->conduit);
		else
			free_connection(c);
	}
	tunnel_free(steal_ptr(fw->tunnel));
	reap_retired(fw);
}

static void serve(struct forward *fw, const struct endpoint *at)
{
	char text[ENDPOINT_TEXT_MAX];

	uv_timer_init(&fw->loop.uv, &fw->retry);
	fw->retry.data = fw;
	uv_poll_init(&fw->loop.uv, &fw->poll, fw->fd);
	fw->poll.data = fw;
	uv_poll_start(&fw->poll, UV_READABLE, on_acceptable);
	log_info("listening", log_text("address", endpoint_format(at, text)));
	open_tunnel(fw);
	uv_run(&fw->loop.uv, UV_RUN_DEFAULT);
	stop(fw);
	client_loop_deinit(&fw->loop);
}

int forward_run(const struct connect_options *opt, const struct endpoint *at,
		char text[CONNECT_TEXT_MAX])
{
	struct forward fw = {.opt = opt, .status = CLIENT_EXIT_INTERNAL};
	char where[ENDPOINT_TEXT_MAX];
	struct diag diag;
	int r;

	text[0] = '\0';
	list_init(&fw.retired);
	list_init(&fw.connections);
	fw.fd = tcp_socket_listen(at);
	if (fw.fd < 0) {
		snprintf(text, CONNECT_TEXT_MAX, "can't listen on %s: %s",
			 endpoint_format(at, where), strerror(-fw.fd));
		return CLIENT_EXIT_INTERNAL;
	}
	diag_init(&diag, NULL);
	r = client_loop_init(&fw.loop, opt, on_signal, &fw, &diag);
	if (r < 0)
		diag_format(&diag, text, CONNECT_TEXT_MAX);
	else
		serve(&fw, at);
	diag_deinit(&diag);
	close_fd(fw.fd);
	return fw.status;
}
