/* SPDX-License-Identifier: Apache-2.0 */
#include "tun/netlink_link.h"

#include <linux/if_link.h>
#include <net/if.h>

#include "base/err.h"
#include "tun/netlink_private.h"

static struct nlmsghdr *change_link(struct netlink *nl, unsigned int index, unsigned int flags)
{
	struct nlmsghdr *nlh = netlink_request(nl, RTM_NEWLINK, 0);
	struct ifinfomsg *link = mnl_nlmsg_put_extra_header(nlh, sizeof(*link));

	link->ifi_family = AF_UNSPEC;
	link->ifi_index = (int)index;
	link->ifi_flags = flags;
	link->ifi_change = flags;
	return nlh;
}

int netlink_link_no_auto_address(struct netlink *nl, unsigned int index)
{
	struct nlmsghdr *nlh = change_link(nl, index, 0);
	struct nlattr *families = mnl_attr_nest_start(nlh, IFLA_AF_SPEC);
	struct nlattr *inet6 = mnl_attr_nest_start(nlh, AF_INET6);

	mnl_attr_put_u8(nlh, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(nlh, inet6);
	mnl_attr_nest_end(nlh, families);
	return err_trace(netlink_transact(nl, nlh));
}

int netlink_link_set_mtu(struct netlink *nl, unsigned int index, uint32_t mtu)
{
	struct nlmsghdr *nlh = change_link(nl, index, 0);

	mnl_attr_put_u32(nlh, IFLA_MTU, mtu);
	return err_trace(netlink_transact(nl, nlh));
}

int netlink_link_set_up(struct netlink *nl, unsigned int index)
{
	return err_trace(netlink_transact(nl, change_link(nl, index, IFF_UP)));
}

static int take_flags(const struct nlmsghdr *nlh, void *data)
{
	const struct ifinfomsg *link = mnl_nlmsg_get_payload(nlh);

	if (nlh->nlmsg_type != RTM_NEWLINK || mnl_nlmsg_get_payload_len(nlh) < sizeof(*link))
		return MNL_CB_OK;
	*(unsigned int *)data = link->ifi_flags;
	return MNL_CB_STOP;
}

int netlink_link_is_up(struct netlink *nl, unsigned int index, bool *upp)
{
	struct nlmsghdr *nlh = netlink_request(nl, RTM_GETLINK, 0);
	struct ifinfomsg *link = mnl_nlmsg_put_extra_header(nlh, sizeof(*link));
	unsigned int flags = 0;
	int r;

	link->ifi_family = AF_UNSPEC;
	link->ifi_index = (int)index;
	r = netlink_ask(nl, nlh, take_flags, &flags);
	if (r == 0)
		*upp = flags & IFF_UP;
	return r;
}

int netlink_address_add(struct netlink *nl, unsigned int index, const struct ip_addr *ip)
{
	struct nlmsghdr *nlh = netlink_request(nl, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
	struct ifaddrmsg *address = mnl_nlmsg_put_extra_header(nlh, sizeof(*address));
	uint32_t flags = IFA_F_NOPREFIXROUTE;

	if (ip->family == AF_INET6)
		flags |= IFA_F_NODAD;
	address->ifa_family = ip->family;
	address->ifa_prefixlen = (uint8_t)ip_bits(ip);
	address->ifa_index = index;
	netlink_put_ip(nlh, IFA_LOCAL, ip);
	netlink_put_ip(nlh, IFA_ADDRESS, ip);
	mnl_attr_put_u32(nlh, IFA_FLAGS, flags);
	return err_trace(netlink_transact(nl, nlh));
}

int netlink_device_set_up(struct netlink *nl, unsigned int index, uint32_t mtu,
			  const struct ip_addr *ips, size_t n_ips)
{
	int r = netlink_link_set_mtu(nl, index, mtu);

	if (r == 0)
		r = netlink_link_no_auto_address(nl, index);
	for (size_t i = 0; r == 0 && i < n_ips; i++)
		r = netlink_address_add(nl, index, &ips[i]);
	return r == 0 ? netlink_link_set_up(nl, index) : r;
}
