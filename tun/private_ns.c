/* SPDX-License-Identifier: Apache-2.0 */
#include "tun/private_ns.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/file.h"
#include "tun/netlink_link.h"
#include "tun/netlink_route.h"
#include "tun/ns_child.h"
#include "tun/tun_numbers.h"

/*
 * The namespace is ours alone, so it needn't follow the host's settings. None is needed: where
 * /proc is read-only (a unit with ProtectKernelTunables) the kernel's defaults do.
 */
static const struct {
	const char *path;
	const char *value;
} settings[] = {
	{"/proc/sys/net/ipv6/conf/all/disable_ipv6", "0"},
	{"/proc/sys/net/ipv6/conf/default/disable_ipv6", "0"},
	{"/proc/sys/net/ipv4/conf/all/rp_filter", "0"},
	{"/proc/sys/net/ipv4/conf/default/rp_filter", "0"},
	{"/proc/sys/net/ipv4/tcp_congestion_control", TUN_CONGESTION},
	{"/proc/sys/net/ipv4/tcp_max_syn_backlog", "4096"},
	{"/proc/sys/net/core/somaxconn", "4096"},
};

static void apply_settings(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		(void)file_set(settings[i].path, settings[i].value);
}

/* Family 0 is one that isn't used. */
static int set_up_network(struct netlink *nl, unsigned int index,
			  const struct tun_addresses *addresses)
{
	struct ip_addr ips[2];
	size_t n_ips = 0;
	int r;

	if (addresses->local4.family)
		ips[n_ips++] = addresses->local4;
	if (addresses->local6.family)
		ips[n_ips++] = addresses->local6;
	r = netlink_link_set_up(nl, if_nametoindex("lo"));
	if (r == 0)
		r = netlink_device_set_up(nl, index, TUN_MTU, ips, n_ips);
	return r == 0 ? netlink_route_all(nl, index, ips, n_ips, NULL) : r;
}

static int set_up_device(const struct tun_device *device, const struct tun_addresses *addresses,
			 struct diag *d)
{
	CLEANUP(netlink_close) struct netlink *nl = NULL;
	int r = netlink_open(&nl);

	if (r == 0)
		r = set_up_network(nl, device->index, addresses);
	if (r < 0)
		diag_add(d, DIAG_ERROR, 0, "private namespace: device %s: %s%s%s", device->name,
			 strerror(-r), nl && *netlink_error(nl) ? ": " : "",
			 nl ? netlink_error(nl) : "");
	return r;
}

/* In the new namespace. */
static int set_up(struct private_ns *ns, const struct tun_addresses *addresses, uint16_t port,
		  struct diag *d)
{
	int r;

	apply_settings();
	r = tun_device_open(&ns->device, "adit%d", d);
	if (r == 0)
		r = set_up_device(&ns->device, addresses, d);
	if (r == 0)
		r = tun_listeners_open(&ns->listeners, &addresses->local4, &addresses->local6, port,
				       d);
	return r;
}

static int open_own(struct private_ns *ns, const struct tun_addresses *addresses, uint16_t port,
		    struct diag *d)
{
	CLEANUP(close_fd) int outside = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	int r;

	if (outside < 0 || unshare(CLONE_NEWNET) < 0) {
		r = -errno;
		diag_add(d, DIAG_ERROR, 0, "a private network namespace: %s%s", strerror(-r),
			 r == -EPERM ? ": CAP_SYS_ADMIN is needed" : "");
		return r;
	}
	r = set_up(ns, addresses, port, d);
	/* To go on in the wrong namespace would be worse than not to go on. */
	if (setns(outside, CLONE_NEWNET) < 0)
		abort();
	return r;
}

struct inside {
	const struct tun_addresses *addresses;
	uint16_t port;
};

/* It is handed back as it is, along with the descriptors. */
_Static_assert(sizeof(struct private_ns) <= NS_CHILD_BYTES_MAX, "fits into the child's message");

/* In the order in which they are attached; -1 isn't. */
static size_t list_fds(struct private_ns *ns, int *fdsp[3])
{
	fdsp[0] = &ns->device.fd;
	fdsp[1] = &ns->listeners.fd4;
	fdsp[2] = &ns->listeners.fd6;
	return 3;
}

