/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A SOCKS handshake in one piece and byte by byte: the same outcome, the same bytes taken, the
 * same request. And the same bytes as a datagram.
 */

#include <stdint.h>
#include <string.h>

#include "client/socks.h"
#include "tests/fuzz/require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Returns the last outcome; *@takenp bytes were taken. */
static enum proxy_parse run(struct socks *s, const uint8_t *data, size_t n, size_t piece,
			    size_t *takenp)
{
	enum proxy_parse outcome = PROXY_PARSE_MORE;
	size_t at = 0;

	socks_init(s);
	while (outcome <= PROXY_PARSE_ANSWER && at < n) {
		size_t now = n - at < piece ? n - at : piece;
		size_t used;

		outcome = socks_feed(s, data + at, now, &used);
		require(used <= now && s->n_reply <= SOCKS_REPLY_MAX);
		require(outcome != PROXY_PARSE_MORE || used == now);
		at += used;
	}
	*takenp = at;
	return outcome;
}

static void check_request(const struct proxy_request *r)
{
	require(proxy_host_is_valid(r->host, strlen(r->host)));
	require(proxy_network_is_valid(r->network, strlen(r->network)));
	require(r->port || r->command == PROXY_COMMAND_UDP);
}

static void try_datagram(const uint8_t *data, size_t n)
{
	struct socks_datagram d;

	if (socks_udp_parse(data, n, &d) < 0)
		return;
	require(d.payload > data && d.payload + d.n_payload == data + n);
	require(d.port && proxy_host_is_valid(d.host, strlen(d.host)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct socks whole, bytes;
	size_t taken, taken_too;
	enum proxy_parse outcome = run(&whole, data, n, n, &taken);

	require(run(&bytes, data, n, 1, &taken_too) == outcome && taken == taken_too);
	if (outcome == PROXY_PARSE_READY) {
		check_request(&whole.request);
		require(memcmp(&whole.request, &bytes.request, sizeof(whole.request)) == 0);
	}
	if (outcome == PROXY_PARSE_REFUSED)
		require(whole.error && whole.error == bytes.error);
	try_datagram(data, n);
	return 0;
}
