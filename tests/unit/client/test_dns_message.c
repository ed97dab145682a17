/* SPDX-License-Identifier: Apache-2.0 */

/* Queries and answers as octets, good and bad, and which zone a name is in. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "client/dns_zones.h"

#define ID 0x1234

/* A query with the labels of @name (as given, so bad ones too), and @flags. */
static size_t build(uint8_t *out, const char *name, uint16_t flags, uint16_t type)
{
	size_t at = DNS_HEADER_LEN;

	memset(out, 0, DNS_HEADER_LEN);
	dns_set_id(out, ID);
	out[2] = (uint8_t)(flags >> 8);
	out[3] = (uint8_t)flags;
	out[5] = 1;
	while (*name) {
		size_t n = strcspn(name, ".");

		out[at++] = (uint8_t)n;
		memcpy(out + at, name, n);
		at += n;
		name += n + (name[n] == '.');
	}
	out[at++] = 0;
	out[at++] = (uint8_t)(type >> 8);
	out[at++] = (uint8_t)type;
	out[at++] = 0;
	out[at++] = 1;
	return at;
}

static void test_query(void **state UNUSED)
{
	static const uint8_t name[] = "\4host\4corp\7example";
	uint8_t m[512];
	struct dns_question q;
	size_t n = build(m, "Host.CORP.example", 0x0100, 16);

	assert_int_equal(dns_query_parse(m, n, &q), 0);
	assert_int_equal(q.n_name, sizeof(name));
	assert_memory_equal(q.name, name, sizeof(name));
	assert_int_equal(q.type, 16);
	assert_int_equal(q.class, 1);
	/* What is behind the question is none of our business. */
	memset(m + n, 0xff, 100);
	assert_int_equal(dns_query_parse(m, n + 100, &q), 0);
	/* The root is a name. */
	n = build(m, "", 0, 2);
	assert_int_equal(dns_query_parse(m, n, &q), 0);
	assert_int_equal(q.n_name, 1);
}

static void test_every_end_is_too_early(void **state UNUSED)
{
	uint8_t m[512];
	struct dns_question q;
	size_t n = build(m, "host.corp.example", 0x0100, 1);

	for (size_t i = 0; i < n; i++) {
		int want = i < DNS_HEADER_LEN ? -EBADMSG : DNS_FORMERR;

		assert_int_equal(dns_query_parse(m, i, &q), want);
		assert_int_equal(q.n_name, 0);
	}
}

static void test_bad_queries(void **state UNUSED)
{
	uint8_t m[512];
	struct dns_question q;
	size_t n = build(m, "a.example", 0x8000, 1);

	assert_int_equal(dns_query_parse(m, n, &q), -EBADMSG); /* an answer */
	n = build(m, "a.example", 0x2800, 1);		       /* an update (RFC 2136) */
	assert_int_equal(dns_query_parse(m, n, &q), DNS_NOTIMP);
	n = build(m, "a.example", 0, 1);
	m[5] = 0;
	assert_int_equal(dns_query_parse(m, n, &q), DNS_FORMERR);
	m[5] = 2;
	assert_int_equal(dns_query_parse(m, n, &q), DNS_FORMERR);
	m[5] = 1;
	m[DNS_HEADER_LEN] = 0xc0; /* a pointer, to itself */
	m[DNS_HEADER_LEN + 1] = DNS_HEADER_LEN;
	assert_int_equal(dns_query_parse(m, n, &q), DNS_FORMERR);
	m[DNS_HEADER_LEN] = 64; /* neither a label nor a pointer */
	assert_int_equal(dns_query_parse(m, n, &q), DNS_FORMERR);
}

/* @n_last: of the last label, behind three of 63 octets. */
static size_t build_long(uint8_t *m, size_t n_last)
{
	char text[300] = "";

	for (size_t i = 0; i < 3; i++) {
		memset(text + i * 64, 'a', 63);
		text[i * 64 + 63] = '.';
	}
	memset(text + 192, 'b', n_last);
	text[192 + n_last] = '\0';
	return build(m, text, 0, 1);
}

