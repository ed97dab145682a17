/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The socket belongs to one client: its address is that of the TCP connection, its port what it
 * named or its first sound datagram came from. Flows are kept in the order of their last use.
 * One that was refused stays for a moment and swallows what comes, or each datagram of a client
 * that doesn't give up would be a request to the edge.
 */

#include "client/proxy_udp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "client/datagram_flow.h"
#include "client/keeper.h"
#include "client/socks.h"
#include "wire/io_loop.h"
#include "wire/resolve.h"
#include "wire/tcp_socket.h"

#define DATAGRAMS_PER_EVENT 64
#define SWEEP_MS	    1000
#define REFUSED_MS	    1000
#define EARLY_BYTES	    ((size_t)16 * 1024) /* of one flow, while its name is looked up */

struct proxy_udp {
	struct proxy_udp_options opt;
	struct endpoint client; /* port 0: not known yet */
	int fd;
	uv_poll_t poll;
	uv_timer_t sweep;
	unsigned int n_handles;
	struct list flows; /* the last used at the end */
	size_t n_flows;
};

struct udp_flow {
	struct list node;
	struct proxy_udp *udp;
	char host[HOST_NAME_MAX_LEN + 1]; /* as the client names it */
	struct endpoint target;		  /* its port from the start */
	struct resolve_query *query;	  /* while its name is looked up */
	struct buf early;		  /* meanwhile: sizes (size_t) and datagrams */
	struct datagram_flow *flow;	  /* NULL before, and when it was refused */
	uint64_t used_ms;		  /* refused: since when */
};

/* ---- flows ---- */

static void free_flow(struct udp_flow *f)
{
	list_remove(&f->node);
	f->udp->n_flows--;
	resolve_cancel(f->query);
	datagram_flow_free(f->flow);
	buf_deinit(&f->early);
	free(f);
}

static bool is_refused(const struct udp_flow *f)
{
	return !f->query && !f->flow;
}

static void refused(struct udp_flow *f, const char *text)
{
	char peer[ENDPOINT_TEXT_MAX];

	log_warn("datagrams refused", log_text("peer", endpoint_format(&f->udp->client, peer)),
		 log_text("host", f->host), log_int("port", f->target.port),
		 log_text("reason", text));
	buf_deinit(&f->early);
	f->used_ms = clock_boot_ms();
}

static void on_open(void *ctx UNUSED, struct datagram_flow *flow UNUSED)
{
}

