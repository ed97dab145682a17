/* SPDX-License-Identifier: Apache-2.0 */

/* Builds an agent step by step, and takes a half-built one apart. */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/utsname.h>

#include "agent/agent_private.h"
#include "base/compiler.h"
#include "base/diag.h"
#include "base/fd.h"
#include "base/log.h"
#include "ctrl/agent_status.h"
#include "ctrl/ctrl_server.h"
#include "wire/io_loop.h"
#include "wire/proto.h"
#include "wire/resolve.h"
#include "wire/tls.h"

#define RESOLVE_TRY_MS 5000

/* ---- events of the supervisor ---- */

static void take_stream(void *ctx, unsigned int index, struct edge_link *el,
			struct h2_stream *stream, const struct h2_headers *hdrs)
{
	struct agent *a = ctx;

	dispatch_stream(a->dispatch, index, el, stream, hdrs);
}

static void take_answer(void *ctx, uint64_t link, uint64_t generation,
			const struct route_verdict *verdicts, size_t n_verdicts, bool send_all,
			const char *failed)
{
	agent_routes_answered(ctx, link, generation, verdicts, n_verdicts, send_all, failed);
}

static uint64_t settled(void *ctx, uint64_t now_ms)
{
	struct agent *a = ctx;

	uint64_t at[3] = {UINT64_MAX, UINT64_MAX, UINT64_MAX};

	agent_service_update(a);
	if (a->phase == AGENT_PHASE_RUNNING)
		at[0] = agent_routes_settle(a, now_ms);
	if (a->phase == AGENT_PHASE_RUNNING)
		at[1] = agent_takeover_settle(a, now_ms);
	if (a->phase == AGENT_PHASE_RUNNING)
		at[2] = agent_handover_settle(a, now_ms);
	for (size_t i = 1; i < ARRAY_SIZE(at); i++)
		at[0] = at[i] < at[0] ? at[i] : at[0];
	return at[0];
}

static void take_event(void *ctx, const char *kind, const struct log_field *fields)
{
	agent_tell(ctx, kind, fields);
}

static void unauthorized(void *ctx)
{
	struct agent *a = ctx;

	if (takeover_on_unauthorized(&a->takeover.machine) || !a->live->exit_on_auth_failure)
		return;
	log_error("the edge refuses our credentials, giving up");
	agent_leave(a, AGENT_EXIT_REFUSED);
}

static void stopped(void *ctx)
{
	agent_stopped(ctx);
}

static const struct supervisor_events supervisor_events = {
	.on_stream = take_stream,
	.on_advertised = take_answer,
	.on_settled = settled,
	.on_event = take_event,
	.on_unauthorized = unauthorized,
	.on_stopped = stopped,
};

static void stream_ended(void *ctx)
{
	struct agent *a = ctx;

	/* Somebody may be waiting for the last one. */
	supervisor_poke(a->supervisor);
}

/* ---- signals ---- */

static void hang_up(struct agent *a)
{
	/* Another process is the agent still, or already: the file is read by whoever is. */
	if (a->phase == AGENT_PHASE_RUNNING && a->in_charge)
		agent_reload(a, NULL);
}

static void signal_cb(uv_signal_t *handle, int number)
{
	if (number == SIGHUP)
		hang_up(handle->data);
	else
		agent_stop(handle->data);
}

/* ---- steps: each returns 0 or an exit code, after telling why ---- */

static int fail(const char *what, int r)
{
	log_error(what, log_text("reason", strerror(-r)));
	return AGENT_EXIT_FAILED;
}

static int tell_diag(struct diag *diag, int r)
{
	if (r == 0)
		agent_log_findings(diag);
	else
		diag_print(diag);
	diag_deinit(diag);
	return r < 0 ? AGENT_EXIT_CONFIG : AGENT_EXIT_OK;
}

static int load_settings(struct agent *a)
{
	struct diag diag;
	int r;

	diag_init(&diag, a->opt->config_path);
	r = settings_load(&a->boot, a->opt->config_path, &a->opt->overrides, &diag);
	a->live = a->boot;
	if (r == 0)
		log_setup(a->boot->log_level, a->boot->log_format);
	return tell_diag(&diag, r);
}

