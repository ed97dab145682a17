/* SPDX-License-Identifier: Apache-2.0 */

/* Making and freeing what the running edge consists of. */

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/notify.h"
#include "ctrl/ctrl_server.h"
#include "edge/access_log.h"
#include "edge/edge_private.h"
#include "edge/guesses.h"
#include "edge/listener.h"
#include "edge/paths.h"
#include "edge/registry.h"
#include "wire/io_loop.h"
#include "wire/tls.h"

#define TICK_MS 1000

/* Links that end in the turn in which others take their places. */
#define CHANGING_PLACES 64

/* Addresses that are remembered for secrets that weren't valid. */
#define GUESSERS_MAX 8192

/* systemd wants a sign of life twice per period. */
static uint64_t tick_ms(void)
{
	uint64_t watchdog_ms = notify_watchdog_ms();

	return watchdog_ms > 0 && watchdog_ms / 2 < TICK_MS ? (watchdog_ms + 1) / 2 : TICK_MS;
}

static int take_signals(struct edge *e)
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
	return 0;
}

static int start_signals(struct edge *e, struct diag *diag)
{
	uint64_t every_ms = tick_ms();
	int r = take_signals(e);

	if (r < 0) {
		diag_add(diag, DIAG_ERROR, 0, "signals can't be taken: %s", strerror(-r));
		return r;
	}
	uv_timer_init(e->uv, &e->timer);
	e->timer.data = e;
	return uv_timer_start(&e->timer, edge_tick_cb, every_ms, every_ms);
}

static int open_store(struct edge *e, struct diag *diag)
{
	const struct store_backend *backend;
	char path[PATH_MAX];
	char error[STORE_ERROR_MAX] = "";
	void *db;
	int r;

	snprintf(path, sizeof(path), "%s/%s", e->boot->state_dir, EDGE_DB_NAME);
	r = store_sqlite_open(path, &backend, &db, diag);
	if (r < 0)
		return r;
	r = store_new(&e->store, e->uv, backend, db);
	if (r == 0)
		r = edge_model_new(&e->model, e->store, e->boot->route_hold_ms, &edge_access_events,
				   e, clock_wall_ms(), error);
	if (r < 0)
		diag_add(diag, DIAG_ERROR, 0, "database %s: %s", path,
			 *error ? error : strerror(-r));
	return r;
}

/* After edge_confine(): a thread keeps what it was made with. */
static int start_store(struct edge *e, struct diag *diag)
{
	int r = store_start(e->store);

	if (r < 0)
		diag_add(diag, DIAG_ERROR, 0, "no thread for the database: %s", strerror(-r));
	return r;
}

static void explain_socket(const char *path, int r, struct diag *diag)
{
	const char *slash = strrchr(path, '/');
	int n_folder = slash ? (int)(slash - path) : 0;

	if (r == CTRL_E_RUNNING)
		diag_add(diag, DIAG_ERROR, 0, "control socket %s: another edge answers there",
			 path);
	else if (r == -ENOENT && n_folder > 0)
		diag_add(diag, DIAG_ERROR, 0,
			 "control socket %s: the folder %.*s is missing: make it, or set "
			 "control-socket",
			 path, n_folder, path);
	else if (r == -EEXIST)
		diag_add(diag, DIAG_ERROR, 0,
			 "control socket %s: something that is no socket has that name", path);
	else
		diag_add(diag, DIAG_ERROR, 0, "control socket %s: %s", path, strerror(-r));
}

static int open_control(struct edge *e, struct diag *diag)
{
	size_t n;
	const struct ctrl_command *commands = edge_admin_commands(&n);
	int r;

	e->admin = (struct edge_admin){
		.model = e->model, .ops = &edge_ops, .runtime = e, .ca_file = e->boot->ca_file};
	r = ctrl_server_new(&e->ctrl, e->uv, e->boot->control_socket, commands, n, &e->admin);
	if (r != 0)
		explain_socket(e->boot->control_socket, r, diag);
	return r;
}

void edge_set_budget(struct edge *e, const struct edge_settings *settings)
{
	const struct edge_limits *l = &settings->limits;
	size_t n_links =
		(size_t)l->max_connections + l->max_clients + EDGE_SURPLUS_MAX + CHANGING_PLACES;

	budget_set_windows(&e->io->budget, settings->window_budget_bytes, n_links);
}

/*
 * The port is bound last: whoever can connect finds an edge that knows its tunnels. Then nothing
 * needs a privilege any more.
 */
enum edge_exit edge_set_up(struct edge *e, struct diag *diag)
{
	int r = io_loop_new(&e->io, e->uv, e->boot->buffer_budget_bytes);

	if (r < 0) {
		diag_add(diag, DIAG_ERROR, 0, "no event loop: %s", strerror(-r));
		return EDGE_EXIT_FAILED;
	}
	edge_set_budget(e, e->boot);
	e->registry = registry_new();
	e->bad_tokens = guesses_new(GUESSERS_MAX);
	e->bad_secrets = guesses_new(GUESSERS_MAX);
	if (edge_certificate_load(e, e->boot, diag) < 0)
		return EDGE_EXIT_CONFIG;
	if (edge_access_log_open(e->boot, &e->access_log, diag) < 0)
		return EDGE_EXIT_CONFIG;
	r = open_store(e, diag);
	if (r == 0)
		r = open_control(e, diag);
	if (r == 0)
		r = start_signals(e, diag);
	if (r == 0)
		r = listener_new(&e->listener, e, diag);
	if (r == 0)
		r = edge_confine(e, diag);
	if (r == 0)
		r = start_store(e, diag);
	if (r == CTRL_E_RUNNING || r == -EBUSY)
		return EDGE_EXIT_RUNNING;
	return r == 0 ? EDGE_EXIT_OK : EDGE_EXIT_FAILED;
}

/* Handles that were never begun have no loop. */
static void close_handle(uv_handle_t *handle)
{
	if (handle->loop && !uv_is_closing(handle))
		uv_close(handle, NULL);
}

static void free_holds(struct edge *e)
{
	struct list *node;

	while ((node = list_pop(&e->holds)) != NULL)
		free(list_entry(node, struct edge_hold, node));
}

void edge_tear_down(struct edge *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(e->signals); i++)
		close_handle((uv_handle_t *)&e->signals[i]);
	close_handle((uv_handle_t *)&e->timer);
	free_holds(e);
	listener_free(e->listener);
	ctrl_server_free(e->ctrl);
	/* The loop would wait for ever for what a set-up has queued that failed before the worker.
	 */
	store_finish(e->store);
	/* Links that still say goodbye need the io_loop. */
	(void)uv_run(e->uv, UV_RUN_DEFAULT);
	store_free(e->store);
	io_loop_free(e->io);
	(void)uv_run(e->uv, UV_RUN_DEFAULT);
	edge_model_free(e->model);
	tls_context_free(e->tls);
	registry_free(e->registry);
	guesses_free(e->bad_tokens);
	guesses_free(e->bad_secrets);
	access_log_close(e->access_log);
	if (e->settings != e->boot)
		edge_settings_free(e->settings);
	edge_settings_free(e->boot);
	(void)uv_loop_close(e->uv);
}
