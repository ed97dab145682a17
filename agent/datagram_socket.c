/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/datagram_socket.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/fd.h"

/* Bursts come faster than a busy loop's turns; the kernel caps it at net.core.rmem_max. */
#define RECEIVE_BUFFER (512 * 1024)

int datagram_socket_open(uint8_t family, int type, int protocol)
{
	bool v6 = family == AF_INET6;
	const int on = 1, receive_buffer = RECEIVE_BUFFER;
	int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
	int r;

	if (fd < 0)
		return -errno;
	fd = fd_leave_spare(fd);
	if (fd < 0)
		return fd;
	r = setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVERR : IP_RECVERR, &on,
		       sizeof(on));
	if (r < 0) {
		r = -errno;
		close_fd(fd);
		return r;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
	return fd;
}

int datagram_socket_connect(int fd, const struct endpoint *target)
{
	struct sockaddr_storage ss;
	socklen_t n = endpoint_to_sockaddr(target, &ss);

	return connect(fd, (const struct sockaddr *)&ss, n) < 0 ? -errno : 0;
}

static bool is_recverr(const struct cmsghdr *c)
{
	return (c->cmsg_level == SOL_IP && c->cmsg_type == IP_RECVERR) ||
	       (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_RECVERR);
}

/* "Packet too big" is between the kernel and the path: it sends smaller fragments from then on. */
static bool is_for_sender(const struct sock_extended_err *e)
{
	if (e->ee_origin == SO_EE_ORIGIN_ICMP)
		return e->ee_type != ICMP_DEST_UNREACH || e->ee_code != ICMP_FRAG_NEEDED;
	return e->ee_origin == SO_EE_ORIGIN_ICMP6 && e->ee_type != ICMP6_PACKET_TOO_BIG;
}

static bool find_icmp(struct msghdr *m, uint8_t *typep, uint8_t *codep)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		struct sock_extended_err e;

		if (!is_recverr(c) || c->cmsg_len < CMSG_LEN(sizeof(e)))
			continue;
		memcpy(&e, CMSG_DATA(c), sizeof(e));
		*typep = e.ee_type;
		*codep = e.ee_code;
		return is_for_sender(&e);
	}
	return false;
}

enum datagram_socket_error datagram_socket_take_error(struct datagram_socket *s, uint8_t *typep,
						      uint8_t *codep)
{
	_Alignas(struct cmsghdr) uint8_t control[512];
	struct msghdr m = {
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int pending;
	socklen_t n_pending = sizeof(pending);

	/* The packet that the error is about isn't wanted. */
	if (recvmsg(s->fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
		(void)getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &pending, &n_pending);
		return DATAGRAM_SOCKET_NO_ERROR;
	}
	if (!find_icmp(&m, typep, codep))
		return DATAGRAM_SOCKET_OTHER_ERROR;
	return DATAGRAM_SOCKET_ICMP_ERROR;
}
