/* SPDX-License-Identifier: Apache-2.0 */
#include "client/exec_namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/file.h"
#include "tun/netlink_link.h"
#include "tun/netlink_route.h"
#include "tun/tun_device.h"
#include "tun/tun_numbers.h"

int exec_status_of_wait(int wait_status)
{
	return WIFSIGNALED(wait_status) ? EXEC_STATUS_SIGNAL + WTERMSIG(wait_status)
					: WEXITSTATUS(wait_status);
}

int exec_status_of_errno(int error)
{
	return error == ENOENT ? EXEC_STATUS_NOT_FOUND : EXEC_STATUS_NOT_STARTED;
}

/* ---- the network ---- */

/* Where /proc is read-only the kernel's defaults have to do: then there is no ping without root. */
static void apply_settings(void)
{
	char range[32];

	snprintf(range, sizeof(range), "%u %u", getegid(), getegid());
	(void)file_set("/proc/sys/net/ipv4/ping_group_range", range);
	(void)file_set("/proc/sys/net/ipv6/conf/all/disable_ipv6", "0");
	(void)file_set("/proc/sys/net/ipv6/conf/default/disable_ipv6", "0");
}

static int set_up_device(struct netlink *nl, unsigned int index, const struct tun_addresses *a)
{
	const struct ip_addr ips[] = {a->local4, a->local6};
	int r = netlink_link_set_up(nl, if_nametoindex("lo"));

	if (r == 0)
		r = netlink_device_set_up(nl, index, TUN_MTU, ips, ARRAY_SIZE(ips));
	return r == 0 ? netlink_route_all(nl, index, ips, ARRAY_SIZE(ips), TUN_CONGESTION) : r;
}

static int set_up_network(const struct tun_addresses *addresses, struct tun_device *devicep,
			  struct diag *d)
{
	CLEANUP(netlink_close) struct netlink *nl = NULL;
	int r = tun_device_open(devicep, "adit%d", d);

	if (r < 0)
		return r;
	apply_settings();
	r = netlink_open(&nl);
	if (r == 0)
		r = set_up_device(nl, devicep->index, addresses);
	if (r < 0)
		diag_add(d, DIAG_ERROR, 0, "device %s: %s%s%s", devicep->name, strerror(-r),
			 nl && *netlink_error(nl) ? ": " : "", nl ? netlink_error(nl) : "");
	return r;
}

/* ---- inside ---- */

/* Errors go on to the parent, which has to know one; warnings end here. */
static void report(const struct diag *found, struct diag *d)
{
	for (size_t i = 0; i < found->n_items; i++) {
		if (found->items[i].kind == DIAG_ERROR)
			diag_add(d, DIAG_ERROR, 0, "%s", found->items[i].text);
		else
			dprintf(STDERR_FILENO, "adit exec: %s\n", found->items[i].text);
	}
}

static int set_up_files(const struct exec_namespace *plan, struct diag *d)
{
	struct exec_files files = plan->files;
	struct diag found;
	int r;

	files.is_root_foreign = geteuid() != 0;
	diag_init(&found, NULL);
	r = exec_files_arrange(&files, &found);
	report(&found, d);
	diag_deinit(&found);
	return r;
}

static int set_up(void *ctx, struct ns_child_result *result, struct diag *d)
{
	const struct exec_namespace *plan = ctx;
	struct tun_device device = TUN_DEVICE_NONE;
	int r = set_up_network(&plan->addresses, &device, d);

	if (r == 0)
		r = set_up_files(plan, d);
	if (r < 0)
		return r;
	result->fds[result->n_fds++] = device.fd;
	return 0;
}

static int run_command(void *ctx)
{
	const struct exec_namespace *plan = ctx;
	int error;

	if (plan->network)
		setenv(EXEC_ENVIRONMENT, plan->network, 1);
	else
		unsetenv(EXEC_ENVIRONMENT);
	execvp(plan->argv[0], plan->argv);
	error = errno;
	dprintf(STDERR_FILENO, "adit exec: %s: %s\n", plan->argv[0],
		error == ENOENT ? "command not found" : strerror(error));
	return exec_status_of_errno(error);
}

int exec_namespace_start(const struct exec_namespace *plan, struct ns_child *childp,
			 int *device_fdp, struct diag *d)
{
	struct exec_namespace own = *plan;
	const struct ns_child_plan child_plan = {
		.mounts = true,
		.own_rights = true,
		.set_up = set_up,
		.proceed = run_command,
		.ctx = &own,
	};
	struct ns_child_result result;
	int r = ns_child_start(&child_plan, childp, &result, d);

	if (r < 0)
		return r;
	if (result.n_fds != 1) {
		ns_child_result_close(&result);
		ns_child_close(childp);
		return -EBADMSG;
	}
	*device_fdp = result.fds[0];
	return 0;
}
