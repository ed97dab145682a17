/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Steps there, steps back. What was made with privileges (up_setup.c) outlives the loop; what runs
 * on the loop is closed before the helper takes the routes back, so that nothing is captured that
 * nobody carries.
 */

#include "client/up.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/log.h"
#include "base/notify.h"
#include "client/dns_stub.h"
#include "client/up_private.h"
#include "ctrl/ctrl_server.h"
#include "tun/netlink.h"
#include "tun/netlink_link.h"
#include "tun/netlink_watch.h"

/* An edge that is away must not make systemd end us at the start. */
#define READY_AFTER_MS 10000
#define READY_AGAIN_MS 100

#define HELD_BYTES_MAX ((size_t)4 * 1024 * 1024)

void up_stop(struct up *u, int exit_code)
{
	if (u->is_stopping)
		return;
	u->is_stopping = true;
	u->exit_code = exit_code;
	(void)notify_send("STOPPING=1");
	uv_stop(&u->loop.uv);
}

/* ---- systemd ---- */

static void on_ready_due(uv_timer_t *timer)
{
	up_tell_ready(timer->data);
}

/* What its full queue refused is said again: without READY=1 systemd ends us. */
void up_tell_ready(struct up *u)
{
	if (u->is_ready)
		return;
	u->is_ready = notify_send("READY=1") == 0;
	if (u->is_ready)
		uv_timer_stop(&u->ready);
	else
		uv_timer_start(&u->ready, on_ready_due, READY_AGAIN_MS, 0);
}

/* ---- the link to the edge ---- */

static void on_up(void *ctx, struct h2_session *session)
{
	struct up *u = ctx;

	u->is_connected = true;
	u->last_error[0] = '\0';
	up_routes_on_session(u, session);
}

/* An edge that doesn't know us at the start never will; later the operator may be at work. */
static bool is_hopeless(const struct up *u, enum client_exit why)
{
	return !u->routes.is_up && why == CLIENT_EXIT_CERTIFICATE;
}

static void on_down(void *ctx, enum client_exit why, const char *text)
{
	struct up *u = ctx;

	u->is_connected = false;
	snprintf(u->last_error, sizeof(u->last_error), "%s", text);
	if (is_hopeless(u, why))
		up_stop(u, (int)why);
}

static const struct keeper_events keeper_events = {
	.on_up = on_up,
	.on_down = on_down,
};

static void make_keeper(struct up *u)
{
	struct tunnel_options opt = client_loop_tunnel_options(&u->loop, &u->connect);

	opt.before_dial = up_routes_before_dial;
	opt.before_dial_ctx = u;
	u->keeper = keeper_new(&opt, &keeper_events, u);
}

/* ---- packets ---- */

static void on_broken(void *ctx, int error)
{
	struct up *u = ctx;

	log_error("the device is gone or was set down", log_text("device", u->host.device.name),
		  log_text("reason", strerror(-error)));
	up_stop(u, CLIENT_EXIT_INTERNAL);
}

/* False: set down, deleted, or both ways in a moment, after which its routes don't come back. */
static bool is_device_whole(const struct up *u)
{
	CLEANUP(netlink_close) struct netlink *nl = NULL;
	const struct up_host *h = &u->host;
	struct netlink_path path;
	bool is_up;

	if (netlink_open(&nl) < 0)
		return true;
	if (netlink_link_is_up(nl, h->device.index, &is_up) == 0 && is_up)
		return !u->routes.is_up || (netlink_route_get(&h->addresses.peer4, &path) == 0 &&
					    strcmp(path.interface, h->device.name) == 0);
	return false;
}

/* Our own changes are heard, too. */
static void on_network(void *ctx, const struct netlink_change *change UNUSED)
{
	struct up *u = ctx;

	if (!u->is_stopping && !is_device_whole(u))
		on_broken(u, -ENETDOWN);
}

static void on_helper_lost(void *ctx)
{
	struct up *u = ctx;

	log_error("the helper that keeps the routes is gone");
	up_stop(u, CLIENT_EXIT_INTERNAL);
}

