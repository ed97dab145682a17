/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * exec_namespace - where the command of `adit exec` runs: device A, its routes, its view of files
 *
 * A child in network and mount namespaces of its own, with lo and a TUN device that everything else
 * is routed to. Without root a user namespace, too, of which the command gets no capability: at
 * execve() they are gone, as its uid isn't 0. A command that root starts keeps root's rights; the
 * namespace is a view, no jail.
 */

#include "base/diag.h"
#include "client/exec_files.h"
#include "tun/ns_child.h"
#include "tun/tun_addresses.h"

#define EXEC_ENVIRONMENT "ADIT_VIRTUAL_NETWORK"

/* As env(1) and nsenter(1) have it. */
enum exec_status {
	EXEC_STATUS_NOT_STARTED = 126,
	EXEC_STATUS_NOT_FOUND = 127,
	EXEC_STATUS_SIGNAL = 128, /* plus its number */
};

struct exec_namespace {
	char *const *argv;   /* NULL at its end */
	const char *network; /* for EXEC_ENVIRONMENT; NULL: not set */
	struct tun_addresses addresses;
	struct exec_files files; /* its is_root_foreign is found out here */
};

/*
 * The child waits for ns_child_go(). *@device_fdp: of A, owned by the caller. 0, or -errno with the
 * reason in @d. Warnings are printed by the child. While the process has one thread.
 */
int exec_namespace_start(const struct exec_namespace *plan, struct ns_child *childp,
			 int *device_fdp, struct diag *d);

/* Of what waitpid() said about a child that has ended. */
int exec_status_of_wait(int wait_status);
/* Of a command that execvp() refused with this errno. */
int exec_status_of_errno(int error);
