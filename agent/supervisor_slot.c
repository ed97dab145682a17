/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One connection index: turns its machine's orders into calls of edge_link, and what
 * edge_link reports into the machine's events.
 */

#include <errno.h>
#include <string.h>

#include "agent/supervisor_private.h"
#include "base/log.h"
#include "base/uuid.h"
#include "ctrl/agent_status.h"
#include "wire/io_loop.h"
#include "wire/tls_crypto.h"

static uint64_t now_of(const struct slot *slot)
{
	return io_loop_now_ms(slot->supervisor->opt.link.loop);
}

struct edge_link *slot_find_link(const struct slot *slot, uint32_t id)
{
	struct list *pos;

	list_for_each (pos, &slot->links) {
		struct edge_link *el = edge_link_of_node(pos);

		if (edge_link_id(el) == id)
			return el;
	}
	return NULL;
}

static void tell(const struct slot *slot, const char *kind, const struct log_field *fields)
{
	const struct supervisor *s = slot->supervisor;

	s->events->on_event(s->ctx, kind, fields);
}

#define TELL(slot, kind, ...)                                                                      \
	tell(slot, kind,                                                                           \
	     (const struct log_field[]){log_int(CONNECTION_INDEX, (slot)->index), __VA_ARGS__,     \
					LOG_END})

/* ---- what the links report ---- */

static void link_secure(void *ctx, struct edge_link *el)
{
	struct slot *slot = ctx;

	uplink_on_secure(&slot->uplink, edge_link_id(el), now_of(slot));
	supervisor_poke(slot->supervisor);
}

static void link_stream(void *ctx, struct edge_link *el, struct h2_stream *stream,
			const struct h2_headers *hdrs)
{
	struct slot *slot = ctx;
	struct supervisor *s = slot->supervisor;

	s->events->on_stream(s->ctx, slot->index, el, stream, hdrs);
}

static void link_control(void *ctx, struct edge_link *el)
{
	struct slot *slot = ctx;

	uplink_on_control(&slot->uplink, edge_link_id(el), now_of(slot));
	supervisor_poke(slot->supervisor);
}

static void log_registered(const struct slot *slot, const struct edge_link *el,
			   const struct registration_details *details)
{
	char edge[EDGE_ADDRESS_TEXT_MAX], id[UUID_TEXT_MAX];

	edge_address_format(edge_link_address(el), edge);
	TELL(slot, EVENT_REGISTERED, log_text(CONNECTION_EDGE, edge),
	     log_text(CONNECTION_LOCATION, details->location));
	log_info("connection registered", log_int("conn_index", slot->index),
		 log_text("edge", edge), log_text("location", details->location),
		 log_text("connection_id", uuid_format(&details->connection_id, id)),
		 log_text("peer", edge_link_is_adit(el) ? "adit" : "stock"));
}

/* Only stock's first connection does, and only while nobody manages it from afar. */
static void push_local_config(const struct slot *slot, struct edge_link *el,
			      const struct registration_details *details)
{
	const char *json = slot->supervisor->local_config;

	if (slot->index == 0 && !details->remotely_managed && json)
		edge_link_push_config(el, json, now_of(slot));
}

/*
 * Predecessors aren't registered any more, so the owner of a set counts their calls as lost and
 * may replace it; their control streams are still there and would go on sending it.
 */
static void drop_adverts_of_others(struct slot *slot, const struct edge_link *el)
{
	struct list *pos;

	list_for_each (pos, &slot->links)
		if (edge_link_of_node(pos) != el)
			edge_link_drop_advert(edge_link_of_node(pos));
}

static void link_registered(void *ctx, struct edge_link *el,
			    const struct registration_details *details,
			    const struct registration_error *error)
{
	struct slot *slot = ctx;
	uint32_t id = edge_link_id(el);

	if (details) {
		log_registered(slot, el, details);
		edge_pool_mark_worked(&slot->supervisor->pool, edge_link_address(el), now_of(slot));
		uplink_on_registered(&slot->uplink, id, now_of(slot));
		if (uplink_serving_link(&slot->uplink) == id)
			drop_adverts_of_others(slot, el);
		backoff_reset(&slot->supervisor->discovery_backoff);
		push_local_config(slot, el, details);
	} else {
		slot->refused = true;
		uplink_on_refused(&slot->uplink, id, error->cause, error->retry_after_ns,
				  now_of(slot));
		slot->refused = false;
	}
	supervisor_poke(slot->supervisor);
}

