/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * proxy - local listeners that speak SOCKS5 and HTTP CONNECT, on one link to the edge
 *
 * Each connection names its target, and with its user name the virtual network. The link is
 * a keeper's; its loss ends the connections and not the proxy.
 */

#include <stddef.h>

#include "base/addr.h"
#include "client/client_loop.h"
#include "client/connect.h"

#define PROXY_LISTENERS_MAX   8
#define PROXY_CONNECTIONS_MAX 1024

/*
 * Listens on the @n addresses @at (1 to PROXY_LISTENERS_MAX) until a signal comes; host and port
 * of @opt mean nothing. Returns the exit status: 128 plus the signal's number, or
 * CLIENT_EXIT_INTERNAL with one line of why in @text.
 */
int proxy_run(const struct connect_options *opt, const struct endpoint *at, size_t n,
	      char text[CONNECT_TEXT_MAX]);