/* What the client's socket doesn't take is lost, as datagrams are. */
static void on_datagram(void *ctx, struct datagram_flow *flow UNUSED, const uint8_t *data, size_t n)
{
	struct udp_flow *f = ctx;
	struct sockaddr_storage to;
	uint8_t head[SOCKS_UDP_HEAD_MAX];
	struct iovec parts[] = {
		{.iov_base = head, .iov_len = socks_udp_head(&f->target, head)},
		{.iov_base = (void *)(uintptr_t)data, .iov_len = n},
	};
	struct msghdr msg = {
		.msg_name = &to,
		.msg_namelen = endpoint_to_sockaddr(&f->udp->client, &to),
		.msg_iov = parts,
		.msg_iovlen = ARRAY_SIZE(parts),
	};

	f->used_ms = clock_boot_ms();
	(void)sendmsg(f->udp->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* SOCKS has no words for it. */
static void on_icmp_error(void *ctx UNUSED, struct datagram_flow *flow UNUSED, uint8_t type UNUSED,
			  uint8_t code UNUSED)
{
}

static void on_end(void *ctx, struct datagram_flow *flow, const struct datagram_flow_end *end)
{
	struct udp_flow *f = ctx;

	if (end->was_open) {
		free_flow(f);
		return;
	}
	f->flow = NULL;
	refused(f, end->text);
	datagram_flow_free(flow);
}

static const struct datagram_flow_events flow_events = {
	.on_open = on_open,
	.on_datagram = on_datagram,
	.on_icmp_error = on_icmp_error,
	.on_end = on_end,
};

static struct h2_session *session_of(void *ctx)
{
	const struct proxy_udp *u = ctx;

	return keeper_session(u->opt.keeper);
}

static void open_flow(struct udp_flow *f, const struct ip_addr *ip)
{
	struct proxy_udp *u = f->udp;
	struct datagram_flow_options opt = {
		.loop = u->opt.loop,
		.kind = DATAGRAM_UDP,
		.network = u->opt.network,
		.token = u->opt.token,
		.session = session_of,
		.session_ctx = u,
	};

	f->target.ip = ip_canonical(ip);
	opt.target = f->target;
	f->flow = datagram_flow_new(&opt, &flow_events, f);
}

static void send_early(struct udp_flow *f)
{
	size_t n;

	while (buf_take(&f->early, &n, sizeof(n)) == sizeof(n)) {
		(void)datagram_flow_send(f->flow, buf_peek(&f->early), n);
		buf_consume(&f->early, n);
	}
}

/* One address: nothing tells whether a datagram has arrived, so there is no next one to try. */
static void on_resolved(void *ctx, int status, const struct ip_addr *ips, size_t n UNUSED)
{
	struct udp_flow *f = ctx;

	f->query = NULL;
	if (status < 0) {
		refused(f, resolve_status_text(status));
		return;
	}
	open_flow(f, &ips[0]);
	send_early(f);
}

static void start_flow(struct udp_flow *f)
{
	struct ip_addr ip;
	int r;

	buf_init(&f->early, EARLY_BYTES);
	if (ip_parse(f->host, &ip) == 0) {
		open_flow(f, &ip);
		return;
	}
	r = resolve_host(f->udp->opt.resolver, f->host, on_resolved, f, &f->query);
	if (r < 0)
		refused(f, strerror(-r));
}

static struct udp_flow *add_flow(struct proxy_udp *u, const struct socks_datagram *d)
{
	struct udp_flow *f = xnew(struct udp_flow);

	if (u->n_flows == PROXY_UDP_FLOWS_MAX)
		free_flow(list_entry(u->flows.next, struct udp_flow, node));
	f->udp = u;
	memcpy(f->host, d->host, sizeof(f->host));
	f->target.port = d->port;
	list_append(&u->flows, &f->node);
	u->n_flows++;
	start_flow(f);
	return f;
}

static struct udp_flow *find_flow(struct proxy_udp *u, const struct socks_datagram *d)
{
	for (struct list *node = u->flows.prev; node != &u->flows; node = node->prev) {
		struct udp_flow *f = list_entry(node, struct udp_flow, node);

		if (f->target.port == d->port && strcmp(f->host, d->host) == 0)
			return f;
	}
	return NULL;
}

static void keep_early(struct udp_flow *f, const struct socks_datagram *d)
{
	size_t n = d->n_payload;

	if (n > EARLY_BYTES || buf_len(&f->early) + sizeof(n) + n > EARLY_BYTES)
		return;
	if (buf_append(&f->early, &n, sizeof(n)) == 0 && buf_append(&f->early, d->payload, n) < 0)
		buf_consume(&f->early, buf_len(&f->early));
}

static void pass_on(struct proxy_udp *u, const struct socks_datagram *d)
{
	struct udp_flow *f = find_flow(u, d);

	if (!f)
		f = add_flow(u, d);
	if (is_refused(f))
		return;
	f->used_ms = clock_boot_ms();
	list_remove(&f->node);
	list_append(&u->flows, &f->node);
	if (f->flow)
		(void)datagram_flow_send(f->flow, d->payload, d->n_payload);
	else
		keep_early(f, d);
}

static void on_sweep(uv_timer_t *timer)
{
	struct proxy_udp *u = timer->data;
	uint64_t now_ms = clock_boot_ms();
	struct list *node;
	struct list *tmp;

	list_for_each_safe (node, tmp, &u->flows) {
		struct udp_flow *f = list_entry(node, struct udp_flow, node);

		if (now_ms - f->used_ms >= (is_refused(f) ? REFUSED_MS : PROXY_UDP_IDLE_MS))
			free_flow(f);
	}
}

/* ---- the socket ---- */

static bool is_from_client(const struct proxy_udp *u, const struct endpoint *from)
{
	return ip_equal(&from->ip, &u->client.ip) &&
	       (!u->client.port || from->port == u->client.port);
}

static void take_datagram(struct proxy_udp *u, const struct sockaddr *sa, const uint8_t *data,
			  size_t n)
{
	struct socks_datagram d = {0};
	struct endpoint from;

	if (endpoint_from_sockaddr(sa, &from) < 0)
		return;
	from.ip = ip_canonical(&from.ip);
	if (!is_from_client(u, &from) || socks_udp_parse(data, n, &d) < 0)
		return;
	u->client.port = from.port;
	pass_on(u, &d);
}

static void on_readable(uv_poll_t *poll, int status UNUSED, int events UNUSED)
{
	struct proxy_udp *u = poll->data;
	uint8_t *data = u->opt.loop->rx;

	for (int i = 0; i < DATAGRAMS_PER_EVENT; i++) {
		struct sockaddr_storage from;
		socklen_t n_from = sizeof(from);
		ssize_t n = recvfrom(u->fd, data, IO_LOOP_RX_BYTES, 0, (struct sockaddr *)&from,
				     &n_from);

		if (n < 0)
			return;
		take_datagram(u, (struct sockaddr *)&from, data, (size_t)n);
	}
}

/* On @local's address, any port. fd or -errno. */
static int open_socket(const struct endpoint *local)
{
	struct endpoint at = {.ip = local->ip};
	struct sockaddr_storage ss;
	socklen_t n = endpoint_to_sockaddr(&at, &ss);
	CLEANUP(close_fd)
	int fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int result;

	if (fd < 0 || bind(fd, (struct sockaddr *)&ss, n) < 0)
		return -errno;
	result = fd;
	fd = -1;
	return result;
}

/* ---- life ---- */

static int open_parts(struct proxy_udp *u, struct endpoint *boundp)
{
	uv_loop_t *uv = u->opt.loop->uv;
	int r;

	u->fd = open_socket(&u->opt.local);
	if (u->fd < 0)
		return err_trace(u->fd);
	r = tcp_socket_local(u->fd, boundp);
	if (r == 0)
		r = uv_poll_init(uv, &u->poll, u->fd);
	if (r < 0) {
		close_fd(u->fd);
		return err_trace(r);
	}
	uv_timer_init(uv, &u->sweep);
	u->n_handles = 2;
	u->poll.data = u;
	u->sweep.data = u;
	return 0;
}

int proxy_udp_new(struct proxy_udp **up, const struct proxy_udp_options *opt,
		  struct endpoint *boundp)
{
	struct proxy_udp *u = xnew(struct proxy_udp);
	int r;

	u->opt = *opt;
	u->opt.local.ip = ip_canonical(&opt->local.ip);
	u->client.ip = ip_canonical(&opt->client.ip);
	u->client.port = opt->client_port;
	list_init(&u->flows);
	r = open_parts(u, boundp);
	if (r < 0) {
		free(u);
		return r;
	}
	r = uv_poll_start(&u->poll, UV_READABLE, on_readable);
	if (r < 0) {
		proxy_udp_free(u);
		return err_trace(r);
	}
	uv_timer_start(&u->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
	*up = u;
	return 0;
}

static void closed_cb(uv_handle_t *handle)
{
	struct proxy_udp *u = handle->data;

	if (--u->n_handles == 0)
		free(u);
}

void proxy_udp_free(struct proxy_udp *u)
{
	if (!u)
		return;
	while (!list_is_empty(&u->flows))
		free_flow(list_entry(u->flows.next, struct udp_flow, node));
	uv_close((uv_handle_t *)&u->poll, closed_cb);
	uv_close((uv_handle_t *)&u->sweep, closed_cb);
	u->fd = close_fd(u->fd);
}
