/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* ctrl_private - what ctrl_server.c (the socket) and ctrl_conn.c (its clients) share */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <uv.h>

#include "base/list.h"
#include "ctrl/ctrl_server.h"
#include "ctrl/ctrl_socket.h"

#define SCRATCH_LEN 16384

struct ctrl_server {
	uv_pipe_t listener;
	uv_timer_t sweeper;
	struct ctrl_socket socket;
	struct list conns;
	unsigned int n_conns;
	unsigned int n_handles; /* not closed yet, clients included */
	const struct ctrl_command *commands;
	size_t n_commands;
	void *ctx;
	uid_t uid; /* our own; asked for once: a confined daemon may not ask later */
	char scratch[SCRATCH_LEN];
};

/* Takes the client that waits at the listener, serves or refuses it. */
void ctrl_conn_accept(struct ctrl_server *s);
/* Closes the client at @node if it was idle or stuck for CTRL_IDLE_MS. */
void ctrl_conn_sweep(struct list *node, uint64_t now_ms);
/* Closes the client at @node. */
void ctrl_conn_close(struct list *node);
/* A handle of the server or of a client has closed; the last one frees the server. */
void ctrl_server_drop_handle(struct ctrl_server *s);
