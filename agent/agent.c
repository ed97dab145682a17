/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"

#include <sys/prctl.h>
#include <unistd.h>

#include "agent/agent_private.h"
#include "agent/starter.h"
#include "base/log.h"
#include "wire/io_loop.h"

/* After the grace period: unanswered goodbyes get this long, then the process ends anyhow. */
#define DRAIN_SLACK_MS 2000
/* What LEAVING may take: a last flush and the peer's FIN. */
#define LEAVE_MS 2500
/* After a second signal. */
#define LEAVE_NOW_MS 100

static void stop_loop_cb(uv_timer_t *timer)
{
	struct agent *a = timer->data;

	a->cut_short = true;
	uv_stop(&a->uv);
}

static void bound_leaving(struct agent *a, uint64_t wait_ms)
{
	uv_timer_start(&a->last_timer, stop_loop_cb, wait_ms, 0);
	uv_unref((uv_handle_t *)&a->last_timer);
}

static void drain_over_cb(uv_timer_t *timer)
{
	agent_leave(timer->data, AGENT_EXIT_OK);
}

void agent_drain(struct agent *a)
{
	uint32_t grace_ms = a->live->grace_period_ms;

	agent_takeover_end(a);
	a->phase = AGENT_PHASE_DRAINING;
	log_info("shutting down",
		 log_int("streams", (int64_t)(origins_count(a->origins) +
					      datagram_origins_count(a->datagrams))),
		 log_int("grace_ms", grace_ms));
	agent_service_stopping(a);
	/* A replaced one takes what an edge sends before it knows: refused, it would be lost. */
	if (a->in_charge)
		dispatch_drain(a->dispatch);
	uv_timer_start(&a->last_timer, drain_over_cb, (uint64_t)grace_ms + DRAIN_SLACK_MS, 0);
	supervisor_stop(a->supervisor, grace_ms);
}

void agent_stop(struct agent *a)
{
	if (a->phase == AGENT_PHASE_RUNNING) {
		agent_drain(a);
		return;
	}
	log_info("shutting down at once");
	agent_leave(a, AGENT_EXIT_OK);
	bound_leaving(a, LEAVE_NOW_MS);
}

static void end_streams(struct agent *a)
{
	origins_abort_all(a->origins);
	datagram_origins_end_all(a->datagrams);
}

void agent_leave(struct agent *a, int exit_code)
{
	if (a->phase == AGENT_PHASE_LEAVING)
		return;
	agent_takeover_end(a);
	if (a->phase == AGENT_PHASE_RUNNING)
		agent_service_stopping(a);
	a->phase = AGENT_PHASE_LEAVING;
	a->exit_code = exit_code;
	dispatch_drain(a->dispatch);
	bound_leaving(a, LEAVE_MS);
	end_streams(a);
	supervisor_kill(a->supervisor);
}

/* All uplinks are stopped: what keeps the loop running is let go, links flush and end. */
void agent_stopped(struct agent *a)
{
	if (a->phase != AGENT_PHASE_LEAVING) {
		a->phase = AGENT_PHASE_LEAVING;
		bound_leaving(a, LEAVE_MS);
		end_streams(a);
	}
	agent_let_go(a);
}

int agent_run(const struct agent_options *opt)
{
	struct agent a = {.opt = opt, .starter_fd = opt->starter_fd};
	int code = agent_set_up(&a);

	if (code == AGENT_EXIT_OK) {
		agent_service_start(&a);
		agent_takeover_start(&a);
		uv_run(&a.uv, UV_RUN_DEFAULT);
		code = a.exit_code;
		log_info("stopped", log_int("exit_code", code));
	}
	starter_tell(&a.starter_fd, code ? code : AGENT_EXIT_NOT_REPLACED);
	agent_service_end(&a);
	credentials_wipe(&a.credentials);
	edge_proxy_wipe(&a.proxy);
	if (a.cut_short) {
		/* Somebody does not let go of a connection: leave it to the kernel. */
		log_flush();
		_exit(code);
	}
	agent_tear_down(&a);
	log_flush();
#ifdef ADIT_SANITIZED
	/* The secrets are gone. LeakSanitizer traces us; the filter, which others have, refuses. */
	prctl(PR_SET_DUMPABLE, 1);
#endif
	return code;
}
