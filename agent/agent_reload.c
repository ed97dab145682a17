/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Reload: validate, then swap. Live streams go on; they were decided when they began.
 * Keys that only take effect after a restart are named, and stay as they are.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "agent/agent_private.h"
#include "base/compiler.h"
#include "base/diag.h"
#include "base/log.h"
#include "ctrl/agent_status.h"

#define KEYS_TEXT_MAX 512

/* ---- what differs ---- */

static bool ports_differ(const struct ports *x, const struct ports *y)
{
	return x->n != y->n || memcmp(x->ranges, y->ranges, x->n * sizeof(x->ranges[0])) != 0;
}

static bool via_differs(const struct route_setting *x, const struct route_setting *y)
{
	if (x->has_via != y->has_via)
		return true;
	return x->has_via && (!ip_equal(&x->via.ip, &y->via.ip) || x->via.port != y->via.port);
}

static bool route_differs(const struct route_setting *x, const struct route_setting *y)
{
	return !prefix_equal(&x->network, &y->network) ||
	       strcmp(x->virtual_network, y->virtual_network) != 0 ||
	       strcmp(x->comment, y->comment) != 0 || via_differs(x, y) ||
	       ports_differ(&x->ports, &y->ports);
}

static bool routes_differ(const struct settings *x, const struct settings *y)
{
	if (x->n_routes != y->n_routes)
		return true;
	for (size_t i = 0; i < x->n_routes; i++)
		if (route_differs(&x->routes[i], &y->routes[i]))
			return true;
	return false;
}

static bool vnets_differ(const struct settings *x, const struct settings *y)
{
	if (x->n_vnets != y->n_vnets)
		return true;
	for (size_t i = 0; i < x->n_vnets; i++)
		if (strcmp(x->vnets[i].name, y->vnets[i].name) != 0 ||
		    strcmp(x->vnets[i].comment, y->vnets[i].comment) != 0)
			return true;
	return false;
}

static bool allows_differ(const struct settings *x, const struct settings *y)
{
	if (x->n_allows != y->n_allows)
		return true;
	for (size_t i = 0; i < x->n_allows; i++)
		if (!prefix_equal(&x->allows[i].network, &y->allows[i].network) ||
		    ports_differ(&x->allows[i].ports, &y->allows[i].ports))
			return true;
	return false;
}

static bool warp_differs(const struct settings *x, const struct settings *y)
{
	return x->warp_routing.connect_timeout_ms != y->warp_routing.connect_timeout_ms ||
	       x->warp_routing.tcp_keep_alive_ms != y->warp_routing.tcp_keep_alive_ms ||
	       x->warp_routing.max_active_flows != y->warp_routing.max_active_flows;
}

static bool remote_differs(const struct settings *x, const struct settings *y)
{
	return x->remote_config != y->remote_config;
}

static bool grace_differs(const struct settings *x, const struct settings *y)
{
	return x->grace_period_ms != y->grace_period_ms;
}

static bool level_differs(const struct settings *x, const struct settings *y)
{
	return x->log_level != y->log_level;
}

static bool give_up_differs(const struct settings *x, const struct settings *y)
{
	return x->exit_on_auth_failure != y->exit_on_auth_failure;
}

static const struct {
	const char *key;
	bool (*differs)(const struct settings *x, const struct settings *y);
} reloadable[] = {
	{"allow", allows_differ},	    {"exit-on-auth-failure", give_up_differs},
	{"grace-period", grace_differs},    {"loglevel", level_differs},
	{"remote-config", remote_differs},  {"routes", routes_differ},
	{"virtual-networks", vnets_differ}, {"warp-routing", warp_differs},
};

static json_t *list_changes(const struct settings *old, const struct settings *new)
{
	json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(reloadable); i++)
		if (reloadable[i].differs(old, new))
			json_array_append_new(list, json_string(reloadable[i].key));
	return list;
}

/* ---- the swap ---- */

static void put_in_force(struct agent *a, struct settings *new)
{
	struct settings *old = a->live;
	bool routes_changed = routes_differ(old, new) || vnets_differ(old, new);

	a->live = new;
	log_set_level(new->log_level);
	remote_config_rebase(&a->remote, &new->warp_routing, new->remote_config);
	dispatch_set_settings(a->dispatch, new);
	agent_set_local_config(a);
	if (routes_changed) {
		agent_routes_load(a);
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

static void report(const struct diag *diag, json_t *changed, json_t **resultp)
{
	json_t *value;
	size_t i;

	log_info("config reloaded", log_int("changes", (int64_t)json_array_size(changed)));
	json_array_foreach(changed, i, value)
		log_info("config changed", log_text("key", json_string_value(value)));
	agent_log_findings(diag);
	if (resultp)
		*resultp = json_pack("{s:O, s:o}", RELOAD_CHANGED, changed, RELOAD_WARNINGS,
				     list_warnings(diag));
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
		put_in_force(a, new);
		report(diag, changed, resultp);
		json_decref(changed);
	} else {
		log_error("config not reloaded, the old one stays in force");
		agent_log_findings(diag);
	}
	agent_service_reloaded(a);
	return r < 0 ? -EINVAL : 0;
}

/* ---- what stock agents tell about themselves ---- */

void agent_set_local_config(struct agent *a)
{
	const struct warp_routing *w = &a->live->warp_routing;
	json_t *config =
		json_pack("{s:{s:s, s:s}, s:[{s:s}], s:{s:I, s:I, s:I}}", "__configuration_flags",
			  "protocol", "http2", "loglevel", log_level_name(a->live->log_level),
			  "ingress", "service", "http_status:503", "warp-routing", "connectTimeout",
			  (json_int_t)(w->connect_timeout_ms / 1000), "maxActiveFlows",
			  (json_int_t)w->max_active_flows, "tcpKeepAlive",
			  (json_int_t)(w->tcp_keep_alive_ms / 1000));
	char *text = json_dumps(config, JSON_COMPACT);

	supervisor_set_local_config(a->supervisor, text);
	free(text);
	json_decref(config);
}