static int load_credentials(struct agent *a)
{
	struct diag diag;
	int r;

	/* Before the first secret is in memory: no core dump, no debugger of ours. */
	prctl(PR_SET_DUMPABLE, 0);
	diag_init(&diag, NULL);
	r = credentials_load(&a->credentials, a->boot, &diag);
	if (r == 0)
		r = edge_proxy_load(&a->proxy, a->boot, &diag);
	return tell_diag(&diag, r);
}

static void init_timer(struct agent *a, uv_timer_t *timer)
{
	uv_timer_init(&a->uv, timer);
	timer->data = a;
}

static int take_signals(struct agent *a)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		int r = uv_signal_init(&a->uv, &a->signals[i]);

		if (r < 0)
			return r;
		a->signals[i].data = a;
		r = uv_signal_start(&a->signals[i], signal_cb, numbers[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

static int open_loop(struct agent *a)
{
	int r = uv_loop_init(&a->uv);

	if (r < 0)
		return fail("no event loop", r);
	a->has_loop = true;
	agent_feed_open(a);
	signal(SIGPIPE, SIG_IGN);
	r = fd_limit_raise();
	if (r < 0)
		log_debug("descriptor limit stays", log_text("reason", strerror(-r)));
	init_timer(a, &a->last_timer);
	init_timer(a, &a->service.ready_timer);
	init_timer(a, &a->service.watchdog);
	init_timer(a, &a->service.sweep);
	r = take_signals(a);
	if (r < 0)
		return fail("signals can't be taken", r);
	r = io_loop_new(&a->loop, &a->uv, a->boot->buffer_budget_bytes);
	if (r < 0)
		return fail("no event loop", r);
	/* A connection may wait for its last streams while its successor is up. */
	budget_set_windows(&a->loop->budget, a->boot->window_budget_bytes,
			   (size_t)a->boot->ha_connections * 2);
	return AGENT_EXIT_OK;
}

static int make_tls(struct agent *a)
{
	struct diag diag;
	int r;

	diag_init(&diag, a->opt->config_path);
	r = tls_context_new_dialler(&a->tls, a->boot->edge_ca_file, false, &diag);
	return tell_diag(&diag, r);
}

static int make_discovery(struct agent *a)
{
	int r = resolver_new(&a->resolver, &a->uv, a->boot->resolver, RESOLVE_TRY_MS);

	if (r < 0)
		return fail("no resolver", r);
	r = edge_discovery_new(&a->discovery, a->resolver, a->boot, a->credentials.endpoint);
	return r < 0 ? fail("edge addresses can't be looked up", r) : AGENT_EXIT_OK;
}

/* Go's names, as stock agents send them. */
static void find_arch(char *out, size_t n)
{
	static const struct {
		const char *machine;
		const char *arch;
	} rows[] = {
		{"x86_64", "amd64"}, {"aarch64", "arm64"},   {"i686", "386"},
		{"armv7l", "arm"},   {"riscv64", "riscv64"},
	};
	const char *arch = "unknown";
	struct utsname host;

	if (uname(&host) == 0)
		arch = host.machine;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (!strcmp(arch, rows[i].machine))
			arch = rows[i].arch;
	snprintf(out, n, "linux_%.16s", arch);
}

static int make_identity(struct agent *a)
{
	const char *const features[] = {
		"allow_remote_config", "serialized_headers", "support_datagram_v2",
		"support_quic_eof",    "management_logs",    a->feature,
	};
	struct registration_request *req = &a->identity;
	char tunnel[UUID_TEXT_MAX], connector[UUID_TEXT_MAX];

	a->connector_id = uuid_random();
	find_arch(a->arch, sizeof(a->arch));
	snprintf(a->feature, sizeof(a->feature), FEATURE_ADIT ";connections=%u",
		 a->boot->ha_connections);
	*req = (struct registration_request){
		.account_tag = a->credentials.account_tag,
		.secret = a->credentials.secret,
		.n_secret = a->credentials.n_secret,
		.tunnel_id = a->credentials.tunnel_id,
		.client_id = a->connector_id,
		.n_features = ARRAY_SIZE(features),
		.version = "adit/" ADIT_VERSION,
		.arch = a->arch,
	};
	memcpy(req->features, features, sizeof(features));
	log_info("starting", log_text("tunnel_id", uuid_format(&req->tunnel_id, tunnel)),
		 log_text("connector_id", uuid_format(&a->connector_id, connector)),
		 log_text("version", ADIT_VERSION));
	return AGENT_EXIT_OK;
}

static void remote_config_came(void *ctx, enum remote_config_outcome outcome, int32_t version,
			       const char *note)
{
	agent_event(ctx, EVENT_REMOTE, log_text("outcome", remote_config_outcome_name(outcome)),
		    log_int("version", version), log_text("note", note));
}

static int make_parts(struct agent *a)
{
	struct supervisor_options opt = {
		.link = {.loop = a->loop,
			 .tls = a->tls,
			 .bind = a->boot->edge_bind_address,
			 .proxy = &a->proxy,
			 .max_frame_bytes = (uint32_t)a->boot->max_frame_bytes},
		.discovery = a->discovery,
		.identity = &a->identity,
		.n_uplinks = a->boot->ha_connections,
	};
	int r;

	remote_config_init(&a->remote, &a->live->warp_routing, a->live->remote_config);
	remote_config_watch(&a->remote, remote_config_came, a);
	a->origins = origins_new(a->loop, stream_ended, a);
	a->datagrams = datagram_origins_new(a->loop, NULL, stream_ended, a);
	a->dispatch = dispatch_new(a->origins, a->datagrams, &a->remote, a->live);
	a->supervisor = supervisor_new(&opt, &supervisor_events, a);
	a->routes.advertise = advertise_new();
	r = agent_routes_load(a);
	if (r < 0)
		return fail("no memory for the routes", r);
	agent_network_start(a);
	agent_set_local_config(a);
	return AGENT_EXIT_OK;
}

int agent_set_up(struct agent *a)
{
	static int (*const steps[])(struct agent * a) = {
		load_settings, load_credentials, open_loop,	agent_ctrl_open, agent_service_load,
		make_tls,      make_discovery,	 make_identity, make_parts,	 agent_confine,
	};
	int code = AGENT_EXIT_OK;

	list_init(&a->reloads);
	for (size_t i = 0; code == AGENT_EXIT_OK && i < ARRAY_SIZE(steps); i++)
		code = steps[i](a);
	return code;
}

/* ---- the way back ---- */

void agent_let_go(struct agent *a)
{
	/* They still count, but keep nobody waiting. */
	for (size_t i = 0; i < ARRAY_SIZE(a->signals); i++)
		if (a->signals[i].loop)
			uv_unref((uv_handle_t *)&a->signals[i]);
	uv_timer_stop(&a->service.ready_timer);
	uv_timer_stop(&a->service.watchdog);
	uv_timer_stop(&a->service.sweep);
	agent_network_stop(a);
	agent_takeover_end(a);
	agent_handover_close(a);
	edge_discovery_free(a->discovery);
	a->discovery = NULL;
	resolver_free(a->resolver);
	a->resolver = NULL;
}

static void close_handles(struct agent *a)
{
	/* Those that were never begun have no loop. */
	for (size_t i = 0; i < ARRAY_SIZE(a->signals); i++)
		if (a->signals[i].loop)
			uv_close((uv_handle_t *)&a->signals[i], NULL);
	uv_close((uv_handle_t *)&a->last_timer, NULL);
	uv_close((uv_handle_t *)&a->service.ready_timer, NULL);
	uv_close((uv_handle_t *)&a->service.watchdog, NULL);
	uv_close((uv_handle_t *)&a->service.sweep, NULL);
}

static void close_loop(struct agent *a)
{
	agent_let_go(a);
	close_handles(a);
	supervisor_free(a->supervisor);
	datagram_origins_free(a->datagrams);
	io_loop_free(a->loop);
	uv_run(&a->uv, UV_RUN_DEFAULT);
	if (uv_loop_close(&a->uv) < 0)
		log_debug("the loop was not empty");
}

void agent_tear_down(struct agent *a)
{
	if (a->has_loop)
		close_loop(a);
	agent_feed_close(a);
	agent_network_free(a);
	origins_free(a->origins);
	dispatch_free(a->dispatch);
	advertise_free(a->routes.advertise);
	tls_context_free(a->tls);
	if (a->live != a->boot)
		settings_free(a->live);
	settings_free(a->boot);
}
