/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* names - what tunnels, clients, virtual networks and policies may be called */

#define EDGE_NAME_MAX  64 /* with NUL */
#define EDGE_EMAIL_MAX 128

/*
 * 1 to 63 of letters, digits, '.', '_' and '-', a letter or digit first, and not an id: names and
 * ids are accepted in the same places. NULL when fine, else what is wrong.
 */
const char *edge_name_problem(const char *name);
