/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Start, signals, the one-second tick and the end of the edge.
 *
 * Everything hangs off struct edge. The end: listeners first, then GOAWAY to everybody, then
 * the flows that still run, at most drain-timeout; then the links; when uv has closed the last
 * handle the loop ends by itself.
 */

#include "edge/edge.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/notify.h"
#include "ctrl/ctrl_server.h"
#include "edge/connection.h"
#include "edge/flow.h"
#include "edge/ingress.h"
#include "edge/listener.h"
#include "edge/paths.h"
#include "edge/registry.h"
#include "wire/io_loop.h"
#include "wire/link.h"
#include "wire/tls.h"
#include "wire/tls_ca.h"

#define TICK_MS	      1000
#define CERT_CHECK_MS 60000
#define CERT_WARN_MS  (30ll * 24 * 3600 * 1000)
#define WINDOW	      (1024 * 1024)

/*
 * Windows start at 1 MiB per stream and per connection: enough for 80 Mbit/s over 100 ms.
 * Connection credit returns at once, so one full stream doesn't stop the others.
 */
const struct h2_limits edge_agent_limits = {
	.stream_window_bytes = WINDOW,
	.conn_window_bytes = WINDOW,
	.header_list_bytes = 64 * 1024,
	.max_frame_bytes = 16384,
	.resets_burst = 2000,
	.resets_per_s = 200,
};

/* Clients are strangers until their token is known. */
const struct h2_limits edge_client_limits = {
	.max_streams = 100,
	.stream_window_bytes = WINDOW,
	.conn_window_bytes = WINDOW,
	.header_list_bytes = 16 * 1024,
	.max_frame_bytes = 16384,
	.resets_burst = 200,
	.resets_per_s = 20,
};

/* ---- what the model tells ---- */

static void on_secret_gone(void *ctx, const struct uuid *tunnel, const char *secret_id)
{
	struct edge *e = ctx;
	struct list *pos;

	list_for_each (pos, &e->connections) {
		struct connection *c = list_entry(pos, struct connection, node);

		if (uuid_equal(&c->entry.tunnel, tunnel) &&
		    (!secret_id || strcmp(c->key_id, secret_id) == 0))
			connection_close(c, secret_id ? "its secret was revoked"
						      : "its tunnel was deleted");
	}
}

static void on_tunnel_gone(void *ctx, const struct uuid *tunnel)
{
	on_secret_gone(ctx, tunnel, NULL);
}

static void on_token_gone(void *ctx, const struct uuid *client, const char *token_id)
{
	struct edge *e = ctx;
	struct list *pos;
	struct list *next;

	list_for_each_safe (pos, next, &e->flows) {
		struct flow *f = list_entry(pos, struct flow, node);

		if (uuid_equal(&f->client, client) && strcmp(f->token_id, token_id) == 0)
			flow_cut(f, STREAM_ERROR_UNAUTHENTICATED, "token revoked");
	}
}

static void on_access_changed(void *ctx, const struct uuid *client_id)
{
	struct edge *e = ctx;
	const struct edge_client *client = edge_model_client_by_id(e->model, client_id);
	struct list *pos;
	struct list *next;

	list_for_each_safe (pos, next, &e->flows) {
		struct flow *f = list_entry(pos, struct flow, node);
		char network[UUID_TEXT_MAX];
		struct decision now;
		enum stream_error error = STREAM_ERROR_NOT_GRANTED;

		if (!uuid_equal(&f->client, client_id))
			continue;
		if (client)
			error = decide(e->model, client, uuid_format(&f->decision.vnet, network),
				       &f->decision.destination, &now);
		if (error == STREAM_ERROR_NOT_GRANTED)
			flow_cut(f, error, "no longer granted");
	}
}

static const struct edge_model_events model_events = {
	.on_secret_gone = on_secret_gone,
	.on_tunnel_gone = on_tunnel_gone,
	.on_token_gone = on_token_gone,
	.on_access_changed = on_access_changed,
};

/* ---- certificate ---- */

static int64_t mtime_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec
				    : 0;
}

static int load_certificate(struct edge *e, struct diag *diag)
{
	struct tls_context *ctx;
	int64_t mtime = mtime_of(e->settings->certificate_file);
	int r = tls_context_new_listener(&ctx, e->settings->certificate_file, e->settings->key_file,
					 diag);

	if (r < 0)
		return r;
	tls_context_free(e->tls);
	e->tls = ctx;
	e->cert_mtime = mtime;
	return 0;
}

static void warn_of_expiry(struct edge *e)
{
	struct tls_names names = {0};
	int64_t not_after_ms = 0;

	if (tls_cert_read(e->settings->certificate_file, &names, &not_after_ms, NULL) < 0)
		return;
	if (not_after_ms - clock_wall_ms() < CERT_WARN_MS)
		log_warn("the edge's certificate ends soon: adit-edge cert renew",
			 log_int("days", (not_after_ms - clock_wall_ms()) / (24 * 3600 * 1000)));
}

