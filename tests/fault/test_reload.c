/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A reload with other routes and limits, with each call failing once: the old settings or the new
 * ones are in force, all of them; the next reload takes effect, and the edge has the routes.
 */

#include <signal.h>

#include "agent/agent_private.h"
#include "base/compiler.h"
#include "edge/edge.h"
#include "tests/fault/sweep.h"

#define LIMIT_MS  300000
#define FOLLOW_MS 10000

static unsigned int version;

static bool is_told(void)
{
	return !site_agent.signal && !site_edge.signal && work_out() == 0;
}

static void reload(struct daemon *d)
{
	d->signal = SIGHUP;
	if (!site_until(is_told, LIMIT_MS))
		site_fail("a reload takes no end");
	/* What follows from it: calls, changes of the store. Nothing does if it was refused. */
	(void)site_until(site_is_healthy, FOLLOW_MS);
}

static void begin(void)
{
	site_write_configs(version);
	begin_agent();
}

static void reload_agent(void)
{
	site_write_configs(version + 1);
	reload(&site_agent);
}

static void reload_edge(void)
{
	site_write_configs(version + 1);
	reload(&site_edge);
}

static void check_either(uint32_t ms)
{
	if (ms != site_grace_ms(version) && ms != site_grace_ms(version + 1))
		site_fail("settings of no config");
}

static void check_agent(void)
{
	if (!site_agent.is_up)
		site_fail("the agent has ended");
	check_either(site_agent_object()->live->grace_period_ms);
	version++;
	reload(&site_agent);
	if (site_agent_object()->live->grace_period_ms != site_grace_ms(version))
		site_fail("the next reload takes no effect");
	begin_agent();
}

static void check_edge(void)
{
	if (!site_edge.is_up)
		site_fail("the edge has ended");
	check_either(site_edge_object()->settings->drain_timeout_ms);
	version++;
	reload(&site_edge);
	if (site_edge_object()->settings->drain_timeout_ms != site_grace_ms(version))
		site_fail("the next reload takes no effect");
	reload(&site_agent);
	begin_agent();
}

int main(void)
{
	static const struct scenario scenarios[] = {
		{"reload, agent", &site_agent, begin, reload_agent, check_agent, false},
		{"the edge's side of it", &site_edge, begin, reload_agent, check_agent, false},
		{"reload, edge", &site_edge, begin, reload_edge, check_edge, false},
	};

	return sweep(scenarios, ARRAY_SIZE(scenarios));
}
