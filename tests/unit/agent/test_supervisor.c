/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The supervisor on a real loop: listeners on loopback that take connections and say
 * nothing. Discovery is ours here, so that lookups can fail.
 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "agent/supervisor.h"
#include "base/compiler.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/log.h"
#include "wire/h2_session.h"
#include "wire/io_loop.h"
#include "wire/tls.h"

#define N_LISTENERS 4

/* ---- discovery ---- */

struct edge_discovery {
	unsigned int n_failures; /* to come before a success */
	unsigned int n_started;
	struct edge_address addrs[N_LISTENERS];
	size_t n_addrs;
	edge_discovery_cb cb;
	void *ctx;
	uv_idle_t idle;
};

static void discovery_idle_cb(uv_idle_t *idle)
{
	struct edge_discovery *d = idle->data;

	uv_idle_stop(idle);
	if (d->n_failures) {
		d->n_failures--;
		d->cb(d->ctx, -ENOENT, NULL, 0, "no such name");
		return;
	}
	d->cb(d->ctx, 0, d->addrs, d->n_addrs, "");
}

int edge_discovery_start(struct edge_discovery *d, edge_discovery_cb cb, void *ctx)
{
	d->cb = cb;
	d->ctx = ctx;
	d->n_started++;
	return uv_idle_start(&d->idle, discovery_idle_cb);
}

/* ---- the world ---- */

struct listener {
	uv_tcp_t tcp;
	struct world *world;
	unsigned int n_accepted;
};

struct world {
	uv_loop_t uv;
	struct io_loop *loop;
	struct tls_context *tls;
	struct edge_discovery discovery;
	struct registration_request identity;
	struct supervisor *supervisor;
	struct listener listeners[N_LISTENERS];
	uv_tcp_t *accepted[64];
	size_t n_accepted;
	size_t n_wanted;
	bool hang_up; /* close what comes at once */
	bool stopped;
};

static void free_handle_cb(uv_handle_t *handle)
{
	free(handle);
}

static void accept_cb(uv_stream_t *stream, int status)
{
	struct listener *l = stream->data;
	struct world *w = l->world;
	uv_tcp_t *tcp = xnew(uv_tcp_t);

	assert_int_equal(status, 0);
	uv_tcp_init(&w->uv, tcp);
	assert_int_equal(uv_accept(stream, (uv_stream_t *)tcp), 0);
	l->n_accepted++;
	if (w->hang_up)
		uv_close((uv_handle_t *)tcp, free_handle_cb);
	else
		w->accepted[w->n_accepted] = tcp;
	w->n_accepted++;
	if (w->n_accepted == w->n_wanted)
		uv_stop(&w->uv);
}

static void listen_on(struct world *w, size_t i)
{
	struct listener *l = &w->listeners[i];
	struct edge_address *addr = &w->discovery.addrs[i];
	struct sockaddr_storage ss;
	int len = sizeof(ss);

	l->world = w;
	uv_tcp_init(&w->uv, &l->tcp);
	l->tcp.data = l;
	uv_ip4_addr("127.0.0.1", 0, (struct sockaddr_in *)&ss);
	assert_int_equal(uv_tcp_bind(&l->tcp, (struct sockaddr *)&ss, 0), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&l->tcp, 16, accept_cb), 0);
	uv_tcp_getsockname(&l->tcp, (struct sockaddr *)&ss, &len);
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&ss, &addr->ep), 0);
	strcpy(addr->server_name, "edge.test");
}

static void no_stream(void *ctx, unsigned int index, struct edge_link *el, struct h2_stream *stream,
		      const struct h2_headers *hdrs)
{
	(void)ctx;
	(void)index;
	(void)el;
	(void)stream;
	(void)hdrs;
	fail();
}

static void no_answer(void *ctx, uint64_t link, uint64_t generation,
		      const struct route_verdict *verdicts, size_t n_verdicts, bool send_all,
		      const char *failed)
{
	(void)ctx;
	(void)link;
	(void)generation;
	(void)verdicts;
	(void)n_verdicts;
	(void)send_all;
	(void)failed;
	fail();
}

static uint64_t settled(void *ctx, uint64_t now_ms)
{
	(void)ctx;
	assert_true(now_ms > 0);
	return UINT64_MAX;
}

static void unauthorized(void *ctx)
{
	(void)ctx;
	fail();
}

static void stopped(void *ctx)
{
	struct world *w = ctx;

	assert_false(w->stopped);
	w->stopped = true;
	uv_stop(&w->uv);
}

static void no_event(void *ctx, const char *kind, const struct log_field *fields)
{
	(void)ctx;
	(void)fields;
	assert_non_null(kind);
}

static const struct supervisor_events events = {
	.on_stream = no_stream,
	.on_advertised = no_answer,
	.on_settled = settled,
	.on_event = no_event,
	.on_unauthorized = unauthorized,
	.on_stopped = stopped,
};

