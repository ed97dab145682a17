/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * uplink - state machine of one of the agent's connections to the edge; pure
 *
 * An uplink keeps one connection index (0..3) registered for ever. Events go in
 * with the time, actions come out by struct uplink_ops; no socket, no clock, no
 * timer of its own: ask uplink_deadline_ms() and call uplink_tick(). Ops must
 * not call back into the machine.
 *
 * A link is one TCP connection, named by an id that is never used again. The
 * state below is about the *current* link, the one that is or will be
 * registered. Older links may live on beside it (make before break): GOAWAY on
 * the current link makes it old at once, but it stays registered until its
 * successor is, and keeps its streams until they have ended. So does uplink_move().
 *
 * IDLE          Not started. Ends by uplink_start().
 * WAIT_ADDRESS  No edge address is known. No deadline: ends by uplink_on_addresses(),
 *               and discovery is tried for ever by its owner.
 * DIALLING      TCP and TLS of the current link are under way.
 * WAIT_CONTROL  TLS is done; the edge has CONTROL_STREAM_MS to open the control stream.
 * REGISTERING   registerConnection was sent; answered within RPC_MS.
 * REGISTERED    Streams are served. Ends when the link ends, when its control
 *               stream does, by GOAWAY, or by uplink_stop(). The back-off forgets its
 *               failures only if this lasted UPLINK_STABLE_MS.
 * BACKOFF       Nothing is dialled until the deadline. Every failure, also a
 *               permanent error of the edge, leads here and from here to a new try.
 * UNREGISTERING uplink_stop() was called; registered links were told, their answers are out.
 * DRAINING      No link is registered any more; running streams go on until they end, the
 *               edge closes, or the grace period is over.
 * STOPPED       All links are closed. Final.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/backoff.h"

enum uplink_state {
	UPLINK_STATE_IDLE,
	UPLINK_STATE_WAIT_ADDRESS,
	UPLINK_STATE_DIALLING,
	UPLINK_STATE_WAIT_CONTROL,
	UPLINK_STATE_REGISTERING,
	UPLINK_STATE_REGISTERED,
	UPLINK_STATE_BACKOFF,
	UPLINK_STATE_UNREGISTERING,
	UPLINK_STATE_DRAINING,
	UPLINK_STATE_STOPPED,
	UPLINK_STATE_N,
};

enum uplink_outcome {
	UPLINK_E_NO_ADDRESS = 1, /* of ops.dial: wait for uplink_on_addresses() */
};

/* Bounds of the waits, in ms. */
#define UPLINK_BACKOFF_MIN_MS	   200
#define UPLINK_BACKOFF_MAX_MS	   30000
#define UPLINK_BACKOFF_AUTH_MAX_MS 300000 /* after refused credentials */
#define UPLINK_RETRY_AFTER_MAX_MS  300000 /* what the edge may ask for */
#define UPLINK_STABLE_MS	   10000  /* registered this long: failures are forgotten */
#define UPLINK_IDLE_CHECK_MS	   100	  /* how often old links are looked at for their end */

/* The current link and old ones whose streams still run; the oldest gives way. */
#define UPLINK_LINKS_MAX  8
#define UPLINK_REASON_MAX 256

enum uplink_link_phase {
	UPLINK_LINK_SETUP,   /* not registered yet */
	UPLINK_LINK_SERVING, /* registered */
	UPLINK_LINK_LEAVING, /* unregister was sent */
	UPLINK_LINK_RETIRED, /* not registered any more; closed when its streams have ended */
};

struct uplink_link {
	uint32_t id; /* 0: free slot */
	enum uplink_link_phase phase;
};

/* All members must be set. */
struct uplink_ops {
	/* Dials link @id; @other: if possible not the address of the last try.
	 * 0, UPLINK_E_NO_ADDRESS or -errno. */
	int (*dial)(void *ctx, uint32_t id, bool other);
	void (*register_link)(void *ctx, uint32_t id, uint8_t n_previous_attempts);
	void (*unregister_link)(void *ctx, uint32_t id, uint32_t timeout_ms);
	/* GOAWAY: no new streams for @id, those that run go on. */
	void (*drain_link)(void *ctx, uint32_t id);
	/* The link is gone for the machine: no event with @id may follow. */
	void (*close_link)(void *ctx, uint32_t id, const char *reason);
	/* True if @id carries no stream but its control stream. */
	bool (*link_is_idle)(void *ctx, uint32_t id);
	/* 32 uniform bits. */
	uint32_t (*random)(void *ctx);
	/* After each change; the machine's fields are up to date. */
	void (*on_state)(void *ctx, enum uplink_state from, enum uplink_state to);
	/* The try at the address last dialled has failed, before it was registered: not by what
	 * happened to this host, and by the edge's refusal only if it was a move. */
	void (*on_try_failed)(void *ctx);
	/* The edge refused our credentials; the machine goes on trying. */
	void (*on_unauthorized)(void *ctx, const char *cause);
};

