/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/settings_rows.h"
#include "base/cleanup.h"
#include "base/diag.h"
#include "base/err.h"

DEFINE_CLEANUP(struct settings *, settings_free);

struct settings *settings_free(struct settings *s)
{
	if (s)
		schema_deinit(&settings_schema, s);
	free(s);
	return NULL;
}

static void set_overrides(struct settings *s, const struct settings_overrides *o, struct diag *diag)
{
	const struct {
		const char *key, *text, *flag;
	} given[] = {
		{"loglevel", o->log_level, "--loglevel"},
		{"credentials-file", o->credentials_file, "--credentials-file"},
		{"control-socket", o->control_socket, "--socket"},
		{"state-directory", o->state_dir, "--state-directory"},
	};

	schema_set_list(&settings_schema, s, "edge", o->edges, o->n_edges, "--edge", diag);
	for (size_t i = 0; i < ARRAY_SIZE(given); i++)
		schema_set(&settings_schema, s, given[i].key, given[i].text, given[i].flag, diag);
}

int settings_load(struct settings **settingsp, const char *path,
		  const struct settings_overrides *overrides, struct diag *diag)
{
	CLEANUP(settings_free) struct settings *s = xnew(struct settings);
	size_t n_before = diag->n_errors;

	schema_set_fallbacks(&settings_schema, s);
	if (path && schema_load_file(&settings_schema, s, path, diag) < 0)
		return -EINVAL;
	schema_load_env(&settings_schema, s, diag);
	if (overrides)
		set_overrides(s, overrides, diag);
	settings_check(s, diag);
	diag_sort(diag);
	if (diag->n_errors > n_before)
		return -EINVAL;
	*settingsp = steal_ptr(s);
	return 0;
}

void settings_show(const struct settings *s, FILE *out)
{
	schema_show(&settings_schema, s, out);
}

const char *settings_next_change(const struct settings *old, const struct settings *new_,
				 size_t *atp)
{
	return schema_next_difference(&settings_schema, old, new_, true, atp);
}

int settings_diff_restart(const struct settings *old, const struct settings *new_, char *out,
			  size_t n_out)
{
	return schema_diff_restart(&settings_schema, old, new_, out, n_out);
}

void settings_write_reference(FILE *out)
{
	schema_write_reference(&settings_schema, "config.yml", out);
}
