/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One message goes up the channel, a struct up with descriptors attached; one byte, "go", may come
 * down. The channel's end means that the other side is gone, so nobody waits in vain.
 */

#include "tun/ns_child.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"

#define EXIT_SET_UP 70

struct up {
	int32_t result;
	uint32_t n_bytes;
	uint8_t bytes[NS_CHILD_BYTES_MAX];
	char reason[NS_CHILD_REASON_MAX];
};

union control {
	struct cmsghdr align;
	char space[CMSG_SPACE(sizeof(int) * NS_CHILD_FDS_MAX)];
};

/* Own ids to themselves: all that the kernel allows without a privilege. */
static int map_ids(uid_t uid, gid_t gid, struct diag *d)
{
	char uid_line[64];
	char gid_line[64];
	int r;

	snprintf(uid_line, sizeof(uid_line), "%u %u 1\n", uid, uid);
	snprintf(gid_line, sizeof(gid_line), "%u %u 1\n", gid, gid);
	r = file_set("/proc/self/setgroups", "deny");
	if (r == 0)
		r = file_set("/proc/self/uid_map", uid_line);
	if (r == 0)
		r = file_set("/proc/self/gid_map", gid_line);
	if (r < 0)
		diag_add(d, DIAG_ERROR, 0, "user namespace: mapping the own ids: %s", strerror(-r));
	return r;
}

static bool reads_number(const char *path, char number)
{
	CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	char c = 0;

	return fd >= 0 && read(fd, &c, 1) == 1 && c == number;
}

static const struct {
	const char *path;
	char number;
	const char *advice;
} obstacles[] = {
	{"/proc/sys/kernel/unprivileged_userns_clone", '0',
	 "kernel.unprivileged_userns_clone is 0: set it to 1"},
	{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", '1',
	 "kernel.apparmor_restrict_unprivileged_userns is 1: allow it to adit by a profile"},
	{"/proc/sys/user/max_user_namespaces", '0', "user.max_user_namespaces is 0: raise it"},
	{"/proc/sys/user/max_net_namespaces", '0', "user.max_net_namespaces is 0: raise it"},
};

static const char *find_obstacle(void)
{
	for (size_t i = 0; i < sizeof(obstacles) / sizeof(obstacles[0]); i++)
		if (reads_number(obstacles[i].path, obstacles[i].number))
			return obstacles[i].advice;
	return "user namespaces may be forbidden here, by a container or a unit";
}

/* In two steps: AppArmor may let us into a user namespace and then give no right there. */
static int enter_user(int flags, struct diag *d)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	int r = 0;

	/* A program with file capabilities can't write its own maps otherwise. */
	prctl(PR_SET_DUMPABLE, 1);
	if (unshare(CLONE_NEWUSER) < 0 || unshare(flags) < 0)
		r = -errno;
	if (r < 0) {
		diag_add(d, DIAG_ERROR, 0, "namespaces without root: %s: %s", strerror(-r),
			 find_obstacle());
		return r;
	}
	return map_ids(uid, gid, d);
}

static int enter(const struct ns_child_plan *plan, struct diag *d)
{
	int flags = CLONE_NEWNET | (plan->mounts ? CLONE_NEWNS : 0);

	if (plan->own_rights && unshare(flags) == 0)
		return 0;
	return enter_user(flags, d);
}

static void first_text(const struct diag *d, char text[NS_CHILD_REASON_MAX])
{
	snprintf(text, NS_CHILD_REASON_MAX, "%s", d->n_items ? d->items[0].text : "");
}

static void attach_fds(struct msghdr *msg, union control *control,
		       const struct ns_child_result *result)
{
	size_t n = sizeof(int) * result->n_fds;
	struct cmsghdr *c;

	if (!n)
		return;
	msg->msg_control = control->space;
	msg->msg_controllen = CMSG_SPACE(n);
	c = CMSG_FIRSTHDR(msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n);
	memcpy(CMSG_DATA(c), result->fds, n);
}

