/* SPDX-License-Identifier: Apache-2.0 */

/* Reload: everything is read and checked first, then swapped at once. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/notify.h"
#include "edge/access_log.h"
#include "edge/edge_private.h"

/*
 * 0, or -errno with the reason in @diag. access() would know nothing of Landlock, which leaves a
 * running edge the folders that it began with.
 */
static int try_file(const char *key, const char *old_path, const char *path, struct diag *diag)
{
	CLEANUP(close_fd) int fd = -1;
	int r;

	if (strcmp(old_path, path) == 0)
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		return 0;
	r = -errno;
	diag_add(diag, DIAG_ERROR, 0, "%s: %s: %s%s", key, path, strerror(-r),
		 r == -EACCES ? ": if its permissions are right, its folder is new to the running "
				"edge: restart it"
			      : "");
	return r;
}

static int try_files(const struct edge *e, const struct edge_settings *new, struct diag *diag)
{
	const struct edge_settings *old = e->settings;
	int r = try_file("ca", old->ca_file, new->ca_file, diag);

	if (r == 0)
		r = try_file("certificate", old->certificate_file, new->certificate_file, diag);
	if (r == 0)
		r = try_file("key", old->key_file, new->key_file, diag);
	return r;
}

static void put_in_force(struct edge *e, struct edge_settings *new, struct access_log *log)
{
	struct edge_settings *old = e->settings;

	e->settings = new;
	e->admin.ca_file = new->ca_file;
	access_log_close(e->access_log);
	e->access_log = log;
	log_set_level(new->log_level);
	edge_model_set_route_hold(e->model, new->route_hold_ms);
	edge_set_budget(e, new);
	if (old != e->boot)
		edge_settings_free(old);
}

static json_t *list_changes(const struct edge *e, const struct edge_settings *new, bool reloadable)
{
	const struct edge_settings *old = reloadable ? e->settings : e->boot;
	json_t *list = json_array();
	const char *key;
	size_t at = 0;

	while ((key = edge_settings_next_change(old, new, reloadable, &at)) != NULL)
		json_array_append_new(list, json_string(key));
	return list;
}

static void warn_of_restart(const struct edge *e, const struct edge_settings *new,
			    struct diag *diag)
{
	json_t *keys = list_changes(e, new, false);
	json_t *key;
	size_t i;

	json_array_foreach(keys, i, key) diag_add(
		diag, DIAG_WARNING, 0, "%s: takes effect after a restart", json_string_value(key));
	json_decref(keys);
}

static json_t *list_warnings(const struct diag *diag)
{
	json_t *list = json_array();

	for (size_t i = 0; i < diag->n_items; i++) {
		const struct diag_item *item = &diag->items[i];

		log_warn("config", log_text("file", diag->file), log_int("line", item->line),
			 log_text("reason", item->text));
		json_array_append_new(list, item->line ? json_sprintf("%s:%u: %s", diag->file,
								      item->line, item->text)
						       : json_string(item->text));
	}
	return list;
}

/* The certificate comes last: it is in force at once. */
static int load(struct edge *e, struct edge_settings **newp, struct access_log **logp,
		struct diag *diag)
{
	const struct edge_source *source = e->source;
	int r = edge_settings_load(newp, source->config_path, source->overrides, diag);

	if (r < 0)
		return r;
	r = try_files(e, *newp, diag);
	if (r == 0)
		r = edge_access_log_open(*newp, logp, diag);
	if (r == 0) {
		r = edge_certificate_load(e, *newp, diag);
		if (r < 0)
			access_log_close(*logp);
	}
	if (r < 0)
		edge_settings_free(*newp);
	return r;
}

static json_t *swap(struct edge *e, struct edge_settings *new, struct access_log *log,
		    struct diag *diag)
{
	json_t *changed = list_changes(e, new, true);
	json_t *key;
	size_t i;

	warn_of_restart(e, new, diag);
	put_in_force(e, new, log);
	log_info("config reloaded", log_int("changes", (int64_t)json_array_size(changed)));
	json_array_foreach(changed, i, key)
		log_info("config changed", log_text("key", json_string_value(key)));
	return json_pack("{s:o, s:o}", "changed", changed, "warnings", list_warnings(diag));
}

/* One line each, without the last one's end. */
static void format_findings(const struct diag *diag, char why[EDGE_RELOAD_WHY_MAX])
{
	size_t n;

	diag_format(diag, why, EDGE_RELOAD_WHY_MAX);
	n = strlen(why);
	if (n > 0 && why[n - 1] == '\n')
		why[n - 1] = '\0';
}

int edge_reload(struct edge *e, json_t **resultp, char *why)
{
	struct edge_settings *new;
	struct access_log *log;
	struct diag diag;
	json_t *result;
	int r;

	if (e->drain_until_ms != 0) {
		snprintf(why, EDGE_RELOAD_WHY_MAX, "the edge is shutting down");
		return -ESHUTDOWN;
	}
	(void)notify_reloading(clock_monotonic_us());
	diag_init(&diag, e->source->config_path);
	r = load(e, &new, &log, &diag);
	if (r < 0) {
		format_findings(&diag, why);
		log_error("config not reloaded: the old one stays in force",
			  log_text("reason", why));
	} else {
		result = swap(e, new, log, &diag);
		if (resultp)
			*resultp = result;
		else
			json_decref(result);
	}
	diag_deinit(&diag);
	edge_tell_ready(e);
	return r < 0 ? -EINVAL : 0;
}
