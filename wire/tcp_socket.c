/* SPDX-License-Identifier: Apache-2.0 */

#include "wire/tcp_socket.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

/* The kernel's header, not libc's: that one's tcp_info ends before tcpi_bytes_acked. */
#include <linux/tcp.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define USER_TIMEOUT_MS	  30000
#define NOTSENT_LOWAT	  (128 * 1024)
#define KEEP_ALIVE_PROBES 9

/* A burst of reconnecting agents or of users waits here, rather than for a lost SYN. */
#define BACKLOG 512

int tcp_socket_open(const struct endpoint *peer, const struct ip_addr *bind_ip)
{
	struct endpoint local = {.ip = *bind_ip};
	struct sockaddr_storage ss;
	socklen_t n;
	int fd = socket(peer->ip.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (bind_ip->family == 0)
		return fd;
	n = endpoint_to_sockaddr(&local, &ss);
	if (bind(fd, (struct sockaddr *)&ss, n) < 0) {
		int r = -errno;

		close_fd(fd);
		return r;
	}
	return fd;
}

static int set_listen_options(int fd, const struct endpoint *ep)
{
	struct ip_addr any6 = {.family = AF_INET6};
	int on = 1;
	int v6only = !ip_equal(&ep->ip, &any6);

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -errno;
	if (ep->ip.family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only)) < 0)
		return -errno;
	return 0;
}

int tcp_socket_listen(const struct endpoint *ep)
{
	struct sockaddr_storage ss;
	socklen_t n = endpoint_to_sockaddr(ep, &ss);
	int fd = socket(ep->ip.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r = fd < 0 ? -errno : set_listen_options(fd, ep);

	if (r == 0 && bind(fd, (struct sockaddr *)&ss, n) < 0)
		r = -errno;
	if (r == 0 && listen(fd, BACKLOG) < 0)
		r = -errno;
	if (r == 0)
		return fd;
	close_fd(fd);
	return r;
}

int tcp_socket_connect(int fd, const struct endpoint *peer)
{
	struct sockaddr_storage ss;
	socklen_t n = endpoint_to_sockaddr(peer, &ss);

	return connect(fd, (struct sockaddr *)&ss, n) < 0 ? -errno : 0;
}

/* What ICMP said of a connect(), or 0. */
static int queued_error(int fd)
{
	_Alignas(struct cmsghdr) uint8_t
		control[CMSG_SPACE(sizeof(struct sock_extended_err) + sizeof(struct sockaddr_in))];
	struct msghdr m = {.msg_control = control, .msg_controllen = sizeof(control)};
	struct sock_extended_err e;
	struct cmsghdr *c;

	if (recvmsg(fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
		return 0;
	c = CMSG_FIRSTHDR(&m);
	if (!c || c->cmsg_level != IPPROTO_IP || c->cmsg_type != IP_RECVERR ||
	    c->cmsg_len < CMSG_LEN(sizeof(e)))
		return 0;
	memcpy(&e, CMSG_DATA(c), sizeof(e));
	return -(int)e.ee_errno;
}

/*
 * Linux queues an ICMP error, asked for or not, and wakes us before it sets SO_ERROR: 9 of 20,000
 * refusals on a busy machine (6.18) were no error yet.
 */
int tcp_socket_error(int fd)
{
	int error = 0;
	socklen_t n = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0)
		return -errno;
	return error != 0 ? -error : queued_error(fd);
}

static void set_tcp(int fd, int option, int value)
{
	(void)setsockopt(fd, IPPROTO_TCP, option, &value, sizeof(value));
}

void tcp_socket_tune_link(int fd)
{
	set_tcp(fd, TCP_NODELAY, 1);
	set_tcp(fd, TCP_USER_TIMEOUT, USER_TIMEOUT_MS);
	set_tcp(fd, TCP_NOTSENT_LOWAT, NOTSENT_LOWAT);
}

void tcp_socket_tune_origin(int fd, uint32_t keep_alive_ms)
{
	int seconds = (int)((keep_alive_ms + MSEC_PER_SEC - 1) / MSEC_PER_SEC);
	int on = 1;

	set_tcp(fd, TCP_NODELAY, 1);
	if (seconds == 0)
		return;
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	set_tcp(fd, TCP_KEEPIDLE, seconds);
	set_tcp(fd, TCP_KEEPINTVL, seconds);
	set_tcp(fd, TCP_KEEPCNT, KEEP_ALIVE_PROBES);
}

bool tcp_socket_has_input(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

static int get_info(int fd, struct tcp_info *info)
{
	socklen_t n = sizeof(*info);

	memset(info, 0, sizeof(*info));
	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &n);
}

void tcp_socket_reset_on_close(int fd)
{
	const struct linger reset = {.l_onoff = 1};

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
}

uint64_t tcp_socket_bytes_acked(int fd)
{
	struct tcp_info info;

	return get_info(fd, &info) < 0 ? 0 : info.tcpi_bytes_acked;
}

uint64_t tcp_socket_rtt_us(int fd)
{
	struct tcp_info info;

	return get_info(fd, &info) < 0 ? 0 : info.tcpi_rtt;
}

int tcp_socket_local(int fd, struct endpoint *epp)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &n) < 0)
		return -errno;
	return endpoint_from_sockaddr((struct sockaddr *)&ss, epp);
}

int tcp_socket_peer(int fd, struct endpoint *epp)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);

	if (getpeername(fd, (struct sockaddr *)&ss, &n) < 0)
		return -errno;
	return endpoint_from_sockaddr((struct sockaddr *)&ss, epp);
}
