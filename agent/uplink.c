/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/uplink.h"

#include <assert.h>
#include <string.h>

#include "base/compiler.h"
#include "wire/proto.h"
#include "wire/registration.h"

#define NSEC_PER_MSEC 1000000

/* The link has its own deadlines for TCP and TLS; this one only catches a link that forgot. */
#define DIAL_GUARD_MS (TCP_CONNECT_MS + TLS_HANDSHAKE_MS + 5000)
/* Likewise: the RPC's own time-out comes first. */
#define REGISTER_GUARD_MS (RPC_MS + 1000)

static const struct backoff_policy usual_policy = {
	.min_ms = UPLINK_BACKOFF_MIN_MS,
	.max_ms = UPLINK_BACKOFF_MAX_MS,
};

static const struct backoff_policy auth_policy = {
	.min_ms = UPLINK_BACKOFF_MIN_MS,
	.max_ms = UPLINK_BACKOFF_AUTH_MAX_MS,
};

#define BIT(state) (1u << UPLINK_STATE_##state)
#define STOPPING   (BIT(UNREGISTERING) | BIT(DRAINING) | BIT(STOPPED))
#define TRYING	   (BIT(WAIT_ADDRESS) | BIT(DIALLING) | BIT(BACKOFF))
#define STAYING	   BIT(REGISTERED) /* a move has failed */

/* Each state's successors. BACKOFF may follow itself: a dial can fail at once. */
static const unsigned int successors[UPLINK_STATE_N] = {
	[UPLINK_STATE_IDLE] = TRYING | BIT(STOPPED),
	[UPLINK_STATE_WAIT_ADDRESS] = TRYING | STAYING | STOPPING,
	[UPLINK_STATE_DIALLING] = BIT(WAIT_CONTROL) | STAYING | BIT(BACKOFF) | STOPPING,
	[UPLINK_STATE_WAIT_CONTROL] = BIT(REGISTERING) | STAYING | BIT(BACKOFF) | STOPPING,
	[UPLINK_STATE_REGISTERING] = BIT(REGISTERED) | BIT(BACKOFF) | STOPPING,
	[UPLINK_STATE_REGISTERED] = TRYING | STOPPING,
	[UPLINK_STATE_BACKOFF] = TRYING | STAYING | STOPPING,
	[UPLINK_STATE_UNREGISTERING] = BIT(DRAINING) | BIT(STOPPED),
	[UPLINK_STATE_DRAINING] = BIT(STOPPED),
	[UPLINK_STATE_STOPPED] = 0,
};

static const char *const state_names[UPLINK_STATE_N] = {
	[UPLINK_STATE_IDLE] = "idle",
	[UPLINK_STATE_WAIT_ADDRESS] = "wait-address",
	[UPLINK_STATE_DIALLING] = "dialling",
	[UPLINK_STATE_WAIT_CONTROL] = "wait-control",
	[UPLINK_STATE_REGISTERING] = "registering",
	[UPLINK_STATE_REGISTERED] = "registered",
	[UPLINK_STATE_BACKOFF] = "backoff",
	[UPLINK_STATE_UNREGISTERING] = "unregistering",
	[UPLINK_STATE_DRAINING] = "draining",
	[UPLINK_STATE_STOPPED] = "stopped",
};

const char *uplink_state_name(enum uplink_state s)
{
	return state_names[s];
}

void uplink_init(struct uplink *u, const struct uplink_ops *ops, void *ctx)
{
	*u = (struct uplink){
		.ops = ops,
		.ctx = ctx,
		.deadline_ms = UINT64_MAX,
		.check_ms = UINT64_MAX,
	};
}

/* The only writer of u->state. */
static void set_state(struct uplink *u, enum uplink_state to, uint64_t deadline_ms, uint64_t now_ms)
{
	enum uplink_state from = u->state;

	assert(successors[from] & (1u << to));
	u->state = to;
	u->since_ms = now_ms;
	u->deadline_ms = deadline_ms;
	u->ops->on_state(u->ctx, from, to);
}

static bool is_stopping(const struct uplink *u)
{
	return (1u << u->state) & STOPPING;
}

/* ---- the links ---- */

static struct uplink_link *find_link(struct uplink *u, uint32_t id)
{
	for (size_t i = 0; id && i < UPLINK_LINKS_MAX; i++)
		if (u->links[i].id == id)
			return &u->links[i];
	return NULL;
}

