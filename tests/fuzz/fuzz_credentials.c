/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/credentials.h"
#include "base/diag.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

typedef int (*parse_fn)(const char *text, size_t n, struct credentials *credp, struct diag *diag);

/* Either a secret of a permitted size, or nothing at all and a reason. */
static void check(parse_fn parse, const char *text, size_t n)
{
	static const struct credentials empty;
	struct credentials c = {0};
	struct diag diag;
	int r;

	diag_init(&diag, NULL);
	r = parse(text, n, &c, &diag);
	if (r == 0 && (c.n_secret < 16 || c.n_secret > CREDENTIALS_SECRET_MAX || diag.n_errors))
		abort();
	if (r != 0 && (!diag.n_errors || memcmp(&c, &empty, sizeof(c)) != 0))
		abort();
	credentials_wipe(&c);
	diag_deinit(&diag);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	check(credentials_parse_json, (const char *)data, n);
	check(credentials_parse_token, (const char *)data, n);
	return 0;
}
