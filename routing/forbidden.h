/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * forbidden - ranges that no prefix shorter than a single address covers
 *
 * "This host", loopback, link-local, multicast, reserved, their IPv6
 * counterparts, and all of these inside NAT64 (64:ff9b::/96) and 6to4
 * (2002::/16) addresses.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"
#include "routing/prefix.h"

/* The name of the range that holds @ip ("loopback", ...), or NULL. */
const char *forbidden_range(const struct ip_addr *ip);
/* The same for a prefix that lies in such a range as a whole; NULL if any address is outside. */
const char *forbidden_prefix(const struct prefix *p);
/* True for 127.0.0.0/8 and ::1. */
bool ip_is_loopback(const struct ip_addr *ip);

#define FORBIDDEN_RANGES_MAX 32

/* Fills @out with all of the above, NAT64 and 6to4 forms included, and returns how many. */
size_t forbidden_ranges(struct prefix out[FORBIDDEN_RANGES_MAX]);
