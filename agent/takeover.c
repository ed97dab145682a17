/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/takeover.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "agent/agent.h"
#include "base/compiler.h"
#include "base/log.h"

#define BIT(state) (1u << TAKEOVER_STATE_##state)

/* Each state's successors. SEIZING follows itself: another try. */
static const unsigned int successors[TAKEOVER_STATE_N] = {
	[TAKEOVER_STATE_IDLE] = BIT(CLAIMING),
	[TAKEOVER_STATE_CLAIMING] = BIT(JOINING) | BIT(SEIZING) | BIT(FAILED),
	[TAKEOVER_STATE_JOINING] = BIT(TAKING) | BIT(SEIZING) | BIT(FAILED),
	[TAKEOVER_STATE_TAKING] = BIT(CONFIRMING) | BIT(SEIZING) | BIT(FAILED),
	[TAKEOVER_STATE_CONFIRMING] = BIT(DONE) | BIT(FAILED),
	[TAKEOVER_STATE_SEIZING] = BIT(SEIZING) | BIT(DONE) | BIT(FAILED),
	[TAKEOVER_STATE_DONE] = 0,
	[TAKEOVER_STATE_FAILED] = 0,
};

static const char *const state_names[TAKEOVER_STATE_N] = {
	[TAKEOVER_STATE_IDLE] = "idle",
	[TAKEOVER_STATE_CLAIMING] = "claiming",
	[TAKEOVER_STATE_JOINING] = "joining",
	[TAKEOVER_STATE_TAKING] = "taking",
	[TAKEOVER_STATE_CONFIRMING] = "confirming",
	[TAKEOVER_STATE_SEIZING] = "seizing",
	[TAKEOVER_STATE_DONE] = "done",
	[TAKEOVER_STATE_FAILED] = "failed",
};

const char *takeover_state_name(enum takeover_state s)
{
	return state_names[s];
}

void takeover_init(struct takeover *t, const struct takeover_ops *ops, void *ctx)
{
	*t = (struct takeover){.ops = ops, .ctx = ctx, .deadline_ms = UINT64_MAX};
}

/* The only writer of t->state and its deadline. */
static void set_state(struct takeover *t, enum takeover_state to, uint64_t deadline_ms)
{
	assert(successors[t->state] & (1u << to));
	if (to != t->state)
		log_debug("takeover state", log_text("from", state_names[t->state]),
			  log_text("to", state_names[to]));
	t->state = to;
	t->deadline_ms = deadline_ms;
}

bool takeover_is_under_way(const struct takeover *t)
{
	return t->state != TAKEOVER_STATE_IDLE && t->state != TAKEOVER_STATE_DONE &&
	       t->state != TAKEOVER_STATE_FAILED;
}

uint64_t takeover_deadline_ms(const struct takeover *t)
{
	return t->deadline_ms;
}

/* ---- how it ends ---- */

static void fail(struct takeover *t, int exit_code, const char *reason)
{
	set_state(t, TAKEOVER_STATE_FAILED, UINT64_MAX);
	t->ops->fail(t->ctx, exit_code, reason);
}

static void finish(struct takeover *t, const char *note)
{
	set_state(t, TAKEOVER_STATE_DONE, UINT64_MAX);
	t->ops->in_charge(t->ctx, note);
}

static void join(struct takeover *t)
{
	if (t->joined)
		return;
	t->joined = true;
	t->ops->join(t->ctx);
}

static void try_to_seize(struct takeover *t, uint64_t now_ms)
{
	int r = t->ops->seize(t->ctx);

	if (r == 0) {
		join(t);
		finish(t, "the old agent ended before it was replaced");
	} else if (r < 0) {
		fail(t, AGENT_EXIT_FAILED, strerror(-r));
	} else if (now_ms >= t->seize_end_ms) {
		fail(t, AGENT_EXIT_RUNNING, "another agent is running");
	} else {
		set_state(t, TAKEOVER_STATE_SEIZING, now_ms + TAKEOVER_SEIZE_STEP_MS);
	}
}

static void seize(struct takeover *t, uint64_t now_ms)
{
	t->seize_end_ms = now_ms + TAKEOVER_SEIZE_MS;
	set_state(t, TAKEOVER_STATE_SEIZING, now_ms);
	try_to_seize(t, now_ms);
}

