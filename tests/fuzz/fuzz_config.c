/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/settings.h"
#include "agent/settings_rows.h"
#include "base/diag.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* True when the text is a configuration without problems. */
static bool load(struct settings *s, const char *text, size_t n)
{
	struct diag diag;
	bool is_good;

	diag_init(&diag, "fuzz");
	schema_set_fallbacks(&settings_schema, s);
	if (schema_load_text(&settings_schema, s, text, n, &diag) == 0)
		settings_check(s, &diag);
	diag_sort(&diag);
	is_good = !diag.n_errors;
	diag_deinit(&diag);
	return is_good;
}

/* What is shown is a configuration too, and the same one. */
static void show_and_load_again(const struct settings *s)
{
	struct settings again = {0};
	char *text = NULL;
	char keys[256];
	size_t n;
	FILE *out = open_memstream(&text, &n);

	if (!out)
		abort();
	settings_show(s, out);
	fclose(out);
	if (!load(&again, text, n) || settings_diff_restart(s, &again, keys, sizeof(keys)) != 0)
		abort();
	schema_deinit(&settings_schema, &again);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct settings s = {0};

	if (load(&s, (const char *)data, n))
		show_and_load_again(&s);
	schema_deinit(&settings_schema, &s);
	return 0;
}