static void test_longest_name(void **state UNUSED)
{
	uint8_t m[512];
	struct dns_question q;
	size_t n = build_long(m, 61);

	assert_int_equal(dns_query_parse(m, n, &q), 0);
	assert_int_equal(q.n_name, DNS_NAME_MAX);
	n = build_long(m, 62);
	assert_int_equal(dns_query_parse(m, n, &q), DNS_FORMERR);
}

static void test_answers(void **state UNUSED)
{
	uint8_t m[512];
	struct dns_question q, other;
	size_t n = build(m, "host.corp.example", 0x8580, 1);

	assert_int_equal(dns_answer_parse(m, n, &q), 0);
	assert_int_equal(dns_answer_parse(m, n - 1, &other), -EBADMSG);
	n = build(m, "HOST.corp.example", 0x8580, 1);
	assert_int_equal(dns_answer_parse(m, n, &other), 0);
	assert_true(dns_question_equal(&q, &other));
	n = build(m, "host.corp.example", 0x8580, 28);
	assert_int_equal(dns_answer_parse(m, n, &other), 0);
	assert_false(dns_question_equal(&q, &other));
	n = build(m, "hosT.corp.examplf", 0x8580, 1);
	assert_int_equal(dns_answer_parse(m, n, &other), 0);
	assert_false(dns_question_equal(&q, &other));
	n = build(m, "host.corp.example", 0x0100, 1);
	assert_int_equal(dns_answer_parse(m, n, &other), -EBADMSG);
}

static void test_replies(void **state UNUSED)
{
	uint8_t m[512], out[DNS_REPLY_MAX];
	struct dns_question q;
	size_t n = build(m, "Host.corp.example", 0x0110, 1);

	assert_int_equal(dns_query_parse(m, n, &q), 0);
	assert_int_equal(dns_reply_build(m, &q, DNS_REFUSED, false, out), n);
	assert_int_equal(dns_id(out), ID);
	assert_int_equal(out[2], 0x81);		    /* an answer; recursion was desired */
	assert_int_equal(out[3], 0x95);		    /* and is there; checking disabled; refused */
	assert_memory_equal(out + 4, m + 4, n - 4); /* the capital too */
	assert_int_equal(dns_reply_build(m, &q, DNS_NOERROR, true, out), n);
	assert_int_equal(out[2], 0x83);
	assert_int_equal(out[3], 0x90);
	/* A question that can't be read isn't quoted, and nothing says that it was. */
	assert_int_equal(dns_query_parse(m, n - 1, &q), DNS_FORMERR);
	assert_int_equal(dns_reply_build(m, &q, DNS_FORMERR, false, out), DNS_HEADER_LEN);
	assert_int_equal(out[5], 0);
	n = build_long(m, 61);
	assert_int_equal(dns_query_parse(m, n, &q), 0);
	assert_int_equal(dns_reply_build(m, &q, DNS_SERVFAIL, false, out), DNS_REPLY_MAX);
}

static void test_names_of_text(void **state UNUSED)
{
	static const char *const bad[] = {"", ".", "a..b", ".a", "a."};
	uint8_t out[DNS_NAME_MAX];
	char text[HOST_NAME_MAX_LEN + 8];

	assert_int_equal(dns_name_from_text("Corp.example", out), 14);
	assert_memory_equal(out, "\4corp\7example", 14);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(dns_name_from_text(bad[i], out), -EINVAL);
	memset(text, 'a', sizeof(text));
	for (size_t i = 63; i < sizeof(text); i += 64)
		text[i] = '.';
	text[HOST_NAME_MAX_LEN] = '\0';
	assert_int_equal(dns_name_from_text(text, out), DNS_NAME_MAX);
	text[HOST_NAME_MAX_LEN] = 'a';
	text[HOST_NAME_MAX_LEN + 1] = '\0';
	assert_int_equal(dns_name_from_text(text, out), -EINVAL);
	memset(text, 'a', 64);
	text[64] = '\0';
	assert_int_equal(dns_name_from_text(text, out), -EINVAL);
}

