/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The handshake only looks at the socket's bytes (MSG_PEEK) and takes those that the parser took:
 * what a client sends right behind its request is never in our hands. The socket is ours until
 * the edge's yes; then it is let go of and the conduit's.
 */

#include "client/proxy_client.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "client/conduit.h"
#include "client/keeper.h"
#include "client/proxy_handshake.h"
#include "client/proxy_udp.h"
#include "wire/io_loop.h"
#include "wire/tcp_socket.h"

#define PEEK_BYTES 2048

enum state {
	STATE_HANDSHAKE,
	STATE_WAITING,
	STATE_ASKING,
	STATE_RELAYING,
	STATE_ASSOCIATED,
	STATE_LINGERING,
	STATE_ENDED,
	STATE_N,
};

struct proxy_client {
	struct proxy_client_options opt;
	proxy_client_done done;
	void *ctx;
	enum state state;
	bool aborted;
	int fd;		 /* -1 while RELAYING: the conduit's */
	uv_poll_t *poll; /* NULL while RELAYING: its descriptor has another handle */
	uv_timer_t timer;
	struct proxy_handshake *handshake; /* until it is answered */
	struct proxy_request request;
	struct keeper_waiter waiter;
	struct conduit *conduit;
	struct proxy_udp *udp;
	char peer[ENDPOINT_TEXT_MAX];
};

#define MAY(state) (1u << STATE_##state)

static const unsigned int next_states[STATE_N] = {
	[STATE_HANDSHAKE] =
		MAY(WAITING) | MAY(ASKING) | MAY(ASSOCIATED) | MAY(LINGERING) | MAY(ENDED),
	[STATE_WAITING] = MAY(ASKING) | MAY(LINGERING) | MAY(ENDED),
	[STATE_ASKING] = MAY(RELAYING) | MAY(LINGERING) | MAY(ENDED),
	[STATE_RELAYING] = MAY(ENDED),
	[STATE_ASSOCIATED] = MAY(ENDED),
	[STATE_LINGERING] = MAY(ENDED),
};

static void set_state(struct proxy_client *c, enum state to)
{
	assert(next_states[c->state] & (1u << to));
	c->state = to;
}

/* ---- the end ---- */

static void poll_closed_cb(uv_handle_t *handle)
{
	free(handle);
}

static void timer_closed_cb(uv_handle_t *handle)
{
	free(container_of(handle, struct proxy_client, timer));
}

static void close_poll(struct proxy_client *c)
{
	if (c->poll)
		uv_close((uv_handle_t *)steal_ptr(c->poll), poll_closed_cb);
}

static void end(struct proxy_client *c)
{
	set_state(c, STATE_ENDED);
	keeper_forget(&c->waiter);
	proxy_udp_free(steal_ptr(c->udp));
	close_poll(c);
	c->fd = close_fd(c->fd);
	free(steal_ptr(c->handshake));
	uv_close((uv_handle_t *)&c->timer, timer_closed_cb);
	c->done(c->ctx, c);
}

static void on_timeout(uv_timer_t *timer)
{
	struct proxy_client *c = container_of(timer, struct proxy_client, timer);

	if (c->state == STATE_HANDSHAKE)
		log_warn("connection failed", log_text("peer", c->peer),
			 log_text("reason", "no request came in time"));
	end(c);
}

static void on_drain(uv_poll_t *poll, int status, int events UNUSED)
{
	struct proxy_client *c = poll->data;
	char dropped[PEEK_BYTES];
	ssize_t n = status < 0 ? 0 : recv(c->fd, dropped, sizeof(dropped), 0);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		end(c);
}

static void linger(struct proxy_client *c)
{
	set_state(c, STATE_LINGERING);
	(void)shutdown(c->fd, SHUT_WR);
	uv_timer_start(&c->timer, on_timeout, PROXY_LINGER_MS, 0);
	if (uv_poll_start(c->poll, UV_READABLE, on_drain) < 0)
		end(c);
}

/* ---- answers ---- */

/* They are small and the socket's buffer is empty: one that does not fit has a client that is
 * broken. 0 or -errno. */
