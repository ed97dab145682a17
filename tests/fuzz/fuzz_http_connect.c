/* SPDX-License-Identifier: Apache-2.0 */

/* The head of a request in one piece and byte by byte: the same outcome, bytes and request. */

#include <stdint.h>
#include <string.h>

#include "client/http_connect.h"
#include "tests/fuzz/require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static enum proxy_parse run(struct http_connect *h, const uint8_t *data, size_t n, size_t piece,
			    size_t *takenp)
{
	enum proxy_parse outcome = PROXY_PARSE_MORE;
	size_t at = 0;

	http_connect_init(h);
	while (outcome == PROXY_PARSE_MORE && at < n) {
		size_t now = n - at < piece ? n - at : piece;
		size_t used;

		outcome = http_connect_feed(h, data + at, now, &used);
		require(used <= now && (outcome != PROXY_PARSE_MORE || used == now));
		at += used;
	}
	*takenp = at;
	return outcome;
}

static void check_refusal(const struct http_connect *h)
{
	char out[HTTP_RESPONSE_MAX];

	require(h->status >= 400 && h->error);
	require(http_response_format(h->status, h->error, out) == strlen(out));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct http_connect whole, bytes;
	size_t taken, taken_too;
	enum proxy_parse outcome = run(&whole, data, n, n, &taken);

	require(run(&bytes, data, n, 1, &taken_too) == outcome && taken == taken_too);
	require(taken <= HTTP_HEAD_MAX);
	if (outcome == PROXY_PARSE_REFUSED)
		check_refusal(&whole);
	if (outcome == PROXY_PARSE_READY) {
		const struct proxy_request *r = &whole.request;

		require(r->port && r->host[0] && data[taken - 1] == '\n');
		require(proxy_network_is_valid(r->network, strlen(r->network)));
		require(memcmp(r, &bytes.request, sizeof(*r)) == 0);
	}
	return 0;
}