static void open_world(struct world *w, size_t n_addrs)
{
	struct supervisor_options opt;

	memset(w, 0, sizeof(*w));
	log_set_level(LOG_LEVEL_ERROR);
	assert_int_equal(uv_loop_init(&w->uv), 0);
	assert_int_equal(io_loop_new(&w->loop, &w->uv, 1 << 20), 0);
	assert_int_equal(tls_context_new_dialler(&w->tls, NULL, false, NULL), 0);
	uv_idle_init(&w->uv, &w->discovery.idle);
	w->discovery.idle.data = &w->discovery;
	w->discovery.n_addrs = n_addrs;
	for (size_t i = 0; i < n_addrs; i++)
		listen_on(w, i);
	opt = (struct supervisor_options){
		.link = {.loop = w->loop, .tls = w->tls, .max_frame_bytes = H2_FRAME_MAX},
		.discovery = &w->discovery,
		.identity = &w->identity,
		.n_uplinks = 4,
	};
	w->supervisor = supervisor_new(&opt, &events, w);
}

static void close_cb(uv_handle_t *handle, void *arg)
{
	struct world *w = arg;

	/* The library closes its own handles. */
	for (size_t i = 0; i < w->discovery.n_addrs; i++)
		if (handle == (uv_handle_t *)&w->listeners[i].tcp)
			uv_close(handle, NULL);
}

static void close_world(struct world *w)
{
	supervisor_kill(w->supervisor);
	if (!w->stopped)
		uv_run(&w->uv, UV_RUN_DEFAULT);
	assert_true(w->stopped);
	supervisor_free(w->supervisor);
	uv_walk(&w->uv, close_cb, w);
	for (size_t i = 0; i < w->n_accepted && !w->hang_up; i++)
		uv_close((uv_handle_t *)w->accepted[i], free_handle_cb);
	uv_close((uv_handle_t *)&w->discovery.idle, NULL);
	uv_run(&w->uv, UV_RUN_DEFAULT);
	io_loop_free(w->loop);
	uv_run(&w->uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->uv), 0);
	tls_context_free(w->tls);
}

static void wait_for_accepts(struct world *w, size_t n)
{
	w->n_wanted = n;
	uv_run(&w->uv, UV_RUN_DEFAULT);
	assert_true(w->n_accepted >= n);
}

/* Four uplinks, at once, one on each address. */
static void test_spread(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, 4);
	supervisor_start(w.supervisor);
	wait_for_accepts(&w, 4);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(w.listeners[i].n_accepted, 1);
	assert_int_equal(w.discovery.n_started, 1);
	assert_int_equal(supervisor_n_registered(w.supervisor), 0);
	close_world(&w);
}

static void test_two_addresses(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, 2);
	supervisor_start(w.supervisor);
	wait_for_accepts(&w, 4);
	assert_int_equal(w.listeners[0].n_accepted, 2);
	assert_int_equal(w.listeners[1].n_accepted, 2);
	close_world(&w);
}

static void test_single_address(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, 1);
	supervisor_start(w.supervisor);
	wait_for_accepts(&w, 4);
	assert_int_equal(w.listeners[0].n_accepted, 4);
	close_world(&w);
}

/* The very first lookups fail: they are repeated, and nothing else is needed. */
static void test_lookup_fails_first(void **state)
{
	struct supervisor_connection c;
	struct world w;

	(void)state;
	open_world(&w, 2);
	w.discovery.n_failures = 2;
	supervisor_start(w.supervisor);
	supervisor_get_connection(w.supervisor, 0, &c);
	assert_int_equal(c.state, UPLINK_STATE_WAIT_ADDRESS);
	assert_false(c.has_edge);
	while (w.discovery.n_failures == 2)
		uv_run(&w.uv, UV_RUN_ONCE);
	supervisor_get_connection(w.supervisor, 3, &c);
	assert_int_equal(c.state, UPLINK_STATE_WAIT_ADDRESS);
	assert_string_equal(c.last_error, "no such name");
	wait_for_accepts(&w, 4);
	assert_int_equal(w.discovery.n_started, 3);
	supervisor_get_connection(w.supervisor, 0, &c);
	assert_true(c.has_edge);
	close_world(&w);
}

/* Addresses that all fail are looked up again, and dialling goes on meanwhile. */
static void test_looks_up_again(void **state)
{
	struct supervisor_connection c;
	struct world w;

	(void)state;
	open_world(&w, 2);
	w.hang_up = true;
	supervisor_start(w.supervisor);
	for (size_t n = 8; w.discovery.n_started < 2 && n < sizeof(w.accepted); n++)
		wait_for_accepts(&w, n);
	assert_true(w.discovery.n_started >= 2);
	supervisor_get_connection(w.supervisor, 3, &c);
	assert_true(*c.last_error != '\0');
	close_world(&w);
}

static void test_stop_before_anything(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, 1);
	w.discovery.n_failures = 1000;
	supervisor_start(w.supervisor);
	supervisor_stop(w.supervisor, 30000);
	uv_run(&w.uv, UV_RUN_DEFAULT);
	assert_true(w.stopped);
	close_world(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spread),	       cmocka_unit_test(test_two_addresses),
		cmocka_unit_test(test_single_address), cmocka_unit_test(test_lookup_fails_first),
		cmocka_unit_test(test_looks_up_again), cmocka_unit_test(test_stop_before_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
