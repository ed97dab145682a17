/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A DNS message as a query and as an answer. What is read can be written: a reply quotes the same
 * question. And queries that are forwarded come to an end, whatever the servers say.
 */

#include <string.h>

#include "base/compiler.h"
#include "client/dns_forwarder.h"
#include "tests/fuzz/require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void try_query(const uint8_t *data, size_t n)
{
	uint8_t out[DNS_REPLY_MAX];
	struct dns_question q, again;
	int r = dns_query_parse(data, n, &q);
	size_t n_out;

	if (r < 0)
		return;
	require(q.n_name <= DNS_NAME_MAX && DNS_HEADER_LEN + q.n_name <= n);
	n_out = dns_reply_build(data, &q, DNS_SERVFAIL, false, out);
	require(n_out <= DNS_REPLY_MAX && n_out <= n && dns_id(out) == dns_id(data));
	/* An answer to an answer would never end. */
	require(dns_query_parse(out, n_out, &again) < 0);
	if (r == 0)
		require(dns_answer_parse(out, n_out, &again) == 0 &&
			dns_question_equal(&q, &again));
}

struct counts {
	size_t n_sent, n_answers;
};

static int on_send(void *ctx, size_t upstream, const uint8_t *data UNUSED, size_t n)
{
	struct counts *c = ctx;

	require(upstream < 3 && n <= DNS_UDP_QUERY_MAX);
	c->n_sent++;
	return 0;
}

static void on_answer(void *ctx, const struct dns_asker *asker UNUSED, const uint8_t *data,
		      size_t n)
{
	struct counts *c = ctx;
	struct dns_question q;

	require(dns_query_parse(data, n, &q) < 0);
	c->n_answers++;
}

static uint16_t draw_id(void *ctx UNUSED)
{
	return 0;
}

static struct endpoint servers[] = {
	{{AF_INET, {10, 0, 0, 1}}, 53},
	{{AF_INET, {10, 0, 0, 2}}, 53},
};

static const struct up_dns_forward forwards[] = {
	{.domain = "example", .servers = servers, .n_servers = 2},
	{.domain = "corp.example", .servers = servers, .n_servers = 1, .virtual_network = "lab"},
};

/* The input is a query, then what the first server says. */
static void try_forwarder(const uint8_t *data, size_t n)
{
	static const struct dns_forwarder_events events = {on_send, on_answer, draw_id};
	const struct dns_asker asker = {NULL, NULL};
	struct counts c = {0, 0};
	struct dns_zones *zones = NULL;
	struct dns_forwarder *f;

	require(dns_zones_new(&zones, forwards, 2) == 0);
	f = dns_forwarder_new(zones, &events, &c);
	dns_forwarder_ask(f, &asker, data, n, 0);
	dns_forwarder_take(f, 0, data, n);
	for (uint64_t ms = 0; ms <= DNS_PATIENCE_MS; ms += DNS_TRY_MS)
		dns_forwarder_tick(f, ms);
	require(dns_forwarder_next_ms(f) == UINT64_MAX);
	require(c.n_answers <= 1 && c.n_sent <= 4);
	dns_forwarder_free(f);
	dns_zones_free(zones);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct dns_question q;

	try_query(data, n);
	if (dns_answer_parse(data, n, &q) == 0)
		require(q.n_name > 0 && q.n_name + DNS_HEADER_LEN <= n);
	try_forwarder(data, n);
	return 0;
}
