/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the outside is told: systemd by notify, monitoring by the state file, the log.
 *
 * READY=1 comes with the first registration, but at the latest 10 s after the start: an
 * edge that is away must not make systemd kill an agent that would find it later.
 */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent_private.h"
#include "agent/starter.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/notify.h"
#include "ctrl/agent_status.h"
#include "ctrl/ctrl_server.h"
#include "wire/io_loop.h"

#define READY_AFTER_MS	     10000
#define READY_AGAIN_MS	     100
#define SWEEP_EVERY_MS	     10000
#define CUTS_TOLD_PER_MINUTE 2
#define STATUS_TEXT_MAX	     128

static int64_t wall_s(void)
{
	return clock_wall_ms() / (int64_t)MSEC_PER_SEC;
}

/* ---- the state file ---- */

static void save_state(struct agent *a, enum health state, int64_t pid)
{
	struct state_file *file = &a->service.file;
	int r;

	if (!a->in_charge)
		return;
	file->state = state;
	file->pid = pid;
	file->updated = wall_s();
	r = state_file_save(a->boot->state_dir, file);
	if (r < 0 && !a->service.save_failed)
		log_warn("state file not written", log_text("directory", a->boot->state_dir),
			 log_text("reason", strerror(-r)));
	a->service.save_failed = r < 0;
}

/* Another tunnel's past says nothing about ours. */
static void claim_state(struct agent *a)
{
	struct state_file *file = &a->service.file;

	if (!uuid_equal(&file->tunnel_id, &a->credentials.tunnel_id))
		file->ever_registered = false;
	file->tunnel_id = a->credentials.tunnel_id;
	snprintf(file->tunnel_name, sizeof(file->tunnel_name), "%s",
		 a->boot->tunnel ? a->boot->tunnel : "");
}

int agent_service_load(struct agent *a)
{
	char why[STATE_FILE_WHY_MAX];
	int r = dir_make(a->boot->state_dir, 0755);

	if (r < 0) {
		log_error("no state directory", log_text("directory", a->boot->state_dir),
			  log_text("reason", strerror(-r)));
		return AGENT_EXIT_CONFIG;
	}
	r = state_file_load_or_new(a->boot->state_dir, &a->service.file, why);
	if (r == STATE_FILE_E_CORRUPT) {
		log_warn("state file is unreadable, starting a new one", log_text("reason", why));
		a->service.file =
			(struct state_file){.instance_id = uuid_random(), .state = HEALTH_INACTIVE};
	} else if (r < 0) {
		log_error("state file is unreadable", log_text("reason", why));
		return AGENT_EXIT_CONFIG;
	}
	claim_state(a);
	return AGENT_EXIT_OK;
}

/* ---- systemd ---- */

/* Of two agents only one is systemd's: what the other one says would be taken for its word. */
static int tell_systemd(const struct agent *a, const char *text)
{
	return a->in_charge ? notify_send(text) : 0;
}

static int tell_status(const struct agent *a, const char *prefix)
{
	const struct agent_service *sv = &a->service;
	char text[STATUS_TEXT_MAX];

	snprintf(text, sizeof(text), "%sSTATUS=%s: %u of %u connections\n", prefix,
		 health_name(sv->health), sv->n_registered, supervisor_n_uplinks(a->supervisor));
	return tell_systemd(a, text);
}

static void ready_cb(uv_timer_t *timer);

/* Without READY=1 systemd ends us: what its full queue refused is said again. */
static void get_ready(struct agent *a)
{
	char prefix[64] = "READY=1\n";

	if (a->service.ready || !a->in_charge)
		return;
	if (a->service.tells_pid)
		snprintf(prefix, sizeof(prefix), "MAINPID=%d\nREADY=1\n", getpid());
	a->service.ready = tell_status(a, prefix) == 0;
	if (!a->service.ready)
		uv_timer_start(&a->service.ready_timer, ready_cb, READY_AGAIN_MS, 0);
	else if (!takeover_is_under_way(&a->takeover.machine))
		starter_tell(&a->starter_fd, AGENT_EXIT_OK);
}

static void ready_cb(uv_timer_t *timer)
{
	get_ready(timer->data);
}

static void watchdog_cb(uv_timer_t *timer)
{
	(void)timer;
	notify_send("WATCHDOG=1\n");
}

static void relieve(struct agent *a)
{
	unsigned int n = origins_relieve(a->origins, &a->service.pressure);

	a->service.n_cut += n;
	if (n > 0 &&
	    quota_take(&a->service.cuts_told, CUTS_TOLD_PER_MINUTE, io_loop_now_ms(a->loop)))
		log_warn("buffer-budget is used up by streams that nobody reads: the largest are "
			 "cut",
			 log_int("streams", n));
}