static bool has_phase(const struct uplink *u, enum uplink_link_phase phase)
{
	for (size_t i = 0; i < UPLINK_LINKS_MAX; i++)
		if (u->links[i].id && u->links[i].phase == phase)
			return true;
	return false;
}

static bool has_links(const struct uplink *u)
{
	for (size_t i = 0; i < UPLINK_LINKS_MAX; i++)
		if (u->links[i].id)
			return true;
	return false;
}

static void forget_link(struct uplink *u, struct uplink_link *l)
{
	if (u->current == l->id)
		u->current = 0;
	l->id = 0;
}

static void close_link(struct uplink *u, struct uplink_link *l, const char *reason)
{
	uint32_t id = l->id;

	forget_link(u, l);
	u->ops->close_link(u->ctx, id, reason);
}

static void close_all(struct uplink *u, const char *reason)
{
	for (size_t i = 0; i < UPLINK_LINKS_MAX; i++)
		if (u->links[i].id)
			close_link(u, &u->links[i], reason);
}

static void retire(struct uplink *u, struct uplink_link *l, uint64_t now_ms)
{
	l->phase = UPLINK_LINK_RETIRED;
	u->check_ms = now_ms;
}

static bool has_free_slot(const struct uplink *u)
{
	for (size_t i = 0; i < UPLINK_LINKS_MAX; i++)
		if (!u->links[i].id)
			return true;
	return false;
}

/* A slot for a new link; the oldest of the old ones gives way when there are too many. */
static struct uplink_link *free_slot(struct uplink *u)
{
	struct uplink_link *oldest = &u->links[0];

	for (size_t i = 0; i < UPLINK_LINKS_MAX; i++) {
		if (!u->links[i].id)
			return &u->links[i];
		if (u->links[i].id < oldest->id)
			oldest = &u->links[i];
	}
	close_link(u, oldest, "too many old connections");
	return oldest;
}

/* Closes retired links whose streams have ended, and notes when to look again. */
static void reap_links(struct uplink *u, uint64_t now_ms)
{
	u->check_ms = UINT64_MAX;
	for (size_t i = 0; i < UPLINK_LINKS_MAX; i++) {
		struct uplink_link *l = &u->links[i];

		if (!l->id || l->phase != UPLINK_LINK_RETIRED)
			continue;
		if (u->ops->link_is_idle(u->ctx, l->id))
			close_link(u, l, "last stream ended");
		else
			u->check_ms = now_ms + UPLINK_IDLE_CHECK_MS;
	}
}

/* ---- trying ---- */

static void note_error(struct uplink *u, const char *reason)
{
	size_t n = strnlen(reason, sizeof(u->last_error) - 1);

	memcpy(u->last_error, reason, n);
	u->last_error[n] = '\0';
}

static bool was_stable(const struct uplink *u, uint64_t now_ms)
{
	return u->state == UPLINK_STATE_REGISTERED && now_ms - u->since_ms >= UPLINK_STABLE_MS;
}

static void wait_and_retry(struct uplink *u, const struct backoff_policy *policy,
			   uint64_t at_least_ms, uint64_t now_ms)
{
	uint64_t delay_ms;

	if (was_stable(u, now_ms))
		backoff_reset(&u->backoff);
	delay_ms = backoff_next_ms(&u->backoff, policy, u->ops->random(u->ctx));
	if (delay_ms < at_least_ms)
		delay_ms = at_least_ms;
	set_state(u, UPLINK_STATE_BACKOFF, now_ms + delay_ms, now_ms);
}

/* A move has failed: what was to be left serves on. False: there is nothing to go back to. */
static bool stay(struct uplink *u, uint64_t now_ms)
{
	uint32_t old = u->is_moving ? uplink_serving_link(u) : 0;

	u->is_moving = false;
	if (!old)
		return false;
	u->current = old;
	if (u->state != UPLINK_STATE_REGISTERED)
		set_state(u, UPLINK_STATE_REGISTERED, UINT64_MAX, now_ms);
	return true;
}

/* The try with the current link, or the link itself, has failed. */
static void fail(struct uplink *u, const char *reason, uint64_t now_ms)
{
	struct uplink_link *l = find_link(u, u->current);

	note_error(u, reason);
	if (l)
		close_link(u, l, reason);
	u->other_address = u->state != UPLINK_STATE_REGISTERED;
	if (u->state >= UPLINK_STATE_DIALLING && u->state < UPLINK_STATE_REGISTERED)
		u->ops->on_try_failed(u->ctx);
	u->told_to_wait = false;
	if (stay(u, now_ms))
		return;
	wait_and_retry(u, &usual_policy, 0, now_ms);
}