static void link_unregistered(void *ctx, struct edge_link *el)
{
	struct slot *slot = ctx;

	uplink_on_unregistered(&slot->uplink, edge_link_id(el), now_of(slot));
	supervisor_poke(slot->supervisor);
}

static uint64_t link_name(const struct slot *slot, uint32_t id)
{
	return (uint64_t)slot->index << 32 | id;
}

static void link_advertised(void *ctx, struct edge_link *el, uint64_t generation,
			    const struct route_verdict *verdicts, size_t n_verdicts, bool send_all,
			    const char *failed)
{
	struct slot *slot = ctx;
	struct supervisor *s = slot->supervisor;

	s->events->on_advertised(s->ctx, link_name(slot, edge_link_id(el)), generation, verdicts,
				 n_verdicts, send_all, failed);
	supervisor_poke(s);
}

static void link_control_end(void *ctx, struct edge_link *el, const char *reason)
{
	struct slot *slot = ctx;

	uplink_on_control_end(&slot->uplink, edge_link_id(el), reason, now_of(slot));
	supervisor_poke(slot->supervisor);
}

static void link_goaway(void *ctx, struct edge_link *el)
{
	struct slot *slot = ctx;
	uint32_t id = edge_link_id(el);

	if (id == slot->uplink.current) {
		log_info("edge goes away, connecting anew", log_int("conn_index", slot->index));
		TELL(slot, EVENT_CONNECTION, log_text(CONNECTION_STATE, "replacing"),
		     log_text("reason", "the edge goes away"));
	}
	uplink_on_goaway(&slot->uplink, id, now_of(slot));
	supervisor_poke(slot->supervisor);
}

/* The link leaves the slot: its address is free, its bytes stay counted. */
static void drop_link(struct slot *slot, struct edge_link *el)
{
	struct link_stats stats;

	edge_link_get_stats(el, &stats);
	slot->bytes_in += stats.bytes_in;
	slot->bytes_out += stats.bytes_out;
	edge_pool_release(&slot->supervisor->pool, edge_link_address(el));
	list_remove(edge_link_node(el));
}

static void link_closed(void *ctx, struct edge_link *el, enum link_end why, const char *reason)
{
	struct slot *slot = ctx;
	uint32_t id = edge_link_id(el);

	(void)why;
	drop_link(slot, el);
	uplink_on_closed(&slot->uplink, id, reason, now_of(slot));
	supervisor_poke(slot->supervisor);
}

static const struct edge_link_events link_events = {
	.on_secure = link_secure,
	.on_stream = link_stream,
	.on_control = link_control,
	.on_registered = link_registered,
	.on_unregistered = link_unregistered,
	.on_advertised = link_advertised,
	.on_control_end = link_control_end,
	.on_goaway = link_goaway,
	.on_closed = link_closed,
};

/* ---- what the machine orders ---- */

/* What we lack ourselves, whatever the address. */
static bool is_shortage(int r)
{
	return r == -EMFILE || r == -ENFILE || r == -ENOBUFS || r == -ENOMEM;
}

static int dial(void *ctx, uint32_t id, bool other)
{
	struct slot *slot = ctx;
	struct supervisor *s = slot->supervisor;
	const struct edge_address *avoid = other && slot->has_edge ? &slot->edge : NULL;
	int at = slot->wanted ? edge_pool_take_this(&s->pool, slot->wanted)
			      : edge_pool_take(&s->pool, avoid, random_u32(), now_of(slot));
	struct edge_link_options opt = s->opt.link;
	struct edge_link *el;
	int r;

	if (at < 0)
		return UPLINK_E_NO_ADDRESS;
	slot->edge = s->pool.addrs[at];
	slot->has_edge = true;
	opt.connect_ms = edge_pool_connect_ms(&s->pool, (size_t)at, now_of(slot));
	r = edge_link_dial(&el, &opt, &s->pool.addrs[at], id, &link_events, slot);
	if (r < 0) {
		/* A family that this host doesn't have, say: others may do. */
		if (!is_shortage(r))
			supervisor_address_failed(s, &slot->edge);
		edge_pool_release(&s->pool, &slot->edge);
		return r;
	}
	list_append(&slot->links, edge_link_node(el));
	return 0;
}

