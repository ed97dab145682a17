/* SPDX-License-Identifier: Apache-2.0 */
#include "tun/netlink.h"

#include <errno.h>

#include "base/err.h"
#include "tun/netlink_private.h"

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
		netlink_take_interface(attr, a->path.interface);
		break;
	case RTA_PREFSRC:
		netlink_take_ip(attr, a->family, &a->path.source);
		break;
	case RTA_GATEWAY:
		netlink_take_ip(attr, a->family, &a->path.gateway);
		break;
	case RTA_VIA:
		netlink_take_via(attr, &a->path.gateway);
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

	if (nlh->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(nlh) < sizeof(*rt)) {
		errno = EBADMSG;
		return MNL_CB_ERROR;
	}
	a->family = rt->rtm_family;
	return mnl_attr_parse(nlh, sizeof(*rt), take_attribute, a);
}

bool netlink_says_no_route(int r)
{
	return r == -ENETUNREACH || r == -EHOSTUNREACH || r == -EACCES || r == -EINVAL;
}

int netlink_route_get(const struct ip_addr *ip, struct netlink_path *pathp)
{
	CLEANUP(netlink_close) struct netlink *nl = NULL;
	struct ip_addr target = ip_canonical(ip);
	struct answer answer = {0};
	struct nlmsghdr *nlh;
	struct rtmsg *rt;
	int r;

	if (!target.family)
		return -EINVAL;
	r = netlink_open(&nl);
	if (r < 0)
		return err_trace(r);
	nlh = netlink_request(nl, RTM_GETROUTE, 0);
	rt = mnl_nlmsg_put_extra_header(nlh, sizeof(*rt));
	rt->rtm_family = target.family;
	rt->rtm_dst_len = (uint8_t)ip_bits(&target);
	netlink_put_ip(nlh, RTA_DST, &target);
	r = netlink_ask(nl, nlh, take_route, &answer);
	if (r < 0)
		return r;
	*pathp = answer.path;
	return 0;
}