/* ---- zones ---- */

static struct endpoint servers[] = {
	{{AF_INET, {10, 0, 0, 1}}, 53},
	{{AF_INET, {10, 0, 0, 2}}, 53},
};

static const struct up_dns_forward forwards[] = {
	{.domain = "example", .servers = servers, .n_servers = 2},
	{.domain = "corp.example", .servers = servers, .n_servers = 1, .virtual_network = "lab"},
	{.domain = "0.0.10.in-addr.arpa", .servers = servers + 1, .n_servers = 1},
};

static void test_zones(void **state UNUSED)
{
	static const struct {
		const char *name;
		uint16_t type;
		int result;
		size_t zone;
	} rows[] = {
		{"example", 1, 0, 0},
		{"a.b.c.EXAMPLE", 1, 0, 0},
		{"corp.example", 1, 0, 1},
		{"host.Corp.Example", 28, 0, 1},
		{"xcorp.example", 1, 0, 0},
		{"5.0.0.10.in-addr.arpa", 12, 0, 2},
		{"0.10.in-addr.arpa", 12, DNS_REFUSED, 0},
		{"examples", 1, DNS_REFUSED, 0},
		{"example.org", 1, DNS_REFUSED, 0},
		{"", 2, DNS_REFUSED, 0},
		{"example", DNS_TYPE_AXFR, DNS_NOTIMP, 0},
		{"example", DNS_TYPE_IXFR, DNS_NOTIMP, 0},
		{"example.org", DNS_TYPE_AXFR, DNS_REFUSED, 0},
	};
	CLEANUP(dns_zones_free) struct dns_zones *z = NULL;

	assert_int_equal(dns_zones_new(&z, forwards, ARRAY_SIZE(forwards)), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct dns_zone *zone = NULL;
		struct dns_question q;
		uint8_t m[512];
		size_t n = build(m, rows[i].name, 0x0100, rows[i].type);

		assert_int_equal(dns_zones_route(z, m, n, &q, &zone), rows[i].result);
		assert_ptr_equal(zone, rows[i].result ? NULL : &z->items[rows[i].zone]);
	}
}

/* The same server in two virtual networks is two. */
static void test_upstreams(void **state UNUSED)
{
	CLEANUP(dns_zones_free) struct dns_zones *z = NULL;

	assert_int_equal(dns_zones_new(&z, forwards, ARRAY_SIZE(forwards)), 0);
	assert_int_equal(z->n_upstreams, 3);
	assert_int_equal(z->items[0].upstreams[1], z->items[2].upstreams[0]);
	assert_int_not_equal(z->items[0].upstreams[0], z->items[1].upstreams[0]);
	assert_null(z->upstreams[z->items[0].upstreams[0]].network);
	assert_string_equal(z->upstreams[z->items[1].upstreams[0]].network, "lab");
}

static void test_bad_zones(void **state UNUSED)
{
	const struct up_dns_forward no_servers = {.domain = "a.b"};
	const struct up_dns_forward no_name = {
		.domain = "a..b", .servers = servers, .n_servers = 1};
	struct dns_zones *z = NULL;

	assert_int_equal(dns_zones_new(&z, &no_servers, 1), -EINVAL);
	assert_int_equal(dns_zones_new(&z, &no_name, 1), -EINVAL);
	assert_int_equal(dns_zones_new(&z, forwards, UP_DNS_FORWARDS_MAX + 1), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_query),	      cmocka_unit_test(test_every_end_is_too_early),
		cmocka_unit_test(test_bad_queries),   cmocka_unit_test(test_longest_name),
		cmocka_unit_test(test_answers),	      cmocka_unit_test(test_replies),
		cmocka_unit_test(test_names_of_text), cmocka_unit_test(test_zones),
		cmocka_unit_test(test_upstreams),     cmocka_unit_test(test_bad_zones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
