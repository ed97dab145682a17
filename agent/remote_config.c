/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/remote_config.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/json_depth.h"
#include "wire/proto.h"

#define CONNECT_TIMEOUT_MIN_S 1
#define CONNECT_TIMEOUT_MAX_S 60
#define KEEP_ALIVE_MIN_S      10
#define KEEP_ALIVE_MAX_S      7200

static const struct remote_values nothing_asked = {-1, -1, -1};

/* Keys of "warp-routing" and where their value goes. */
static const struct {
	const char *key;
	size_t offset;
} value_rows[] = {
	{"connectTimeout", offsetof(struct remote_values, connect_timeout_s)},
	{"maxActiveFlows", offsetof(struct remote_values, max_active_flows)},
	{"tcpKeepAlive", offsetof(struct remote_values, tcp_keep_alive_s)},
};

/* ---- bounds ---- */

static uint32_t bounded_ms(int64_t value_s, uint32_t min_s, uint32_t max_ms)
{
	if (value_s < min_s)
		return min_s * MSEC_PER_SEC;
	return value_s < max_ms / MSEC_PER_SEC ? (uint32_t)value_s * MSEC_PER_SEC : max_ms;
}

static uint32_t bounded_timeout_ms(int64_t asked_s, uint32_t local_ms)
{
	uint32_t max_ms = CONNECT_TIMEOUT_MAX_S * MSEC_PER_SEC;

	if (asked_s < 0)
		return local_ms;
	return bounded_ms(asked_s, CONNECT_TIMEOUT_MIN_S, local_ms > max_ms ? local_ms : max_ms);
}

static uint32_t bounded_keep_alive_ms(int64_t asked_s, uint32_t local_ms)
{
	if (asked_s <= 0)
		return local_ms;
	return bounded_ms(asked_s, KEEP_ALIVE_MIN_S, KEEP_ALIVE_MAX_S * MSEC_PER_SEC);
}

static uint32_t bounded_flows(int64_t asked, uint32_t local)
{
	uint32_t max = local ? local : UINT32_MAX;

	if (asked <= 0)
		return local;
	return asked < max ? (uint32_t)asked : max;
}

static void update_effective(struct remote_config *rc)
{
	const struct remote_values *asked = rc->enabled ? &rc->asked : &nothing_asked;
	const struct warp_routing *local = &rc->local;

	rc->effective = (struct warp_routing){
		.connect_timeout_ms =
			bounded_timeout_ms(asked->connect_timeout_s, local->connect_timeout_ms),
		.tcp_keep_alive_ms =
			bounded_keep_alive_ms(asked->tcp_keep_alive_s, local->tcp_keep_alive_ms),
		.max_active_flows = bounded_flows(asked->max_active_flows, local->max_active_flows),
	};
}

void remote_config_init(struct remote_config *rc, const struct warp_routing *local, bool enabled)
{
	*rc = (struct remote_config){.version = -1, .asked = nothing_asked};
	remote_config_rebase(rc, local, enabled);
}

void remote_config_rebase(struct remote_config *rc, const struct warp_routing *local, bool enabled)
{
	rc->local = *local;
	rc->enabled = enabled;
	update_effective(rc);
}

/* ---- reading ---- */

/* The body as JSON object with an int32 "version", or NULL and the reason. */
static json_t *read_body(const void *body, size_t n, const char **reasonp)
{
	json_error_t error;
	json_t *root;
	json_t *version;

	if (n == 0 || n > CONFIG_BODY_MAX) {
		*reasonp = n == 0 ? "empty body" : "body too large";
		return NULL;
	}
	if (json_is_deeper(body, n, REMOTE_CONFIG_DEPTH_MAX)) {
		*reasonp = "nested too deep";
		return NULL;
	}
	*reasonp = "not a JSON object with a version";
	root = json_loadb(body, n, 0, &error);
	version = json_object_get(root, "version");
	if (!json_is_integer(version) || json_integer_value(version) < INT32_MIN ||
	    json_integer_value(version) > INT32_MAX) {
		json_decref(root);
		return NULL;
	}
	return root;
}

