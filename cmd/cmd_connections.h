/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* cmd_connections - the table that `adit connections` and `adit status` share */

struct json_t; /* jansson's */

/* @connections: the array of docs/control.md; NULL or empty prints the header only. */
void print_connections(const struct json_t *connections);
