/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * takeover - the new agent's side of `adit run --replace`; pure
 *
 *   IDLE        nothing to take over
 *   CLAIMING    the old agent was asked for its place
 *   JOINING     it is ours to prepare: all connections and routes at the edge, as a replica
 *   TAKING      all are there: the old one was asked for control socket and lock
 *   CONFIRMING  we have them, systemd knows us; the old one was told to drain
 *   SEIZING     the old one is gone before that: we get the name as after any crash
 *   DONE        we are the agent
 *   FAILED      the old one goes on as if nothing had happened; we leave
 *
 * Until CONFIRMING nothing that the outside sees has changed, and our end changes nothing. In
 * CONFIRMING there is no way back that would leave nobody in charge: an old one that is silent or
 * gone then has been replaced; only one that says no (we slept too long, and it gave us up) goes
 * on. Each wait is bounded, and what has come is read before it is held against anybody.
 */

#include <stdbool.h>
#include <stdint.h>

#define TAKEOVER_ANSWER_MS     5000  /* the old agent's, to each question */
#define TAKEOVER_JOIN_MS       40000 /* all connections and routes; all waits are below 60 s */
#define TAKEOVER_SEIZE_MS      5000  /* a dying process still holds the lock */
#define TAKEOVER_SEIZE_STEP_MS 100

enum takeover_state {
	TAKEOVER_STATE_IDLE,
	TAKEOVER_STATE_CLAIMING,
	TAKEOVER_STATE_JOINING,
	TAKEOVER_STATE_TAKING,
	TAKEOVER_STATE_CONFIRMING,
	TAKEOVER_STATE_SEIZING,
	TAKEOVER_STATE_DONE,
	TAKEOVER_STATE_FAILED,
	TAKEOVER_STATE_N,
};

enum takeover_step {
	TAKEOVER_STEP_CLAIM,
	TAKEOVER_STEP_TAKE,
	TAKEOVER_STEP_CONFIRM,
};

enum takeover_seized {
	TAKEOVER_E_HELD = 1, /* somebody holds the name */
};

/*
 * All members must be set. None may call back into the machine, but for join, and for fail and
 * in_charge, which come last: the state is final by then, and whatever is called is ignored.
 */
struct takeover_ops {
	/* Asks the old agent. If it doesn't read, its silence or its end will tell. */
	void (*ask)(void *ctx, enum takeover_step step);
	/* Connect to the edge. */
	void (*join)(void *ctx);
	/* What we still lack, for people; NULL: nothing. */
	const char *(*missing)(void *ctx);
	/* The old agent has said something, or ended, and we have not read it yet. */
	bool (*has_answer)(void *ctx);
	/* The name has come: serve it, tell systemd who we are. 0, or -errno with the name let go.
	 */
	int (*adopt)(void *ctx);
	/* Gets the name of a dead agent. 0, TAKEOVER_E_HELD or -errno. */
	int (*seize)(void *ctx);
	/* DONE: we alone are the agent. @note: what was odd about it, or NULL. */
	void (*in_charge)(void *ctx, const char *note);
	/* FAILED: let everything go and leave with @exit_code (enum agent_exit). */
	void (*fail)(void *ctx, int exit_code, const char *reason);
};

struct takeover {
	enum takeover_state state;
	uint64_t deadline_ms;
	uint64_t seize_end_ms;
	bool joined; /* join was called */
	const struct takeover_ops *ops;
	void *ctx;
};

void takeover_init(struct takeover *t, const struct takeover_ops *ops, void *ctx);
/* The old agent is there: asks it. */
void takeover_start(struct takeover *t, uint64_t now_ms);
/* It said yes to the last question. */
void takeover_on_answer(struct takeover *t, uint64_t now_ms);
/* It said no; @code is the control protocol's. */
void takeover_on_refused(struct takeover *t, const char *code, const char *text);
/* It has closed the connection, or speaks nonsense. */
void takeover_on_end(struct takeover *t, uint64_t now_ms);
/* The edge refused our credentials. False: that is no concern of ours. */
bool takeover_on_unauthorized(struct takeover *t);
/* At the end of each turn, and when the deadline is over. */
void takeover_settle(struct takeover *t, uint64_t now_ms);
/* UINT64_MAX: no call is needed. */
uint64_t takeover_deadline_ms(const struct takeover *t);

/* We are told to stop: FAILED without a word, or DONE where there is no way back. */
void takeover_cancel(struct takeover *t);

/* Between the start and the end of it. */
bool takeover_is_under_way(const struct takeover *t);
const char *takeover_state_name(enum takeover_state s);
