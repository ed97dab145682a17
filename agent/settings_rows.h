/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* settings_rows - the keys of config.yml. Part of settings */

#include "base/schema.h"

struct diag;
struct settings;

extern const struct schema settings_schema;

/* "10.0.0.0/8" as struct prefix, "22,8000-8100" as struct ports, "10.0.0.1:22" as struct
 * via_setting */
extern const struct schema_codec settings_prefix;
extern const struct schema_codec settings_ports;
extern const struct schema_codec settings_via;

/* Checks of single texts, as schema_row's `check`. */
int settings_check_edge(const char *text, char *why);
int settings_check_host(const char *text, char *why);
int settings_check_resolver(const char *text, char *why);
int settings_check_vnet(const char *text, char *why);

/* What only shows when all values are there. Problems go to @diag. */
void settings_check(struct settings *s, struct diag *diag);
