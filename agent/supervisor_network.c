/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a change of the host's network means for the links.
 *
 * An address that is gone takes every connection with it that it carried, without a word to
 * us: TCP would only find out by its time-outs. Anything less (another source or device for
 * the edge's address, a device that went down and may come back) is no proof; then the link
 * gets its PING now, and lives or dies by its answer as always.
 */

#include "agent/supervisor_private.h"
#include "base/log.h"
#include "tun/netlink_addr_get.h"
#include "wire/io_loop.h"

#define REASON_GONE "this host lost the connection's local address"

/* When the kernel doesn't tell, the link has the benefit of the doubt. */
static bool lost_its_address(const struct edge_link *el)
{
	const struct ip_addr *ip = edge_link_local_ip(el);
	bool exists = true;

	return ip->family && netlink_address_exists(ip, &exists) == 0 && !exists;
}

/* Ids first: replacing one changes the list. */
static size_t find_lost(const struct slot *slot, uint32_t ids[UPLINK_LINKS_MAX])
{
	struct list *pos;
	size_t n = 0;

	list_for_each (pos, &slot->links) {
		struct edge_link *el = edge_link_of_node(pos);

		if (lost_its_address(el) && n < UPLINK_LINKS_MAX)
			ids[n++] = edge_link_id(el);
		else
			edge_link_probe(el);
	}
	return n;
}

static void check_slot(struct slot *slot, struct supervisor_recheck *out, uint64_t now_ms)
{
	uint32_t ids[UPLINK_LINKS_MAX];
	size_t n;

	/* First, so that a link that is replaced below isn't dialled twice. */
	out->n_hurried += uplink_hurry(&slot->uplink, now_ms);
	n = find_lost(slot, ids);
	out->n_replaced += (unsigned int)n;
	for (size_t i = 0; i < n; i++)
		uplink_on_address_gone(&slot->uplink, ids[i], REASON_GONE, now_ms);
}

void supervisor_network_changed(struct supervisor *s, struct supervisor_recheck *out)
{
	uint64_t now_ms = io_loop_now_ms(s->opt.link.loop);

	*out = (struct supervisor_recheck){0};
	if (s->stopping)
		return;
	if (s->discover_ms != UINT64_MAX)
		s->discover_ms = now_ms;
	edge_pool_forgive(&s->pool);
	for (unsigned int i = 0; i < s->opt.n_uplinks; i++)
		check_slot(&s->slots[i], out, now_ms);
	supervisor_poke(s);
}