static int set_up_in_child(void *ctx, struct ns_child_result *result, struct diag *d)
{
	const struct inside *inside = ctx;
	struct private_ns ns = PRIVATE_NS_NONE;
	int r = set_up(&ns, inside->addresses, inside->port, d);
	int *fds[3];
	size_t n = list_fds(&ns, fds);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		if (*fds[i] >= 0)
			result->fds[result->n_fds++] = *fds[i];
	result->n_bytes = sizeof(ns);
	memcpy(result->bytes, &ns, sizeof(ns));
	return 0;
}

/* Numbers of descriptors are the child's: which are there counts, ours take their place. */
static int take_handed(struct private_ns *ns, struct ns_child_result *result)
{
	size_t used = 0;
	int *fds[3];
	size_t n;

	if (result->n_bytes == sizeof(*ns)) {
		memcpy(ns, result->bytes, sizeof(*ns));
		n = list_fds(ns, fds);
		for (size_t i = 0; i < n; i++)
			if (*fds[i] >= 0)
				*fds[i] = used < result->n_fds ? result->fds[used++] : -1;
	}
	if (!used || used != result->n_fds) {
		ns_child_result_close(result);
		*ns = (struct private_ns)PRIVATE_NS_NONE;
		return -EBADMSG;
	}
	return 0;
}

static int open_by_child(struct private_ns *ns, const struct tun_addresses *addresses,
			 uint16_t port, struct diag *d)
{
	struct inside inside = {addresses, port};
	struct ns_child_plan plan = {.set_up = set_up_in_child, .ctx = &inside};
	struct ns_child_result result;
	int r = ns_child_start(&plan, NULL, &result, d);

	return r < 0 ? r : take_handed(ns, &result);
}

static int open_listeners(struct private_ns *ns, const struct tun_addresses *addresses,
			  uint16_t port, struct diag *d)
{
	return tun_listeners_open(&ns->listeners, &addresses->local4, &addresses->local6, port, d);
}

static const struct {
	const char *name;
	int (*open)(struct private_ns *ns, const struct tun_addresses *addresses, uint16_t port,
		    struct diag *d);
} forms[] = {
	[PRIVATE_NS_OWN] = {"two devices", open_own},
	[PRIVATE_NS_CHILD] = {"two devices, by a user namespace", open_by_child},
	[PRIVATE_NS_ONE_DEVICE] = {"one device", open_listeners},
};

const char *private_ns_form_name(enum private_ns_form form)
{
	return forms[form].name;
}

int private_ns_open_form(struct private_ns *nsp, enum private_ns_form form,
			 const struct tun_addresses *addresses, uint16_t port, struct diag *d)
{
	struct private_ns ns = PRIVATE_NS_NONE;
	int r = forms[form].open(&ns, addresses, port, d);

	if (r < 0) {
		private_ns_close(&ns);
		return err_trace(r);
	}
	ns.form = form;
	*nsp = ns;
	return 0;
}

/* What the first two said is only of interest if both failed. */
static void explain(struct diag *d, enum diag_kind kind, const struct diag *why)
{
	for (size_t i = 0; i < why->n_items; i++)
		diag_add(d, kind, 0, "%s", why->items[i].text);
}

static int open_any(struct private_ns *nsp, const struct tun_addresses *addresses, uint16_t port,
		    struct diag *why, struct diag *d)
{
	int r = private_ns_open_form(nsp, PRIVATE_NS_OWN, addresses, port, why);

	if (r < 0)
		r = private_ns_open_form(nsp, PRIVATE_NS_CHILD, addresses, port, why);
	if (r == 0)
		return 0;
	r = private_ns_open_form(nsp, PRIVATE_NS_ONE_DEVICE, addresses, port, d);
	explain(d, r < 0 ? DIAG_ERROR : DIAG_WARNING, why);
	if (r == 0)
		diag_add(d, DIAG_WARNING, 0,
			 "one device only: a firewall that drops new inbound connections will "
			 "stop it");
	return r;
}

int private_ns_open(struct private_ns *nsp, const struct tun_addresses *addresses, uint16_t port,
		    struct diag *d)
{
	struct diag why;
	int r;

	diag_init(&why, NULL);
	r = open_any(nsp, addresses, port, &why, d);
	diag_deinit(&why);
	return r;
}

void private_ns_close(struct private_ns *ns)
{
	tun_device_close(&ns->device);
	tun_listeners_close(&ns->listeners);
}
