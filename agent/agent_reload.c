/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Reload: validate, then swap. Live streams go on; they were decided when they began.
 * Keys that only take effect after a restart are named, and stay as they are.
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
#include "base/log.h"
#include "ctrl/agent_status.h"

#define KEYS_TEXT_MAX 512

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

static bool includes(const json_t *changed, const char *key)
{
	const json_t *value;
	size_t i;

	json_array_foreach(changed, i,
			   value) if (strcmp(json_string_value(value), key) == 0) return true;
	return false;
}

static void put_in_force(struct agent *a, struct settings *new, const json_t *changed)
{
	struct settings *old = a->live;

	a->live = new;
	log_set_level(new->log_level);
	remote_config_rebase(&a->remote, &new->warp_routing, new->remote_config);
	dispatch_set_settings(a->dispatch, new);
	agent_set_local_config(a);
	if (includes(changed, "routes") || includes(changed, "virtual-networks")) {
		agent_routes_load(a);
		agent_network_load(a);
		supervisor_poke(a->supervisor);
	}
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

static void report(struct agent *a, const struct diag *diag, json_t *changed, json_t **resultp)
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
	if (resultp)
		*resultp = json_pack("{s:O, s:o}", RELOAD_CHANGED, changed, RELOAD_WARNINGS,
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

int agent_reload(struct agent *a, struct diag *diag, json_t **resultp)
{
	char keys[KEYS_TEXT_MAX];
	struct settings *new;
	json_t *changed;
	int r;

	agent_service_reloading();
	r = settings_load(&new, a->opt->config_path, &a->opt->overrides, diag);
	if (r == 0) {
		if (settings_diff_restart(a->boot, new, keys, sizeof(keys)) > 0)
			diag_add(diag, DIAG_WARNING, 0, "takes effect after a restart only: %s",
				 keys);
		changed = list_changes(a->live, new);
		put_in_force(a, new, changed);
		report(a, diag, changed, resultp);
		json_decref(changed);
	} else {
		log_error("config not reloaded, the old one stays in force");
		agent_log_findings(diag);
		tell_refusal(a, diag);
	}
	agent_service_reloaded(a);
	return r < 0 ? -EINVAL : 0;
}

/* ---- what stock agents tell about themselves ---- */

void agent_set_local_config(struct agent *a)
{
	CLEANUP(free) char *text = local_config_format(a->live);

	supervisor_set_local_config(a->supervisor, text);
}
