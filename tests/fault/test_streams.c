/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Streams that are opened, send, are half-closed or reset, with each call of the agent or the edge
 * failing once: a stream ends whole or in disorder, never cut off as if it were whole; nothing
 * hangs; and the next one works. Likewise flows of datagrams, of which some may be lost.
 */

#include "base/compiler.h"
#include "tests/fault/datagrams.h"
#include "tests/fault/sweep.h"

#define BYTES	 150000
#define LIMIT_MS 300000

static void play(enum call_kind kind)
{
	call_begin(BYTES, kind);
	if (!site_until(call_is_over, LIMIT_MS))
		site_fail("a stream hangs");
	if (call_state() == CALL_CUT_OFF)
		site_fail("a stream ended in order, but not whole");
}

static void run(void)
{
	play(CALL_ENDS);
	play(CALL_RESETS);
}

static void check(void)
{
	if (!site_agent.is_up || !site_edge.is_up)
		site_fail("one of them has ended");
	check_call_works();
}

static void run_datagrams(void)
{
	(void)datagrams_play();
}

static void check_datagrams(void)
{
	if (!site_agent.is_up || !site_edge.is_up)
		site_fail("one of them has ended");
	begin_agent();
	call_hang_up();
	if (!datagrams_play())
		site_fail("the next flow fails, too");
	call_hang_up();
}

int main(void)
{
	static const struct scenario scenarios[] = {
		{"streams, agent", &site_agent, begin_agent, run, check, false},
		{"streams, edge", &site_edge, begin_agent, run, check, false},
		{"datagrams, agent", &site_agent, begin_agent, run_datagrams, check_datagrams,
		 false},
		{"datagrams, edge", &site_edge, begin_agent, run_datagrams, check_datagrams, false},
	};

	return sweep(scenarios, ARRAY_SIZE(scenarios));
}
