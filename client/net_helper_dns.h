/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * net_helper_dns - tells systemd-resolved, by resolvectl, which names adit's stub answers
 *
 * No shell, a fixed environment, nothing of /etc is touched. The settings belong to the device
 * and vanish with it. For the helper process: blocking, 10 s at most for each call of the program.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"

#define NET_HELPER_RESOLVECTL "/usr/bin/resolvectl"

/* True if @path is there and may be executed. */
bool net_helper_dns_available(const char *path);

/*
 * @names (checked before) and what is below them are asked of @server, by way of @device; nothing
 * else is. 0, -ETIMEDOUT, -EREMOTEIO (resolvectl failed; what it said is on stderr) or another
 * -errno; after a failure nothing is set.
 */
int net_helper_dns_apply(const char *path, const char *device, const struct ip_addr *server,
			 char *const *names, size_t n_names);

/* Takes all of it back. */
int net_helper_dns_revert(const char *path, const char *device);
