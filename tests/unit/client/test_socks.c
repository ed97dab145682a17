/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/compiler.h"
#include "client/proxy_handshake.h"

/* A whole conversation: what the client sends, and what comes of it. */
struct row {
	const char *sent;
	size_t n_sent;
	const char *replies; /* all answers in a row */
	size_t n_replies;
	enum proxy_parse outcome;
	const char *host;
	uint16_t port;
	const char *network;
	size_t n_rest; /* bytes that must not be taken */
};

#define BYTES(s) (s), sizeof(s) - 1
#define GREETING "\5\1\0"
#define TAIL	 "\0\1\0\0\0\0\0\0" /* of a reply: 0.0.0.0:0 */

static const struct row rows[] = {
	{BYTES(GREETING "\5\1\0\1\n\1\2\3\0\26"), BYTES("\5\0"), PROXY_PARSE_READY, "10.1.2.3", 22,
	 "", 0},
	{BYTES(GREETING "\5\1\0\3\10web.test\1\273SSH-2.0"), BYTES("\5\0"), PROXY_PARSE_READY,
	 "web.test", 443, "", 7},
	{BYTES(GREETING "\5\1\0\4\x20\1\r\xb8\0\0\0\0\0\0\0\0\0\0\0\1\0\x50"), BYTES("\5\0"),
	 PROXY_PARSE_READY, "2001:db8::1", 80, "", 0},
	/* User name and password, both methods offered. */
	{BYTES("\5\3\0\1\2\1\3lab\1x\5\1\0\1\n\0\0\5\0\26x"), BYTES("\5\2\1\0"), PROXY_PARSE_READY,
	 "10.0.0.5", 22, "lab", 1},
	/* Both empty: no network. */
	{BYTES("\5\1\2\1\0\0\5\1\0\1\n\0\0\5\0\26"), BYTES("\5\2\1\0"), PROXY_PARSE_READY,
	 "10.0.0.5", 22, "", 0},
	/* A literal as a name. */
	{BYTES(GREETING "\5\1\0\3\x8\x31\x30.1.2.3\0\26"), BYTES("\5\0"), PROXY_PARSE_READY,
	 "10.1.2.3", 22, "", 0},

	/* UDP ASSOCIATE: the client does not know its port yet. */
	{BYTES(GREETING "\5\3\0\1\0\0\0\0\0\0x"), BYTES("\5\0"), PROXY_PARSE_READY, "0.0.0.0", 0,
	 "", 1},

	{BYTES("\4\1\0\26\n\1\2\3\0"), BYTES(""), PROXY_PARSE_REFUSED, NULL, 0, NULL, 7},
	{BYTES("\5\1\1"), BYTES("\5\377"), PROXY_PARSE_REFUSED, NULL, 0, NULL, 0},
	{BYTES("\5\0"), BYTES("\5\377"), PROXY_PARSE_REFUSED, NULL, 0, NULL, 0},
	{BYTES("\5\1\2\2\0"), BYTES("\5\2"), PROXY_PARSE_REFUSED, NULL, 0, NULL, 0},
	{BYTES("\5\1\2\1\3a b\0"), BYTES("\5\2\1\1"), PROXY_PARSE_REFUSED, NULL, 0, NULL, 0},
	{BYTES("\5\1\2\1\3a\0b\0"), BYTES("\5\2\1\1"), PROXY_PARSE_REFUSED, NULL, 0, NULL, 0},
	{BYTES(GREETING "\4\1\0\1"), BYTES("\5\0"), PROXY_PARSE_REFUSED, NULL, 0, NULL, 0},
	/* BIND, a command of tomorrow, a kind of address of tomorrow. */
	{BYTES(GREETING "\5\2\0\1\n\1\2\3\0\26"), BYTES("\5\0\5\7" TAIL), PROXY_PARSE_REFUSED, NULL,
	 0, NULL, 0},
	{BYTES(GREETING "\5\11\0\1\n\1\2\3\0\26"), BYTES("\5\0\5\7" TAIL), PROXY_PARSE_REFUSED,
	 NULL, 0, NULL, 0},
	{BYTES(GREETING "\5\1\0\2"), BYTES("\5\0\5\10" TAIL), PROXY_PARSE_REFUSED, NULL, 0, NULL,
	 0},
	/* Port 0, an empty name, a name with a zero or a blank in it. */
	{BYTES(GREETING "\5\1\0\1\n\1\2\3\0\0"), BYTES("\5\0\5\1" TAIL), PROXY_PARSE_REFUSED, NULL,
	 0, NULL, 0},
	{BYTES(GREETING "\5\1\0\3\0\0\26"), BYTES("\5\0\5\1" TAIL), PROXY_PARSE_REFUSED, NULL, 0,
	 NULL, 0},
	{BYTES(GREETING "\5\1\0\3\3a\0b\0\26"), BYTES("\5\0\5\1" TAIL), PROXY_PARSE_REFUSED, NULL,
	 0, NULL, 0},
	{BYTES(GREETING "\5\1\0\3\3a b\0\26"), BYTES("\5\0\5\1" TAIL), PROXY_PARSE_REFUSED, NULL, 0,
	 NULL, 0},
};

