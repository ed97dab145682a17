/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * datagram_socket - one connected socket of a datagram flow, UDP or ICMP echo
 *
 * What differs between the two is in struct datagram_socket_ops (agent/udp_origin.h,
 * agent/echo_origin.h); a datagram is the same octets on the stream and here. ICMP errors are read
 * from the socket's error queue. Nothing here waits.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

struct datagram_socket;

struct datagram_socket_ops {
	const char *name; /* for logs */
	/* Fills @s: fd and its own members. 0 or -errno. */
	int (*open)(struct datagram_socket *s, const struct endpoint *target);
	/* Sends one datagram: 0 or -errno; a flow survives each. */
	int (*send)(struct datagram_socket *s, const uint8_t *data, size_t n);
	/* The datagram inside what was received, *@np octets of it; NULL: not for this flow. */
	const uint8_t *(*unwrap)(const struct datagram_socket *s, const uint8_t *packet,
				 size_t *np);
};

struct datagram_socket {
	const struct datagram_socket_ops *ops;
	int fd; /* -1: none */
	uint8_t family;
};

/* A socket that tells ICMP errors (IP_RECVERR): @type and @protocol as for socket(2). fd or -errno.
 */
int datagram_socket_open(uint8_t family, int type, int protocol);

/* connect() to @target: 0 or -errno. */
int datagram_socket_connect(int fd, const struct endpoint *target);

/*
 * Takes one entry from the error queue. 1: an ICMP error, *@typep and *@codep; 2: something else
 * was taken; 0: the queue is empty, and the socket's own error is cleared.
 */
enum datagram_socket_error {
	DATAGRAM_SOCKET_NO_ERROR,
	DATAGRAM_SOCKET_ICMP_ERROR,
	DATAGRAM_SOCKET_OTHER_ERROR,
};
enum datagram_socket_error datagram_socket_take_error(struct datagram_socket *s, uint8_t *typep,
						      uint8_t *codep);
