/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Invariant: while the settle machine is pending the timer runs, up to its deadline. The
 * socket is read in bounded batches: the poll is level-triggered and brings us back.
 */

#include "tun/netlink_watch.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/err.h"
#include "tun/settle.h"

/* 40,000 messages don't fit anyhow; bursts as of a container's start do. */
#define RECEIVE_BUFFER_BYTES (2 * 1024 * 1024)
#define MESSAGE_MAX	     32768
#define BATCH_MAX	     64

struct netlink_watch {
	struct mnl_socket *socket;
	uv_poll_t poll;
	uv_timer_t timer;
	unsigned int n_handles;
	struct settle settle;
	struct netlink_change change;
	netlink_watch_cb cb;
	void *ctx;
	_Alignas(struct nlmsghdr) char buf[MESSAGE_MAX];
};

static const struct {
	unsigned int topic;
	int group;
} group_rows[] = {
	{NETLINK_LINKS, RTNLGRP_LINK},
	{NETLINK_ADDRESSES, RTNLGRP_IPV4_IFADDR},
	{NETLINK_ADDRESSES, RTNLGRP_IPV6_IFADDR},
	{NETLINK_ROUTES, RTNLGRP_IPV4_ROUTE},
	{NETLINK_ROUTES, RTNLGRP_IPV6_ROUTE},
	{NETLINK_RULES, RTNLGRP_IPV4_RULE},
	{NETLINK_RULES, RTNLGRP_IPV6_RULE},
};

static const struct {
	uint16_t type;
	unsigned int topic;
} type_rows[] = {
	{RTM_NEWLINK, NETLINK_LINKS},	  {RTM_DELLINK, NETLINK_LINKS},
	{RTM_NEWADDR, NETLINK_ADDRESSES}, {RTM_DELADDR, NETLINK_ADDRESSES},
	{RTM_NEWROUTE, NETLINK_ROUTES},	  {RTM_DELROUTE, NETLINK_ROUTES},
	{RTM_NEWRULE, NETLINK_RULES},	  {RTM_DELRULE, NETLINK_RULES},
};

/* ---- settling ---- */

static void timer_cb(uv_timer_t *timer);

static void arm_timer(struct netlink_watch *w, uint64_t now_ms)
{
	uint64_t at_ms = settle_deadline_ms(&w->settle);

	uv_update_time(w->timer.loop);
	uv_timer_start(&w->timer, timer_cb, at_ms > now_ms ? at_ms - now_ms : 0, 0);
}

static void note(struct netlink_watch *w)
{
	uint64_t now_ms = clock_boot_ms();

	settle_note(&w->settle, now_ms);
	arm_timer(w, now_ms);
}

static void timer_cb(uv_timer_t *timer)
{
	struct netlink_watch *w = timer->data;
	struct netlink_change change = w->change;
	uint64_t now_ms = clock_boot_ms();

	if (!settle_take(&w->settle, now_ms)) {
		if (w->settle.pending)
			arm_timer(w, now_ms);
		return;
	}
	w->change = (struct netlink_change){0};
	w->cb(w->ctx, &change);
}

/* ---- messages ---- */

static void take_gone(struct netlink_change *change, const struct nlmsghdr *nlh)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(nlh);

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*info) || change->n_gone == NETLINK_GONE_MAX)
		return;
	/* A bridge's port that leaves the bridge is reported likewise, and stays. */
	if (info->ifi_family == AF_UNSPEC)
		change->gone[change->n_gone++] = (unsigned int)info->ifi_index;
}

static int take_message(const struct nlmsghdr *nlh, void *data)
{
	struct netlink_change *change = data;

	for (size_t i = 0; i < ARRAY_SIZE(type_rows); i++)
		if (type_rows[i].type == nlh->nlmsg_type)
			change->topics |= type_rows[i].topic;
	if (nlh->nlmsg_type == RTM_DELLINK)
		take_gone(change, nlh);
	change->n_messages++;
	return MNL_CB_OK;
}

/* False: nothing is left to read. */
static bool read_one(struct netlink_watch *w)
{
	ssize_t n = mnl_socket_recvfrom(w->socket, w->buf, sizeof(w->buf));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	/* ENOBUFS: some were dropped; ENOSPC: one was cut. Each is news as well. */
	if (n < 0 || mnl_cb_run(w->buf, (size_t)n, 0, 0, take_message, &w->change) < 0)
		w->change.lost = true;
	note(w);
	return true;
}

static void poll_cb(uv_poll_t *poll, int status, int events UNUSED)
{
	struct netlink_watch *w = poll->data;

	for (int i = 0; i < BATCH_MAX && read_one(w); i++)
		continue;
	/* A dropped message is a socket error, and libuv ends the poll at that. */
	if (status < 0) {
		w->change.lost = true;
		note(w);
		(void)uv_poll_start(poll, UV_READABLE, poll_cb);
	}
}

/* ---- life ---- */

static void free_memory(struct netlink_watch *w)
{
	if (w->socket)
		mnl_socket_close(w->socket);
	free(w);
}

static void handle_closed_cb(uv_handle_t *handle)
{
	struct netlink_watch *w = handle->data;

	if (--w->n_handles == 0)
		free_memory(w);
}

/* The default holds 256 messages. Without the privilege net.core.rmem_max is the limit. */
static void enlarge_buffer(int fd)
{
	const int bytes = RECEIVE_BUFFER_BYTES;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
}

static int join_groups(struct mnl_socket *s, unsigned int topics)
{
	for (size_t i = 0; i < ARRAY_SIZE(group_rows); i++) {
		int group = group_rows[i].group;

		if (topics & group_rows[i].topic &&
		    mnl_socket_setsockopt(s, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
			return -errno;
	}
	return 0;
}

static int open_socket(struct netlink_watch *w, unsigned int topics)
{
	w->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!w->socket)
		return -errno;
	enlarge_buffer(mnl_socket_get_fd(w->socket));
	if (mnl_socket_bind(w->socket, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	return join_groups(w->socket, topics);
}

static int start_polling(struct netlink_watch *w, uv_loop_t *uv)
{
	int r = uv_poll_init(uv, &w->poll, mnl_socket_get_fd(w->socket));

	if (r < 0)
		return r;
	uv_timer_init(uv, &w->timer);
	w->n_handles = 2;
	w->poll.data = w;
	w->timer.data = w;
	/* Watching alone is no reason to keep a loop running. */
	uv_unref((uv_handle_t *)&w->poll);
	uv_unref((uv_handle_t *)&w->timer);
	return uv_poll_start(&w->poll, UV_READABLE, poll_cb);
}

int netlink_watch_new(struct netlink_watch **wp, uv_loop_t *uv, unsigned int topics,
		      netlink_watch_cb cb, void *ctx)
{
	struct netlink_watch *w = xnew(struct netlink_watch);
	int r;

	w->cb = cb;
	w->ctx = ctx;
	r = open_socket(w, topics);
	if (r == 0)
		r = start_polling(w, uv);
	if (r < 0) {
		netlink_watch_free(w);
		return err_trace(r);
	}
	*wp = w;
	return 0;
}

struct netlink_watch *netlink_watch_free(struct netlink_watch *w)
{
	if (!w)
		return NULL;
	if (w->n_handles == 0) {
		free_memory(w);
		return NULL;
	}
	uv_close((uv_handle_t *)&w->poll, handle_closed_cb);
	uv_close((uv_handle_t *)&w->timer, handle_closed_cb);
	return NULL;
}
