/* SPDX-License-Identifier: Apache-2.0 */

/* Queries in flight: servers that answer, late, wrongly or not at all; time is a number. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "client/dns_forwarder.h"

#define START_MS  1000000
#define ID	  0x1234
#define FIRST_ID  0x4000 /* that is drawn */
#define MAX_NOTED 2048

static struct endpoint servers[] = {
	{{AF_INET, {10, 0, 0, 1}}, 53},
	{{AF_INET, {10, 0, 0, 2}}, 53},
	{{AF_INET, {10, 0, 0, 3}}, 53},
};

static const struct up_dns_forward forwards[] = {
	{.domain = "corp.example", .servers = servers, .n_servers = 2},
	{.domain = "lab.example", .servers = servers + 2, .n_servers = 1},
};

static struct world {
	struct dns_zones *zones;
	struct dns_forwarder *f;
	int results[3]; /* of a send, per upstream */
	uint16_t next_id;
	size_t n_sent;
	size_t sent_to[MAX_NOTED];
	uint8_t sent[256]; /* the last */
	size_t n_answers;
	struct dns_asker asker; /* of the last */
	uint8_t answer[DNS_MESSAGE_MAX];
	size_t n_answer;
} w;

static int on_send(void *ctx UNUSED, size_t upstream, const uint8_t *data, size_t n)
{
	assert_in_range(n, DNS_HEADER_LEN, DNS_UDP_QUERY_MAX);
	if (w.results[upstream] == 0)
		memcpy(w.sent, data, n < sizeof(w.sent) ? n : sizeof(w.sent));
	assert_true(w.n_sent < MAX_NOTED);
	w.sent_to[w.n_sent++] = upstream;
	return w.results[upstream];
}

static void on_answer(void *ctx UNUSED, const struct dns_asker *asker, const uint8_t *data,
		      size_t n)
{
	w.n_answers++;
	w.asker = *asker;
	w.n_answer = n;
	memcpy(w.answer, data, n);
}

static uint16_t draw_id(void *ctx UNUSED)
{
	return w.next_id;
}

static const struct dns_forwarder_events events = {
	.send = on_send,
	.answer = on_answer,
	.draw_id = draw_id,
};

static int set_up(void **state UNUSED)
{
	memset(&w, 0, sizeof(w));
	w.next_id = FIRST_ID;
	if (dns_zones_new(&w.zones, forwards, ARRAY_SIZE(forwards)) < 0)
		return -1;
	w.f = dns_forwarder_new(w.zones, &events, NULL);
	return 0;
}

static int tear_down(void **state UNUSED)
{
	dns_forwarder_free(w.f);
	dns_zones_free(w.zones);
	return 0;
}

/* ---- messages ---- */

static size_t message(uint8_t *out, const char *domain, uint16_t id, uint8_t flags, uint8_t type)
{
	uint8_t name[DNS_NAME_MAX];
	int n_name = dns_name_from_text(domain, name);
	size_t at = DNS_HEADER_LEN;

	assert_true(n_name > 0);
	memset(out, 0, DNS_HEADER_LEN);
	dns_set_id(out, id);
	out[2] = flags;
	out[5] = 1;
	memcpy(out + at, name, (size_t)n_name);
	at += (size_t)n_name;
	memcpy(out + at, (uint8_t[]){0, type, 0, 1}, 4);
	return at + 4;
}

static void ask(const char *domain, uint16_t id, uintptr_t flow, uint64_t now_ms)
{
	const struct dns_asker asker = {.via = &w, .flow = (void *)flow};
	uint8_t m[512];
	size_t n = message(m, domain, id, 1, 1);

	dns_forwarder_ask(w.f, &asker, m, n, now_ms);
}

static void take(size_t upstream, const char *domain, uint16_t id)
{
	uint8_t m[512];
	size_t n = message(m, domain, id, 0x84, 1);

	dns_forwarder_take(w.f, upstream, m, n);
}

static struct dns_forwarder_stats stats(void)
{
	struct dns_forwarder_stats s;

	dns_forwarder_get_stats(w.f, &s);
	return s;
}

static uint8_t rcode(void)
{
	return w.answer[3] & 15;
}

/* ---- tests ---- */

