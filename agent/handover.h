/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * handover - the running agent's side of `adit run --replace`; pure
 *
 * A new process claims our place, and has it when it says so a second time:
 *
 *   FREE      nobody has asked
 *   CLAIMED   one process prepares to follow us; others are refused
 *   HANDED    it was given copies of the control socket and its lock; we still answer, too
 *   GIVEN     it has confirmed: it is in charge, we drain. For good
 *
 * Until GIVEN we are the agent, whatever becomes of the other: it may leave at any time and
 * nothing has changed. A claim that lasts longer than HANDOVER_CLAIM_MS is over, whatever it has
 * got, so that a process that hangs blocks nobody. It must be told so before its connection
 * closes: a close alone would say that we have died.
 */

#include <stdbool.h>
#include <stdint.h>

#define HANDOVER_CLAIM_MS 120000

enum handover_state {
	HANDOVER_STATE_FREE,
	HANDOVER_STATE_CLAIMED,
	HANDOVER_STATE_HANDED,
	HANDOVER_STATE_GIVEN,
	HANDOVER_STATE_N,
};

enum handover_outcome {
	HANDOVER_E_TAKEN = 1, /* another process is about to follow us, or has */
	HANDOVER_E_ORDER = 2, /* not the claim that counts, or not its turn */
};

struct handover {
	enum handover_state state;
	uint64_t claim; /* number of the one that counts */
	uint64_t last_claim;
	uint64_t since_ms; /* of the claim, of what it was given, too */
	int64_t pid;	   /* who has it */
};

/* 0 with the claim's number (never 0), or HANDOVER_E_TAKEN. */
int handover_claim(struct handover *h, int64_t pid, uint64_t now_ms, uint64_t *claimp);
/* The name may be handed to the owner of @claim. 0 or HANDOVER_E_ORDER. */
int handover_take(struct handover *h, uint64_t claim);
/* It has it. 0 or HANDOVER_E_ORDER. */
int handover_confirm(struct handover *h, uint64_t claim);
/* The owner of @claim has left. True: it had the name already, and we are alone in charge again. */
bool handover_gone(struct handover *h, uint64_t claim);

/* When the claim is over; UINT64_MAX: there is none. */
uint64_t handover_deadline_ms(const struct handover *h);
/*
 * Ends a claim that is too old. Only when nothing is left to read of its owner: it may have
 * confirmed while we didn't run, and count on it. True: it was; *@had_namep as handover_gone().
 */
bool handover_expire(struct handover *h, uint64_t now_ms, bool *had_namep);

/* The process that prepares to follow us, or 0. */
int64_t handover_pid(const struct handover *h);