/* Before `adit-edge init` there is nothing to load. */
static void suggest_init(const struct edge *e, struct diag *diag)
{
	if (access(e->settings->certificate_file, F_OK) < 0 && errno == ENOENT)
		diag_add(diag, DIAG_ERROR, 0,
			 "make one: adit-edge init --state-directory %s --name HOST",
			 e->settings->state_dir);
}

/* A renewed certificate is used for new links; the running ones keep theirs. */
static void check_certificate(struct edge *e)
{
	int64_t now_ms = clock_wall_ms();
	struct diag diag;

	if (now_ms - e->cert_checked_ms < CERT_CHECK_MS)
		return;
	e->cert_checked_ms = now_ms;
	if (mtime_of(e->settings->certificate_file) == e->cert_mtime)
		return;
	diag_init(&diag, NULL);
	if (load_certificate(e, &diag) == 0) {
		log_info("certificate reloaded");
		warn_of_expiry(e);
	} else {
		log_error("certificate not reloaded: the old one stays in use",
			  log_text("file", e->settings->certificate_file));
	}
	diag_deinit(&diag);
}

/* ---- tick ---- */

static void end_links(struct edge *e)
{
	struct list *pos;
	struct list *next;

	list_for_each_safe (pos, next, &e->flows)
		flow_cut(list_entry(pos, struct flow, node), STREAM_ERROR_DRAINING,
			 "edge is shutting down");
	list_for_each_safe (pos, next, &e->connections)
		connection_close(list_entry(pos, struct connection, node), "edge is shutting down");
	list_for_each_safe (pos, next, &e->clients)
		ingress_close(list_entry(pos, struct ingress, node), "edge is shutting down");
}

static void expire_holds(struct edge *e, uint64_t now_ms)
{
	struct list *pos;
	struct list *next;

	list_for_each_safe (pos, next, &e->holds) {
		struct edge_hold *h = list_entry(pos, struct edge_hold, node);

		if (h->until_ms > now_ms)
			continue;
		list_remove(&h->node);
		free(h);
	}
}

static void tick_all(struct edge *e, uint64_t now_ms)
{
	struct list *pos;
	struct list *next;

	list_for_each_safe (pos, next, &e->connections)
		connection_tick(list_entry(pos, struct connection, node), now_ms);
	list_for_each_safe (pos, next, &e->clients)
		ingress_tick(list_entry(pos, struct ingress, node), now_ms);
	list_for_each_safe (pos, next, &e->flows)
		flow_tick(list_entry(pos, struct flow, node), now_ms);
}

static void finish(struct edge *e);

static void edge_timer_cb(uv_timer_t *timer)
{
	struct edge *e = timer->data;
	uint64_t now_ms = clock_boot_ms();

	edge_model_tick(e->model, clock_wall_ms());
	tick_all(e, now_ms);
	listener_tick(e->listener);
	expire_holds(e, now_ms);
	check_certificate(e);
	if (notify_watchdog_ms() > 0)
		(void)notify_send("WATCHDOG=1");
	if (e->drain_until_ms != 0 && (list_is_empty(&e->flows) || now_ms >= e->drain_until_ms))
		finish(e);
}

/* ---- the end ---- */

static void finish(struct edge *e)
{
	end_links(e);
	ctrl_server_free(e->ctrl);
	e->ctrl = NULL;
	uv_timer_stop(&e->timer);
	if (uv_is_closing((uv_handle_t *)&e->timer))
		return;
	uv_close((uv_handle_t *)&e->timer, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(e->signals); i++)
		uv_close((uv_handle_t *)&e->signals[i], NULL);
}

static void drain(struct edge *e)
{
	struct list *pos;
	struct list *next;

	log_info("shutting down");
	(void)notify_send("STOPPING=1\nSTATUS=draining");
	e->drain_until_ms = clock_boot_ms() + e->settings->drain_timeout_ms;
	listener_free(e->listener);
	e->listener = NULL;
	list_for_each_safe (pos, next, &e->connections)
		connection_drain(list_entry(pos, struct connection, node), e->drain_until_ms);
	if (list_is_empty(&e->flows))
		finish(e);
}

static void edge_signal_cb(uv_signal_t *signal, int number)
{
	struct edge *e = signal->data;

	if (number == SIGHUP) {
		e->cert_checked_ms = 0;
		e->cert_mtime = 0;
		check_certificate(e);
	} else if (e->drain_until_ms == 0) {
		drain(e);
	} else {
		finish(e);
	}
}

/* ---- start ---- */

static int start_signals(struct edge *e)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		int r = uv_signal_init(e->uv, &e->signals[i]);

		if (r < 0)
			return r;
		e->signals[i].data = e;
		r = uv_signal_start(&e->signals[i], edge_signal_cb, numbers[i]);
		if (r < 0)
			return r;
	}
	uv_timer_init(e->uv, &e->timer);
	e->timer.data = e;
	return uv_timer_start(&e->timer, edge_timer_cb, TICK_MS, TICK_MS);
}

