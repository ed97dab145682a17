/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * forward - a local port; each TCP connection to it is one conduit through the tunnel
 *
 * All share one link to the edge. When it is lost their connections end, and a new
 * one is made with back-off, for ever; connections that come meanwhile wait for the
 * next attempt and are closed if that fails. When the edge says that it goes away, new
 * connections use a new link and the old ones live on.
 */

#include "base/addr.h"
#include "client/client_loop.h"
#include "client/connect.h"

#define FORWARD_CONNECTIONS_MAX 1024

/*
 * Listens on @at until a signal comes. Returns the exit status: 128 plus the
 * signal's number, or CLIENT_EXIT_INTERNAL with one line of why in @text.
 */
int forward_run(const struct connect_options *opt, const struct endpoint *at,
		char text[CONNECT_TEXT_MAX]);
