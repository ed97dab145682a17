/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The answer is read up to its last octet and no further, so the end of the stream isn't waited
 * for. The query's end isn't told to the server before: some drop what they work on when they
 * see it.
 *
 * Three things hold the memory: the timer, the poll, and the relay until it is done.
 */

#include "client/dns_exchange.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <uv.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "client/connect_stream.h"
#include "wire/io_loop.h"

enum exchange_state {
	EXCHANGE_STATE_ASKING,
	EXCHANGE_STATE_TALKING,
	EXCHANGE_STATE_LINGERING,
	EXCHANGE_STATE_ENDED,
	EXCHANGE_STATE_N,
};

struct dns_exchange {
	struct list node;
	struct io_loop *loop;
	enum exchange_state state;
	dns_exchange_done done;
	void *ctx;
	struct dns_frame *query;
	struct dns_frame answer;
	bool is_sent;
	struct connect_stream *request; /* ASKING */
	struct relay *relay;		/* from TALKING on, until it is done */
	int fd;				/* our end of the pair; -1: none */
	uv_poll_t poll;
	uv_timer_t timer;
	unsigned int n_holds;
};

#define MAY(state) (1u << EXCHANGE_STATE_##state)

static const unsigned int next_states[EXCHANGE_STATE_N] = {
	[EXCHANGE_STATE_ASKING] = MAY(TALKING) | MAY(ENDED),
	[EXCHANGE_STATE_TALKING] = MAY(LINGERING) | MAY(ENDED),
	[EXCHANGE_STATE_LINGERING] = MAY(ENDED),
};

static void set_state(struct dns_exchange *x, enum exchange_state to)
{
	assert(next_states[x->state] & (1u << to));
	x->state = to;
}

/* ---- memory ---- */

static void release(struct dns_exchange *x)
{
	if (--x->n_holds > 0)
		return;
	dns_frame_deinit(&x->answer);
	free(x);
}

static void handle_closed_cb(uv_handle_t *handle)
{
	release(handle->data);
}

/* ---- the end ---- */

static void close_pair(struct dns_exchange *x)
{
	if (x->fd < 0)
		return;
	uv_poll_stop(&x->poll);
	uv_close((uv_handle_t *)&x->poll, handle_closed_cb);
	close_fd(x->fd);
	x->fd = -1;
}

static void end(struct dns_exchange *x)
{
	if (x->state == EXCHANGE_STATE_ENDED)
		return;
	set_state(x, EXCHANGE_STATE_ENDED);
	list_remove(&x->node);
	connect_stream_free(steal_ptr(x->request));
	close_pair(x);
	if (x->relay)
		relay_abort(x->relay);
	uv_close((uv_handle_t *)&x->timer, handle_closed_cb);
}

void dns_exchange_free(struct dns_exchange *x)
{
	if (x)
		end(x);
}

void dns_exchange_free_all(struct list *all)
{
	struct list *node, *tmp;

	list_for_each_safe (node, tmp, all)
		end(list_entry(node, struct dns_exchange, node));
}

/* The timer still holds the memory when done returns. */
static void fail(struct dns_exchange *x)
{
	end(x);
	x->done(x->ctx, NULL);
}

static void on_timeout(uv_timer_t *timer)
{
	struct dns_exchange *x = timer->data;

	if (x->state == EXCHANGE_STATE_LINGERING)
		end(x);
	else
		fail(x);
}

static void on_relay_done(void *ctx, const struct relay_result *result UNUSED)
{
	struct dns_exchange *x = ctx;

	x->relay = NULL;
	/* While TALKING what it wrote may wait in the pair; the read finds the end. */
	if (x->state == EXCHANGE_STATE_LINGERING)
		end(x);
	release(x);
}

/* ---- talking ---- */

static void answered(struct dns_exchange *x)
{
	set_state(x, EXCHANGE_STATE_LINGERING);
	close_pair(x);
	if (x->relay)
		uv_timer_start(&x->timer, on_timeout, DNS_EXCHANGE_MS, 0);
	else
		end(x);
	x->done(x->ctx, &x->answer);
}

static void on_pair(uv_poll_t *poll, int status, int events);

static int go_on(struct dns_exchange *x)
{
	int r = 1;

	if (!x->is_sent)
		r = dns_frame_write(x->query, x->fd);
	if (r <= 0)
		return r;
	if (!x->is_sent) {
		x->is_sent = true;
		r = uv_poll_start(&x->poll, UV_READABLE, on_pair);
		if (r < 0)
			return r;
	}
	return dns_frame_read(&x->answer, x->fd);
}

static void on_pair(uv_poll_t *poll, int status, int events UNUSED)
{
	struct dns_exchange *x = poll->data;
	int r = status < 0 ? status : go_on(x);

	if (r < 0)
		fail(x);
	else if (r > 0)
		answered(x);
}

static int watch(struct dns_exchange *x, int fd)
{
	int r = uv_poll_init(x->loop->uv, &x->poll, fd);

	if (r < 0) {
		close_fd(fd);
		return r;
	}
	x->fd = fd;
	x->poll.data = x;
	x->n_holds++;
	dns_frame_rewind(x->query);
	return uv_poll_start(&x->poll, UV_WRITABLE, on_pair);
}

static int join(struct dns_exchange *x)
{
	int fds[2];
	int r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		return err_trace(-errno);
	r = connect_stream_join(steal_ptr(x->request), fds[1], fds[1], on_relay_done, x, &x->relay);
	if (r < 0) {
		close_fd(fds[0]);
		return r;
	}
	x->n_holds++;
	return watch(x, fds[0]);
}

/* ---- asking ---- */

static void on_answer(void *ctx, const struct connect_answer *answer)
{
	struct dns_exchange *x = ctx;

	if (answer->why != CLIENT_EXIT_OK) {
		fail(x);
		return;
	}
	set_state(x, EXCHANGE_STATE_TALKING);
	if (join(x) < 0)
		fail(x);
}

static void on_lost(void *ctx)
{
	fail(ctx);
}

static const struct connect_stream_events stream_events = {
	.on_answer = on_answer,
	.on_lost = on_lost,
};

int dns_exchange_new(struct dns_exchange **xp, const struct dns_exchange_options *opt,
		     struct dns_frame *query, struct list *all, dns_exchange_done done, void *ctx)
{
	const struct connect_stream_options stream_options = {
		.loop = opt->loop,
		.session = opt->session,
		.target = opt->server,
		.network = opt->network,
		.token = opt->token,
	};
	struct dns_exchange *x = xnew(struct dns_exchange);
	int r = connect_stream_new(&x->request, &stream_options, &stream_events, x);

	if (r != 0) {
		free(x);
		return r;
	}
	x->loop = opt->loop;
	x->query = query;
	x->done = done;
	x->ctx = ctx;
	x->fd = -1;
	list_append(all, &x->node);
	uv_timer_init(opt->loop->uv, &x->timer);
	x->timer.data = x;
	x->n_holds = 1;
	uv_timer_start(&x->timer, on_timeout, DNS_EXCHANGE_MS, 0);
	*xp = x;
	return 0;
}
