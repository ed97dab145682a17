/* SPDX-License-Identifier: Apache-2.0 */

/* Takes the place of netlink_watch.c where there is no libmnl: nobody hears of changes. */

#include "tun/netlink_watch.h"

#include <errno.h>

#include "base/compiler.h"

int netlink_watch_new(struct netlink_watch **wp, uv_loop_t *uv UNUSED, unsigned int topics UNUSED,
		      netlink_watch_cb cb UNUSED, void *ctx UNUSED)
{
	*wp = NULL;
	return -EOPNOTSUPP;
}

struct netlink_watch *netlink_watch_free(struct netlink_watch *w UNUSED)
{
	return NULL;
}
