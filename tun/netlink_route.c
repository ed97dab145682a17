/* SPDX-License-Identifier: Apache-2.0 */
#include "tun/netlink_route.h"

#include <errno.h>

#include "base/err.h"
#include "tun/netlink_private.h"
#include "tun/tun_numbers.h"

_Static_assert(TUN_TABLE_MAIN == RT_TABLE_MAIN, "the kernel's number");

static const uint8_t route_types[] = {
	[NETLINK_ROUTE_DEVICE] = RTN_UNICAST,
	[NETLINK_ROUTE_THROW] = RTN_THROW,
	[NETLINK_ROUTE_UNREACHABLE] = RTN_UNREACHABLE,
};

static void put_congestion(struct nlmsghdr *nlh, const char *name)
{
	struct nlattr *metrics = mnl_attr_nest_start(nlh, RTA_METRICS);

	mnl_attr_put_strz(nlh, RTAX_CC_ALGO, name);
	mnl_attr_nest_end(nlh, metrics);
}

static void put_device(struct nlmsghdr *nlh, struct rtmsg *rt, const struct netlink_route *route)
{
	if (rt->rtm_family == AF_INET)
		rt->rtm_scope = RT_SCOPE_LINK;
	mnl_attr_put_u32(nlh, RTA_OIF, route->index);
	if (route->source.family)
		netlink_put_ip(nlh, RTA_PREFSRC, &route->source);
	if (route->congestion)
		put_congestion(nlh, route->congestion);
}

/* The table is an attribute: the header's field has room for 255. */
static struct nlmsghdr *build(struct netlink *nl, uint16_t type, uint16_t flags,
			      const struct netlink_route *route)
{
	struct nlmsghdr *nlh = netlink_request(nl, type, flags);
	struct rtmsg *rt = mnl_nlmsg_put_extra_header(nlh, sizeof(*rt));

	rt->rtm_family = route->prefix.ip.family;
	rt->rtm_dst_len = route->prefix.bits;
	rt->rtm_protocol = TUN_PROTOCOL;
	rt->rtm_type = route_types[route->kind];
	if (route->prefix.bits)
		netlink_put_ip(nlh, RTA_DST, &route->prefix.ip);
	mnl_attr_put_u32(nlh, RTA_TABLE, route->table);
	if (route->metric)
		mnl_attr_put_u32(nlh, RTA_PRIORITY, route->metric);
	if (route->kind == NETLINK_ROUTE_DEVICE)
		put_device(nlh, rt, route);
	return nlh;
}

/* An unknown congestion control is EINVAL, as other mistakes are: asked once more without it. */
static int put_route(struct netlink *nl, const struct netlink_route *route, uint16_t flags)
{
	struct netlink_route plain = *route;
	int r = netlink_transact(nl, build(nl, RTM_NEWROUTE, flags, route));

	if (r != -EINVAL || !route->congestion)
		return err_trace(r);
	plain.congestion = NULL;
	return err_trace(netlink_transact(nl, build(nl, RTM_NEWROUTE, flags, &plain)));
}

int netlink_route_add(struct netlink *nl, const struct netlink_route *route)
{
	return put_route(nl, route, NLM_F_CREATE | NLM_F_EXCL);
}

int netlink_route_replace(struct netlink *nl, const struct netlink_route *route)
{
	return put_route(nl, route, NLM_F_CREATE | NLM_F_REPLACE);
}

/* Scope and metrics aren't compared if left out. */
int netlink_route_delete(struct netlink *nl, const struct netlink_route *route)
{
	struct netlink_route plain = *route;
	struct nlmsghdr *nlh;
	struct rtmsg *rt;

	plain.congestion = NULL;
	nlh = build(nl, RTM_DELROUTE, 0, &plain);
	rt = mnl_nlmsg_get_payload(nlh);
	rt->rtm_scope = RT_SCOPE_NOWHERE;
	return err_trace(netlink_transact(nl, nlh));
}

int netlink_route_all(struct netlink *nl, unsigned int index, const struct ip_addr *sources,
		      size_t n_sources, const char *congestion)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n_sources; i++) {
		const struct netlink_route route = {
			.kind = NETLINK_ROUTE_DEVICE,
			.prefix.ip.family = sources[i].family,
			.table = RT_TABLE_MAIN,
			.index = index,
			.source = sources[i],
			.congestion = congestion,
		};

		r = netlink_route_add(nl, &route);
	}
	return r;
}

struct main_walk {
	netlink_main_route_fn fn;
	void *ctx;
	uint8_t family;
	uint32_t table;
	struct netlink_main_route route;
};

static int take_attribute(const struct nlattr *attr, void *data)
{
	struct main_walk *walk = data;

	switch (mnl_attr_get_type(attr)) {
	case RTA_TABLE:
		walk->table = netlink_take_u32(attr);
		break;
	case RTA_DST:
		netlink_take_ip(attr, walk->family, &walk->route.prefix.ip);
		break;
	case RTA_OIF:
		netlink_take_interface(attr, walk->route.interface);
		break;
	case RTA_GATEWAY:
		netlink_take_ip(attr, walk->family, &walk->route.gateway);
		break;
	case RTA_VIA:
		netlink_take_via(attr, &walk->route.gateway);
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

/* "throw" in main doesn't stop the search; cached IPv6 entries aren't routes. */
static bool beats_captures(const struct rtmsg *rt)
{
	return rt->rtm_dst_len && rt->rtm_type != RTN_THROW && rt->rtm_type != RTN_LOCAL &&
	       !(rt->rtm_flags & RTM_F_CLONED);
}

static int take_main_route(const struct nlmsghdr *nlh, void *data)
{
	struct main_walk *walk = data;
	const struct rtmsg *rt = mnl_nlmsg_get_payload(nlh);

	if (nlh->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(nlh) < sizeof(*rt) ||
	    !beats_captures(rt))
		return MNL_CB_OK;
	walk->family = rt->rtm_family;
	walk->table = rt->rtm_table;
	walk->route = (struct netlink_main_route){.prefix.bits = rt->rtm_dst_len};
	if (mnl_attr_parse(nlh, sizeof(*rt), take_attribute, walk) < 0)
		return MNL_CB_ERROR;
	if (walk->table == RT_TABLE_MAIN && walk->route.prefix.ip.family)
		walk->fn(walk->ctx, &walk->route);
	return MNL_CB_OK;
}

static int dump_main(struct netlink *nl, uint8_t family, struct main_walk *walk)
{
	struct nlmsghdr *nlh = netlink_request(nl, RTM_GETROUTE, 0);
	struct rtmsg *rt = mnl_nlmsg_put_extra_header(nlh, sizeof(*rt));

	rt->rtm_family = family;
	mnl_attr_put_u32(nlh, RTA_TABLE, RT_TABLE_MAIN);
	return err_trace(netlink_dump(nl, nlh, take_main_route, walk));
}

int netlink_main_routes(struct netlink *nl, netlink_main_route_fn fn, void *ctx)
{
	struct main_walk walk = {.fn = fn, .ctx = ctx};
	int r = dump_main(nl, AF_INET, &walk);

	return r == 0 ? dump_main(nl, AF_INET6, &walk) : r;
}
