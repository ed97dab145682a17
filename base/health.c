/* SPDX-License-Identifier: Apache-2.0 */
#include "base/health.h"

#include <errno.h>
#include <strings.h>

static const struct {
	const char *name;
	int exit_code;
} states[HEALTH_N] = {
	[HEALTH_HEALTHY] = {"Healthy", 0},
	[HEALTH_DEGRADED] = {"Degraded", 1},
	[HEALTH_DOWN] = {"Down", 2},
	[HEALTH_INACTIVE] = {"Inactive", 3},
};

enum health health_of(unsigned int n_expected, unsigned int n_registered, bool ever_registered)
{
	if (n_registered == 0)
		return ever_registered ? HEALTH_DOWN : HEALTH_INACTIVE;
	return n_registered < n_expected ? HEALTH_DEGRADED : HEALTH_HEALTHY;
}

const char *health_name(enum health h)
{
	return states[h].name;
}

int health_parse(const char *name, enum health *hp)
{
	for (int h = 0; h < HEALTH_N; h++) {
		if (strcasecmp(name, states[h].name) == 0) {
			*hp = (enum health)h;
			return 0;
		}
	}
	return -EINVAL;
}

int health_exit_code(enum health h)
{
	return states[h].exit_code;
}
