/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* connection_private - what connection.c and connection_rpc.c share; nobody else */

#include "edge/connection.h"
#include "wire/control_server.h"

void connection_set_state(struct connection *c, enum connection_state state, uint64_t deadline_ms);
/* The agent has said goodbye: no new streams, the open ones have until @until_ms. */
void connection_unregister(struct connection *c, uint64_t until_ms);
/* Borrowed; NULL when it has none or the tunnel was deleted. */
const char *connection_tunnel_name(const struct connection *c);

/* ---- connection_rpc.c ---- */

extern const struct control_server_events connection_rpc_events;