static void dial(struct uplink *u, uint64_t now_ms)
{
	struct uplink_link *slot = free_slot(u);
	int r;

	*slot = (struct uplink_link){.id = ++u->last_id, .phase = UPLINK_LINK_SETUP};
	u->current = slot->id;
	r = u->ops->dial(u->ctx, slot->id, u->other_address);
	if (r == 0) {
		u->other_address = false;
		set_state(u, UPLINK_STATE_DIALLING, now_ms + DIAL_GUARD_MS, now_ms);
		return;
	}
	forget_link(u, slot);
	if (r == UPLINK_E_NO_ADDRESS) {
		if (stay(u, now_ms))
			return;
		set_state(u, UPLINK_STATE_WAIT_ADDRESS, UINT64_MAX, now_ms);
		return;
	}
	fail(u, strerror(-r), now_ms);
}

void uplink_start(struct uplink *u, uint64_t now_ms)
{
	if (u->state == UPLINK_STATE_IDLE)
		dial(u, now_ms);
}

void uplink_on_addresses(struct uplink *u, uint64_t now_ms)
{
	if (u->state == UPLINK_STATE_WAIT_ADDRESS)
		dial(u, now_ms);
}

bool uplink_on_no_addresses(struct uplink *u, const char *reason)
{
	char before[UPLINK_REASON_MAX];

	if (u->state != UPLINK_STATE_WAIT_ADDRESS)
		return false;
	memcpy(before, u->last_error, sizeof(before));
	note_error(u, reason);
	return strcmp(before, u->last_error) != 0;
}

void uplink_on_secure(struct uplink *u, uint32_t id, uint64_t now_ms)
{
	if (id != u->current || u->state != UPLINK_STATE_DIALLING)
		return;
	set_state(u, UPLINK_STATE_WAIT_CONTROL, now_ms + CONTROL_STREAM_MS, now_ms);
}

void uplink_on_control(struct uplink *u, uint32_t id, uint64_t now_ms)
{
	uint32_t attempts = u->backoff.attempts;

	if (id != u->current || u->state != UPLINK_STATE_WAIT_CONTROL)
		return;
	set_state(u, UPLINK_STATE_REGISTERING, now_ms + REGISTER_GUARD_MS, now_ms);
	u->ops->register_link(u->ctx, id, (uint8_t)(attempts < UINT8_MAX ? attempts : UINT8_MAX));
}

void uplink_on_registered(struct uplink *u, uint32_t id, uint64_t now_ms)
{
	struct uplink_link *l = find_link(u, id);

	if (!l || id != u->current || u->state != UPLINK_STATE_REGISTERING)
		return;
	l->phase = UPLINK_LINK_SERVING;
	set_state(u, UPLINK_STATE_REGISTERED, UINT64_MAX, now_ms);
	for (size_t i = 0; i < UPLINK_LINKS_MAX; i++) {
		struct uplink_link *old = &u->links[i];

		if (!old->id || old->id == id || old->phase != UPLINK_LINK_SERVING)
			continue;
		/* Another edge than the new link's doesn't know that there is a successor. */
		retire(u, old, now_ms);
		if (!u->is_moving)
			continue;
		u->ops->drain_link(u->ctx, old->id);
		u->check_ms = now_ms + UPLINK_IDLE_CHECK_MS; /* streams may be on their way */
	}
	u->is_moving = false;
}

/* The edge keeps our predecessor's registration: where nothing runs on it, let it go. */
static void close_idle_predecessors(struct uplink *u)
{
	for (size_t i = 0; i < UPLINK_LINKS_MAX; i++) {
		struct uplink_link *l = &u->links[i];

		if (l->id && l->phase == UPLINK_LINK_SERVING && u->ops->link_is_idle(u->ctx, l->id))
			close_link(u, l, "the edge wants it gone before its successor");
	}
}

static uint64_t bounded_retry_after(int64_t retry_after_ns)
{
	uint64_t ms = retry_after_ns > 0 ? (uint64_t)retry_after_ns / NSEC_PER_MSEC : 0;

	return ms < UPLINK_RETRY_AFTER_MAX_MS ? ms : UPLINK_RETRY_AFTER_MAX_MS;
}

