/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Start and registration, with each call of the agent or the edge failing once: a daemon that can't
 * start says why and ends with an exit code of the manual, and starts when it is told to again; one
 * that runs registers all connections, at the latest with the next try.
 */

#include "base/compiler.h"
#include "tests/fault/sweep.h"

#define LIMIT_MS 300000

static bool agent_is_there(void)
{
	return site_agent_ended() || site_is_healthy();
}

static bool edge_is_there(void)
{
	return site_edge_ended() || site_edge_serves();
}

static void begin_without_agent(void)
{
	begin_edge();
	end_daemon(&site_agent);
}

static void start_agent(void)
{
	daemon_start(&site_agent);
	if (!site_until(agent_is_there, LIMIT_MS))
		site_fail("the agent neither ends nor becomes healthy");
}

static void check_agent(void)
{
	if (!site_agent.is_up)
		check_early_end(&site_agent);
	begin_agent();
	end_daemon(&site_agent);
}

static void check_edge_side(void)
{
	if (!site_edge.is_up || !site_agent.is_up)
		site_fail("one of them has ended");
	check_agent();
}

static void begin_without_edge(void)
{
	end_daemon(&site_agent);
	end_daemon(&site_edge);
}

static void start_edge(void)
{
	daemon_start(&site_edge);
	if (!site_until(edge_is_there, LIMIT_MS))
		site_fail("the edge neither ends nor serves");
}

static void check_edge(void)
{
	if (!site_edge.is_up)
		check_early_end(&site_edge);
	begin_agent();
	end_daemon(&site_agent);
}

int main(void)
{
	static const struct scenario scenarios[] = {
		{"agent's start", &site_agent, begin_without_agent, start_agent, check_agent, true},
		{"edge's side of it", &site_edge, begin_without_agent, start_agent, check_edge_side,
		 false},
		{"edge's start", &site_edge, begin_without_edge, start_edge, check_edge, true},
	};

	return sweep(scenarios, ARRAY_SIZE(scenarios));
}