/* What a client sees that sends the bytes in two pieces, cut at @cut. */
static void converse(const struct row *row, size_t cut)
{
	struct proxy_handshake h;
	enum proxy_parse outcome = PROXY_PARSE_MORE;
	uint8_t replies[64];
	size_t n_replies = 0;
	size_t at = 0;

	proxy_handshake_init(&h);
	for (size_t end = cut; outcome == PROXY_PARSE_MORE; end = row->n_sent) {
		do {
			size_t used;

			outcome = proxy_handshake_feed(&h, (const uint8_t *)row->sent + at,
						       end - at, &used);
			at += used;
			assert_true(at <= end);
			if (outcome == PROXY_PARSE_ANSWER || outcome == PROXY_PARSE_REFUSED) {
				assert_true(n_replies + h.n_reply <= sizeof(replies));
				memcpy(replies + n_replies, h.reply, h.n_reply);
				n_replies += h.n_reply;
			}
		} while (outcome == PROXY_PARSE_ANSWER);
		if (outcome == PROXY_PARSE_MORE) {
			assert_int_equal(at, end);
			assert_true(end == cut && cut < row->n_sent);
		}
	}
	assert_int_equal(outcome, row->outcome);
	assert_int_equal(n_replies, row->n_replies);
	assert_memory_equal(replies, row->replies, n_replies);
	assert_int_equal(row->n_sent - at, row->n_rest);
	if (outcome == PROXY_PARSE_REFUSED) {
		assert_non_null(proxy_handshake_error(&h));
		return;
	}
	assert_string_equal(proxy_handshake_request(&h)->host, row->host);
	assert_int_equal(proxy_handshake_request(&h)->port, row->port);
	assert_string_equal(proxy_handshake_request(&h)->network, row->network);
}

static void test_cut_at_every_byte(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (size_t cut = 0; cut < rows[i].n_sent; cut++)
			converse(&rows[i], cut);
	}
}

/* The largest of everything. */
static void test_limits(void **state UNUSED)
{
	uint8_t data[2 + 255 + 2 + 255 + 1 + 255 + 5 + 255 + 2] = {5, 255};
	size_t n = 2 + 255;
	struct row row = {.sent = (const char *)data,
			  .n_sent = sizeof(data),
			  .replies = "\5\2\1\0\5\1" TAIL,
			  .n_replies = 14,
			  .outcome = PROXY_PARSE_REFUSED};

	memset(data + 2, 2, 255);
	data[n++] = 1;
	for (unsigned int i = 0; i < 2; i++) {
		data[n++] = 255;
		memset(data + n, 'u', 255);
		n += 255;
	}
	memcpy(data + n, "\5\1\0\3\377", 5);
	n += 5;
	memset(data + n, 'h', 255);
	data[sizeof(data) - 1] = 22;
	/* The name is longer than a host's name may be. */
	for (size_t cut = 0; cut < sizeof(data); cut++)
		converse(&row, cut);
}