static void ask(struct takeover *t, enum takeover_step step, enum takeover_state next,
		uint64_t now_ms)
{
	set_state(t, next, now_ms + TAKEOVER_ANSWER_MS);
	t->ops->ask(t->ctx, step);
}

/* ---- what happens ---- */

void takeover_start(struct takeover *t, uint64_t now_ms)
{
	ask(t, TAKEOVER_STEP_CLAIM, TAKEOVER_STATE_CLAIMING, now_ms);
}

static void confirm(struct takeover *t, uint64_t now_ms)
{
	int r = t->ops->adopt(t->ctx);

	if (r < 0)
		fail(t, AGENT_EXIT_NOT_REPLACED, strerror(-r));
	else
		ask(t, TAKEOVER_STEP_CONFIRM, TAKEOVER_STATE_CONFIRMING, now_ms);
}

void takeover_on_answer(struct takeover *t, uint64_t now_ms)
{
	if (t->state == TAKEOVER_STATE_CLAIMING) {
		set_state(t, TAKEOVER_STATE_JOINING, now_ms + TAKEOVER_JOIN_MS);
		join(t);
	} else if (t->state == TAKEOVER_STATE_TAKING) {
		confirm(t, now_ms);
	} else if (t->state == TAKEOVER_STATE_CONFIRMING) {
		finish(t, NULL);
	}
}

/* What the old agent's refusal means for whoever started us. */
static const struct {
	const char *code;
	int exit_code;
} refusals[] = {
	{"conflict", AGENT_EXIT_RUNNING},
	{"forbidden", AGENT_EXIT_REFUSED},
	{"invalid", AGENT_EXIT_CONFIG},
};

void takeover_on_refused(struct takeover *t, const char *code, const char *text)
{
	int exit_code = AGENT_EXIT_NOT_REPLACED;

	if (!takeover_is_under_way(t) || t->state == TAKEOVER_STATE_SEIZING)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
		if (!strcmp(code, refusals[i].code))
			exit_code = refusals[i].exit_code;
	if (!strcmp(code, "unknown-command"))
		text = "the old agent is of a version that can't be replaced while it runs: stop "
		       "it, then start this one";
	fail(t, exit_code, text);
}

void takeover_on_end(struct takeover *t, uint64_t now_ms)
{
	if (t->state == TAKEOVER_STATE_CONFIRMING)
		finish(t, "the old agent ended before it answered");
	else if (takeover_is_under_way(t) && t->state != TAKEOVER_STATE_SEIZING)
		seize(t, now_ms);
}

bool takeover_on_unauthorized(struct takeover *t)
{
	if (t->state != TAKEOVER_STATE_JOINING && t->state != TAKEOVER_STATE_TAKING)
		return false;
	fail(t, AGENT_EXIT_REFUSED, "the edge refuses our credentials");
	return true;
}

static void take_if_ready(struct takeover *t, uint64_t now_ms)
{
	const char *missing = t->ops->missing(t->ctx);
	char reason[512];

	if (!missing) {
		ask(t, TAKEOVER_STEP_TAKE, TAKEOVER_STATE_TAKING, now_ms);
		return;
	}
	if (now_ms < t->deadline_ms)
		return;
	snprintf(reason, sizeof(reason), "not ready within %d s: %s", TAKEOVER_JOIN_MS / 1000,
		 missing);
	fail(t, AGENT_EXIT_NOT_REPLACED, reason);
}

void takeover_settle(struct takeover *t, uint64_t now_ms)
{
	if (t->state == TAKEOVER_STATE_JOINING) {
		take_if_ready(t, now_ms);
		return;
	}
	if (now_ms < t->deadline_ms)
		return;
	if (t->state == TAKEOVER_STATE_SEIZING)
		try_to_seize(t, now_ms);
	else if (!takeover_is_under_way(t) || t->ops->has_answer(t->ctx))
		return;
	else if (t->state == TAKEOVER_STATE_CONFIRMING)
		finish(t, "the old agent has not answered; it drains when it reads again");
	else
		fail(t, AGENT_EXIT_NOT_REPLACED, "the old agent does not answer");
}

void takeover_cancel(struct takeover *t)
{
	if (t->state == TAKEOVER_STATE_CONFIRMING)
		finish(t, "told to stop before the old agent answered");
	else if (takeover_is_under_way(t))
		set_state(t, TAKEOVER_STATE_FAILED, UINT64_MAX);
}
