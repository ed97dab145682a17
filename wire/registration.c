/* SPDX-License-Identifier: Apache-2.0 */

#include "wire/registration.h"

#include <string.h>

bool registration_has_feature(const struct registration_request *r, const char *feature)
{
	for (size_t i = 0; i < r->n_features; i++) {
		if (!strcmp(r->features[i], feature))
			return true;
	}
	return false;
}