/* A move that is refused has failed like any other, and waits for as long as that edge wants. */
static bool refuse_move(struct uplink *u, bool unauthorized, int64_t retry_after_ns,
			uint64_t now_ms)
{
	uint64_t wait_ms =
		unauthorized ? UPLINK_BACKOFF_AUTH_MAX_MS : bounded_retry_after(retry_after_ns);

	if (!u->is_moving || !uplink_is_registered(u))
		return false;
	u->ops->on_try_failed(u->ctx);
	u->move_ms = now_ms + wait_ms;
	return stay(u, now_ms);
}

void uplink_on_refused(struct uplink *u, uint32_t id, const char *cause, int64_t retry_after_ns,
		       uint64_t now_ms)
{
	bool unauthorized = strstr(cause, "Unauthorized");
	struct uplink_link *l = find_link(u, id);

	if (!l || id != u->current || u->state != UPLINK_STATE_REGISTERING)
		return;
	note_error(u, cause);
	close_link(u, l, cause);
	if (refuse_move(u, unauthorized, retry_after_ns, now_ms))
		return;
	if (!strcmp(cause, REG_CAUSE_DUPLICATE)) {
		u->other_address = true;
		close_idle_predecessors(u);
	}
	u->told_to_wait = unauthorized || retry_after_ns > 0;
	wait_and_retry(u, unauthorized ? &auth_policy : &usual_policy,
		       bounded_retry_after(retry_after_ns), now_ms);
	if (unauthorized)
		u->ops->on_unauthorized(u->ctx, cause);
}

/* ---- losing a link ---- */

void uplink_on_goaway(struct uplink *u, uint32_t id, uint64_t now_ms)
{
	/* What a move would go back to: it has to succeed now, like any successor. */
	if (u->is_moving && id == uplink_serving_link(u))
		u->is_moving = false;
	if (id != u->current || is_stopping(u))
		return;
	if (u->state != UPLINK_STATE_REGISTERED) {
		fail(u, "the edge goes away", now_ms);
		return;
	}
	note_error(u, "the edge goes away");
	u->current = 0;
	/* An edge that says GOAWAY to everyone right away must not make us spin. */
	if (!was_stable(u, now_ms)) {
		u->told_to_wait = true;
		wait_and_retry(u, &usual_policy, 0, now_ms);
		return;
	}
	backoff_reset(&u->backoff);
	dial(u, now_ms);
}

static void check_stopped(struct uplink *u, uint64_t now_ms)
{
	reap_links(u, now_ms);
	if (u->state == UPLINK_STATE_UNREGISTERING && !has_phase(u, UPLINK_LINK_LEAVING))
		set_state(u, UPLINK_STATE_DRAINING, u->grace_end_ms, now_ms);
	if (u->state == UPLINK_STATE_DRAINING && !has_links(u))
		set_state(u, UPLINK_STATE_STOPPED, UINT64_MAX, now_ms);
}

void uplink_on_control_end(struct uplink *u, uint32_t id, const char *reason, uint64_t now_ms)
{
	struct uplink_link *l = find_link(u, id);

	if (!l || l->phase == UPLINK_LINK_RETIRED)
		return;
	if (id == u->current && !is_stopping(u)) {
		fail(u, reason, now_ms);
		return;
	}
	retire(u, l, now_ms);
	if (is_stopping(u))
		check_stopped(u, now_ms);
}

void uplink_on_closed(struct uplink *u, uint32_t id, const char *reason, uint64_t now_ms)
{
	struct uplink_link *l = find_link(u, id);
	bool was_current = id == u->current;

	if (!l)
		return;
	forget_link(u, l);
	if (is_stopping(u)) {
		check_stopped(u, now_ms);
		return;
	}
	if (was_current)
		fail(u, reason, now_ms);
}

bool uplink_move(struct uplink *u, uint64_t now_ms)
{
	if (!was_stable(u, now_ms) || now_ms < u->move_ms || !has_free_slot(u))
		return false;
	u->is_moving = true;
	u->current = 0;
	backoff_reset(&u->backoff);
	dial(u, now_ms);
	return true;
}

bool uplink_hurry(struct uplink *u, uint64_t now_ms)
{
	if (u->state != UPLINK_STATE_BACKOFF || u->told_to_wait)
		return false;
	dial(u, now_ms);
	return true;
}

