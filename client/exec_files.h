/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * exec_files - what of the file system looks different to the command of `adit exec`
 *
 * Three things, all in its own mount namespace, and nothing is written outside:
 *
 *   resolv.conf   with name servers of the virtual network, if any are given
 *   services that look up names outside (systemd-resolved, nscd, avahi): their sockets' folders
 *                 are covered by empty ones
 *   ssh           files included by the system-wide configuration are shown as copies of the
 *                 user's own, where root isn't mapped: ssh would refuse them
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"
#include "base/diag.h"

struct exec_files {
	const struct ip_addr *name_servers; /* none: resolv.conf says what it says outside */
	size_t n_name_servers;
	bool is_root_foreign; /* root's files aren't root's in here */
};

/*
 * In a mount namespace of its own, with CAP_SYS_ADMIN over it; /dev/net must be there. 0 or
 * -errno; in @d errors, and warnings about what ssh will miss.
 */
int exec_files_arrange(const struct exec_files *files, struct diag *d);