static void test_answer(void **state UNUSED)
{
	ask("host.corp.example", ID, 7, START_MS);
	assert_int_equal(w.n_sent, 1);
	assert_int_equal(w.sent_to[0], 0);
	assert_int_equal(dns_id(w.sent), FIRST_ID);
	assert_int_equal(stats().n_in_flight, 1);
	take(0, "host.corp.example", FIRST_ID);
	assert_int_equal(w.n_answers, 1);
	assert_int_equal(dns_id(w.answer), ID);
	assert_int_equal(w.answer[2], 0x84);
	assert_ptr_equal(w.asker.flow, (void *)7);
	assert_ptr_equal(w.asker.via, &w);
	assert_int_equal(stats().n_in_flight, 0);
	assert_int_equal(dns_forwarder_next_ms(w.f), UINT64_MAX);
	/* Once. */
	take(0, "host.corp.example", FIRST_ID);
	assert_int_equal(w.n_answers, 1);
	assert_int_equal(stats().dropped, 1);
}

static void test_wrong_answers(void **state UNUSED)
{
	uint8_t m[512];
	size_t n;

	ask("host.corp.example", ID, 7, START_MS);
	take(0, "host.corp.example", FIRST_ID + 1); /* another id */
	take(0, "host.corp.example", ID);
	take(0, "evil.corp.example", FIRST_ID); /* another question */
	take(1, "host.corp.example", FIRST_ID); /* a server that wasn't asked yet */
	take(2, "host.corp.example", FIRST_ID); /* one that never is */
	n = message(m, "host.corp.example", FIRST_ID, 0x84, 28);
	dns_forwarder_take(w.f, 0, m, n);
	n = message(m, "host.corp.example", FIRST_ID, 0x04, 1); /* a query */
	dns_forwarder_take(w.f, 0, m, n);
	dns_forwarder_take(w.f, 0, m, 1);
	assert_int_equal(w.n_answers, 0);
	assert_int_equal(stats().dropped, 8);
	take(0, "HOST.corp.example", FIRST_ID);
	assert_int_equal(w.n_answers, 1);
}

static void test_other_names(void **state UNUSED)
{
	ask("example.org", ID, 7, START_MS);
	assert_int_equal(w.n_sent, 0);
	assert_int_equal(w.n_answers, 1);
	assert_int_equal(dns_id(w.answer), ID);
	assert_int_equal(rcode(), DNS_REFUSED);
	assert_int_equal(stats().refused, 1);
	assert_int_equal(stats().n_in_flight, 0);
}

static void test_next_server(void **state UNUSED)
{
	ask("host.corp.example", ID, 7, START_MS);
	assert_int_equal(dns_forwarder_next_ms(w.f), START_MS + DNS_TRY_MS);
	dns_forwarder_tick(w.f, START_MS + DNS_TRY_MS - 1);
	assert_int_equal(w.n_sent, 1);
	dns_forwarder_tick(w.f, START_MS + DNS_TRY_MS);
	assert_int_equal(w.n_sent, 2);
	assert_int_equal(w.sent_to[1], 1);
	/* The first one, late, is as good. */
	take(0, "host.corp.example", FIRST_ID);
	assert_int_equal(w.n_answers, 1);
	assert_int_equal(rcode(), DNS_NOERROR);
}

static void test_no_server_answers(void **state UNUSED)
{
	static const size_t order[] = {0, 1, 0, 1};

	ask("host.corp.example", ID, 7, START_MS);
	for (uint64_t ms = 0; ms < DNS_PATIENCE_MS; ms += 100)
		dns_forwarder_tick(w.f, START_MS + ms);
	assert_int_equal(w.n_answers, 0);
	assert_int_equal(w.n_sent, ARRAY_SIZE(order));
	assert_memory_equal(w.sent_to, order, sizeof(order));
	dns_forwarder_tick(w.f, START_MS + DNS_PATIENCE_MS);
	assert_int_equal(w.n_answers, 1);
	assert_int_equal(rcode(), DNS_SERVFAIL);
	assert_int_equal(dns_id(w.answer), ID);
	assert_int_equal(stats().failed, 1);
	assert_int_equal(stats().n_in_flight, 0);
}

