/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Nobody is known here yet, so everything is bounded: handshakes per second, handshakes at a
 * time, and what each may take (wire/link.h). Of too many handshakes the oldest is dropped: an
 * honest one takes a few round trips, one that is there to be in the way stays. A link that has
 * shown its ALPN is handed on, with its place under the limit of its kind, and forgotten.
 */

#include "edge/listener.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/list.h"
#include "base/log.h"
#include "edge/connection.h"
#include "edge/edge.h"
#include "edge/ingress.h"
#include "wire/link.h"
#include "wire/tcp_socket.h"

#define ACCEPTS_PER_EVENT 64

struct socket_watch {
	struct listener *listener;
	int fd;
	uv_poll_t poll;
	struct endpoint local;
};

/* A link whose TLS handshake is under way. */
struct newcomer {
	struct list node;
	struct listener *listener;
	struct link *link;
};

struct listener {
	struct edge *edge;
	struct list newcomers;
	size_t n_newcomers;
	size_t n_sockets;
	size_t n_handles;
	bool is_paused; /* newcomers wait in the backlog until the next tick */
	struct {
		uint64_t second; /* the running one, boot clock */
		uint32_t n;	 /* handshakes begun in it */
	} rate;
	struct socket_watch sockets[EDGE_LISTEN_MAX];
};

static void newcomer_free(struct newcomer *n)
{
	list_remove(&n->node);
	n->listener->n_newcomers--;
	free(n);
}

/* Strangers must not keep out those who could show a token or a tunnel's secret. */
static bool has_place(struct edge *e, bool is_client)
{
	const struct edge_limits *l = &e->settings->limits;

	if (is_client)
		return e->n_clients < l->max_clients || ingress_evict_stranger(e);
	return e->n_connections < l->max_connections || connection_evict_stranger(e);
}

static void link_on_secure(void *ctx, struct link *link)
{
	struct newcomer *n = ctx;
	struct edge *e = n->listener->edge;
	bool is_client = link_alpn(link) != NULL;
	bool is_surplus = !has_place(e, is_client);

	if (is_surplus)
		limits_note(e, is_client ? EDGE_LIMIT_CLIENTS : EDGE_LIMIT_CONNECTIONS);
	if (is_surplus && e->n_surplus >= EDGE_SURPLUS_MAX) {
		link_close(link, LINK_END_LIMIT);
		return;
	}
	newcomer_free(n);
	if (is_client)
		ingress_new(e, link, is_surplus);
	else
		connection_new(e, link, is_surplus);
}

static void link_on_closed(void *ctx, struct link *link, enum link_end why UNUSED)
{
	char peer[ENDPOINT_TEXT_MAX];

	log_debug("handshake failed", log_text("peer", endpoint_format(link_peer(link), peer)),
		  log_text("reason", link_error_text(link)));
	newcomer_free(ctx);
	link_free(link);
}

static const struct link_events link_events = {
	.on_secure = link_on_secure,
	.on_closed = link_on_closed,
};

/* Handshakes cost CPU before anybody has shown who he is. */
static bool may_shake_hands(struct listener *l)
{
	uint64_t second = clock_boot_ms() / MSEC_PER_SEC;

	if (l->rate.second != second) {
		l->rate.second = second;
		l->rate.n = 0;
	}
	return l->rate.n < l->edge->settings->limits.handshakes_per_second;
}

static void drop_oldest(struct listener *l)
{
	struct newcomer *n = list_entry(l->newcomers.next, struct newcomer, node);

	link_free(n->link);
	newcomer_free(n);
}

static void make_room(struct listener *l)
{
	if (l->n_newcomers < l->edge->settings->limits.max_handshakes)
		return;
	limits_note(l->edge, EDGE_LIMIT_HANDSHAKES);
	while (l->n_newcomers >= l->edge->settings->limits.max_handshakes)
		drop_oldest(l);
}

static void welcome(struct listener *l, int fd)
{
	struct newcomer *n = xnew(struct newcomer);

	make_room(l);
	n->listener = l;
	list_append(&l->newcomers, &n->node);
	l->n_newcomers++;
	if (link_adopt(&n->link, l->edge->io, l->edge->tls, fd, &link_events, n) < 0)
		newcomer_free(n);
}

/* The socket stays readable: without a pause the loop would turn and turn. */
static void hold_off(struct listener *l)
{
	l->is_paused = true;
	for (size_t i = 0; i < l->n_sockets; i++)
		uv_poll_stop(&l->sockets[i].poll);
}