static void register_link(void *ctx, uint32_t id, uint8_t n_previous_attempts)
{
	struct slot *slot = ctx;
	struct registration_request req = *slot->supervisor->opt.identity;
	struct edge_link *el = slot_find_link(slot, id);

	req.conn_index = (uint8_t)slot->index;
	req.n_previous_attempts = n_previous_attempts;
	if (el)
		edge_link_register(el, &req, now_of(slot));
}

static void unregister_link(void *ctx, uint32_t id, uint32_t timeout_ms)
{
	struct slot *slot = ctx;
	struct edge_link *el = slot_find_link(slot, id);

	if (el)
		edge_link_unregister(el, timeout_ms, now_of(slot));
}

static void drain_link(void *ctx, uint32_t id)
{
	struct edge_link *el = slot_find_link(ctx, id);

	if (el)
		edge_link_drain(el);
}

static void close_link(void *ctx, uint32_t id, const char *reason)
{
	struct slot *slot = ctx;
	struct edge_link *el = slot_find_link(slot, id);

	if (!el)
		return;
	log_debug("closing connection", log_int("conn_index", slot->index),
		  log_text("reason", reason));
	drop_link(slot, el);
	edge_link_close(el);
}

static bool link_is_idle(void *ctx, uint32_t id)
{
	struct edge_link *el = slot_find_link(ctx, id);

	return !el || edge_link_is_idle(el);
}

static uint32_t draw_random(void *ctx)
{
	(void)ctx;
	return random_u32();
}

/* The same reason again and again is a warning only each time its count doubles. */
static bool is_news(struct slot *slot, enum uplink_state from)
{
	uint32_t n = slot->uplink.backoff.attempts;

	if (from != UPLINK_STATE_REGISTERED && n & (n - 1) &&
	    !strcmp(slot->told, slot->uplink.last_error))
		return false;
	memcpy(slot->told, slot->uplink.last_error, sizeof(slot->told));
	return true;
}

static void log_trouble(struct slot *slot, enum uplink_state from)
{
	const struct uplink *u = &slot->uplink;
	bool news = is_news(slot, from);
	enum log_level level = news ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG;
	char edge[EDGE_ADDRESS_TEXT_MAX] = "-";

	/* GOAWAY: nothing is lost yet, and it was told already. */
	if (from == UPLINK_STATE_REGISTERED && uplink_is_registered(u))
		return;
	if (slot->has_edge)
		edge_address_format(&slot->edge, edge);
	if (news)
		TELL(slot, slot->refused ? EVENT_REFUSED : EVENT_CONNECTION,
		     log_text(CONNECTION_STATE, uplink_state_name(u->state)),
		     log_text("from", uplink_state_name(from)), log_text(CONNECTION_EDGE, edge),
		     log_text("reason", u->last_error));
	LOG_AT(level, from == UPLINK_STATE_REGISTERED ? "connection lost" : "connection failed",
	       log_int("conn_index", slot->index), log_text("edge", edge),
	       log_text("reason", u->last_error), log_int("attempts", u->backoff.attempts),
	       log_int("retry_ms", (int64_t)(u->deadline_ms - u->since_ms)), LOG_END);
}

/* After a move that failed the address last dialled isn't where it is. */
static void show_current(struct slot *slot)
{
	const struct edge_link *el = slot_find_link(slot, slot->uplink.current);

	if (el)
		slot->edge = *edge_link_address(el);
}