static void sweep_cb(uv_timer_t *timer)
{
	struct agent *a = timer->data;

	if (a->ctrl)
		ctrl_server_sweep(a->ctrl, uv_now(&a->uv));
	relieve(a);
	origins_tidy(a->origins);
}

static void start_telling(struct agent *a)
{
	struct agent_service *sv = &a->service;

	if (!sv->ready)
		uv_timer_start(&sv->ready_timer, ready_cb, READY_AFTER_MS, 0);
	if (sv->watchdog_ms)
		uv_timer_start(&sv->watchdog, watchdog_cb, 0, (sv->watchdog_ms + 1) / 2);
}

void agent_service_start(struct agent *a)
{
	struct agent_service *sv = &a->service;
	char connector[UUID_TEXT_MAX];

	sv->started_ms = clock_boot_ms();
	uv_update_time(&a->uv);
	uv_timer_start(&sv->sweep, sweep_cb, SWEEP_EVERY_MS, SWEEP_EVERY_MS);
	sv->watchdog_ms = notify_watchdog_ms();
	if (a->in_charge)
		start_telling(a);
	agent_event(a, EVENT_STARTED, log_text(STATUS_VERSION, ADIT_VERSION),
		    log_text(STATUS_CONNECTOR_ID, uuid_format(&a->connector_id, connector)));
	agent_service_update(a);
}

void agent_service_reloading(void)
{
	(void)notify_reloading(clock_monotonic_us());
}

void agent_service_reloaded(struct agent *a)
{
	a->service.ready = false;
	get_ready(a);
}

void agent_service_stopping(struct agent *a)
{
	agent_tell(a, EVENT_STOPPING, &LOG_END);
	(void)tell_systemd(a, "STOPPING=1\nSTATUS=shutting down\n");
}

/* ---- replacing and being replaced ---- */

void agent_service_announce(struct agent *a)
{
	a->in_charge = true;
	a->service.tells_pid = true;
	if (a->service.n_registered > 0)
		get_ready(a);
	start_telling(a);
}

void agent_service_take_charge(struct agent *a)
{
	save_state(a, a->service.health, getpid());
	if (a->service.ready)
		starter_tell(&a->starter_fd, AGENT_EXIT_OK);
}

void agent_service_lay_down(struct agent *a)
{
	a->in_charge = false;
	uv_timer_stop(&a->service.ready_timer);
	uv_timer_stop(&a->service.watchdog);
}

void agent_service_say_main(int64_t pid)
{
	char text[32];

	snprintf(text, sizeof(text), "MAINPID=%lld\n", (long long)pid);
	notify_send(text);
}

/* systemd reads it before it learns of our end. */
void agent_service_hand_back(struct agent *a, int64_t pid)
{
	if (a->in_charge && a->service.tells_pid)
		agent_service_say_main(pid);
	agent_service_lay_down(a);
}

/* ---- health ---- */

static void tell_health(struct agent *a, bool worse)
{
	const struct agent_service *sv = &a->service;
	enum log_level level = worse ? LOG_LEVEL_WARN : LOG_LEVEL_INFO;

	LOG_AT(level, "tunnel state", log_text("state", health_name(sv->health)),
	       log_int("registered", sv->n_registered),
	       log_int("expected", supervisor_n_uplinks(a->supervisor)), LOG_END);
	agent_event(a, EVENT_HEALTH, log_text(STATUS_STATE, health_name(sv->health)),
		    log_int(STATUS_REGISTERED, sv->n_registered),
		    log_int(STATUS_EXPECTED, supervisor_n_uplinks(a->supervisor)));
}

void agent_service_update(struct agent *a)
{
	struct agent_service *sv = &a->service;
	unsigned int n = supervisor_n_registered(a->supervisor);
	bool ever = sv->file.ever_registered || n > 0;
	enum health health = health_of(supervisor_n_uplinks(a->supervisor), n, ever);

	if (a->phase != AGENT_PHASE_RUNNING ||
	    (sv->told && n == sv->n_registered && health == sv->health))
		return;
	sv->n_registered = n;
	sv->file.ever_registered = ever;
	if (!sv->told || health != sv->health) {
		bool worse = sv->told && health > sv->health;

		sv->health = health;
		sv->since_s = wall_s();
		tell_health(a, worse);
		save_state(a, health, getpid());
	}
	sv->told = true;
	if (n > 0 && !sv->ready)
		get_ready(a);
	else
		(void)tell_status(a, "");
}

void agent_service_end(struct agent *a)
{
	if (a->service.told)
		save_state(a, a->service.file.ever_registered ? HEALTH_DOWN : HEALTH_INACTIVE, 0);
}