static void fill_nat(struct up *u)
{
	const struct up_host *h = &u->host;
	struct nat_config *n = &u->nat;

	capture_nat_config(n, &h->addresses, h->ns.listeners.port);
	n->one_device = h->ns.form == PRIVATE_NS_ONE_DEVICE;
	n->limits.n_tcp = u->settings->max_tcp_flows;
	n->limits.n_udp = u->settings->max_udp_flows;
	n->held_bytes_max = HELD_BYTES_MAX;
	n->is_local = capture_source_is_local;
}

static int make_capture(struct up *u)
{
	const struct capture_options opt = {
		.loop = u->loop.io,
		.keeper = u->keeper,
		.user_fd = u->host.device.fd,
		.private_fd = u->host.ns.device.fd,
		.listen4_fd = u->host.ns.listeners.fd4,
		.listen6_fd = u->host.ns.listeners.fd6,
		.nat = &u->nat,
		.token = u->credentials->token,
		.network_of = up_routes_network_of,
		.on_broken = on_broken,
		.local = u->dns.stub ? &dns_stub_local : NULL,
		.local_ctx = u->dns.stub,
	};

	fill_nat(u);
	return capture_new(&u->capture, &opt, u);
}

/* ---- the run ---- */

static void on_signal(void *ctx, int number UNUSED)
{
	up_stop(ctx, 0);
}

static int open_loop(struct up *u)
{
	struct diag diag;
	int r;

	diag_init(&diag, NULL);
	r = client_loop_init(&u->loop, &u->connect, on_signal, u, &diag);
	if (r < 0)
		diag_print(&diag);
	diag_deinit(&diag);
	return r;
}

static int start(struct up *u)
{
	int r;

	/* stop() closes these, whatever failed. */
	up_routes_init(u);
	uv_timer_init(&u->loop.uv, &u->ready);
	u->ready.data = u;
	uv_timer_start(&u->ready, on_ready_due, READY_AFTER_MS, 0);
	r = net_helper_attach(u->host.helper, &u->loop.uv, on_helper_lost, u);
	make_keeper(u);
	if (r == 0)
		r = up_dns_open(u);
	if (r == 0)
		r = make_capture(u);
	if (r == 0)
		r = netlink_watch_new(&u->watch, &u->loop.uv, NETLINK_LINKS, on_network, u);
	if (r == 0)
		r = up_ctrl_open(u);
	if (r == 0)
		r = up_routes_start(u);
	if (r < 0)
		log_error("can't start", log_text("reason", strerror(-r)));
	if (r == 0)
		r = up_confine(u);
	if (r == 0)
		keeper_start(u->keeper);
	return r < 0 ? CLIENT_EXIT_INTERNAL : r;
}

static void stop(struct up *u)
{
	u->is_stopping = true;
	uv_close((uv_handle_t *)&u->ready, NULL);
	up_routes_stop(u);
	netlink_watch_free(u->watch);
	capture_free(u->capture);
	up_dns_close(u);
	keeper_free(u->keeper);
	ctrl_server_free(u->ctrl);
	up_host_stop_helper(u);
	client_loop_deinit(&u->loop);
	up_routes_deinit(u);
}

static int run(struct up *u)
{
	int code = up_host_let_go(u);

	if (code != 0)
		return code;
	if (open_loop(u) < 0)
		return CLIENT_EXIT_INTERNAL;
	u->since_ms = clock_wall_ms();
	code = start(u);
	if (code == 0) {
		uv_run(&u->loop.uv, UV_RUN_DEFAULT);
		code = u->exit_code;
	}
	stop(u);
	return code;
}

static int load(struct up *u)
{
	struct diag diag;
	int r;

	diag_init(&diag, u->opt->config_path);
	r = up_settings_load(&u->settings, u->opt->config_path, &u->opt->overrides, &diag);
	if (diag.n_items > 0)
		diag_print(&diag);
	diag_deinit(&diag);
	if (r < 0)
		return UP_EXIT_CONFIG;
	log_setup(u->settings->log_level, u->settings->log_format);
	return 0;
}

int up_run(const struct up_options *opt)
{
	struct up u = {.opt = opt};
	int code = load(&u);

	if (code == 0) {
		code = up_host_open(&u);
		if (code == 0)
			code = run(&u);
		up_host_close(&u);
	}
	client_credentials_free(u.credentials);
	up_settings_free(u.settings);
	log_flush();
	return code;
}
