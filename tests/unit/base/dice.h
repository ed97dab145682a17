/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * dice - random schedules that can be played again
 *
 * A schedule is a seed: whatever a test draws comes from it alone. When a check fails, or an
 * assertion of the code under test, the seed is printed; ADIT_TEST_SEED=<seed> plays that one
 * schedule and no other; ADIT_TEST_SCHEDULES=<n> plays n of them. One schedule at a time: the seed
 * is kept for the process. Draw once per expression: the order within one is the compiler's.
 */

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct dice {
	uint64_t state;
};

static char dice_note[64];

#define DICE_CHECK(condition)                                                                      \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static inline void dice_tell_seed(int signal UNUSED)
{
	(void)!write(STDERR_FILENO, dice_note, strlen(dice_note));
}

/* Uniform 32 bits (splitmix64). */
static inline uint32_t dice_u32(struct dice *d)
{
	uint64_t z = d->state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (uint32_t)((z ^ (z >> 31)) >> 32);
}

/* Below @n, which is at least 1. */
static inline uint32_t dice_below(struct dice *d, uint32_t n)
{
	return (uint32_t)(((uint64_t)dice_u32(d) * n) >> 32);
}

/* True in @n of 100 cases. */
static inline bool dice_percent(struct dice *d, uint32_t n)
{
	return dice_below(d, 100) < n;
}

/* Small and large ones are equally likely; at most @max. */
static inline uint64_t dice_size(struct dice *d, uint64_t max)
{
	uint64_t n = dice_u32(d);

	n >>= dice_below(d, 32);
	return n < max ? n : max;
}

/* Plays seeds 1 to @n_schedules, or to what the environment says, or the one that it names. */
static inline void dice_play(unsigned int n_schedules, void (*play)(struct dice *d))
{
	const char *only = getenv("ADIT_TEST_SEED");
	const char *fewer = getenv("ADIT_TEST_SCHEDULES");
	unsigned long first = only ? strtoul(only, NULL, 10) : 1;
	unsigned long last = only ? first : fewer ? strtoul(fewer, NULL, 10) : n_schedules;

	signal(SIGABRT, dice_tell_seed);
	for (unsigned long seed = first; seed <= last; seed++) {
		struct dice d = {.state = seed};

		snprintf(dice_note, sizeof(dice_note), "failed with ADIT_TEST_SEED=%lu\n", seed);
		play(&d);
	}
	signal(SIGABRT, SIG_DFL);
}
