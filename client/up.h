/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * up - `adit up`: networks behind the edge, reachable for every program of this machine
 *
 *   set up   as root: lock, clean-up of what a killed one left, device A, private namespace,
 *            helper; then every privilege is given up
 *   running  the edge's routes are captured, live; packets become streams
 *   stop     signal, `adit down`, or a lost device: helper and devices go, nothing stays
 */

#include "client/up_settings.h"

#define UP_TEXT_MAX 2048

enum up_exit {
	UP_EXIT_RUNNING = 73, /* another one has this instance */
	UP_EXIT_CONFIG = 78,
};

/* Control commands. `down` changes something: own uid or root. */
#define UP_COMMAND_STATUS "status"
#define UP_COMMAND_DOWN	  "down"

struct up_options {
	const char *config_path; /* NULL: none */
	struct up_overrides overrides;
};

/*
 * Runs until it is told to stop. Returns the exit status: 0 after a signal or `down`, one of
 * enum up_exit or enum client_exit; every failure was logged.
 */
int up_run(const struct up_options *opt);

/*
 * Removes what a killed instance left in the kernel's routing. @patience_ms: for one that is about
 * to end. 0 with what was removed in @text, "" if nothing; 1 after a message in @text, also
 * that the instance is running.
 */
int up_clean(const char *runtime_dir, uint32_t instance, unsigned int patience_ms,
	     char text[UP_TEXT_MAX]);