struct uplink {
	const struct uplink_ops *ops;
	void *ctx;
	enum uplink_state state;
	struct uplink_link links[UPLINK_LINKS_MAX];
	uint32_t current; /* id, 0: none */
	uint32_t last_id;
	struct backoff backoff;
	uint64_t since_ms;     /* of this state */
	uint64_t deadline_ms;  /* of this state, UINT64_MAX: none */
	uint64_t check_ms;     /* when to look at old links, UINT64_MAX: there are none */
	uint64_t grace_end_ms; /* after uplink_stop() */
	uint64_t move_ms;      /* not before, says the edge that refused the last move */
	bool told_to_wait;     /* the edge set the back-off: nothing of ours shortens it */
	bool other_address;    /* the next dial shall take another address */
	bool is_moving;	       /* by uplink_move(), until it is registered again */
	char last_error[UPLINK_REASON_MAX]; /* "" before the first failure */
};

/* @ops is borrowed (static const). */
void uplink_init(struct uplink *u, const struct uplink_ops *ops, void *ctx);

/* ---- orders ---- */

void uplink_start(struct uplink *u, uint64_t now_ms);
/* Unregisters, lets streams end for up to @grace_ms, closes. STOPPED may be reached at once. */
void uplink_stop(struct uplink *u, uint32_t grace_ms, uint64_t now_ms);
/* The network changed: a back-off that is our own ends now. Its failures still count. True: it did.
 */
bool uplink_hurry(struct uplink *u, uint64_t now_ms);
/*
 * Registers anew, make before break: the edge of the present link hears GOAWAY as soon as its
 * successor serves, and what runs on it goes on. A try that fails or is refused changes nothing.
 * False, and nothing is done, unless it has been registered for UPLINK_STABLE_MS, and where an old
 * link would have to give way.
 */
bool uplink_move(struct uplink *u, uint64_t now_ms);
/* STOPPED, now. */
void uplink_kill(struct uplink *u, uint64_t now_ms);

/* ---- events; those about a link that is gone are ignored ---- */

void uplink_on_addresses(struct uplink *u, uint64_t now_ms);
/* Discovery failed. True if it is what this uplink waits for, and its last_error was another. */
bool uplink_on_no_addresses(struct uplink *u, const char *reason);
void uplink_on_secure(struct uplink *u, uint32_t id, uint64_t now_ms);
void uplink_on_control(struct uplink *u, uint32_t id, uint64_t now_ms);
void uplink_on_registered(struct uplink *u, uint32_t id, uint64_t now_ms);
/* The edge's ConnectionError. @retry_after_ns: 0 or less means none. */
void uplink_on_refused(struct uplink *u, uint32_t id, const char *cause, int64_t retry_after_ns,
		       uint64_t now_ms);
/* The answer to unregister came, or it won't. */
void uplink_on_unregistered(struct uplink *u, uint32_t id, uint64_t now_ms);
/* The control stream ended or is useless (RPC exception, time-out, abort). */
void uplink_on_control_end(struct uplink *u, uint32_t id, const char *reason, uint64_t now_ms);
void uplink_on_goaway(struct uplink *u, uint32_t id, uint64_t now_ms);
/* The host lost the address that the link uses: it can only be dead. Dials anew at once. */
void uplink_on_address_gone(struct uplink *u, uint32_t id, const char *reason, uint64_t now_ms);
/* TCP is closed. */
void uplink_on_closed(struct uplink *u, uint32_t id, const char *reason, uint64_t now_ms);

/* Runs what is due. */
void uplink_tick(struct uplink *u, uint64_t now_ms);
/* When to call uplink_tick(), or UINT64_MAX. */
uint64_t uplink_deadline_ms(const struct uplink *u);

/* ---- views ---- */

/* True while any link of this index is registered. */
bool uplink_is_registered(const struct uplink *u);
/* The registered link that serves new streams, 0 if there is none. */
uint32_t uplink_serving_link(const struct uplink *u);
const char *uplink_state_name(enum uplink_state s);
