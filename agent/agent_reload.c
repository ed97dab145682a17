/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Reload: validate, then swap. Live streams go on; they were decided when they began.
 * Keys that only take effect after a restart are named, and stay as they are.
 *
 * A long list of routes takes tens of milliseconds to read, so that is done on a worker thread,
 * on settings of its own; only the swap is the loop's. One reload follows the other, and each
 * reads the file as it is when its turn comes.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "agent/agent_private.h"
#include "agent/local_config.h"
#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "ctrl/agent_status.h"
#include "ctrl/ctrl_server.h"

#define KEYS_TEXT_MAX 512
#define DIAG_TEXT_MAX 16384

static json_t *list_changes(const struct settings *old, const struct settings *new)
{
	json_t *list = json_array();
	const char *key;
	size_t at = 0;

	while ((key = settings_next_change(old, new, &at)) != NULL)
		json_array_append_new(list, json_string(key));
	return list;
}

/* ---- the swap ---- */

/*
 * Routes go to the edge also when they are the same: what it thinks of them may have changed, and
 * a reload is how to ask.
 */
static void put_in_force(struct agent *a, struct settings *new, struct route_set *routes)
{
	struct settings *old = a->live;

	a->live = new;
	log_set_level(new->log_level);
	remote_config_rebase(&a->remote, &new->warp_routing, new->remote_config);
	dispatch_set_settings(a->dispatch, new);
	agent_set_local_config(a);
	advertise_set_routes(a->routes.advertise, routes);
	agent_network_load(a);
	supervisor_poke(a->supervisor);
	if (old != a->boot)
		settings_free(old);
}

/* As diag_format() has it, one by one. */
static json_t *list_warnings(const struct diag *diag)
{
	const char *file = diag->file ? diag->file : "config";
	json_t *list = json_array();

	for (size_t i = 0; i < diag->n_items; i++) {
		const struct diag_item *item = &diag->items[i];

		json_array_append_new(
			list, item->line ? json_sprintf("%s:%u: %s", file, item->line, item->text)
					 : json_sprintf("%s: %s", file, item->text));
	}
	return list;
}

void agent_log_findings(const struct diag *diag)
{
	for (size_t i = 0; i < diag->n_items; i++) {
		const struct diag_item *item = &diag->items[i];
		enum log_level level = item->kind == DIAG_ERROR ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN;

		LOG_AT(level, "config", log_text("file", diag->file), log_int("line", item->line),
		       log_text("reason", item->text), LOG_END);
	}
}

/* ---- one reload ---- */

struct reload {
	struct list node; /* in agent.reloads; the first one runs */
	uv_work_t work;
	struct agent *agent;
	struct ctrl_request *req; /* NULL: a signal asked */
	struct diag diag;
	struct settings *settings; /* NULL: there are findings */
	json_t *changed;
	struct route_set routes;
};

static json_t *report(struct agent *a, const struct diag *diag, json_t *changed)
{
	char keys[KEYS_TEXT_MAX] = "";
	json_t *value;
	size_t i;

	log_info("config reloaded", log_int("changes", (int64_t)json_array_size(changed)));
	json_array_foreach(changed, i, value)
	{
		size_t n = strlen(keys);

		log_info("config changed", log_text("key", json_string_value(value)));
		snprintf(keys + n, sizeof(keys) - n, "%s%s", n ? "," : "",
			 json_string_value(value));
	}
	agent_event(a, EVENT_RELOAD, log_text(RELOAD_CHANGED, keys));
	agent_log_findings(diag);
	return json_pack("{s:O, s:o}", RELOAD_CHANGED, changed, RELOAD_WARNINGS,
			 list_warnings(diag));
}

/* The first error; the others are in the log and in the answer. */
static void tell_refusal(struct agent *a, const struct diag *diag)
{
	for (size_t i = 0; i < diag->n_items; i++) {
		const struct diag_item *item = &diag->items[i];

		if (item->kind != DIAG_ERROR)
			continue;
		agent_event(a, EVENT_RELOAD_FAIL, log_int("line", item->line),
			    log_text("reason", item->text));
		return;
	}
}

/* On the worker. The loop keeps its hands off a->live until this is over. */
static void read_cb(uv_work_t *work)
{
	struct reload *r = container_of(work, struct reload, work);
	const struct agent *a = r->agent;
	char keys[KEYS_TEXT_MAX];

	if (settings_load(&r->settings, a->opt->config_path, &a->opt->overrides, &r->diag) != 0)
		return;
	if (settings_diff_restart(a->boot, r->settings, keys, sizeof(keys)) > 0)
		diag_add(&r->diag, DIAG_WARNING, 0, "takes effect after a restart only: %s", keys);
	if (agent_routes_build(r->settings, &r->routes) < 0) {
		diag_add(&r->diag, DIAG_ERROR, 0, "routes: %s", strerror(ENOMEM));
		r->settings = settings_free(r->settings);
		return;
	}
	r->changed = list_changes(a->live, r->settings);
}

static void answer_findings(struct reload *r)
{
	char text[DIAG_TEXT_MAX];

	log_error("config not reloaded, the old one stays in force");
	agent_log_findings(&r->diag);
	tell_refusal(r->agent, &r->diag);
	if (!r->req)
		return;
	diag_format(&r->diag, text, sizeof(text));
	ctrl_reply_error(r->req, AGENT_ERROR_CONFIG, "%s", text);
}

static void take(struct reload *r)
{
	json_t *answer;

	put_in_force(r->agent, steal_ptr(r->settings), &r->routes);
	answer = report(r->agent, &r->diag, r->changed);
	if (r->req)
		ctrl_reply_ok(r->req, answer);
	else
		json_decref(answer);
}

static void finish(struct reload *r)
{
	if (r->agent->phase == AGENT_PHASE_RUNNING && r->agent->in_charge) {
		if (r->settings)
			take(r);
		else
			answer_findings(r);
		agent_service_reloaded(r->agent);
	} else if (r->req) {
		ctrl_reply_error(r->req, "unavailable", "the agent is shutting down");
	}
}

static void run_first(struct agent *a);

static void done_cb(uv_work_t *work, int status UNUSED)
{
	struct reload *r = container_of(work, struct reload, work);
	struct agent *a = r->agent;

	finish(r);
	list_remove(&r->node);
	settings_free(r->settings);
	route_set_deinit(&r->routes);
	json_decref(r->changed);
	diag_deinit(&r->diag);
	free(r);
	run_first(a);
}

static void run_first(struct agent *a)
{
	struct reload *r;

	if (list_is_empty(&a->reloads))
		return;
	r = list_entry(a->reloads.next, struct reload, node);
	if (a->phase == AGENT_PHASE_RUNNING)
		agent_service_reloading();
	if (uv_queue_work(&a->uv, &r->work, read_cb, done_cb) < 0)
		abort();
}

void agent_reload(struct agent *a, struct ctrl_request *req)
{
	struct reload *r = xnew(struct reload);
	bool is_first = list_is_empty(&a->reloads);

	r->agent = a;
	r->req = req;
	diag_init(&r->diag, a->opt->config_path);
	list_append(&a->reloads, &r->node);
	if (is_first)
		run_first(a);
}

/* ---- what stock agents tell about themselves ---- */

void agent_set_local_config(struct agent *a)
{
	CLEANUP(free) char *text = local_config_format(a->live);

	supervisor_set_local_config(a->supervisor, text);
}
