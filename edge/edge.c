/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Signals, the tick and the end of the edge.
 *
 * Everything hangs off struct edge. The end: listeners first, then GOAWAY to everybody, then
 * the flows that still run, at most drain-timeout; then the links; when uv has closed the last
 * handle the loop ends by itself.
 */

#include "edge/edge.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/notify.h"
#include "ctrl/ctrl_server.h"
#include "edge/connection.h"
#include "edge/edge_private.h"
#include "edge/flow.h"
#include "edge/ingress.h"
#include "edge/listener.h"
#include "edge/relief.h"

/*
 * Windows start at 1 MiB per stream and per connection, and the link makes them grow. Connection
 * credit returns at once, so one full stream doesn't stop the others. An agent that isn't known yet
 * can reset only the one stream that we have opened.
 */
const struct h2_limits edge_agent_limits = {
	.stream_window_bytes = EDGE_WINDOW_BYTES,
	.conn_window_bytes = EDGE_WINDOW_BYTES,
	.header_list_bytes = 64 * 1024,
	.max_frame_bytes = H2_FRAME_MIN, /* more once it is known to be adit's */
	.resets_burst = H2_KNOWN_RESETS_BURST,
	.resets_per_s = H2_KNOWN_RESETS_PER_S,
};

/* Clients are strangers until their token is known. */
const struct h2_limits edge_client_limits = {
	.max_streams = 100,
	.stream_window_bytes = EDGE_WINDOW_BYTES,
	.conn_window_bytes = EDGE_WINDOW_BYTES,
	.header_list_bytes = 16 * 1024,
	.max_frame_bytes = H2_FRAME_MAX,
	.resets_burst = 200,
	.resets_per_s = 20,
	.enable_connect_protocol = true,
};

/* ---- tick ---- */

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

/* Without READY=1 systemd ends us: what its full queue refused is said again by the tick. */
void edge_tell_ready(struct edge *e)
{
	e->is_ready = notify_send("READY=1\nSTATUS=serving\n") == 0;
}

void edge_tick_cb(uv_timer_t *timer)
{
	struct edge *e = timer->data;
	uint64_t now_ms = clock_boot_ms();

	edge_model_tick(e->model, clock_wall_ms());
	tick_all(e, now_ms);
	expire_holds(e, now_ms);
	relief_tick(e, now_ms);
	listener_tick(e->listener);
	ctrl_server_sweep(e->ctrl, uv_now(e->uv));
	(void)heap_peak_fall(&e->flows_peak, e->n_flows);
	edge_certificate_check(e, now_ms);
	if (!e->is_ready && e->drain_until_ms == 0)
		edge_tell_ready(e);
	if (notify_watchdog_ms() > 0)
		(void)notify_send("WATCHDOG=1");
	if (e->drain_until_ms != 0 && (list_is_empty(&e->flows) || now_ms >= e->drain_until_ms))
		finish(e);
}

/* ---- the end ---- */

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

static void finish(struct edge *e)
{
	end_links(e);
	ctrl_server_free(e->ctrl);
	e->ctrl = NULL;
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
		connection_drain(list_entry(pos, struct connection, node), e->drain_until_ms,
				 "edge is shutting down");
	list_for_each_safe (pos, next, &e->clients)
		ingress_drain(list_entry(pos, struct ingress, node));
	if (list_is_empty(&e->flows))
		finish(e);
}

static void hang_up(struct edge *e)
{
	char why[EDGE_RELOAD_WHY_MAX];

	/* It has logged what came of it. */
	(void)edge_reload(e, NULL, why);
}

void edge_signal_cb(uv_signal_t *signal, int number)
{
	struct edge *e = signal->data;

	if (number == SIGHUP)
		hang_up(e);
	else if (e->drain_until_ms == 0)
		drain(e);
	else
		finish(e);
}

/* ---- run ---- */

static void init(struct edge *e, uv_loop_t *uv, struct edge_settings *settings,
		 const struct edge_source *source)
{
	*e = (struct edge){
		.uv = uv,
		.boot = settings,
		.settings = settings,
		.source = source,
		.started_ms = clock_boot_ms(),
	};
	list_init(&e->connections);
	list_init(&e->clients);
	list_init(&e->flows);
	list_init(&e->feeds);
	list_init(&e->stale_feeds);
	list_init(&e->holds);
}

static void serve(struct edge *e)
{
	log_info("edge started", log_text("state_directory", e->boot->state_dir));
	edge_tell_ready(e);
	edge_certificate_check(e, clock_boot_ms());
	(void)uv_run(e->uv, UV_RUN_DEFAULT);
	log_info("edge stopped");
}

enum edge_exit edge_run(struct edge_settings *settings, const struct edge_source *source)
{
	enum edge_exit code;
	struct diag diag;
	struct edge edge;
	uv_loop_t uv;
	int r;

	log_setup(settings->log_level, settings->log_format);
	r = uv_loop_init(&uv);
	if (r < 0) {
		log_error("no event loop", log_text("reason", strerror(-r)));
		edge_settings_free(settings);
		return EDGE_EXIT_FAILED;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	/* A limit on file sizes is a write that fails, like a full disk. */
	(void)signal(SIGXFSZ, SIG_IGN);
	(void)prctl(PR_SET_DUMPABLE, 0);
	/* Each connection has one, and `limits` allow more than the usual 1024. */
	if (fd_limit_raise() < 0)
		log_debug("descriptor limit stays");
	diag_init(&diag, NULL);
	init(&edge, &uv, settings, source);
	code = edge_set_up(&edge, &diag);
	diag_print(&diag);
	diag_deinit(&diag);
	if (code == EDGE_EXIT_OK)
		serve(&edge);
	edge_tear_down(&edge);
	log_flush();
	return code;
}
