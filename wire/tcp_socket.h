/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* tcp_socket - the socket options that links and origins use, and what TCP knows of the path */

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

/* A non-blocking, close-on-exec TCP socket of the family of @peer; @bind's family 0: any. fd or
 * -errno. */
int tcp_socket_open(const struct endpoint *peer, const struct ip_addr *bind);

/*
 * A non-blocking, close-on-exec socket that listens on @ep. [::] takes both families, another
 * IPv6 address only its own. fd or -errno.
 */
int tcp_socket_listen(const struct endpoint *ep);

/* Starts connect(). 0 when done at once, -EINPROGRESS, or -errno. */
int tcp_socket_connect(int fd, const struct endpoint *peer);

/* The result of a connect() that became writable: 0 or -errno. */
int tcp_socket_error(int fd);

/* TCP_NODELAY, TCP_USER_TIMEOUT 30 s, TCP_NOTSENT_LOWAT 128 KiB. Best effort. */
void tcp_socket_tune_link(int fd);

/* For who connected to us: one that vanished with its machine is found out. */
#define TCP_SOCKET_KEEP_ALIVE_MS 120000

/* TCP_NODELAY and keep-alive probes after @keep_alive_ms of silence (0: none). Best effort. */
void tcp_socket_tune_origin(int fd, uint32_t keep_alive_ms);

/* close() sends RST and drops what is queued, where a FIN would come behind it. Best effort. */
void tcp_socket_reset_on_close(int fd);

/* Bytes that the peer's TCP has acknowledged; grows while the send queue moves. 0 if unknown. */
uint64_t tcp_socket_bytes_acked(int fd);
/* Whether a read would not have to wait: bytes, the peer's end, or an error. */
bool tcp_socket_has_input(int fd);
/* TCP's smoothed round-trip time in microseconds, 0 if unknown. */
uint64_t tcp_socket_rtt_us(int fd);

int tcp_socket_local(int fd, struct endpoint *epp);
int tcp_socket_peer(int fd, struct endpoint *epp);
