/* SPDX-License-Identifier: Apache-2.0 */

/*
 * An application's TCP connection to the stub.
 *
 *   READING  a query, DNS_STUB_IDLE_MS at most
 *   ASKING   the servers of its zone, one after the other
 *   WRITING  the answer, DNS_STUB_IDLE_MS at most; then READING
 *   CLOSED   final
 *
 * Queries that were sent at once are answered one after the other: the next one stays in the socket
 * until then.
 */

#include <assert.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "client/dns_exchange.h"
#include "client/dns_stub_private.h"
#include "client/keeper.h"
#include "wire/io_loop.h"

enum connection_state {
	CONNECTION_STATE_READING,
	CONNECTION_STATE_ASKING,
	CONNECTION_STATE_WRITING,
	CONNECTION_STATE_CLOSED,
	CONNECTION_STATE_N,
};

struct connection {
	struct list node;
	struct dns_stub *stub;
	enum connection_state state;
	int fd;
	struct dns_frame query;
	struct dns_frame answer;
	struct dns_question question;
	const struct dns_zone *zone;
	size_t n_tries;
	struct dns_exchange *exchange; /* ASKING */
	uv_poll_t poll;
	uv_timer_t timer;
	unsigned int n_handles;
};

#define MAY(state) (1u << CONNECTION_STATE_##state)

static const unsigned int next_states[CONNECTION_STATE_N] = {
	[CONNECTION_STATE_READING] = MAY(ASKING) | MAY(WRITING) | MAY(CLOSED),
	[CONNECTION_STATE_ASKING] = MAY(WRITING) | MAY(CLOSED),
	[CONNECTION_STATE_WRITING] = MAY(READING) | MAY(CLOSED),
};

static void set_state(struct connection *c, enum connection_state to)
{
	assert(next_states[c->state] & (1u << to));
	c->state = to;
}

/* ---- the end ---- */

static void handle_closed_cb(uv_handle_t *handle)
{
	struct connection *c = handle->data;

	if (--c->n_handles > 0)
		return;
	dns_frame_deinit(&c->query);
	dns_frame_deinit(&c->answer);
	free(c);
}

static void close_connection(struct connection *c)
{
	set_state(c, CONNECTION_STATE_CLOSED);
	list_remove(&c->node);
	c->stub->n_connections--;
	dns_exchange_free(steal_ptr(c->exchange));
	uv_poll_stop(&c->poll);
	uv_close((uv_handle_t *)&c->poll, handle_closed_cb);
	uv_close((uv_handle_t *)&c->timer, handle_closed_cb);
	close_fd(c->fd);
}

static void on_idle(uv_timer_t *timer)
{
	close_connection(timer->data);
}

/* ---- the socket ---- */

static void on_socket(uv_poll_t *poll, int status, int events);

/* Waits for @events, not for ever. */
static void wait_for(struct connection *c, int events)
{
	uv_timer_start(&c->timer, on_idle, DNS_STUB_IDLE_MS, 0);
	if (uv_poll_start(&c->poll, events, on_socket) < 0)
		close_connection(c);
}

static void read_next(struct connection *c)
{
	dns_frame_deinit(&c->query);
	dns_frame_deinit(&c->answer);
	set_state(c, CONNECTION_STATE_READING);
	wait_for(c, UV_READABLE);
}

/* The poll writes it, also when there is room now: who answers may be deep in other callbacks. */
static void write_answer(struct connection *c)
{
	dns_frame_rewind(&c->answer);
	set_state(c, CONNECTION_STATE_WRITING);
	wait_for(c, UV_WRITABLE);
}

static void reply(struct connection *c, enum dns_rcode rcode)
{
	const uint8_t *query = dns_frame_data(&c->query);
	uint8_t out[DNS_REPLY_MAX];
	size_t n = dns_reply_build(query, &c->question, rcode, false, out);

	if (dns_frame_set(&c->answer, out, n) < 0)
		close_connection(c);
	else
		write_answer(c);
}

/* ---- asking ---- */

static void ask_next(struct connection *c);