static int send_reply(const struct proxy_client *c)
{
	const struct proxy_handshake *h = c->handshake;
	ssize_t n = send(c->fd, h->reply, h->n_reply, MSG_NOSIGNAL);

	if (n < 0)
		return -errno;
	return (size_t)n == h->n_reply ? 0 : -EPIPE;
}

static int answer(struct proxy_client *c, enum client_exit why, const char *text,
		  const struct endpoint *bound)
{
	proxy_handshake_answer(c->handshake, why, text, bound);
	return send_reply(c);
}

static void log_failure(const struct proxy_client *c, enum client_exit why, const char *text)
{
	if (!c->aborted)
		log_warn("connection failed", log_text("peer", c->peer), log_text("reason", text),
			 log_int("code", why));
}

static void refuse(struct proxy_client *c, enum client_exit why, const char *text)
{
	log_failure(c, why, text);
	if (!c->aborted && answer(c, why, text, NULL) == 0)
		linger(c);
	else
		end(c);
}

/* ---- CONNECT ---- */

static int on_answer(void *ctx)
{
	struct proxy_client *c = ctx;
	int r = answer(c, CLIENT_EXIT_OK, "", NULL);

	if (r < 0)
		return err_trace(r);
	close_poll(c);
	c->fd = -1;
	set_state(c, STATE_RELAYING);
	free(steal_ptr(c->handshake));
	return 0;
}

static void on_conduit_done(void *ctx, enum client_exit why, const char *text)
{
	struct proxy_client *c = ctx;

	c->conduit = NULL;
	if (c->state == STATE_ASKING) {
		refuse(c, why, text);
		return;
	}
	if (why == CLIENT_EXIT_OK)
		log_debug("connection ended", log_text("peer", c->peer));
	else
		log_failure(c, why, text);
	end(c);
}

static struct h2_session *session_of(void *ctx)
{
	const struct proxy_client *c = ctx;

	return keeper_session(c->opt.keeper);
}

static const char *network_of(const struct proxy_client *c)
{
	return c->request.network[0] ? c->request.network : c->opt.network;
}

static void ask(struct proxy_client *c)
{
	const struct conduit_options opt = {
		.loop = c->opt.loop,
		.resolver = c->opt.resolver,
		.host = c->request.host,
		.port = c->request.port,
		.network = network_of(c),
		.token = c->opt.token,
		.session = session_of,
		.session_ctx = c,
		.on_answer = on_answer,
	};
	int r;

	set_state(c, STATE_ASKING);
	r = conduit_start(&c->conduit, &opt, c->fd, c->fd, on_conduit_done, c);
	if (r < 0)
		refuse(c, CLIENT_EXIT_INTERNAL, strerror(-r));
}

static void on_decided(struct keeper_waiter *w, enum client_exit why, const char *text)
{
	struct proxy_client *c = container_of(w, struct proxy_client, waiter);

	if (why == CLIENT_EXIT_OK)
		ask(c);
	else
		refuse(c, why, text);
}

static void connect_to_target(struct proxy_client *c)
{
	if (keeper_session(c->opt.keeper)) {
		ask(c);
		return;
	}
	set_state(c, STATE_WAITING);
	keeper_wait(c->opt.keeper, &c->waiter);
}

/* ---- UDP ASSOCIATE ---- */

static int open_udp(struct proxy_client *c, struct endpoint *bound)
{
	struct proxy_udp_options opt = {
		.loop = c->opt.loop,
		.resolver = c->opt.resolver,
		.keeper = c->opt.keeper,
		.token = c->opt.token,
		.network = network_of(c),
		.client_port = c->request.port,
	};
	int r = tcp_socket_local(c->fd, &opt.local);

	if (r == 0)
		r = tcp_socket_peer(c->fd, &opt.client);
	if (r == 0)
		r = proxy_udp_new(&c->udp, &opt, bound);
	return r;
}

static void associate(struct proxy_client *c)
{
	struct endpoint bound;
	int r = open_udp(c, &bound);

	if (r < 0) {
		refuse(c, CLIENT_EXIT_INTERNAL, strerror(-r));
		return;
	}
	if (answer(c, CLIENT_EXIT_OK, "", &bound) < 0) {
		end(c);
		return;
	}
	free(steal_ptr(c->handshake));
	set_state(c, STATE_ASSOCIATED);
	/* Its end is the association's end. */
	if (uv_poll_start(c->poll, UV_READABLE, on_drain) < 0)
		end(c);
}