static int open_store(struct edge *e, struct diag *diag)
{
	const struct store_backend *backend;
	char path[PATH_MAX];
	char error[STORE_ERROR_MAX];
	void *db;
	int r;

	snprintf(path, sizeof(path), "%s/%s", e->settings->state_dir, EDGE_DB_NAME);
	r = store_sqlite_open(path, &backend, &db, diag);
	if (r == 0)
		r = store_new(&e->store, e->uv, backend, db);
	if (r < 0)
		return r;
	r = edge_model_new(&e->model, e->store, (int64_t)e->settings->route_hold_ms, &model_events,
			   e, clock_wall_ms(), error);
	if (r < 0)
		diag_add(diag, DIAG_ERROR, 0, "%s: %s", path, error);
	return r;
}

static int open_control(struct edge *e, struct diag *diag)
{
	size_t n;
	const struct ctrl_command *commands = edge_admin_commands(&n);
	int r;

	e->admin = (struct edge_admin){
		.model = e->model, .ops = &edge_ops, .runtime = e, .ca_file = e->settings->ca_file};
	r = ctrl_server_new(&e->ctrl, e->uv, e->settings->control_socket, commands, n, &e->admin);
	if (r == CTRL_E_RUNNING)
		diag_add(diag, DIAG_ERROR, 0, "%s: another edge answers there",
			 e->settings->control_socket);
	else if (r < 0)
		diag_add(diag, DIAG_ERROR, 0, "%s: can't make the control socket: %s",
			 e->settings->control_socket, strerror(-r));
	return r;
}

/* The port is bound last: whoever can connect finds an edge that knows its tunnels. */
static enum edge_exit start(struct edge *e, struct diag *diag)
{
	const struct edge_limits *l = &e->settings->limits;
	size_t soft = e->settings->buffer_budget_bytes;
	size_t windows = ((size_t)l->max_connections + l->max_clients) * WINDOW;
	int r = io_loop_new(&e->io, e->uv, soft);

	if (r < 0)
		return EDGE_EXIT_FAILED;
	budget_init(&e->io->budget, soft, soft + windows);
	e->registry = registry_new();
	if (load_certificate(e, diag) < 0) {
		suggest_init(e, diag);
		return EDGE_EXIT_CONFIG;
	}
	r = open_store(e, diag);
	if (r == 0)
		r = open_control(e, diag);
	if (r == 0)
		r = start_signals(e);
	if (r == 0)
		r = listener_new(&e->listener, e);
	if (r == CTRL_E_RUNNING || r == -EBUSY)
		return EDGE_EXIT_RUNNING;
	return r == 0 ? EDGE_EXIT_OK : EDGE_EXIT_FAILED;
}

static void edge_free(struct edge *e)
{
	expire_holds(e, UINT64_MAX);
	listener_free(e->listener);
	ctrl_server_free(e->ctrl);
	store_free(e->store);
	io_loop_free(e->io);
	(void)uv_run(e->uv, UV_RUN_DEFAULT);
	edge_model_free(e->model);
	tls_context_free(e->tls);
	registry_free(e->registry);
	edge_settings_free(e->settings);
	(void)uv_loop_close(e->uv);
}

static void abandon_start(struct edge *e)
{
	/* Handles that were never begun have no loop. */
	for (size_t i = 0; i < ARRAY_SIZE(e->signals); i++) {
		if (e->signals[i].loop)
			uv_close((uv_handle_t *)&e->signals[i], NULL);
	}
	if (e->timer.loop)
		uv_close((uv_handle_t *)&e->timer, NULL);
}

static void init(struct edge *e, uv_loop_t *uv, struct edge_settings *settings)
{
	*e = (struct edge){.uv = uv, .settings = settings, .started_ms = clock_boot_ms()};
	list_init(&e->connections);
	list_init(&e->clients);
	list_init(&e->flows);
	list_init(&e->holds);
}

enum edge_exit edge_run(struct edge_settings *settings)
{
	struct diag diag;
	struct edge edge;
	uv_loop_t uv;
	enum edge_exit code;

	if (uv_loop_init(&uv) < 0)
		return EDGE_EXIT_FAILED;
	log_setup(settings->log_level, settings->log_format);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)prctl(PR_SET_DUMPABLE, 0);
	diag_init(&diag, NULL);
	init(&edge, &uv, settings);
	code = start(&edge, &diag);
	diag_print(&diag);
	diag_deinit(&diag);
	if (code == EDGE_EXIT_OK) {
		log_info("edge started", log_text("state_directory", settings->state_dir));
		warn_of_expiry(&edge);
		(void)notify_send("READY=1\nSTATUS=serving");
		(void)uv_run(&uv, UV_RUN_DEFAULT);
		log_info("edge stopped");
	} else {
		abandon_start(&edge);
	}
	edge_free(&edge);
	log_flush();
	return code;
}
