/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* names - what tunnels, clients and virtual networks may be called */

/*
 * 1 to 63 of letters, digits, '.', '_' and '-', a letter or digit first, and not an id: names and
 * ids are accepted in the same places. NULL when fine, else what is wrong.
 */
const char *edge_name_problem(const char *name);
