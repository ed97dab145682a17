/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* udp_origin - a connected UDP socket per flow: what it receives comes from the target only */

#include "agent/datagram_socket.h"

extern const struct datagram_socket_ops udp_origin_ops;
