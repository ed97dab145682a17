/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * agent - the connector daemon behind `adit run`
 *
 * Owns the loop and everything on it. Starts, serves, reloads, drains:
 *
 *   RUNNING   uplinks connect and serve
 *   DRAINING  after SIGTERM or SIGINT: connections are unregistered, new streams get 503,
 *             running ones go on for up to grace-period
 *   LEAVING   everything is closed; what is left to send goes out, bounded by a timer
 *
 * A second signal skips DRAINING. An agent that was replaced (handover.h) drains, too, but says
 * nothing of it to systemd and the state file: they are its successor's.
 */

#include "agent/settings.h"

struct agent_options {
	const char *config_path;
	struct settings_overrides overrides;
	bool replace; /* the agent that runs, if any: see takeover.h */
	/*
	 * Gets a byte and is closed: 0 when we are the agent, or the exit code; told to stop before
	 * that is AGENT_EXIT_NOT_REPLACED. -1: nobody waits.
	 */
	int starter_fd;
};

/* Exit codes; cmd/commands.h has the same. */
enum agent_exit {
	AGENT_EXIT_OK = 0,
	AGENT_EXIT_FAILED = 1, /* the host refuses something that we can't do without */
	AGENT_EXIT_RUNNING = 73,
	AGENT_EXIT_NOT_REPLACED = 75, /* the old agent goes on; try again */
	AGENT_EXIT_REFUSED = 77,
	AGENT_EXIT_CONFIG = 78,
};

/* Runs until told to stop. Problems are on stderr or in the log. Returns an exit code. */
int agent_run(const struct agent_options *opt);
