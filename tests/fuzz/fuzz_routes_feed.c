/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "client/feed_lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct seen {
	size_t n_sets;
	size_t n_routes;
};

static int compare(const struct feed_route *a, const struct feed_route *b)
{
	int d = strcmp(a->network, b->network);

	return d ? d : prefix_compare(&a->prefix, &b->prefix);
}

/* Bounded, sorted, no pair twice, and names fit for a header. */
static bool on_set(void *ctx, const struct feed_route *routes, size_t n)
{
	struct seen *seen = ctx;

	if (n > FEED_ROUTES_MAX)
		abort();
	for (size_t i = 0; i < n; i++) {
		if (i > 0 && compare(&routes[i - 1], &routes[i]) >= 0)
			abort();
		if (!routes[i].network[0] || !memchr(routes[i].network, '\0', VNET_NAME_MAX))
			abort();
		for (const char *p = routes[i].network; *p; p++)
			if (*p <= ' ' || *p > '~')
				abort();
	}
	seen->n_sets++;
	seen->n_routes += n;
	return true;
}

static int run(const uint8_t *data, size_t n, size_t piece, struct seen *seen)
{
	struct feed_lines *f = feed_lines_new(on_set, seen);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i += piece)
		r = feed_lines_push(f, data + i, n - i < piece ? n - i : piece);
	if ((r == FEED_LINES_E_BAD) != (feed_lines_error(f)[0] != '\0') ||
	    r == FEED_LINES_E_STOPPED)
		abort();
	feed_lines_free(f);
	return r;
}

/* The pieces in which bytes come must not matter. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const size_t pieces[] = {SIZE_MAX / 2, 1, 7};
	struct seen first = {0};
	int r = run(data, n, pieces[0], &first);

	for (size_t i = 1; i < sizeof(pieces) / sizeof(*pieces); i++) {
		struct seen seen = {0};

		if (run(data, n, pieces[i], &seen) != r || seen.n_sets != first.n_sets ||
		    seen.n_routes != first.n_routes)
			abort();
	}
	return 0;
}
