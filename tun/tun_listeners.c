/* SPDX-License-Identifier: Apache-2.0 */
#include "tun/tun_listeners.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "tun/tun_numbers.h"

#define PORT_TRIES 16 /* for a port that is free in both families */

static int listen_on(const struct ip_addr *ip, uint16_t port, int *fdp)
{
	CLEANUP(close_fd)
	int fd = socket(ip->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	struct endpoint ep = {.ip = *ip, .port = port};
	struct sockaddr_storage ss;
	socklen_t n_ss = endpoint_to_sockaddr(&ep, &ss);
	int on = 1;

	if (fd < 0)
		return -errno;
	if (ip->family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -errno;
	/* A namespace of a user's own may refuse the choice: the default works as well. */
	setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, TUN_CONGESTION, sizeof(TUN_CONGESTION) - 1);
	if (bind(fd, (struct sockaddr *)&ss, n_ss) < 0 || listen(fd, TUN_LISTEN_BACKLOG) < 0)
		return -errno;
	*fdp = fd;
	fd = -1;
	return 0;
}

static int port_of(int fd, uint16_t *portp)
{
	struct sockaddr_storage ss;
	socklen_t n_ss = sizeof(ss);
	struct endpoint ep;
	int r;

	if (getsockname(fd, (struct sockaddr *)&ss, &n_ss) < 0)
		return -errno;
	r = endpoint_from_sockaddr((struct sockaddr *)&ss, &ep);
	if (r == 0)
		*portp = ep.port;
	return r;
}

static int listen_on_both(struct tun_listeners *l, const struct ip_addr *ips[2],
			  const struct ip_addr **failedp)
{
	int *fds[] = {&l->fd4, &l->fd6};

	for (size_t i = 0; i < 2; i++) {
		int r;

		if (!ips[i]->family)
			continue;
		*failedp = ips[i];
		r = listen_on(ips[i], l->port, fds[i]);
		if (r == 0 && !l->port)
			r = port_of(*fds[i], &l->port);
		if (r < 0)
			return r;
	}
	return 0;
}

int tun_listeners_open(struct tun_listeners *listenersp, const struct ip_addr *ip4,
		       const struct ip_addr *ip6, uint16_t port, struct diag *d)
{
	const struct ip_addr *ips[] = {ip4, ip6};
	const struct ip_addr *failed = ip4;
	char text[IP_TEXT_MAX];
	int r = -EADDRINUSE;

	for (int i = 0; i < PORT_TRIES; i++) {
		struct tun_listeners l = TUN_LISTENERS_NONE;

		l.port = port;
		r = listen_on_both(&l, ips, &failed);
		if (r == 0) {
			*listenersp = l;
			return 0;
		}
		tun_listeners_close(&l);
		if (port || r != -EADDRINUSE)
			break;
	}
	diag_add(d, DIAG_ERROR, 0, "listening on %s port %u: %s", ip_format(failed, text), port,
		 strerror(-r));
	return err_trace(r);
}

void tun_listeners_close(struct tun_listeners *listeners)
{
	listeners->fd4 = close_fd(listeners->fd4);
	listeners->fd6 = close_fd(listeners->fd6);
}
