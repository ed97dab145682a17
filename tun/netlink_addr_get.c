/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Two questions, because neither knows all: a lookup sees "local" routes but not what is
 * enslaved to a VRF or on a device that is down; the list of addresses sees only those.
 */

#include "tun/netlink_addr_get.h"

#include <errno.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "base/cleanup.h"
#include "base/err.h"

#define MESSAGE_MAX 32768 /* a dump comes in parts of this size at most */
#define TRIES_MAX   5

static void close_socket(struct mnl_socket *s)
{
	mnl_socket_close(s);
}
DEFINE_CLEANUP(struct mnl_socket *, close_socket);

struct search {
	struct ip_addr ip;
	const struct nlattr *own; /* of the message being read */
	bool found;
};

/* IFA_LOCAL is the own end; IFA_ADDRESS too, unless there is a peer. */
static int take_attribute(const struct nlattr *attr, void *data)
{
	struct search *s = data;
	uint16_t type = mnl_attr_get_type(attr);

	if (type == IFA_LOCAL || (type == IFA_ADDRESS && !s->own))
		s->own = attr;
	return MNL_CB_OK;
}

static bool is_it(const struct search *s, const struct nlattr *attr)
{
	size_t n = ip_bits(&s->ip) / 8;

	return mnl_attr_get_payload_len(attr) == n &&
	       memcmp(mnl_attr_get_payload(attr), s->ip.bytes, n) == 0;
}

static int take_address(const struct nlmsghdr *nlh, struct search *s)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*ifa) || ifa->ifa_family != s->ip.family)
		return MNL_CB_OK;
	s->own = NULL;
	if (mnl_attr_parse(nlh, sizeof(*ifa), take_attribute, s) < 0)
		return MNL_CB_ERROR;
	s->found |= s->own && is_it(s, s->own);
	return MNL_CB_OK;
}

/* The answer to a lookup is one message; a dump has an end of its own. */
static int take_message(const struct nlmsghdr *nlh, void *data)
{
	struct search *s = data;
	const struct rtmsg *rt = mnl_nlmsg_get_payload(nlh);

	if (nlh->nlmsg_type == RTM_NEWADDR)
		return take_address(nlh, s);
	if (nlh->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(nlh) < sizeof(*rt))
		return MNL_CB_OK;
	s->found |= rt->rtm_type == RTN_LOCAL;
	return MNL_CB_STOP;
}

static int receive(struct mnl_socket *socket, unsigned int seq, struct search *s)
{
	_Alignas(struct nlmsghdr) char buf[MESSAGE_MAX];
	ssize_t n;
	int r;

	do {
		n = mnl_socket_recvfrom(socket, buf, sizeof(buf));
		if (n < 0)
			return -errno;
		r = mnl_cb_run(buf, (size_t)n, seq, mnl_socket_get_portid(socket), take_message, s);
		if (r < 0)
			return -errno;
	} while (r == MNL_CB_OK);
	return 0;
}

static int ask(struct mnl_socket *socket, struct nlmsghdr *nlh, struct search *s)
{
	if (mnl_socket_sendto(socket, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	return receive(socket, nlh->nlmsg_seq, s);
}

/* No route to it at all is an answer as well. */
static int look_up(struct mnl_socket *socket, struct search *s)
{
	_Alignas(struct nlmsghdr) char buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct rtmsg *rt;
	int r;

	nlh->nlmsg_type = RTM_GETROUTE;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	nlh->nlmsg_seq = 1;
	rt = mnl_nlmsg_put_extra_header(nlh, sizeof(*rt));
	rt->rtm_family = s->ip.family;
	rt->rtm_dst_len = (uint8_t)ip_bits(&s->ip);
	mnl_attr_put(nlh, RTA_DST, ip_bits(&s->ip) / 8, s->ip.bytes);
	r = ask(socket, nlh, s);
	return r == -ENETUNREACH || r == -EHOSTUNREACH || r == -EACCES || r == -EINVAL ? 0 : r;
}

static int list_addresses(struct mnl_socket *socket, struct search *s)
{
	_Alignas(struct nlmsghdr) char buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ifaddrmsg *ifa;

	nlh->nlmsg_type = RTM_GETADDR;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = 2;
	ifa = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifa));
	ifa->ifa_family = s->ip.family;
	return ask(socket, nlh, s);
}

/* With a socket of its own: what is left of a broken-off dump must not be read by the next. */
static int search_once(struct search *s)
{
	CLEANUP(close_socket)
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	int r;

	if (!socket || mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	r = look_up(socket, s);
	if (r == 0 && !s->found)
		r = list_addresses(socket, s);
	return s->found ? 0 : r;
}

int netlink_address_exists(const struct ip_addr *ip, bool *existsp)
{
	struct search search = {.ip = ip_canonical(ip)};
	int r = -EINTR;

	if (!search.ip.family)
		return -EINVAL;
	/* EINTR: the list changed while it was read. */
	for (int i = 0; r == -EINTR && i < TRIES_MAX; i++)
		r = search_once(&search);
	if (r < 0)
		return err_trace(r);
	*existsp = search.found;
	return 0;
}