/* Twice round, also when there is time for more; a slow answer has the rest of it. */
static void test_one_server(void **state UNUSED)
{
	ask("a.lab.example", ID, 7, START_MS);
	dns_forwarder_tick(w.f, START_MS + DNS_TRY_MS);
	assert_int_equal(w.n_sent, 2);
	assert_int_equal(dns_forwarder_next_ms(w.f), START_MS + DNS_PATIENCE_MS);
	dns_forwarder_tick(w.f, START_MS + DNS_PATIENCE_MS - 1);
	assert_int_equal(w.n_sent, 2);
	assert_int_equal(w.n_answers, 0);
	dns_forwarder_tick(w.f, START_MS + DNS_PATIENCE_MS);
	assert_int_equal(w.n_sent, 2);
	assert_int_equal(rcode(), DNS_SERVFAIL);
	assert_int_equal(w.n_answers, 1);
}

static void test_failure_hurries(void **state UNUSED)
{
	ask("host.corp.example", ID, 7, START_MS);
	dns_forwarder_upstream_failed(w.f, 1, START_MS + 10); /* not the one that was asked */
	assert_int_equal(w.n_sent, 1);
	dns_forwarder_upstream_failed(w.f, 0, START_MS + 10);
	assert_int_equal(w.n_sent, 2);
	assert_int_equal(w.sent_to[1], 1);
	/* The second round takes its time. */
	dns_forwarder_upstream_failed(w.f, 1, START_MS + 20);
	assert_int_equal(w.n_sent, 2);
	dns_forwarder_tick(w.f, START_MS + 10 + DNS_TRY_MS);
	assert_int_equal(w.n_sent, 3);
	dns_forwarder_upstream_failed(w.f, 0, START_MS + 3000);
	assert_int_equal(w.n_sent, 4);
	assert_int_equal(w.n_answers, 0);
	/* Nobody is left. */
	dns_forwarder_upstream_failed(w.f, 1, START_MS + 3000);
	assert_int_equal(w.n_answers, 1);
	assert_int_equal(rcode(), DNS_SERVFAIL);
}

static void test_send_that_fails(void **state UNUSED)
{
	w.results[0] = -ENETUNREACH;
	ask("host.corp.example", ID, 7, START_MS);
	assert_int_equal(w.n_sent, 2);
	assert_int_equal(w.sent_to[1], 1);
	w.results[1] = -ENETUNREACH;
	ask("host.corp.example", ID + 1, 7, START_MS);
	assert_int_equal(w.n_sent, 4);
	assert_int_equal(w.n_answers, 0);
	take(1, "host.corp.example", FIRST_ID);
	assert_int_equal(w.n_answers, 1);
	dns_forwarder_tick(w.f, START_MS + DNS_TRY_MS);
	assert_int_equal(w.n_sent, 6);
	assert_int_equal(w.n_answers, 2);
	assert_int_equal(rcode(), DNS_SERVFAIL);
}

static void test_waiting_for_the_flow(void **state UNUSED)
{
	w.results[0] = -EAGAIN;
	ask("a.corp.example", ID, 7, START_MS);
	ask("b.corp.example", ID, 7, START_MS);
	assert_int_equal(w.n_sent, 2);
	w.results[0] = 0;
	dns_forwarder_upstream_open(w.f, 1, START_MS);
	assert_int_equal(w.n_sent, 2);
	dns_forwarder_upstream_open(w.f, 0, START_MS + 1);
	assert_int_equal(w.n_sent, 4);
	assert_int_equal(dns_id(w.sent), FIRST_ID + 1);
	/* What was sent isn't sent again. */
	dns_forwarder_upstream_open(w.f, 0, START_MS + 2);
	assert_int_equal(w.n_sent, 4);
}

static void test_same_query_again(void **state UNUSED)
{
	ask("host.corp.example", ID, 7, START_MS);
	ask("host.corp.example", ID, 7, START_MS + 1000);
	assert_int_equal(w.n_sent, 1);
	ask("host.corp.example", ID, 8, START_MS + 1000); /* of another application */
	ask("host.corp.example", ID + 1, 7, START_MS + 1000);
	assert_int_equal(w.n_sent, 3);
	/* Ids are drawn, but never one that is in use. */
	take(0, "host.corp.example", FIRST_ID + 1);
	assert_ptr_equal(w.asker.flow, (void *)8);
	take(0, "host.corp.example", FIRST_ID + 2);
	assert_int_equal(dns_id(w.answer), ID + 1);
}

