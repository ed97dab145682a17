/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * exec - `adit exec`: one command for which a virtual network's addresses mean that network
 *
 *   set up      namespaces, device A and the view of files in a child (exec_namespace.h), device B
 *               and the listeners; the child waits
 *   connecting  link to the edge; its routes feed says whether the network is there
 *   running     the child becomes the command; its packets are carried until it ends
 *
 * This process stays outside: it dials the edge as any program does, and its end is the command's.
 */

#include "client/client_loop.h"
#include "client/connect.h"

struct exec_options {
	const struct connect_options *connect; /* its host and port aren't used */
	char *const *argv;		       /* the command; NULL at its end */
	const struct ip_addr *name_servers;    /* of the command; none: as outside */
	size_t n_name_servers;
};

/*
 * Returns the exit status: the command's own, 128 plus the number of the signal that ended it, 126
 * or 127 when it can't be executed (enum exec_status); or, if it was never started, one of enum
 * client_exit after a line to @explain.
 */
int exec_run(const struct exec_options *opt, connect_explain explain);
