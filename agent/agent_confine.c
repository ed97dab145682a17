/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the agent may still do once it is set up: dial, carry bytes, read its config again, look
 * names up, keep its state file. It makes no process and reads no credentials any more.
 */

#include <linux/netlink.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "agent/agent_private.h"
#include "base/confinement.h"
#include "base/diag.h"
#include "base/syscall_groups.h"

/* clang-format off */
static const struct syscall_group groups[] = {
	SYSCALLS_MEMORY,
	SYSCALLS_THREADS,
	SYSCALLS_SIGNALS,
	SYSCALLS_CLOCK,
	SYSCALLS_LOOP,
	SYSCALLS_STREAMS,
	SYSCALLS_DESCRIPTORS,
	{
		.reason = "dialling edges and origins; UDP and ping; netlink; systemd's socket",
		.names = "bind connect getsockname getsockopt recvmmsg recvmsg sendmsg "
			 "setsockopt",
		.rules = {
			{"ioctl", 1, SYSCALL_EXACTLY, SIOCGIFNAME, SYSCALL_ALWAYS},
			/* A name server like fe80::1%eth0. */
			{"ioctl", 1, SYSCALL_EXACTLY, SIOCGIFINDEX, SYSCALL_ALWAYS},
			{"socket", 0, SYSCALL_EXACTLY, AF_INET, SYSCALL_ALWAYS},
			{"socket", 0, SYSCALL_EXACTLY, AF_INET6, SYSCALL_ALWAYS},
			{"socket", 0, SYSCALL_EXACTLY, AF_NETLINK, SYSCALL_ALWAYS},
			{"socket", 0, SYSCALL_EXACTLY, AF_UNIX, SYSCALL_ALWAYS},
		},
	},
	{
		.reason = "the control socket, also when a replaced agent's is taken over",
		.names = "accept4 chmod flock geteuid listen",
	},
	{
		.reason = "config.yml, resolv.conf and hosts, read again",
		.names = "fstat lseek newfstatat openat uname",
	},
	{
		.reason = "the state file, by rename; the end of a name",
		.names = "fchmod fsync rename unlink",
	},
};
/* clang-format on */

static void log_outcome(const struct diag *diag, const struct confined *done, int r)
{
	agent_log_findings(diag);
	if (r == 0)
		confined_log(done);
}

int agent_confine(struct agent *a)
{
	const struct landlock_area areas[] = {
		{a->opt->config_path, LANDLOCK_READ, true, "--config"},
		CONFINEMENT_LOOKUPS,
		{a->boot->state_dir, LANDLOCK_CHANGE, false, "state-directory"},
		{a->boot->control_socket, LANDLOCK_CHANGE, true, "control-socket"},
	};
	const struct confinement c = {
		.areas = areas,
		.n_areas = ARRAY_SIZE(areas),
		.groups = groups,
		.n_groups = ARRAY_SIZE(groups),
		.role = "the agent",
	};
	struct confined done;
	struct diag diag;
	int r;

	diag_init(&diag, NULL);
	r = confine(&c, &done, &diag);
	log_outcome(&diag, &done, r);
	diag_deinit(&diag);
	return r < 0 ? AGENT_EXIT_FAILED : AGENT_EXIT_OK;
}
