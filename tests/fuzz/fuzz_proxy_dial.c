/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A proxy's answers in one piece and byte by byte. The first byte chooses the protocol and whether
 * there are credentials. Whatever the pieces, it ends; said is only what fits, an error is clean.
 */

#include <stdint.h>
#include <string.h>

#include "tests/fuzz/require.h"
#include "wire/peer_text.h"
#include "wire/proxy_dial.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void send_all(struct proxy_dial *p)
{
	const uint8_t *out;
	size_t n;

	while ((n = proxy_dial_output(p, &out)) > 0) {
		require(n <= 4096);
		proxy_dial_sent(p, n > 3 ? 3 : n);
	}
}

static enum proxy_dial_outcome run(uint8_t how, const uint8_t *data, size_t n, size_t piece)
{
	struct proxy_dial_options opt = {
		.kind = how & 1 ? PROXY_KIND_SOCKS5 : PROXY_KIND_HTTP,
		.host = how & 4 ? "2001:db8::1" : "edge.example",
		.port = 7844,
		.user = how & 2 ? "user" : NULL,
		.password = how & 2 ? "secret" : NULL,
	};
	struct proxy_dial *p = proxy_dial_new(&opt);
	enum proxy_dial_outcome outcome = PROXY_DIAL_MORE;

	for (size_t at = 0; outcome == PROXY_DIAL_MORE && at < n; at += piece) {
		send_all(p);
		outcome = proxy_dial_feed(p, data + at, n - at < piece ? n - at : piece);
	}
	require((outcome == PROXY_DIAL_FAILED) == (proxy_dial_error(p)[0] != '\0'));
	require(peer_text_is_safe(proxy_dial_error(p)));
	require(strlen(proxy_dial_error(p)) < PROXY_DIAL_ERROR_MAX);
	proxy_dial_free(p);
	return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	enum proxy_dial_outcome whole, bytes;

	if (n == 0)
		return 0;
	whole = run(data[0], data + 1, n - 1, n);
	bytes = run(data[0], data + 1, n - 1, 1);
	/* In pieces more is possible: SOCKS answers to what is sent in between. */
	if (whole == PROXY_DIAL_OPEN || !(data[0] & 1))
		require(bytes == whole || (whole == PROXY_DIAL_FAILED && bytes == PROXY_DIAL_OPEN));
	if (whole == PROXY_DIAL_MORE)
		require(bytes == PROXY_DIAL_MORE);
	return 0;
}
