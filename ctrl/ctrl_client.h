/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* ctrl_client - blocking client of a control socket, for the command line and tests */

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "ctrl/ctrl_proto.h"

enum ctrl_client_outcome {
	CTRL_CLIENT_E_UNREACHABLE = 1, /* ENOENT or ECONNREFUSED: no daemon there */
	CTRL_CLIENT_E_REFUSED = 2,     /* the daemon answered with an error */
	CTRL_CLIENT_E_BROKEN = 3,      /* permission, time-out or garbage: state unknown */
};

/*
 * The code in @errp is the daemon's, or "unreachable", "broken", "timeout" or "protocol".
 *
 * One request on a connection of its own. @args is borrowed and may be NULL. On 0
 * *@resultp is a new reference. @timeout_ms bounds each wait. Else an outcome with @errp filled.
 */
NODISCARD int ctrl_call(const char *socket_path, const char *command, struct json_t *args,
			unsigned int timeout_ms, struct json_t **resultp, struct ctrl_error *errp);

/* @event is borrowed. False ends the following. */
typedef bool (*ctrl_event_fn)(void *ctx, const struct json_t *event);

/*
 * Likewise, for a command that answers with a stream: @on_event is called for each event.
 * 0: @on_event returned false, or the stream ended with its answer. Only the first wait is
 * bounded by @timeout_ms.
 */
NODISCARD int ctrl_follow(const char *socket_path, const char *command, struct json_t *args,
			  unsigned int timeout_ms, ctrl_event_fn on_event, void *ctx,
			  struct ctrl_error *errp);
