/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A slot hands each event of its links to its machine at once, and pokes. What concerns all of
 * them (deadlines, discovery, what the owner has to settle, the one timer) is done by one task
 * at the end of the turn, however much happened in it.
 */

#include "agent/supervisor.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "agent/supervisor_private.h"
#include "base/err.h"
#include "base/log.h"
#include "wire/tls_crypto.h"

static const struct backoff_policy discovery_policy = {
	.min_ms = UPLINK_BACKOFF_MIN_MS,
	.max_ms = UPLINK_BACKOFF_MAX_MS,
};

static uint64_t now_of(const struct supervisor *s)
{
	return io_loop_now_ms(s->opt.link.loop);
}

void supervisor_poke(struct supervisor *s)
{
	io_task_post(s->opt.link.loop, &s->settle);
}

/* ---- addresses ---- */

static void plan_discovery(struct supervisor *s)
{
	uint32_t wait_ms = backoff_next_ms(&s->discovery_backoff, &discovery_policy, random_u32());

	s->discover_ms = now_of(s) + wait_ms;
	supervisor_poke(s);
}

static void addresses_found(struct supervisor *s, const struct edge_address *addrs, size_t n)
{
	edge_pool_set(&s->pool, addrs, n);
	log_debug("edge addresses found", log_int("addresses", (int64_t)s->pool.n));
	for (unsigned int i = 0; i < s->opt.n_uplinks; i++)
		uplink_on_addresses(&s->slots[i].uplink, now_of(s));
	supervisor_poke(s);
}

static void discovery_done(void *ctx, int status, const struct edge_address *addrs, size_t n,
			   const char *text)
{
	struct supervisor *s = ctx;

	if (s->stopping)
		return;
	if (status == 0 && n) {
		addresses_found(s, addrs, n);
		return;
	}
	log_warn("edge addresses not found", log_text("reason", text));
	for (unsigned int i = 0; i < s->opt.n_uplinks; i++)
		slot_no_addresses(&s->slots[i], text);
	plan_discovery(s);
}

static void discover(struct supervisor *s)
{
	int r;

	s->discover_ms = UINT64_MAX;
	s->discovered_ms = now_of(s);
	r = edge_discovery_start(s->opt.discovery, discovery_done, s);
	if (r < 0) {
		log_warn("edge addresses not looked up", log_text("reason", strerror(-r)));
		plan_discovery(s);
	}
}

/* Asks again when every known address has failed since the last time. */
void supervisor_address_failed(struct supervisor *s, const struct edge_address *address)
{
	edge_pool_mark_failed(&s->pool, address, now_of(s));
	if (s->stopping || s->discover_ms != UINT64_MAX)
		return;
	for (size_t i = 0; i < s->pool.n; i++)
		if (s->pool.failed_ms[i] <= s->discovered_ms)
			return;
	plan_discovery(s);
}

/*
 * After an edge was away all connections are elsewhere, and stay there: they work. So one at a time
 * goes back, while all are registered.
 */
static void spread(struct supervisor *s, uint64_t now_ms)
{
	struct edge_pool now = s->pool;
	unsigned int first;

	assert(s->opt.n_uplinks > 0);
	first = random_u32() % s->opt.n_uplinks;
	s->spread_ms = now_ms + EDGE_MOVE_MS + random_u32() % (EDGE_MOVE_MS / 4);
	for (unsigned int i = 0; i < s->opt.n_uplinks; i++)
		if (s->slots[i].uplink.state != UPLINK_STATE_REGISTERED)
			return;
	memset(now.n_users, 0, sizeof(now.n_users));
	for (unsigned int i = 0; i < s->opt.n_uplinks; i++)
		(void)edge_pool_take_this(&now, &s->slots[i].edge);
	for (unsigned int i = 0; i < s->opt.n_uplinks; i++)
		if (slot_move(&s->slots[(first + i) % s->opt.n_uplinks], &now, now_ms))
			return;
}

/* ---- settling ---- */

static uint64_t first_deadline(const struct supervisor *s)
{
	uint64_t first = s->discover_ms < s->spread_ms ? s->discover_ms : s->spread_ms;

	for (unsigned int i = 0; i < s->opt.n_uplinks; i++) {
		uint64_t at = slot_deadline_ms(&s->slots[i]);

		if (at < first)
			first = at;
	}
	return first;
}

static bool all_stopped(const struct supervisor *s)
{
	for (unsigned int i = 0; i < s->opt.n_uplinks; i++)
		if (s->slots[i].uplink.state != UPLINK_STATE_STOPPED)
			return false;
	return true;
}

static void report_unauthorized(struct supervisor *s)
{
	if (!s->unauthorized || s->stopping)
		return;
	s->unauthorized = false;
	s->events->on_unauthorized(s->ctx);
}

static void timer_cb(uv_timer_t *timer)
{
	supervisor_poke(timer->data);
}

static void arm_timer(struct supervisor *s, uint64_t at_ms, uint64_t now_ms)
{
	if (at_ms == UINT64_MAX)
		uv_timer_stop(s->timer);
	else
		uv_timer_start(s->timer, timer_cb, at_ms > now_ms ? at_ms - now_ms : 0, 0);
}