static void test_replies(void **state UNUSED)
{
	struct endpoint v4 = {.ip = {.family = AF_INET, .bytes = {127, 0, 0, 1}}, .port = 0x1234};
	struct endpoint v6 = {.ip = {.family = AF_INET6, .bytes = {[15] = 1}}, .port = 0x1234};
	uint8_t out[SOCKS_REPLY_MAX];

	assert_int_equal(socks_reply_format(SOCKS_REPLY_OK, &v4, out), 10);
	assert_memory_equal(out, "\5\0\0\1\x7f\0\0\1\x12\x34", 10);
	assert_int_equal(socks_reply_format(SOCKS_REPLY_REFUSED, &v6, out), 22);
	assert_memory_equal(out, "\5\5\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\x12\x34", 22);
}

static void test_datagrams(void **state UNUSED)
{
	static const struct {
		const char *data;
		size_t n;
		const char *host; /* NULL: dropped */
		uint16_t port;
		const char *payload;
	} datagrams[] = {
		{BYTES("\0\0\0\1\n\0\0\5\0\65hello"), "10.0.0.5", 53, "hello"},
		{BYTES("\0\0\0\1\n\0\0\5\0\65"), "10.0.0.5", 53, ""},
		{BYTES("\0\0\0\3\3ns1\0\65x"), "ns1", 53, "x"},
		{BYTES("\0\0\0\4\x20\1\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\65x"), "2001::1", 53, "x"},
		{BYTES("\0\0\1\1\n\0\0\5\0\65hello"), NULL, 0, NULL}, /* a fragment */
		{BYTES("\0\0\0\2\n\0\0\5\0\65hello"), NULL, 0, NULL}, /* kind of address */
		{BYTES("\0\0\0\1\n\0\0\5\0\0hello"), NULL, 0, NULL},  /* port 0 */
		{BYTES("\0\0\0\3\0\0\65hello"), NULL, 0, NULL},	      /* empty name */
		{BYTES("\0\0\0\3\3n 1\0\65x"), NULL, 0, NULL},	      /* not a name */
		{BYTES("\0\0\0\3\377ns1\0\65x"), NULL, 0, NULL},      /* cut */
	};
	struct socks_datagram d;

	for (size_t i = 0; i < ARRAY_SIZE(datagrams); i++) {
		const uint8_t *data = (const uint8_t *)datagrams[i].data;
		int r = socks_udp_parse(data, datagrams[i].n, &d);

		assert_int_equal(r == 0, datagrams[i].host != NULL);
		if (r < 0)
			continue;
		assert_string_equal(d.host, datagrams[i].host);
		assert_int_equal(d.port, datagrams[i].port);
		assert_int_equal(d.n_payload, strlen(datagrams[i].payload));
		assert_memory_equal(d.payload, datagrams[i].payload, d.n_payload);
		for (size_t cut = 0; cut < datagrams[i].n - d.n_payload; cut++)
			assert_true(socks_udp_parse(data, cut, &d) < 0);
	}
}

static void test_datagram_head(void **state UNUSED)
{
	struct endpoint from = {.ip = {.family = AF_INET6, .bytes = {0x20, 1, [15] = 9}},
				.port = 53};
	uint8_t head[SOCKS_UDP_HEAD_MAX];
	struct socks_datagram d;

	assert_int_equal(socks_udp_head(&from, head), 22);
	assert_int_equal(socks_udp_parse(head, 22, &d), 0);
	assert_string_equal(d.host, "2001::9");
	assert_int_equal(d.port, 53);
	from.ip = (struct ip_addr){.family = AF_INET, .bytes = {10, 0, 0, 9}};
	assert_int_equal(socks_udp_head(&from, head), 10);
	assert_int_equal(socks_udp_parse(head, 10, &d), 0);
	assert_string_equal(d.host, "10.0.0.9");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut_at_every_byte), cmocka_unit_test(test_limits),
		cmocka_unit_test(test_replies),		  cmocka_unit_test(test_datagrams),
		cmocka_unit_test(test_datagram_head),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
