/* SPDX-License-Identifier: Apache-2.0 */
#include "tun/netlink_rule.h"

#include <linux/fib_rules.h>

#include "base/err.h"
#include "tun/netlink_private.h"

static struct nlmsghdr *build(struct netlink *nl, uint16_t type, uint16_t flags,
			      const struct tun_numbers *numbers, enum netlink_rule_kind kind,
			      uint8_t family)
{
	struct nlmsghdr *nlh = netlink_request(nl, type, flags);
	struct fib_rule_hdr *rule = mnl_nlmsg_put_extra_header(nlh, sizeof(*rule));
	bool local = kind == NETLINK_RULE_LOCAL_FIRST;

	rule->family = family;
	rule->action = FR_ACT_TO_TBL;
	mnl_attr_put_u32(nlh, FRA_PRIORITY, local ? numbers->priority_local : numbers->priority);
	mnl_attr_put_u32(nlh, FRA_TABLE, local ? RT_TABLE_MAIN : numbers->table);
	mnl_attr_put_u8(nlh, FRA_PROTOCOL, TUN_PROTOCOL);
	if (local)
		mnl_attr_put_u32(nlh, FRA_SUPPRESS_PREFIXLEN, 0);
	return nlh;
}

int netlink_rule_add(struct netlink *nl, const struct tun_numbers *numbers,
		     enum netlink_rule_kind kind, uint8_t family)
{
	return err_trace(netlink_transact(
		nl, build(nl, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, numbers, kind, family)));
}

int netlink_rule_delete(struct netlink *nl, const struct tun_numbers *numbers,
			enum netlink_rule_kind kind, uint8_t family)
{
	return err_trace(netlink_transact(nl, build(nl, RTM_DELRULE, 0, numbers, kind, family)));
}