void uplink_on_address_gone(struct uplink *u, uint32_t id, const char *reason, uint64_t now_ms)
{
	struct uplink_link *l = find_link(u, id);
	bool was_current = id == u->current;

	if (!l)
		return;
	close_link(u, l, reason);
	if (is_stopping(u)) {
		check_stopped(u, now_ms);
		return;
	}
	if (!was_current)
		return;
	note_error(u, reason);
	u->told_to_wait = false;
	if (stay(u, now_ms))
		return;
	set_state(u, UPLINK_STATE_BACKOFF, now_ms, now_ms);
	dial(u, now_ms);
}

/* ---- stopping ---- */

static void leave(struct uplink *u, struct uplink_link *l, uint32_t timeout_ms)
{
	if (l->phase == UPLINK_LINK_SETUP) {
		close_link(u, l, "shutting down");
		return;
	}
	if (l->phase != UPLINK_LINK_SERVING)
		return;
	l->phase = UPLINK_LINK_LEAVING;
	u->ops->unregister_link(u->ctx, l->id, timeout_ms);
}

void uplink_stop(struct uplink *u, uint32_t grace_ms, uint64_t now_ms)
{
	if (is_stopping(u))
		return;
	u->grace_end_ms = now_ms + grace_ms;
	for (size_t i = 0; i < UPLINK_LINKS_MAX; i++)
		if (u->links[i].id)
			leave(u, &u->links[i], grace_ms < RPC_MS ? grace_ms : RPC_MS);
	if (!has_links(u)) {
		set_state(u, UPLINK_STATE_STOPPED, UINT64_MAX, now_ms);
		return;
	}
	set_state(u, UPLINK_STATE_UNREGISTERING, u->grace_end_ms, now_ms);
	check_stopped(u, now_ms);
}

void uplink_kill(struct uplink *u, uint64_t now_ms)
{
	close_all(u, "shutting down");
	u->check_ms = UINT64_MAX;
	if (u->state != UPLINK_STATE_STOPPED)
		set_state(u, UPLINK_STATE_STOPPED, UINT64_MAX, now_ms);
}

void uplink_on_unregistered(struct uplink *u, uint32_t id, uint64_t now_ms)
{
	struct uplink_link *l = find_link(u, id);

	if (!l || l->phase != UPLINK_LINK_LEAVING)
		return;
	retire(u, l, now_ms);
	check_stopped(u, now_ms);
}

/* ---- time ---- */

static void run_deadline(struct uplink *u, uint64_t now_ms)
{
	switch (u->state) {
	case UPLINK_STATE_DIALLING:
		fail(u, "dialling took too long", now_ms);
		break;
	case UPLINK_STATE_WAIT_CONTROL:
		fail(u, "the edge opened no control stream", now_ms);
		break;
	case UPLINK_STATE_REGISTERING:
		fail(u, "the edge did not answer the registration", now_ms);
		break;
	case UPLINK_STATE_BACKOFF:
		dial(u, now_ms);
		break;
	case UPLINK_STATE_UNREGISTERING:
	case UPLINK_STATE_DRAINING:
		uplink_kill(u, now_ms);
		break;
	case UPLINK_STATE_IDLE:
	case UPLINK_STATE_WAIT_ADDRESS:
	case UPLINK_STATE_REGISTERED:
	case UPLINK_STATE_STOPPED:
	case UPLINK_STATE_N:
		break;
	}
}

void uplink_tick(struct uplink *u, uint64_t now_ms)
{
	if (now_ms >= u->check_ms) {
		if (is_stopping(u))
			check_stopped(u, now_ms);
		else
			reap_links(u, now_ms);
	}
	if (now_ms >= u->deadline_ms)
		run_deadline(u, now_ms);
}

uint64_t uplink_deadline_ms(const struct uplink *u)
{
	return u->deadline_ms < u->check_ms ? u->deadline_ms : u->check_ms;
}

/* ---- views ---- */

bool uplink_is_registered(const struct uplink *u)
{
	return has_phase(u, UPLINK_LINK_SERVING);
}

uint32_t uplink_serving_link(const struct uplink *u)
{
	uint32_t newest = 0;

	for (size_t i = 0; i < UPLINK_LINKS_MAX; i++)
		if (u->links[i].phase == UPLINK_LINK_SERVING && u->links[i].id > newest)
			newest = u->links[i].id;
	return newest;
}
