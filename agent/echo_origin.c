/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A ping socket has an identifier of its own, fills in that and the checksum, and receives the
 * answers to it only.
 */

#include "agent/echo_origin.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "wire/datagram_path.h"

#define ICMP_HEADER_LEN 8
/* Type, code, checksum and identifier: what stands before the datagram's octets. */
#define ICMP_HEAD_LEN (ICMP_HEADER_LEN - ECHO_SEQUENCE_LEN)

static int protocol_of(uint8_t family)
{
	return family == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
}

/* ---- opening ---- */

static int open_ping(uint8_t family)
{
	int fd = datagram_socket_open(family, SOCK_DGRAM, protocol_of(family));

	return fd == -EACCES || fd == -EPERM ? ECHO_E_NOT_ALLOWED : fd;
}

static int echo_open(struct datagram_socket *s, const struct endpoint *target)
{
	int r;

	s->family = target->ip.family;
	s->fd = open_ping(s->family);
	if (s->fd < 0)
		return s->fd;
	r = datagram_socket_connect(s->fd, target);
	if (r < 0)
		s->fd = close_fd(s->fd);
	/* A broadcast address: not to be mistaken for the host's refusal. */
	return r == ECHO_E_NOT_ALLOWED ? -EACCES : r;
}

enum echo_means echo_origin_means(void)
{
	int fd = open_ping(AF_INET);

	if (fd < 0)
		return ECHO_MEANS_NONE;
	close_fd(fd);
	return ECHO_MEANS_PING;
}

/* ---- sending ---- */

static int echo_send(struct datagram_socket *s, const uint8_t *data, size_t n)
{
	uint8_t head[ICMP_HEAD_LEN] = {s->family == AF_INET6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO};
	struct iovec iov[] = {
		{.iov_base = head, .iov_len = sizeof(head)},
		{.iov_base = (uint8_t *)(uintptr_t)data, .iov_len = n},
	};
	const struct msghdr m = {.msg_iov = iov, .msg_iovlen = ARRAY_SIZE(iov)};

	if (n < ECHO_SEQUENCE_LEN)
		return -EINVAL;
	return sendmsg(s->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* ---- receiving ---- */

static const uint8_t *echo_unwrap(const struct datagram_socket *s, const uint8_t *packet,
				  size_t *np)
{
	uint8_t reply = s->family == AF_INET6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY;

	if (*np < ICMP_HEADER_LEN || packet[0] != reply)
		return NULL;
	*np -= ICMP_HEAD_LEN;
	return packet + ICMP_HEAD_LEN;
}

const struct datagram_socket_ops echo_origin_ops = {
	.name = "icmp",
	.open = echo_open,
	.send = echo_send,
	.unwrap = echo_unwrap,
};
