/* SPDX-License-Identifier: Apache-2.0 */

#include "wire/registration.h"

#include <stdlib.h>
#include <string.h>

#include "wire/proto.h"

#define CONNECTIONS_PARAMETER ";connections="

bool registration_has_feature(const struct registration_request *r, const char *feature)
{
	for (size_t i = 0; i < r->n_features; i++) {
		if (!strcmp(r->features[i], feature))
			return true;
	}
	return false;
}

/* What follows "adit/1" in the features ("" or ";..."), or NULL for a stock agent. */
static const char *adit_parameters(const struct registration_request *r)
{
	size_t n = strlen(FEATURE_ADIT);

	for (size_t i = 0; i < r->n_features; i++) {
		const char *f = r->features[i];

		if (!strncmp(f, FEATURE_ADIT, n) && (f[n] == '\0' || f[n] == ';'))
			return f + n;
	}
	return NULL;
}

bool registration_is_adit(const struct registration_request *r)
{
	return adit_parameters(r) != NULL;
}

unsigned int registration_expected_connections(const struct registration_request *r,
					       unsigned int otherwise)
{
	const char *parameters = adit_parameters(r);
	const char *value = parameters ? strstr(parameters, CONNECTIONS_PARAMETER) : NULL;
	unsigned long n = value ? strtoul(value + strlen(CONNECTIONS_PARAMETER), NULL, 10) : 0;

	return n >= 1 && n <= UINT8_MAX ? (unsigned int)n : otherwise;
}
