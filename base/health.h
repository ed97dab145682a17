/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * health - the four states of a tunnel, by count of registered connections; pure
 *
 * The exit codes are a monitoring plug-in's: OK, WARNING, CRITICAL, UNKNOWN.
 */

#include <stdbool.h>

enum health {
	HEALTH_HEALTHY,	 /* all expected connections are registered */
	HEALTH_DEGRADED, /* at least one, fewer than expected */
	HEALTH_DOWN,	 /* none, but there was one before */
	HEALTH_INACTIVE, /* there never was one */
	HEALTH_N,
};

enum health health_of(unsigned int n_expected, unsigned int n_registered, bool ever_registered);

/* "Healthy", "Degraded", "Down", "Inactive". */
const char *health_name(enum health h);
/* Case-insensitive. 0 or -EINVAL. */
int health_parse(const char *name, enum health *hp);
/* 0, 1, 2, 3. */
int health_exit_code(enum health h);