/* A descriptor or -errno. A newcomer waits rather than take what the control socket needs. */
static int accept_fd(int listen_fd)
{
	int r = fd_check_spare(listen_fd);
	int fd;

	/* To who waits outside it is the same as none. */
	if (r != 0)
		return r == FD_E_SPARE ? -EMFILE : r;
	fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static bool is_shortage(int r)
{
	return r == -EMFILE || r == -ENFILE || r == -ENOBUFS || r == -ENOMEM;
}

/*
 * The descriptors are used up before the limits are reached. True: a stranger gives his back in
 * this turn of the loop, and the socket, which stays readable, is looked at again.
 */
static bool evict_stranger(struct edge *e)
{
	return ingress_evict_stranger(e) || connection_evict_stranger(e);
}

/* True when there may be more to accept. */
static bool accept_one(struct listener *l, int listen_fd)
{
	int fd;

	if (!may_shake_hands(l)) {
		log_warn("handshake limit reached: new connections wait");
		hold_off(l);
		return false;
	}
	fd = accept_fd(listen_fd);
	if (fd >= 0) {
		l->rate.n++;
		welcome(l, fd);
		return true;
	}
	if (is_shortage(fd) && evict_stranger(l->edge))
		return false;
	if (is_shortage(fd)) {
		log_error("can't accept: new connections wait", log_text("reason", strerror(-fd)));
		hold_off(l);
		return false;
	}
	return fd == -ECONNABORTED || fd == -EINTR;
}

static void listener_poll_cb(uv_poll_t *poll, int status, int events UNUSED)
{
	struct socket_watch *w = poll->data;

	if (status < 0)
		return;
	for (unsigned int i = 0; i < ACCEPTS_PER_EVENT; i++) {
		if (!accept_one(w->listener, w->fd))
			return;
	}
}

void listener_tick(struct listener *l)
{
	if (!l || !l->is_paused)
		return;
	l->is_paused = false;
	for (size_t i = 0; i < l->n_sockets; i++)
		(void)uv_poll_start(&l->sockets[i].poll, UV_READABLE, listener_poll_cb);
}

static int add_socket(struct listener *l, const struct endpoint *ep)
{
	struct socket_watch *w = &l->sockets[l->n_sockets];
	int fd = tcp_socket_listen(ep);
	int r;

	if (fd < 0)
		return fd;
	r = uv_poll_init(l->edge->uv, &w->poll, fd);
	if (r < 0) {
		close_fd(fd);
		return r;
	}
	w->fd = fd;
	w->listener = l;
	w->poll.data = w;
	(void)tcp_socket_local(fd, &w->local);
	l->n_sockets++;
	l->n_handles++;
	return uv_poll_start(&w->poll, UV_READABLE, listener_poll_cb);
}

static const char *hint_of(int r)
{
	switch (r) {
	case -EADDRINUSE:
		return ": another program has that port";
	case -EADDRNOTAVAIL:
		return ": this host doesn't have that address";
	case -EACCES:
		return ": ports below 1024 need CAP_NET_BIND_SERVICE";
	default:
		return "";
	}
}

static void explain(struct diag *diag, const struct endpoint *ep, int r)
{
	char text[ENDPOINT_TEXT_MAX];

	diag_add(diag, DIAG_ERROR, 0, "can't listen on %s: %s%s", endpoint_format(ep, text),
		 strerror(-r), hint_of(r));
}

static void log_sockets(const struct listener *l)
{
	for (size_t i = 0; i < l->n_sockets; i++) {
		char text[ENDPOINT_TEXT_MAX];

		log_info("listening",
			 log_text("address", endpoint_format(&l->sockets[i].local, text)));
	}
}

int listener_new(struct listener **lp, struct edge *e, struct diag *diag)
{
	struct listener *l = xnew(struct listener);

	l->edge = e;
	list_init(&l->newcomers);
	for (size_t i = 0; i < e->settings->n_listen; i++) {
		int r = add_socket(l, &e->settings->listen[i]);

		if (r == 0)
			continue;
		explain(diag, &e->settings->listen[i], r);
		listener_free(l);
		return r;
	}
	log_sockets(l);
	*lp = l;
	return 0;
}

static void listener_closed_cb(uv_handle_t *handle)
{
	struct listener *l = ((struct socket_watch *)handle->data)->listener;

	if (--l->n_handles == 0)
		free(l);
}

static void drop_newcomers(struct listener *l)
{
	while (!list_is_empty(&l->newcomers))
		drop_oldest(l);
}

void listener_free(struct listener *l)
{
	if (!l)
		return;
	drop_newcomers(l);
	if (l->n_handles == 0) {
		free(l);
		return;
	}
	for (size_t i = 0; i < l->n_sockets; i++) {
		uv_close((uv_handle_t *)&l->sockets[i].poll, listener_closed_cb);
		close_fd(l->sockets[i].fd);
	}
}

size_t listener_n_handshakes(const struct listener *l)
{
	return l ? l->n_newcomers : 0;
}

struct json_t *listener_json(const struct listener *l)
{
	json_t *array = json_array();

	for (size_t i = 0; l && i < l->n_sockets; i++) {
		char text[ENDPOINT_TEXT_MAX];

		json_array_append_new(array,
				      json_string(endpoint_format(&l->sockets[i].local, text)));
	}
	return array;
}
