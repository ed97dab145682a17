/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/udp_origin.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/compiler.h"

static int udp_open(struct datagram_socket *s, const struct endpoint *target)
{
	int r;

	s->fd = datagram_socket_open(target->ip.family, SOCK_DGRAM, IPPROTO_UDP);
	if (s->fd < 0)
		return s->fd;
	r = datagram_socket_connect(s->fd, target);
	if (r < 0)
		s->fd = close_fd(s->fd);
	return r;
}

static int udp_send(struct datagram_socket *s, const uint8_t *data, size_t n)
{
	return send(s->fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static const uint8_t *udp_unwrap(const struct datagram_socket *s UNUSED, const uint8_t *packet,
				 size_t *np UNUSED)
{
	return packet;
}

const struct datagram_socket_ops udp_origin_ops = {
	.name = "udp",
	.open = udp_open,
	.send = udp_send,
	.unwrap = udp_unwrap,
};