static void test_ids_wrap(void **state UNUSED)
{
	w.next_id = UINT16_MAX;
	ask("a.corp.example", ID, 7, START_MS);
	ask("b.corp.example", ID, 7, START_MS);
	assert_int_equal(dns_id(w.sent), 0);
}

static void test_flow_that_goes(void **state UNUSED)
{
	ask("a.corp.example", ID, 7, START_MS);
	ask("b.corp.example", ID, 7, START_MS);
	ask("c.corp.example", ID, 8, START_MS);
	dns_forwarder_forget(w.f, (void *)7);
	assert_int_equal(stats().n_in_flight, 1);
	take(0, "a.corp.example", FIRST_ID);
	assert_int_equal(w.n_answers, 0);
	take(0, "c.corp.example", FIRST_ID + 2);
	assert_int_equal(w.n_answers, 1);
}

static void test_too_many(void **state UNUSED)
{
	for (size_t i = 0; i < DNS_IN_FLIGHT_MAX; i++)
		ask("a.corp.example", (uint16_t)i, 7, START_MS);
	assert_int_equal(w.n_answers, 0);
	ask("a.corp.example", ID, 7, START_MS);
	assert_int_equal(w.n_answers, 1);
	assert_int_equal(rcode(), DNS_SERVFAIL);
	assert_int_equal(dns_id(w.answer), ID);
	assert_int_equal(stats().overload, 1);
	assert_int_equal(stats().n_in_flight, DNS_IN_FLIGHT_MAX);
	take(0, "a.corp.example", FIRST_ID);
	ask("a.corp.example", ID, 7, START_MS);
	assert_int_equal(stats().overload, 1);
}

static void test_sizes(void **state UNUSED)
{
	static uint8_t m[DNS_MESSAGE_MAX];
	const struct dns_asker asker = {.flow = (void *)7};

	(void)message(m, "a.corp.example", ID, 1, 1);
	dns_forwarder_ask(w.f, &asker, m, DNS_UDP_QUERY_MAX + 1, START_MS);
	assert_int_equal(rcode(), DNS_FORMERR);
	assert_int_equal(w.n_sent, 0);
	dns_forwarder_ask(w.f, &asker, m, DNS_UDP_QUERY_MAX, START_MS);
	assert_int_equal(w.n_sent, 1);
	(void)message(m, "a.corp.example", FIRST_ID, 0x84, 1);
	dns_forwarder_take(w.f, 0, m, DNS_UDP_ANSWER_MAX);
	assert_int_equal(w.n_answer, DNS_UDP_ANSWER_MAX);
	/* One more octet: by TCP, please. */
	ask("a.corp.example", ID, 7, START_MS);
	dns_forwarder_take(w.f, 0, m, DNS_UDP_ANSWER_MAX + 1);
	assert_int_equal(w.answer[2] & 2, 2);
	assert_int_equal(dns_id(w.answer), ID);
	assert_in_range(w.n_answer, DNS_HEADER_LEN, DNS_REPLY_MAX);
	assert_int_equal(stats().n_in_flight, 0);
}

static void test_no_query(void **state UNUSED)
{
	uint8_t m[512];
	const struct dns_asker asker = {.flow = (void *)7};
	size_t n = message(m, "a.corp.example", ID, 0x80, 1);

	dns_forwarder_ask(w.f, &asker, m, n, START_MS); /* an answer: no answer to it */
	dns_forwarder_ask(w.f, &asker, m, 11, START_MS);
	assert_int_equal(w.n_answers, 0);
	assert_int_equal(stats().queries, 0);
	n = message(m, "a.corp.example", ID, 0x28, 1);
	dns_forwarder_ask(w.f, &asker, m, n, START_MS);
	assert_int_equal(rcode(), DNS_NOTIMP);
	assert_int_equal(w.n_sent, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_answer),
		TEST(test_wrong_answers),
		TEST(test_other_names),
		TEST(test_next_server),
		TEST(test_no_server_answers),
		TEST(test_one_server),
		TEST(test_failure_hurries),
		TEST(test_send_that_fails),
		TEST(test_waiting_for_the_flow),
		TEST(test_same_query_again),
		TEST(test_ids_wrap),
		TEST(test_flow_that_goes),
		TEST(test_too_many),
		TEST(test_sizes),
		TEST(test_no_query),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
