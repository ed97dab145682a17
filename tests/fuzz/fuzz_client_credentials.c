/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/diag.h"
#include "client/client_credentials.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Either all that is needed, fit for a header, or nothing and a reason. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct client_credentials *c = NULL;
	struct diag diag;
	int r;

	diag_init(&diag, NULL);
	r = client_credentials_parse((const char *)data, n, &c, &diag);
	if ((r == 0) != (c != NULL) || (r == 0) != (diag.n_errors == 0))
		abort();
	if (c && (!c->n_edges || !c->ca_pem || !c->token[0]))
		abort();
	for (const char *p = c ? c->token : ""; *p; p++) {
		if (*p <= ' ' || *p > '~')
			abort();
	}
	client_credentials_free(c);
	diag_deinit(&diag);
	return 0;
}