static void note_state(void *ctx, enum uplink_state from, enum uplink_state to)
{
	struct slot *slot = ctx;

	if (to == UPLINK_STATE_REGISTERED)
		show_current(slot);
	/* The steps of a try are too many to be told; how it ended is. */
	if ((to == UPLINK_STATE_WAIT_ADDRESS && from != UPLINK_STATE_IDLE) ||
	    to > UPLINK_STATE_BACKOFF)
		TELL(slot, EVENT_CONNECTION, log_text(CONNECTION_STATE, uplink_state_name(to)),
		     log_text("from", uplink_state_name(from)));
	if (to == UPLINK_STATE_BACKOFF)
		log_trouble(slot, from);
	else if (to == UPLINK_STATE_STOPPED && from > UPLINK_STATE_BACKOFF)
		log_info("connection closed", log_int("conn_index", slot->index));
	else if (to != UPLINK_STATE_REGISTERED)
		log_debug("connection state", log_int("conn_index", slot->index),
			  log_text("state", uplink_state_name(to)));
}

/* It never got as far as a registration: the address is worth less than others. */
static void note_try_failed(void *ctx)
{
	struct slot *slot = ctx;

	supervisor_address_failed(slot->supervisor, &slot->edge);
}

static void note_unauthorized(void *ctx, const char *cause)
{
	struct slot *slot = ctx;

	(void)cause;
	slot->supervisor->unauthorized = true;
}

static const struct uplink_ops ops = {
	.dial = dial,
	.register_link = register_link,
	.unregister_link = unregister_link,
	.drain_link = drain_link,
	.close_link = close_link,
	.link_is_idle = link_is_idle,
	.random = draw_random,
	.on_state = note_state,
	.on_try_failed = note_try_failed,
	.on_unauthorized = note_unauthorized,
};

void slot_no_addresses(struct slot *slot, const char *reason)
{
	if (uplink_on_no_addresses(&slot->uplink, reason))
		TELL(slot, EVENT_CONNECTION,
		     log_text(CONNECTION_STATE, uplink_state_name(slot->uplink.state)),
		     log_text("reason", slot->uplink.last_error));
}

bool slot_move(struct slot *slot, const struct edge_pool *spread, uint64_t now_ms)
{
	char from[EDGE_ADDRESS_TEXT_MAX], to[EDGE_ADDRESS_TEXT_MAX];
	bool moves;

	edge_address_format(&slot->edge, from);
	slot->wanted = edge_pool_find_better(spread, &slot->edge, now_ms);
	moves = slot->wanted && uplink_move(&slot->uplink, now_ms);
	slot->wanted = NULL;
	if (moves)
		log_debug("connection moves to an edge with fewer",
			  log_int("conn_index", slot->index), log_text("from", from),
			  log_text("to", edge_address_format(&slot->edge, to)));
	return moves;
}

/* ---- life and time ---- */

void slot_init(struct slot *slot, struct supervisor *s, unsigned int index)
{
	slot->supervisor = s;
	slot->index = index;
	list_init(&slot->links);
	uplink_init(&slot->uplink, &ops, slot);
}

void slot_deinit(struct slot *slot)
{
	struct list *pos, *tmp;

	list_for_each_safe (pos, tmp, &slot->links)
		edge_link_close(edge_link_of_node(pos));
}

static struct edge_link *find_due_link(const struct slot *slot, uint64_t now_ms)
{
	struct list *pos;

	list_for_each (pos, &slot->links) {
		struct edge_link *el = edge_link_of_node(pos);

		if (edge_link_deadline_ms(el) <= now_ms)
			return el;
	}
	return NULL;
}

void slot_tick(struct slot *slot, uint64_t now_ms)
{
	/* A tick may close any link, so look anew each time; no more than there can be. */
	for (size_t i = 0; i < UPLINK_LINKS_MAX; i++) {
		struct edge_link *el = find_due_link(slot, now_ms);

		if (!el)
			break;
		edge_link_tick(el, now_ms);
	}
	uplink_tick(&slot->uplink, now_ms);
}

uint64_t slot_deadline_ms(const struct slot *slot)
{
	uint64_t first = uplink_deadline_ms(&slot->uplink);
	struct list *pos;

	list_for_each (pos, &slot->links) {
		uint64_t at = edge_link_deadline_ms(edge_link_of_node(pos));

		if (at < first)
			first = at;
	}
	return first;
}