static bool is_the_answer(struct connection *c, struct dns_frame *answer)
{
	struct dns_question question;

	return dns_answer_parse(dns_frame_data(answer), dns_frame_size(answer), &question) == 0 &&
	       dns_id(dns_frame_data(answer)) == dns_id(dns_frame_data(&c->query)) &&
	       dns_question_equal(&question, &c->question);
}

static void on_exchange_done(void *ctx, struct dns_frame *answer)
{
	struct connection *c = ctx;

	c->exchange = NULL;
	if (!answer || !is_the_answer(c, answer)) {
		ask_next(c);
		return;
	}
	c->answer = *answer;
	*answer = (struct dns_frame){.bytes = NULL};
	write_answer(c);
}

static int ask_one(struct connection *c, const struct dns_upstream *upstream)
{
	struct dns_stub *s = c->stub;
	struct dns_exchange_options opt = {
		.loop = s->opt.loop,
		.session = keeper_session(s->opt.keeper),
		.server = upstream->server,
		.token = s->opt.token,
	};
	int r = opt.session ? dns_stub_network_of(s, upstream, &opt.network) : -1;

	if (r == 0)
		r = dns_exchange_new(&c->exchange, &opt, &c->query, &s->exchanges, on_exchange_done,
				     c);
	return r;
}

static void ask_next(struct connection *c)
{
	while (c->n_tries < c->zone->n_upstreams) {
		size_t upstream = c->zone->upstreams[c->n_tries++];

		if (ask_one(c, &c->stub->zones->upstreams[upstream]) == 0)
			return;
	}
	c->stub->counts.failed++;
	reply(c, DNS_SERVFAIL);
}

static void start_asking(struct connection *c)
{
	uv_poll_stop(&c->poll);
	uv_timer_stop(&c->timer);
	set_state(c, CONNECTION_STATE_ASKING);
	c->n_tries = 0;
	ask_next(c);
}

/* ---- a query is whole ---- */

static void serve(struct connection *c)
{
	struct dns_stub *s = c->stub;
	int r = dns_zones_route(s->zones, dns_frame_data(&c->query), dns_frame_size(&c->query),
				&c->question, &c->zone);

	if (r < 0) {
		close_connection(c);
		return;
	}
	s->counts.queries++;
	s->counts.refused += r == DNS_REFUSED;
	if (r == 0)
		start_asking(c);
	else
		reply(c, (enum dns_rcode)r);
}

static void on_readable(struct connection *c)
{
	int r = dns_frame_read(&c->query, c->fd);

	if (r < 0)
		close_connection(c);
	else if (r > 0)
		serve(c);
}

static void on_writable(struct connection *c)
{
	int r = dns_frame_write(&c->answer, c->fd);

	if (r < 0)
		close_connection(c);
	else if (r > 0)
		read_next(c);
}

static void on_socket(uv_poll_t *poll, int status, int events UNUSED)
{
	struct connection *c = poll->data;

	if (status < 0)
		close_connection(c);
	else if (c->state == CONNECTION_STATE_READING)
		on_readable(c);
	else
		on_writable(c);
}

/* ---- calls ---- */

void dns_stub_accept(struct dns_stub *s, int fd)
{
	struct connection *c;

	if (s->n_connections == DNS_STUB_CONNECTIONS_MAX) {
		s->counts.overload++;
		close_fd(fd);
		return;
	}
	c = xnew(struct connection);
	if (uv_poll_init(s->opt.loop->uv, &c->poll, fd) < 0) {
		close_fd(fd);
		free(c);
		return;
	}
	uv_timer_init(s->opt.loop->uv, &c->timer);
	c->n_handles = 2;
	c->poll.data = c;
	c->timer.data = c;
	c->stub = s;
	c->fd = fd;
	list_append(&s->connections, &c->node);
	s->n_connections++;
	wait_for(c, UV_READABLE);
}

void dns_stub_close_connections(struct dns_stub *s)
{
	struct list *node, *tmp;

	list_for_each_safe (node, tmp, &s->connections)
		close_connection(list_entry(node, struct connection, node));
}
