/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * netlink_private - requests and answers, for the netlink_* files alone
 *
 *   nlh = netlink_request(nl, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL);
 *   put the header and attributes
 *   r = netlink_transact(nl, nlh);
 *
 * The message is built in a buffer of the socket's own: one request at a time.
 */

#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "base/addr.h"
#include "tun/netlink_socket.h"

/* Starts a message of that type; NLM_F_REQUEST is added. Valid until the request after this. */
struct nlmsghdr *netlink_request(struct netlink *nl, uint16_t type, uint16_t flags);

/* Sends and waits for the acknowledgement. 0 or the kernel's -errno. */
int netlink_transact(struct netlink *nl, struct nlmsghdr *nlh);

/* Asks for one message, which goes to @take; a kernel error is the result. */
int netlink_ask(struct netlink *nl, struct nlmsghdr *nlh, mnl_cb_t take, void *data);

/*
 * Dumps, all messages to @take, which must not make requests on @nl. -EINTR: the tables changed
 * meanwhile, in a way that something may be missing.
 */
int netlink_dump(struct netlink *nl, struct nlmsghdr *nlh, mnl_cb_t take, void *data);

/* MNL_ALIGN() without its signed constant. */
static inline size_t netlink_align(size_t n)
{
	return (n + MNL_ALIGNTO - 1) / MNL_ALIGNTO * MNL_ALIGNTO;
}

static inline size_t netlink_ip_bytes(const struct ip_addr *ip)
{
	return ip_bits(ip) / 8;
}

static inline void netlink_put_ip(struct nlmsghdr *nlh, uint16_t type, const struct ip_addr *ip)
{
	mnl_attr_put(nlh, type, netlink_ip_bytes(ip), ip->bytes);
}

/* *@ipp stays as it is if the attribute has another length than an address of @family. */
void netlink_take_ip(const struct nlattr *attr, uint8_t family, struct ip_addr *ipp);
/* RTA_VIA: a next hop that may be of the other family (RFC 5549). */
void netlink_take_via(const struct nlattr *attr, struct ip_addr *ipp);
/* @name: of IF_NAMESIZE bytes; "" if there is none of that index. */
void netlink_take_interface(const struct nlattr *attr, char *name);
/* Of a u32 attribute; 0 if it isn't one. */
uint32_t netlink_take_u32(const struct nlattr *attr);
