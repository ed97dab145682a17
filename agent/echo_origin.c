/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A ping socket has an identifier of its own, fills in the checksum and receives the answers to
 * it only. A raw socket gets every answer from the target: those to its own identifier are
 * picked out, and so are the errors.
 */

#include "agent/echo_origin.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "tun/checksum.h"
#include "wire/datagram_path.h"

#define ICMP_HEADER_LEN 8
/* Type, code, checksum and identifier: what stands before the datagram's octets. */
#define ICMP_HEAD_LEN (ICMP_HEADER_LEN - ECHO_SEQUENCE_LEN)
#define ICMP_CHECK_AT 2
#define ICMP_ID_AT    4

/* <linux/icmp.h> has it, which doesn't go together with <netinet/ip_icmp.h>. */
#define ICMP_FILTER_OPTION 1

static int protocol_of(uint8_t family)
{
	return family == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
}

/* ---- opening ---- */

/* A raw socket would queue all ICMP of the host; answers are enough. */
static void let_answers_in(int fd, uint8_t family)
{
	struct icmp6_filter v6;
	uint32_t v4 = ~(1U << ICMP_ECHOREPLY);

	ICMP6_FILTER_SETBLOCKALL(&v6);
	ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &v6);
	if (family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &v6, sizeof(v6));
	else
		(void)setsockopt(fd, SOL_RAW, ICMP_FILTER_OPTION, &v4, sizeof(v4));
}

static int open_raw(struct datagram_socket *s)
{
	int fd = datagram_socket_open(s->family, SOCK_RAW, protocol_of(s->family));

	if (fd < 0)
		return fd;
	if (getrandom(&s->echo_id, sizeof(s->echo_id), 0) != sizeof(s->echo_id)) {
		close_fd(fd);
		return -EIO;
	}
	s->is_raw = true;
	let_answers_in(fd, s->family);
	return fd;
}

static int open_any(struct datagram_socket *s)
{
	int fd = datagram_socket_open(s->family, SOCK_DGRAM, protocol_of(s->family));

	if (fd == -EACCES || fd == -EPERM) {
		fd = open_raw(s);
		if (fd == -EACCES || fd == -EPERM)
			fd = ECHO_E_NOT_ALLOWED;
	}
	return fd;
}

static int echo_open(struct datagram_socket *s, const struct endpoint *target)
{
	int r;

	s->family = target->ip.family;
	s->fd = open_any(s);
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
	struct datagram_socket s = {.family = AF_INET};
	int fd = open_any(&s);

	if (fd < 0)
		return ECHO_MEANS_NONE;
	close_fd(fd);
	return s.is_raw ? ECHO_MEANS_RAW : ECHO_MEANS_PING;
}

/* ---- sending ---- */

/* The head is of an even length, as all pieces of a sum but the last have to be. */
static void fill_checksum(uint8_t head[ICMP_HEAD_LEN], const uint8_t *data, size_t n)
{
	uint16_t sum = checksum_add(checksum_add(0, head, ICMP_HEAD_LEN), data, n);
	uint16_t check = (uint16_t)~sum;

	memcpy(head + ICMP_CHECK_AT, &check, sizeof(check));
}

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
	memcpy(head + ICMP_ID_AT, &s->echo_id, sizeof(s->echo_id));
	/* The kernel does it in the other cases. */
	if (s->is_raw && s->family == AF_INET)
		fill_checksum(head, data, n);
	return sendmsg(s->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* ---- receiving ---- */

static bool has_own_id(const struct datagram_socket *s, const uint8_t *icmp, size_t n)
{
	return !s->is_raw || (n >= ICMP_HEADER_LEN &&
			      memcmp(icmp + ICMP_ID_AT, &s->echo_id, sizeof(s->echo_id)) == 0);
}

/* A raw socket of IPv4 receives the IP header, too. */
static size_t ip_header_len(const struct datagram_socket *s, const uint8_t *packet, size_t n)
{
	if (!s->is_raw || s->family != AF_INET || n == 0)
		return 0;
	return (size_t)(packet[0] & 0x0f) * 4;
}

static const uint8_t *echo_unwrap(const struct datagram_socket *s, const uint8_t *packet,
				  size_t *np)
{
	uint8_t reply = s->family == AF_INET6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY;
	size_t skip = ip_header_len(s, packet, *np);

	if (*np < skip + ICMP_HEADER_LEN)
		return NULL;
	packet += skip;
	*np -= skip;
	if (packet[0] != reply || !has_own_id(s, packet, *np))
		return NULL;
	*np -= ICMP_HEAD_LEN;
	return packet + ICMP_HEAD_LEN;
}

const struct datagram_socket_ops echo_origin_ops = {
	.name = "icmp",
	.open = echo_open,
	.send = echo_send,
	.unwrap = echo_unwrap,
	.is_own_error = has_own_id,
};