static void settle(struct supervisor *s)
{
	uint64_t now_ms = now_of(s);
	uint64_t first, theirs;

	for (unsigned int i = 0; i < s->opt.n_uplinks; i++)
		slot_tick(&s->slots[i], now_ms);
	if (now_ms >= s->discover_ms && !s->stopping)
		discover(s);
	if (now_ms >= s->spread_ms)
		spread(s, now_ms);
	report_unauthorized(s);
	theirs = s->events->on_settled(s->ctx, now_ms);
	first = first_deadline(s);
	arm_timer(s, first < theirs ? first : theirs, now_ms);
	if (s->stopping && !s->stopped && all_stopped(s)) {
		s->stopped = true;
		s->events->on_stopped(s->ctx);
	}
}

static void settle_task(struct io_task *task)
{
	settle(container_of(task, struct supervisor, settle));
}

/* ---- life ---- */

struct supervisor *supervisor_new(const struct supervisor_options *opt,
				  const struct supervisor_events *events, void *ctx)
{
	struct supervisor *s = xnew(struct supervisor);

	assert(opt->n_uplinks >= 1 && opt->n_uplinks <= SUPERVISOR_UPLINKS_MAX);
	s->opt = *opt;
	s->events = events;
	s->ctx = ctx;
	s->discover_ms = UINT64_MAX;
	s->spread_ms = UINT64_MAX;
	io_task_init(&s->settle, settle_task);
	s->timer = xnew(uv_timer_t);
	s->timer->data = s;
	uv_timer_init(opt->link.loop->uv, s->timer);
	for (unsigned int i = 0; i < opt->n_uplinks; i++)
		slot_init(&s->slots[i], s, i);
	return s;
}

static void timer_closed_cb(uv_handle_t *handle)
{
	free(handle);
}

struct supervisor *supervisor_free(struct supervisor *s)
{
	if (!s)
		return NULL;
	for (unsigned int i = 0; i < s->opt.n_uplinks; i++)
		slot_deinit(&s->slots[i]);
	io_task_cancel(&s->settle);
	free(s->local_config);
	uv_close((uv_handle_t *)s->timer, timer_closed_cb);
	free(s);
	return NULL;
}

void supervisor_set_local_config(struct supervisor *s, const char *json)
{
	free(s->local_config);
	s->local_config = xstrdup(json);
}

void supervisor_start(struct supervisor *s)
{
	s->spread_ms = now_of(s) + EDGE_MOVE_MS;
	discover(s);
	for (unsigned int i = 0; i < s->opt.n_uplinks; i++)
		uplink_start(&s->slots[i].uplink, now_of(s));
	supervisor_poke(s);
}

void supervisor_stop(struct supervisor *s, uint32_t grace_ms)
{
	s->stopping = true;
	s->discover_ms = UINT64_MAX;
	s->spread_ms = UINT64_MAX;
	for (unsigned int i = 0; i < s->opt.n_uplinks; i++)
		uplink_stop(&s->slots[i].uplink, grace_ms, now_of(s));
	supervisor_poke(s);
}

void supervisor_kill(struct supervisor *s)
{
	s->stopping = true;
	s->discover_ms = UINT64_MAX;
	s->spread_ms = UINT64_MAX;
	for (unsigned int i = 0; i < s->opt.n_uplinks; i++)
		uplink_kill(&s->slots[i].uplink, now_of(s));
	supervisor_poke(s);
}

/* ---- views ---- */

unsigned int supervisor_n_uplinks(const struct supervisor *s)
{
	return s->opt.n_uplinks;
}

unsigned int supervisor_n_registered(const struct supervisor *s)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < s->opt.n_uplinks; i++)
		n += uplink_is_registered(&s->slots[i].uplink);
	return n;
}

size_t supervisor_links(const struct supervisor *s, struct supervisor_link *out, size_t cap)
{
	size_t n = 0;

	for (unsigned int i = 0; i < s->opt.n_uplinks && n < cap; i++) {
		uint32_t id = uplink_serving_link(&s->slots[i].uplink);
		struct edge_link *el = id ? slot_find_link(&s->slots[i], id) : NULL;

		if (el)
			out[n++] =
				(struct supervisor_link){.link = (uint64_t)i << 32 | id, .el = el};
	}
	return n;
}

struct edge_link *supervisor_find_link(const struct supervisor *s, uint64_t link)
{
	uint64_t index = link >> 32;

	return index < s->opt.n_uplinks ? slot_find_link(&s->slots[index], (uint32_t)link) : NULL;
}

static void add_link_stats(const struct slot *slot, struct link_stats *sum)
{
	struct list *pos;

	list_for_each (pos, &slot->links) {
		struct link_stats stats;

		edge_link_get_stats(edge_link_of_node(pos), &stats);
		sum->bytes_in += stats.bytes_in;
		sum->bytes_out += stats.bytes_out;
		sum->n_streams += stats.n_streams;
	}
}

void supervisor_get_connection(const struct supervisor *s, unsigned int index,
			       struct supervisor_connection *out)
{
	const struct slot *slot = &s->slots[index];
	const struct uplink *u = &slot->uplink;
	struct edge_link *el = slot_find_link(slot, u->current);

	*out = (struct supervisor_connection){
		.state = u->state,
		.since_ms = u->since_ms,
		.has_edge = slot->has_edge,
		.edge = &slot->edge,
		.location = el ? edge_link_location(el) : "",
		.last_error = u->last_error,
	};
	if (el)
		edge_link_get_stats(el, &out->stats);
	out->stats.bytes_in = slot->bytes_in;
	out->stats.bytes_out = slot->bytes_out;
	out->stats.n_streams = 0;
	add_link_stats(slot, &out->stats);
}