/* ---- the handshake ---- */

static void serve_request(struct proxy_client *c)
{
	uv_timer_stop(&c->timer);
	uv_poll_stop(c->poll);
	c->request = *proxy_handshake_request(c->handshake);
	if (c->request.command == PROXY_COMMAND_UDP)
		associate(c);
	else
		connect_to_target(c);
}

static void refuse_request(struct proxy_client *c)
{
	log_warn("request refused", log_text("peer", c->peer),
		 log_text("reason", proxy_handshake_error(c->handshake)));
	if (send_reply(c) == 0)
		linger(c);
	else
		end(c);
}

/* Feeds all of it, answering on the way. Returns the parser's last word, or -errno. */
static int feed(struct proxy_client *c, const uint8_t *data, size_t n, size_t *usedp)
{
	int outcome;

	*usedp = 0;
	do {
		size_t used;
		int r = 0;

		outcome = (int)proxy_handshake_feed(c->handshake, data + *usedp, n - *usedp, &used);
		*usedp += used;
		if (outcome == PROXY_PARSE_ANSWER)
			r = send_reply(c);
		if (r < 0)
			return r;
	} while (outcome == PROXY_PARSE_ANSWER);
	return outcome;
}

static void take(struct proxy_client *c, uint8_t *data, size_t n)
{
	size_t used;
	int outcome = feed(c, data, n, &used);

	/* They were there when it peeked. */
	if (used > 0 && recv(c->fd, data, used, 0) != (ssize_t)used)
		outcome = -EPIPE;
	explicit_bzero(data, n);
	if (outcome == PROXY_PARSE_READY)
		serve_request(c);
	else if (outcome == PROXY_PARSE_REFUSED)
		refuse_request(c);
	else if (outcome < 0)
		end(c);
}

static void on_readable(uv_poll_t *poll, int status, int events UNUSED)
{
	struct proxy_client *c = poll->data;
	uint8_t data[PEEK_BYTES];
	ssize_t n = status < 0 ? 0 : recv(c->fd, data, sizeof(data), MSG_PEEK);

	if (n > 0)
		take(c, data, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		end(c);
}

/* ---- life ---- */

static int watch(struct proxy_client *c)
{
	uv_poll_t *poll = xnew(uv_poll_t);
	int r = uv_poll_init(c->opt.loop->uv, poll, c->fd);

	if (r < 0) {
		free(poll);
		return err_trace(r);
	}
	poll->data = c;
	r = uv_poll_start(poll, UV_READABLE, on_readable);
	if (r < 0) {
		uv_close((uv_handle_t *)poll, poll_closed_cb);
		return err_trace(r);
	}
	c->poll = poll;
	return 0;
}

int proxy_client_new(struct proxy_client **cp, const struct proxy_client_options *opt, int fd,
		     proxy_client_done done, void *ctx)
{
	struct proxy_client *c = xnew(struct proxy_client);
	struct endpoint peer = {0};
	int r;

	c->opt = *opt;
	c->done = done;
	c->ctx = ctx;
	c->fd = fd;
	c->waiter.on_decided = on_decided;
	r = watch(c);
	if (r < 0) {
		close_fd(fd);
		free(c);
		return r;
	}
	(void)tcp_socket_peer(fd, &peer);
	endpoint_format(&peer, c->peer);
	tcp_socket_tune_origin(fd, TCP_SOCKET_KEEP_ALIVE_MS);
	c->handshake = xnew(struct proxy_handshake);
	proxy_handshake_init(c->handshake);
	uv_timer_init(opt->loop->uv, &c->timer);
	uv_timer_start(&c->timer, on_timeout, PROXY_HANDSHAKE_MS, 0);
	*cp = c;
	return 0;
}

void proxy_client_abort(struct proxy_client *c)
{
	c->aborted = true;
	if (c->conduit)
		conduit_abort(c->conduit);
	else
		end(c);
}
