/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The main process's side. Requests wait in `unsent` until the socket has room, then in `sent`
 * until their answer, both in order, so an answer always belongs to the first of `sent`. Callbacks
 * run from the poll callback only; memory goes in the handle's close callback.
 */

#include "client/net_helper.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/list.h"
#include "client/net_helper_service.h"

#define STOP_PATIENCE_MS 10000
#define REPLIES_A_TURN	 256

struct waiting {
	struct list node;
	net_helper_done done;
	void *ctx;
	uint32_t id;
	size_t n;
	uint8_t data[]; /* the request, of @n bytes */
};

struct net_helper {
	struct net_helper_config config; /* with prefixes of its own */
	int fd;
	pid_t pid; /* 0: reaped */
	int status;
	uint32_t last_id;
	struct list unsent;
	struct list sent;
	size_t n_pending;
	bool attached;
	bool lost;    /* the other end is gone */
	bool closing; /* net_helper_free() was called */
	uv_poll_t poll;
	void (*on_lost)(void *ctx);
	void *ctx;
};

static int check_config(const struct net_helper_config *config, struct diag *d)
{
	if (config->bounds.n_prefixes > NET_BOUNDS_MAX) {
		diag_add(d, DIAG_ERROR, 0, "%zu prefixes to capture from, at most %d",
			 config->bounds.n_prefixes, NET_BOUNDS_MAX);
		return -E2BIG;
	}
	return 0;
}

static struct prefix *copy_prefixes(const struct net_bounds *bounds)
{
	size_t n = bounds->n_prefixes * sizeof(*bounds->prefixes);
	struct prefix *copy = malloc(n ? n : 1);

	if (!copy)
		abort(); /* at most NET_BOUNDS_MAX, at start */
	if (n)
		memcpy(copy, bounds->prefixes, n);
	return copy;
}

static struct net_helper *new_helper(const struct net_helper_config *config)
{
	struct net_helper *h = xnew(struct net_helper);

	h->config = *config;
	h->config.bounds.prefixes = copy_prefixes(&config->bounds);
	h->fd = -1;
	list_init(&h->unsent);
	list_init(&h->sent);
	return h;
}

static void free_memory(struct net_helper *h)
{
	close_fd(h->fd);
	free((void *)(uintptr_t)h->config.bounds.prefixes);
	free(h);
}

/* Blocks until the helper says whether it could start. */
static int read_hello(int fd)
{
	struct net_reply reply;
	ssize_t n;

	do
		n = recv(fd, &reply, sizeof(reply), 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n == sizeof(reply) ? reply.result : -ECHILD;
}

static void reap(struct net_helper *h)
{
	int status = 0;

	while (waitpid(h->pid, &status, 0) < 0 && errno == EINTR)
		;
	h->pid = 0;
	h->status = WIFEXITED(status) ? WEXITSTATUS(status) : -ECHILD;
}

static int fork_helper(struct net_helper *h)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	h->pid = fork();
	if (h->pid == 0) {
		close_fd(ends[0]);
		_exit(net_helper_service_run(ends[1], &h->config));
	}
	h->fd = ends[0];
	close_fd(ends[1]);
	return h->pid < 0 ? -errno : 0;
}

int net_helper_start(const struct net_helper_config *config, struct net_helper **helperp,
		     struct diag *d)
{
	int r = check_config(config, d);
	struct net_helper *h;

	if (r < 0)
		return err_trace(r);
	h = new_helper(config);
	r = fork_helper(h);
	if (r == 0)
		r = read_hello(h->fd);
	if (r < 0) {
		diag_add(d, DIAG_ERROR, 0, "the network helper can't start: %s%s", strerror(-r),
			 r == -EPERM ? ": CAP_NET_ADMIN is needed" : "");
		if (h->pid > 0)
			reap(h);
		free_memory(h);
		return err_trace(r);
	}
	*helperp = h;
	return 0;
}

static void answer(struct net_helper *h, struct list *node, int result, const char *text)
{
	struct waiting *w = list_entry(node, struct waiting, node);

	h->n_pending--;
	if (w->done)
		w->done(w->ctx, result, text);
	free(w);
}

static void drop_all(struct net_helper *h)
{
	struct list *lists[] = {&h->sent, &h->unsent};
	struct list *node;

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		while ((node = list_pop(lists[i])))
			free(list_entry(node, struct waiting, node));
	h->n_pending = 0;
}

static void lose(struct net_helper *h)
{
	struct list *node;

	if (h->lost)
		return;
	h->lost = true;
	uv_poll_stop(&h->poll);
	while (!h->closing && ((node = list_pop(&h->sent)) || (node = list_pop(&h->unsent))))
		answer(h, node, -EPIPE, "the network helper is gone");
	if (!h->closing && h->on_lost)
		h->on_lost(h->ctx);
}

/* True: go on reading. */
static bool take_reply(struct net_helper *h)
{
	struct net_reply reply;
	ssize_t n = recv(h->fd, &reply, sizeof(reply), MSG_DONTWAIT);
	struct list *first = h->sent.next;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n != sizeof(reply) || first == &h->sent ||
	    list_entry(first, struct waiting, node)->id != reply.id) {
		lose(h);
		return false;
	}
	reply.text[sizeof(reply.text) - 1] = '\0';
	list_remove(first);
	answer(h, first, reply.result, reply.text);
	return !h->closing;
}

