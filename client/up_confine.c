/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the main process of `adit up` may still do once its routes are asked for: carry packets and
 * datagrams, dial the edge, look names up, ask the kernel about routes, wait for its helper. The
 * helper, which was forked before, runs resolvectl, and what it may do would be resolvectl's, too:
 * it has no filter.
 */

#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/confinement.h"
#include "base/diag.h"
#include "base/log.h"
#include "base/syscall_groups.h"
#include "client/up_private.h"

/* clang-format off */
static const struct syscall_group groups[] = {
	SYSCALLS_MEMORY,
	SYSCALLS_SIGNALS,
	SYSCALLS_CLOCK,
	SYSCALLS_LOOP,
	SYSCALLS_STREAMS,
	SYSCALLS_DESCRIPTORS,
	{
		.reason = "dialling the edge; name servers; netlink; systemd's socket",
		.names = "bind connect getpeername getsockname getsockopt recvmsg setsockopt",
		.rules = {
			{"ioctl", 1, SYSCALL_EXACTLY, SIOCGIFNAME, SYSCALL_ALWAYS},
			/* A name server like fe80::1%eth0. */
			{"ioctl", 1, SYSCALL_EXACTLY, SIOCGIFINDEX, SYSCALL_ALWAYS},
			{"socket", 0, SYSCALL_EXACTLY, AF_INET, SYSCALL_ALWAYS},
			{"socket", 0, SYSCALL_EXACTLY, AF_INET6, SYSCALL_ALWAYS},
			{"socket", 0, SYSCALL_EXACTLY, AF_NETLINK, SYSCALL_ALWAYS},
			{"socket", 0, SYSCALL_EXACTLY, AF_UNIX, SYSCALL_DATAGRAMS},
		},
	},
	{
		.reason = "captured connections, and commands",
		.names = "accept4",
	},
	{
		.reason = "a name asked over TCP, as a stream of our own",
		.rules = {{"socketpair", 0, SYSCALL_EXACTLY, AF_UNIX, SYSCALL_ALWAYS}},
	},
	{
		.reason = "resolv.conf and hosts, read again",
		.names = "fstat lseek newfstatat openat uname",
	},
	{
		.reason = "the end: the control socket's name, the helper's clean-up",
		.names = "unlink wait4",
	},
};
/* clang-format on */

static void log_outcome(const struct diag *diag, const struct confined *done, int r)
{
	for (size_t i = 0; i < diag->n_items; i++)
		LOG_AT(r < 0 ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, "confinement",
		       log_text("reason", diag->items[i].text), LOG_END);
	if (r == 0)
		confined_log(done);
}

int up_confine(struct up *u)
{
	const struct landlock_area areas[] = {
		CONFINEMENT_LOOKUPS,
		{u->host.socket_path, LANDLOCK_CHANGE, true, "--socket"},
	};
	const struct confinement c = {
		.areas = areas,
		.n_areas = ARRAY_SIZE(areas),
		.groups = groups,
		.n_groups = ARRAY_SIZE(groups),
		.role = "adit up",
	};
	struct confined done;
	struct diag diag;
	int r;

	diag_init(&diag, NULL);
	r = confine(&c, &done, &diag);
	log_outcome(&diag, &done, r);
	diag_deinit(&diag);
	return r;
}
