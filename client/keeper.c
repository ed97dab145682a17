/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A tunnel is never freed inside one of its own events but its last. Retired tunnels are looked
 * at by a timer instead of at the end of each stream: streams belong to many owners.
 */

#include "client/keeper.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/backoff.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "wire/io_loop.h"
#include "wire/tls_crypto.h"

#define STABLE_MS 10000 /* a link that lived this long: failures are forgotten */
#define REAP_MS	  500

static const struct backoff_policy policy = {.min_ms = 200, .max_ms = 30000};

struct keeper {
	struct tunnel_options opt;
	const struct keeper_events *events;
	void *ctx;
	uv_timer_t retry;
	uv_timer_t reaper; /* runs while there are retired tunnels */
	unsigned int n_handles;
	struct backoff backoff;
	struct tunnel *tunnel;	/* NULL: the next try waits for `retry` */
	uint64_t open_since_ms; /* of the tunnel; 0: not open yet */
	struct list retired;	/* after GOAWAY, until their streams have ended */
	struct list waiters;
	struct tunnel_known known[CLIENT_EDGES_MAX];
};

struct retired_tunnel {
	struct list node;
	struct tunnel *tunnel;
};

/* ---- who waits ---- */

/* Those who wait again from inside wait for the next decision. */
static void decide(struct keeper *k, enum client_exit why, const char *text)
{
	struct list now;
	struct list *node;

	list_init(&now);
	while ((node = list_pop(&k->waiters)))
		list_append(&now, node);
	while ((node = list_pop(&now))) {
		struct keeper_waiter *w = list_entry(node, struct keeper_waiter, node);

		w->on_decided(w, why, text);
	}
}

static void tell_down(struct keeper *k, enum client_exit why, const char *text)
{
	if (k->events->on_down)
		k->events->on_down(k->ctx, why, text);
	decide(k, why, text);
}

void keeper_wait(struct keeper *k, struct keeper_waiter *w)
{
	list_append(&k->waiters, &w->node);
}

void keeper_forget(struct keeper_waiter *w)
{
	if (w->node.next)
		list_remove(&w->node);
}

/* ---- retired tunnels ---- */

static void drop_retired(struct retired_tunnel *r)
{
	list_remove(&r->node);
	free(r);
}

static void on_reap(uv_timer_t *timer)
{
	struct keeper *k = timer->data;
	struct list *node;
	struct list *tmp;

	list_for_each_safe (node, tmp, &k->retired) {
		struct retired_tunnel *r = list_entry(node, struct retired_tunnel, node);
		struct tunnel *t = r->tunnel;

		if (tunnel_n_streams(t) > 0)
			continue;
		drop_retired(r);
		tunnel_free(t);
	}
	if (list_is_empty(&k->retired))
		uv_timer_stop(timer);
}

static void retire(struct keeper *k)
{
	struct retired_tunnel *r = xnew(struct retired_tunnel);

	r->tunnel = steal_ptr(k->tunnel);
	list_append(&k->retired, &r->node);
	uv_timer_start(&k->reaper, on_reap, REAP_MS, REAP_MS);
}

static void forget_retired(struct keeper *k, const struct tunnel *t)
{
	struct list *node;
	struct list *tmp;

	list_for_each_safe (node, tmp, &k->retired) {
		struct retired_tunnel *r = list_entry(node, struct retired_tunnel, node);

		if (r->tunnel == t)
			drop_retired(r);
	}
}

/* ---- the tunnel ---- */

static const struct tunnel_events tunnel_events;

static void open_tunnel(struct keeper *k);

static void on_retry(uv_timer_t *timer)
{
	open_tunnel(timer->data);
}

static uint32_t plan_retry(struct keeper *k)
{
	uint32_t wait_ms = backoff_next_ms(&k->backoff, &policy, random_u32());

	uv_timer_start(&k->retry, on_retry, wait_ms, 0);
	return wait_ms;
}

static void failed(struct keeper *k, enum client_exit why, const char *text)
{
	log_warn("edge not connected", log_text("reason", text),
		 log_int("retry_ms", plan_retry(k)));
	tell_down(k, why, text);
}

static void open_tunnel(struct keeper *k)
{
	int r;

	k->open_since_ms = 0;
	k->tunnel = tunnel_new(&k->opt, &tunnel_events, k);
	r = tunnel_start(k->tunnel);
	if (r == 0)
		return;
	tunnel_free(steal_ptr(k->tunnel));
	failed(k, CLIENT_EXIT_EDGE, strerror(-r));
}

static void forgive(struct keeper *k)
{
	if (k->open_since_ms && clock_boot_ms() - k->open_since_ms >= STABLE_MS)
		backoff_reset(&k->backoff);
}

static void on_ready(void *ctx, struct tunnel *t)
{
	struct keeper *k = ctx;

	k->open_since_ms = clock_boot_ms();
	log_info("edge connected");
	if (k->events->on_up)
		k->events->on_up(k->ctx, tunnel_session(t));
	decide(k, CLIENT_EXIT_OK, "");
}

/* With back-off too: an edge may send everyone away as soon as they have come. */
static void on_goaway(void *ctx, struct tunnel *t)
{
	struct keeper *k = ctx;

	if (t != k->tunnel)
		return;
	forgive(k);
	retire(k);
	log_info("edge goes away: connecting anew", log_int("retry_ms", plan_retry(k)));
}

static void on_end(void *ctx, struct tunnel *t, enum client_exit why, const char *text)
{
	struct keeper *k = ctx;

	if (t == k->tunnel) {
		k->tunnel = NULL;
		forgive(k);
		failed(k, why, text);
	} else {
		forget_retired(k, t);
	}
	tunnel_free(t);
}

static const struct tunnel_events tunnel_events = {
	.on_ready = on_ready,
	.on_goaway = on_goaway,
	.on_end = on_end,
};

struct h2_session *keeper_session(const struct keeper *k)
{
	return k->tunnel ? tunnel_session(k->tunnel) : NULL;
}

void keeper_go_on(struct keeper *k, int status)
{
	if (k->tunnel)
		tunnel_go_on(k->tunnel, status);
}

/* ---- life ---- */

struct keeper *keeper_new(const struct tunnel_options *opt, const struct keeper_events *events,
			  void *ctx)
{
	struct keeper *k = xnew(struct keeper);

	k->opt = *opt;
	k->opt.known = k->known;
	k->events = events;
	k->ctx = ctx;
	list_init(&k->retired);
	list_init(&k->waiters);
	uv_timer_init(opt->loop->uv, &k->retry);
	uv_timer_init(opt->loop->uv, &k->reaper);
	k->n_handles = 2;
	k->retry.data = k;
	k->reaper.data = k;
	return k;
}

/* From a timer, so that no event comes before the return. */
void keeper_start(struct keeper *k)
{
	uv_timer_start(&k->retry, on_retry, 0, 0);
}

static void timer_closed_cb(uv_handle_t *handle)
{
	struct keeper *k = handle->data;

	if (--k->n_handles == 0)
		free(k);
}

void keeper_free(struct keeper *k)
{
	struct list *node;

	if (!k)
		return;
	while (list_pop(&k->waiters))
		;
	while ((node = list_pop(&k->retired))) {
		struct retired_tunnel *r = list_entry(node, struct retired_tunnel, node);

		tunnel_free(r->tunnel);
		free(r);
	}
	tunnel_free(steal_ptr(k->tunnel));
	uv_close((uv_handle_t *)&k->retry, timer_closed_cb);
	uv_close((uv_handle_t *)&k->reaper, timer_closed_cb);
}
