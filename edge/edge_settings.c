/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/edge_settings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/diag.h"
#include "base/err.h"
#include "edge/edge_settings_rows.h"
#include "edge/limits.h"
#include "edge/paths.h"
#include "wire/budget.h"

DEFINE_CLEANUP(struct edge_settings *, edge_settings_free);

struct edge_settings *edge_settings_free(struct edge_settings *s)
{
	if (s)
		schema_deinit(&edge_settings_schema, s);
	free(s);
	return NULL;
}

static void set_overrides(struct edge_settings *s, const struct edge_settings_overrides *o,
			  struct diag *diag)
{
	const struct {
		const char *key, *text, *flag;
	} given[] = {
		{"loglevel", o->log_level, "--loglevel"},
		{"control-socket", o->control_socket, "--socket"},
		{"state-directory", o->state_dir, "--state-directory"},
	};

	schema_set_list(&edge_settings_schema, s, "listen", o->listen, o->n_listen, "--listen",
			diag);
	for (size_t i = 0; i < ARRAY_SIZE(given); i++)
		schema_set(&edge_settings_schema, s, given[i].key, given[i].text, given[i].flag,
			   diag);
}

static void check_listen(const struct edge_settings *s, struct diag *diag)
{
	char text[ENDPOINT_TEXT_MAX];

	if (!s->n_listen && !diag->n_errors)
		diag_add(diag, DIAG_ERROR, 0, "listen: empty: give an address or remove the line");
	for (size_t i = 1; i < s->n_listen; i++) {
		for (size_t j = 0; j < i; j++) {
			if (endpoint_equal(&s->listen[i], &s->listen[j]))
				diag_add(diag, DIAG_ERROR, 0, "listen: %s is given twice",
					 endpoint_format(&s->listen[i], text));
		}
	}
}

/* A connection that the limits allow must not be refused for its window, nor for that of one that
 * is only there to be told that it is one too many. */
static void check_windows(const struct edge_settings *s, struct diag *diag)
{
	uint64_t n_links = (uint64_t)s->limits.max_connections + s->limits.max_clients;
	uint64_t need = (n_links + EDGE_SURPLUS_MAX) * BUDGET_WINDOW_MIN;

	if (diag->n_errors || need <= s->window_budget_bytes)
		return;
	diag_add(diag, DIAG_ERROR, 0,
		 "window-budget: too small for the %" PRIu64
		 " connections that limits allow: give %" PRIu64 "MiB or lower max-connections and "
		 "max-clients",
		 n_links, (need >> 20) + 1);
}

/* Where `adit-edge init` puts them. */
static void fill_path(char **pathp, const struct edge_settings *s, const char *name)
{
	if (!*pathp && s->state_dir && asprintf(pathp, "%s/%s", s->state_dir, name) < 0)
		abort();
}

int edge_settings_load(struct edge_settings **settingsp, const char *path,
		       const struct edge_settings_overrides *overrides, struct diag *diag)
{
	CLEANUP(edge_settings_free) struct edge_settings *s = xnew(struct edge_settings);
	size_t n_before = diag->n_errors;

	schema_set_fallbacks(&edge_settings_schema, s);
	if (path && schema_load_file(&edge_settings_schema, s, path, diag) < 0)
		return -EINVAL;
	schema_load_env(&edge_settings_schema, s, diag);
	if (overrides)
		set_overrides(s, overrides, diag);
	check_listen(s, diag);
	check_windows(s, diag);
	diag_sort(diag);
	if (diag->n_errors > n_before)
		return -EINVAL;
	fill_path(&s->certificate_file, s, EDGE_CERT_NAME);
	fill_path(&s->key_file, s, EDGE_KEY_NAME);
	fill_path(&s->ca_file, s, EDGE_CA_CERT_NAME);
	*settingsp = steal_ptr(s);
	return 0;
}

void edge_settings_show(const struct edge_settings *s, FILE *out)
{
	schema_show(&edge_settings_schema, s, out);
}

const char *edge_settings_next_change(const struct edge_settings *old,
				      const struct edge_settings *new_, bool reloadable,
				      size_t *atp)
{
	return schema_next_difference(&edge_settings_schema, old, new_, reloadable, atp);
}

void edge_settings_write_reference(FILE *out)
{
	schema_write_reference(&edge_settings_schema, "edge.yml", out);
}