static int send_up(int channel, int r, struct ns_child_result *result, const struct diag *d)
{
	struct up up = {.result = r};
	struct iovec iov = {&up, sizeof(up)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	union control control = {0};

	if (r < 0) {
		first_text(d, up.reason);
	} else {
		up.n_bytes = (uint32_t)result->n_bytes;
		memcpy(up.bytes, result->bytes, result->n_bytes);
		attach_fds(&msg, &control, result);
	}
	return sendmsg(channel, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static bool may_go(int channel)
{
	char go = 0;
	ssize_t n;

	do
		n = recv(channel, &go, 1, 0);
	while (n < 0 && errno == EINTR);
	return n == 1;
}

/* Never returns: exit handlers and buffered output are the parent's. */
static void run_child(const struct ns_child_plan *plan, int channel)
{
	struct ns_child_result result = {0};
	struct diag d;
	int r;

	diag_init(&d, NULL);
	r = enter(plan, &d);
	/* Of no use without its parent. Only now: a change of credentials can reset it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (r == 0)
		r = plan->set_up(plan->ctx, &result, &d);
	if (send_up(channel, r, &result, &d) < 0 || r < 0)
		_exit(EXIT_SET_UP);
	diag_deinit(&d);
	ns_child_result_close(&result);
	if (!plan->proceed)
		_exit(0);
	if (!may_go(channel))
		_exit(EXIT_SET_UP);
	close_fd(channel);
	_exit(plan->proceed(plan->ctx));
}

static void take_fds(struct msghdr *msg, struct ns_child_result *result)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (n > NS_CHILD_FDS_MAX - result->n_fds)
			n = NS_CHILD_FDS_MAX - result->n_fds;
		memcpy(result->fds + result->n_fds, CMSG_DATA(c), n * sizeof(int));
		result->n_fds += n;
	}
}

static int receive_up(int channel, struct ns_child_result *result, struct diag *d)
{
	struct up up = {0};
	struct iovec iov = {&up, sizeof(up)};
	union control control;
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.space,
			     .msg_controllen = sizeof(control.space)};
	ssize_t n;

	do
		n = recvmsg(channel, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	*result = (struct ns_child_result){0};
	take_fds(&msg, result);
	if (n != sizeof(up) || up.n_bytes > sizeof(up.bytes)) {
		ns_child_result_close(result);
		diag_add(d, DIAG_ERROR, 0, "the child in its namespaces died");
		return -ECHILD;
	}
	result->n_bytes = up.n_bytes;
	memcpy(result->bytes, up.bytes, up.n_bytes);
	up.reason[sizeof(up.reason) - 1] = '\0';
	if (up.result < 0)
		diag_add(d, DIAG_ERROR, 0, "%s", *up.reason ? up.reason : strerror(-up.result));
	return up.result;
}

static void reap(struct ns_child *child)
{
	while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
		;
	child->pid = 0;
}

int ns_child_start(const struct ns_child_plan *plan, struct ns_child *childp,
		   struct ns_child_result *resultp, struct diag *d)
{
	struct ns_child child = NS_CHILD_NONE;
	int ends[2];
	int r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_trace(-errno);
	child.pid = fork();
	if (child.pid == 0) {
		close_fd(ends[0]);
		run_child(plan, ends[1]);
	}
	r = child.pid < 0 ? -errno : 0;
	child.channel = ends[0];
	close_fd(ends[1]);
	if (r == 0)
		r = receive_up(child.channel, resultp, d);
	if (child.pid > 0 && (r < 0 || !plan->proceed))
		reap(&child);
	if (r < 0 || !plan->proceed)
		child.channel = close_fd(child.channel);
	if (r == 0 && childp)
		*childp = child;
	return err_trace(r);
}

int ns_child_go(struct ns_child *child)
{
	char go = 1;

	if (send(child->channel, &go, 1, MSG_NOSIGNAL) < 0)
		return err_trace(-errno);
	child->went = true;
	return 0;
}

void ns_child_close(struct ns_child *child)
{
	child->channel = close_fd(child->channel);
	if (child->pid > 0 && !child->went)
		reap(child);
}

void ns_child_result_close(struct ns_child_result *result)
{
	for (size_t i = 0; i < result->n_fds; i++)
		close_fd(result->fds[i]);
	result->n_fds = 0;
}
