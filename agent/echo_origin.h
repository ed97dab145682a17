/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * echo_origin - ICMP echo, asked on behalf of a client
 *
 * A datagram is the sequence number (two octets, network order) and the payload, both ways; type,
 * code, checksum and identifier are this host's. A ping socket does it without privilege where
 * net.ipv4.ping_group_range names one of our groups (for both families). A raw socket would take
 * CAP_NET_RAW, and the agent keeps no capability.
 */

#include "agent/datagram_socket.h"

extern const struct datagram_socket_ops echo_origin_ops;

/* What open() fails with when the host doesn't allow it. */
#define ECHO_E_NOT_ALLOWED (-EPERM)

enum echo_means {
	ECHO_MEANS_NONE,
	ECHO_MEANS_PING,
};

/* As it is now: the administrator may change it while we run. */
enum echo_means echo_origin_means(void);
