/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* connect - one connection through the tunnel on stdin and stdout, for ssh's ProxyCommand */

#include "client/client_loop.h"

#define CONNECT_TEXT_MAX 1024

/*
 * Returns when both directions have ended, with the exit status: one of enum
 * client_exit, or 128 plus the number of the signal that ended it. @text: one line
 * of why, "" after success or a signal.
 */
int connect_run(const struct connect_options *opt, char text[CONNECT_TEXT_MAX]);
