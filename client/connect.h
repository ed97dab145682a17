/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* connect - one connection through the tunnel on stdin and stdout, for ssh's ProxyCommand */

#include "client/client_loop.h"

#define CONNECT_TEXT_MAX 1024

/*
 * Gets one line of why it ends, at most once, and not after success or a signal. It comes
 * while signals are still held: ssh sends SIGHUP as soon as it sees the end of our stdout.
 */
typedef void (*connect_explain)(const char *text);

/*
 * Returns when both directions have ended, with the exit status: one of enum
 * client_exit, or 128 plus the number of the signal that ended it.
 */
int connect_run(const struct connect_options *opt, connect_explain explain);
