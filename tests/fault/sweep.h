/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * sweep - a scenario again and again, each time with another call that fails
 *
 * For each kind of fault n goes up from 1 until the scenario ends without that there was an n-th
 * call. In each round: no crash, as many descriptors as before, and what the scenario's check
 * wants. When both have ended, under ASan: no leak. ADIT_FAULT_ONLY=<kind>:<n> plays one round.
 */

#include <stdbool.h>
#include <stddef.h>

#include "tests/fault/site.h"

struct scenario {
	const char *name;
	struct daemon *who;  /* whose calls fail */
	void (*begin)(void); /* up to where faults begin */
	void (*run)(void);
	void (*check)(void); /* faults are over: did it go well, and does the next try? */
	/* OpenSSL reads certificates: for want of memory it keeps one without its key, and says
	 * nothing. */
	bool spares_openssl;
};

/* Prints a table; returns the exit code. */
int sweep(const struct scenario *scenarios, size_t n);

/* ---- what scenarios share; each fails the test if it doesn't come about ---- */

void begin_edge(void);
void begin_agent(void); /* and is healthy */
void end_daemon(struct daemon *d);
/* It has ended: by itself, with an exit code that the manual knows, and it has said why. */
void check_early_end(const struct daemon *d);
void check_call_works(void);
