/* SPDX-License-Identifier: Apache-2.0 */
#include "tun/netlink.h"

#include <errno.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "base/cleanup.h"
#include "base/err.h"

#define MESSAGE_MAX 4096 /* our request, and a route or an error with what it is about */

static void close_socket(struct mnl_socket *s)
{
	mnl_socket_close(s);
}
DEFINE_CLEANUP(struct mnl_socket *, close_socket);

static int open_socket(struct mnl_socket **sp)
{
	CLEANUP(close_socket) struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);

	if (!s || mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	*sp = steal_ptr(s);
	return 0;
}

static size_t n_bytes(const struct ip_addr *ip)
{
	return ip_bits(ip) / 8;
}

static void build_request(char *buf, const struct ip_addr *ip, unsigned int seq)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct rtmsg *rt;

	nlh->nlmsg_type = RTM_GETROUTE;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	nlh->nlmsg_seq = seq;
	rt = mnl_nlmsg_put_extra_header(nlh, sizeof(*rt));
	rt->rtm_family = ip->family;
	rt->rtm_dst_len = (uint8_t)ip_bits(ip);
	mnl_attr_put(nlh, RTA_DST, n_bytes(ip), ip->bytes);
}

static void take_ip(const struct nlattr *attr, uint8_t family, struct ip_addr *ipp)
{
	struct ip_addr ip = {.family = family};

	if (mnl_attr_get_payload_len(attr) != n_bytes(&ip))
		return;
	memcpy(ip.bytes, mnl_attr_get_payload(attr), n_bytes(&ip));
	*ipp = ip;
}

/* The next hop may be of the other family (RFC 5549). */
static void take_via(const struct nlattr *attr, struct ip_addr *ipp)
{
	const struct rtvia *via = mnl_attr_get_payload(attr);
	struct ip_addr ip = {0};

	if (mnl_attr_get_payload_len(attr) < sizeof(*via))
		return;
	ip.family = (uint8_t)via->rtvia_family;
	if (mnl_attr_get_payload_len(attr) != sizeof(*via) + n_bytes(&ip))
		return;
	memcpy(ip.bytes, via->rtvia_addr, n_bytes(&ip));
	*ipp = ip;
}

static void take_interface(const struct nlattr *attr, struct netlink_path *path)
{
	if (mnl_attr_validate(attr, MNL_TYPE_U32) < 0 ||
	    !if_indextoname(mnl_attr_get_u32(attr), path->interface))
		path->interface[0] = '\0';
}

/* What is being read: a route of one family. */
struct answer {
	uint8_t family;
	struct netlink_path path;
};

static int take_attribute(const struct nlattr *attr, void *data)
{
	struct answer *a = data;

	switch (mnl_attr_get_type(attr)) {
	case RTA_OIF:
		take_interface(attr, &a->path);
		break;
	case RTA_PREFSRC:
		take_ip(attr, a->family, &a->path.source);
		break;
	case RTA_GATEWAY:
		take_ip(attr, a->family, &a->path.gateway);
		break;
	case RTA_VIA:
		take_via(attr, &a->path.gateway);
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

/* The answer is one message; blackhole and its like come as errors. */
static int take_route(const struct nlmsghdr *nlh, void *data)
{
	struct answer *a = data;
	const struct rtmsg *rt = mnl_nlmsg_get_payload(nlh);

	if (nlh->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(nlh) < sizeof(*rt))
		return MNL_CB_OK;
	a->family = rt->rtm_family;
	return mnl_attr_parse(nlh, sizeof(*rt), take_attribute, a) < 0 ? MNL_CB_ERROR : MNL_CB_STOP;
}

static int receive(struct mnl_socket *s, unsigned int seq, struct answer *a)
{
	_Alignas(struct nlmsghdr) char buf[MESSAGE_MAX];
	ssize_t n;
	int r;

	do {
		n = mnl_socket_recvfrom(s, buf, sizeof(buf));
		if (n < 0)
			return -errno;
		r = mnl_cb_run(buf, (size_t)n, seq, mnl_socket_get_portid(s), take_route, a);
		if (r < 0)
			return -errno;
	} while (r == MNL_CB_OK);
	return 0;
}

int netlink_route_get(const struct ip_addr *ip, struct netlink_path *pathp)
{
	CLEANUP(close_socket) struct mnl_socket *s = NULL;
	_Alignas(struct nlmsghdr) char buf[MESSAGE_MAX];
	struct ip_addr target = ip_canonical(ip);
	struct answer answer = {0};
	const unsigned int seq = 1;
	int r;

	if (!target.family)
		return -EINVAL;
	r = open_socket(&s);
	if (r < 0)
		return err_trace(r);
	build_request(buf, &target, seq);
	if (mnl_socket_sendto(s, buf, ((struct nlmsghdr *)(void *)buf)->nlmsg_len) < 0)
		return err_trace(-errno);
	r = receive(s, seq, &answer);
	if (r < 0)
		return r;
	*pathp = answer.path;
	return 0;
}
