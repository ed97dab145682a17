/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* resolv_conf - the text of a resolv.conf(5) with other name servers; pure */

#include <stddef.h>

#include "base/addr.h"

#define RESOLV_CONF_FILE	"/etc/resolv.conf"
#define RESOLV_CONF_MAX		((size_t)64 * 1024)
#define RESOLV_CONF_SERVERS_MAX 3 /* the C library looks at no more */

/*
 * Into a new string, the caller's: @servers, and of @old (@n bytes) the lines that say how to look
 * up (search, domain, options), not where. At most RESOLV_CONF_SERVERS_MAX servers. NULL: no
 * memory.
 */
char *resolv_conf_make(const struct ip_addr *servers, size_t n_servers, const char *old, size_t n);