static int64_t *find_value(struct remote_values *values, const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(value_rows); i++) {
		if (strcmp(value_rows[i].key, key) == 0)
			return (int64_t *)(void *)((char *)values + value_rows[i].offset);
	}
	return NULL;
}

static void add_note(char *note, size_t n_note, const char *prefix, const char *key)
{
	size_t used = strlen(note);

	snprintf(note + used, n_note - used, "%s%s%s", used ? ", " : "", prefix, key);
}

/* False: a value of the wrong type or sign, named in @note. */
static bool read_values(json_t *warp, struct remote_values *values, char *note, size_t n_note)
{
	const char *key;
	json_t *value;

	json_object_foreach(warp, key, value)
	{
		int64_t *slot = find_value(values, key);

		if (json_is_null(value))
			continue;
		if (!slot) {
			/* Stock ignores it as well: routing is always on. */
			if (strcmp(key, "enabled") != 0)
				add_note(note, n_note, "warp-routing.", key);
			continue;
		}
		if (!json_is_integer(value) || json_integer_value(value) < 0) {
			snprintf(note, n_note, "warp-routing.%s is not a whole number, 0 or more",
				 key);
			return false;
		}
		*slot = json_integer_value(value);
	}
	return true;
}

static bool read_config(json_t *config, struct remote_values *values, char *note, size_t n_note)
{
	json_t *warp = json_object_get(config, "warp-routing");
	const char *key;
	json_t *value;

	if (!json_is_object(config) || (warp && !json_is_object(warp) && !json_is_null(warp))) {
		snprintf(note, n_note, "%s is not an object", warp ? "warp-routing" : "config");
		return false;
	}
	json_object_foreach(config, key, value)
	{
		if (strcmp(key, "warp-routing") != 0)
			add_note(note, n_note, "", key);
	}
	return read_values(warp, values, note, n_note);
}

/* ---- applying ---- */

static enum remote_config_outcome apply(struct remote_config *rc, const json_t *root, char *note,
					size_t n_note)
{
	int32_t version = (int32_t)json_integer_value(json_object_get(root, "version"));
	struct remote_values asked = nothing_asked;

	if (!rc->enabled) {
		snprintf(note, n_note, "remote-config is off");
		return REMOTE_CONFIG_INVALID;
	}
	if (version <= rc->version)
		return REMOTE_CONFIG_OLD;
	if (!read_config(json_object_get(root, "config"), &asked, note, n_note))
		return REMOTE_CONFIG_INVALID;
	rc->version = version;
	rc->asked = asked;
	update_effective(rc);
	return REMOTE_CONFIG_APPLIED;
}

void remote_config_watch(struct remote_config *rc, remote_config_watcher watcher, void *ctx)
{
	rc->watcher = watcher;
	rc->watcher_ctx = ctx;
}

const char *remote_config_outcome_name(enum remote_config_outcome outcome)
{
	static const char *const names[] = {
		[REMOTE_CONFIG_APPLIED] = "applied",
		[REMOTE_CONFIG_OLD] = "old",
		[REMOTE_CONFIG_INVALID] = "refused",
		[REMOTE_CONFIG_UNREADABLE] = "unreadable",
	};

	return names[outcome];
}

enum remote_config_outcome remote_config_apply(struct remote_config *rc, const void *body, size_t n,
					       char answer[REMOTE_CONFIG_ANSWER_MAX], char *note,
					       size_t n_note)
{
	enum remote_config_outcome outcome = REMOTE_CONFIG_UNREADABLE;
	const char *reason = NULL;
	json_t *root = read_body(body, n, &reason);

	answer[0] = '\0';
	note[0] = '\0';
	if (root)
		outcome = apply(rc, root, note, n_note);
	else
		snprintf(note, n_note, "%s", reason);
	json_decref(root);
	if (rc->watcher)
		rc->watcher(rc->watcher_ctx, outcome, rc->version, note);
	if (outcome == REMOTE_CONFIG_UNREADABLE)
		return outcome;
	/* Stock's err is an object or null, never text. */
	snprintf(answer, REMOTE_CONFIG_ANSWER_MAX, "{\"lastAppliedVersion\":%d,\"err\":%s}",
		 rc->version, outcome == REMOTE_CONFIG_INVALID ? "{}" : "null");
	return outcome;
}
