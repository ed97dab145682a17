/* SPDX-License-Identifier: Apache-2.0 */

/*
 * SIGTERM while a stream is open, with each call failing once: the daemon ends all the same, with
 * exit code 0, and closes whatever it had.
 */

#include <signal.h>

#include "base/compiler.h"
#include "tests/fault/sweep.h"

#define BYTES	 1000
#define LIMIT_MS 300000

static void begin(void)
{
	begin_agent();
	call_begin(BYTES, CALL_STAYS);
	if (!site_until(call_is_echoed, LIMIT_MS) || call_is_over())
		site_fail("no stream");
}

static void stop_agent(void)
{
	site_agent.signal = SIGTERM;
	if (!site_until(site_agent_ended, LIMIT_MS))
		site_fail("the agent doesn't end");
}

static void stop_edge(void)
{
	site_edge.signal = SIGTERM;
	if (!site_until(site_edge_ended, LIMIT_MS))
		site_fail("the edge doesn't end");
}

static void check_agent(void)
{
	if (site_agent.exit_code != 0)
		site_fail("another exit code than 0 after SIGTERM");
	if (!site_edge.is_up)
		site_fail("the edge has ended");
	begin_agent();
}

static void check_edge(void)
{
	if (site_edge.exit_code != 0)
		site_fail("another exit code than 0 after SIGTERM");
	if (!site_agent.is_up)
		site_fail("the agent has ended");
	begin_agent();
}

int main(void)
{
	static const struct scenario scenarios[] = {
		{"shutdown, agent", &site_agent, begin, stop_agent, check_agent, false},
		{"shutdown, edge", &site_edge, begin, stop_edge, check_edge, false},
	};

	return sweep(scenarios, ARRAY_SIZE(scenarios));
}