/* An error here shows as end of file in the poll callback. */
static void send_more(struct net_helper *h)
{
	while (!list_is_empty(&h->unsent)) {
		struct list *first = h->unsent.next;
		struct waiting *w = list_entry(first, struct waiting, node);

		if (send(h->fd, w->data, w->n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			return;
		list_remove(first);
		list_append(&h->sent, first);
	}
}

static void poll_cb(uv_poll_t *poll, int status, int events);

static void watch(struct net_helper *h)
{
	int events = UV_READABLE | (list_is_empty(&h->unsent) ? 0 : UV_WRITABLE);

	if (!h->lost && !h->closing)
		(void)uv_poll_start(&h->poll, events, poll_cb);
}

static void poll_cb(uv_poll_t *poll, int status, int events)
{
	struct net_helper *h = poll->data;
	int n = 0;

	if (status < 0) {
		lose(h);
		return;
	}
	if (events & UV_READABLE)
		while (n++ < REPLIES_A_TURN && take_reply(h))
			;
	if (h->lost || h->closing)
		return;
	send_more(h);
	watch(h);
}

int net_helper_attach(struct net_helper *h, uv_loop_t *loop, void (*on_lost)(void *ctx), void *ctx)
{
	int r = uv_poll_init(loop, &h->poll, h->fd);

	if (r < 0)
		return err_trace(r);
	h->poll.data = h;
	h->attached = true;
	h->on_lost = on_lost;
	h->ctx = ctx;
	watch(h);
	return 0;
}

static int may_submit(const struct net_helper *h)
{
	if (h->lost || h->closing || !h->attached)
		return -EPIPE;
	return h->n_pending < NET_HELPER_PENDING_MAX ? 0 : -ENOBUFS;
}

/* Checked here as well: a mistake of ours is found where it was made. */
static int submit(struct net_helper *h, struct net_request *request, net_helper_done done,
		  void *ctx)
{
	size_t n = net_request_size(request->kind);
	struct net_request checked;
	struct waiting *w;
	int r = may_submit(h);

	if (r < 0)
		return r;
	if (net_request_check(&h->config.bounds, request, n, &checked))
		return err_trace(-EPERM);
	w = malloc(sizeof(*w) + n);
	if (!w)
		return -ENOMEM;
	request->id = ++h->last_id;
	w->done = done;
	w->ctx = ctx;
	w->id = request->id;
	w->n = n;
	memcpy(w->data, request, n);
	list_append(&h->unsent, &w->node);
	h->n_pending++;
	if (w->node.prev == &h->unsent)
		send_more(h);
	watch(h);
	return 0;
}

int net_helper_route_add(struct net_helper *h, enum netlink_route_kind kind,
			 const struct prefix *prefix, net_helper_done done, void *ctx)
{
	struct net_request request;

	net_request_route(&request, NET_REQUEST_ROUTE_ADD, &h->config.bounds, kind, prefix);
	return submit(h, &request, done, ctx);
}

int net_helper_route_delete(struct net_helper *h, enum netlink_route_kind kind,
			    const struct prefix *prefix, net_helper_done done, void *ctx)
{
	struct net_request request;

	net_request_route(&request, NET_REQUEST_ROUTE_DELETE, &h->config.bounds, kind, prefix);
	return submit(h, &request, done, ctx);
}

int net_helper_rule_add(struct net_helper *h, enum netlink_rule_kind kind, uint8_t family,
			net_helper_done done, void *ctx)
{
	struct net_request request;

	net_request_rule(&request, NET_REQUEST_RULE_ADD, &h->config.bounds, kind, family);
	return submit(h, &request, done, ctx);
}

int net_helper_rule_delete(struct net_helper *h, enum netlink_rule_kind kind, uint8_t family,
			   net_helper_done done, void *ctx)
{
	struct net_request request;

	net_request_rule(&request, NET_REQUEST_RULE_DELETE, &h->config.bounds, kind, family);
	return submit(h, &request, done, ctx);
}

int net_helper_dns_set(struct net_helper *h, const char *const *domains, size_t n_domains,
		       net_helper_done done, void *ctx)
{
	struct net_request request;
	int r = net_request_dns(&request, &h->config.bounds, domains, n_domains);

	return r < 0 ? r : submit(h, &request, done, ctx);
}

size_t net_helper_n_pending(const struct net_helper *h)
{
	return h->n_pending;
}

pid_t net_helper_pid(const struct net_helper *h)
{
	return h->pid;
}

/* Its end of the channel closes when it exits. */
static int wait_for_end(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	uint64_t end = clock_boot_ms() + STOP_PATIENCE_MS;
	struct net_reply reply;
	ssize_t n;

	for (;;) {
		uint64_t now = clock_boot_ms();

		if (now >= end)
			return -ETIMEDOUT;
		if (poll(&poll_fd, 1, (int)(end - now)) <= 0)
			continue;
		n = recv(fd, &reply, sizeof(reply), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return 0;
	}
}

int net_helper_stop(struct net_helper *h)
{
	int r;

	if (!h->pid)
		return h->status;
	if (h->attached)
		uv_poll_stop(&h->poll);
	h->lost = true;
	drop_all(h);
	shutdown(h->fd, SHUT_WR);
	r = wait_for_end(h->fd);
	if (r < 0)
		return err_trace(r);
	reap(h);
	return h->status;
}

static void close_cb(uv_handle_t *handle)
{
	free_memory(handle->data);
}

void net_helper_free(struct net_helper *h)
{
	if (!h || h->closing)
		return;
	(void)net_helper_stop(h);
	h->closing = true;
	if (h->attached)
		uv_close((uv_handle_t *)&h->poll, close_cb);
	else
		free_memory(h);
}
