/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Two questions, because neither knows all: a lookup sees "local" routes but not what is
 * enslaved to a VRF or on a device that is down; the list of addresses sees only those.
 */

#include "tun/netlink_addr_get.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "tun/netlink.h"
#include "tun/netlink_private.h"

#define TRIES_MAX 5

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
	size_t n = netlink_ip_bytes(&s->ip);

	return mnl_attr_get_payload_len(attr) == n &&
	       memcmp(mnl_attr_get_payload(attr), s->ip.bytes, n) == 0;
}

static int take_address(const struct nlmsghdr *nlh, void *data)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	struct search *s = data;

	if (nlh->nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(nlh) < sizeof(*ifa) ||
	    ifa->ifa_family != s->ip.family)
		return MNL_CB_OK;
	s->own = NULL;
	if (mnl_attr_parse(nlh, sizeof(*ifa), take_attribute, s) < 0)
		return MNL_CB_ERROR;
	s->found |= s->own && is_it(s, s->own);
	return MNL_CB_OK;
}

static int take_route(const struct nlmsghdr *nlh, void *data)
{
	const struct rtmsg *rt = mnl_nlmsg_get_payload(nlh);
	struct search *s = data;

	if (nlh->nlmsg_type == RTM_NEWROUTE && mnl_nlmsg_get_payload_len(nlh) >= sizeof(*rt))
		s->found |= rt->rtm_type == RTN_LOCAL;
	return MNL_CB_OK;
}

/* No route to it at all is an answer as well. */
static int look_up(struct netlink *nl, struct search *s)
{
	struct nlmsghdr *nlh = netlink_request(nl, RTM_GETROUTE, 0);
	struct rtmsg *rt = mnl_nlmsg_put_extra_header(nlh, sizeof(*rt));
	int r;

	rt->rtm_family = s->ip.family;
	rt->rtm_dst_len = (uint8_t)ip_bits(&s->ip);
	netlink_put_ip(nlh, RTA_DST, &s->ip);
	r = netlink_ask(nl, nlh, take_route, s);
	return netlink_says_no_route(r) ? 0 : r;
}

static int list_addresses(struct netlink *nl, struct search *s)
{
	struct nlmsghdr *nlh = netlink_request(nl, RTM_GETADDR, 0);
	struct ifaddrmsg *ifa = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifa));

	ifa->ifa_family = s->ip.family;
	return netlink_dump(nl, nlh, take_address, s);
}

/* EINTR: the list changed while it was read, and something may be missing. */
static int search_addresses(struct netlink *nl, struct search *s)
{
	int r = -EINTR;

	for (int i = 0; r == -EINTR && !s->found && i < TRIES_MAX; i++)
		r = list_addresses(nl, s);
	return s->found ? 0 : r;
}

int netlink_address_exists(const struct ip_addr *ip, bool *existsp)
{
	struct search search = {.ip = ip_canonical(ip)};
	CLEANUP(netlink_close) struct netlink *nl = NULL;
	int r;

	if (!search.ip.family)
		return -EINVAL;
	r = netlink_open(&nl);
	if (r == 0)
		r = look_up(nl, &search);
	if (r == 0 && !search.found)
		r = search_addresses(nl, &search);
	if (r < 0)
		return err_trace(r);
	*existsp = search.found;
	return 0;
}
