/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* resolve_servers - the configured name servers, for resolve.c only */

struct ares_channeldata;

/* 0, or -EINVAL for what resolve_servers_set() wouldn't take. */
int resolve_servers_check(const char *servers);
/* @servers: "ip[:port],...", at most eight. 0, -EINVAL or -ENOMEM. */
int resolve_servers_set(struct ares_channeldata *channel, const char *servers);
