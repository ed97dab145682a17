/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "wire/proxy_dial.h"

#define BYTES(s) (s), sizeof(s) - 1
#define STEPS	 4

/* What we say, and what the proxy answers to it. */
struct step {
	const char *sent;
	size_t n_sent;
	const char *answer;
	size_t n_answer;
};

struct row {
	enum proxy_kind kind;
	const char *host;
	const char *user;
	struct step steps[STEPS]; /* the last has no `sent` */
	enum proxy_dial_outcome outcome;
	const char *error; /* part of it */
};

#define CONNECT(target) "CONNECT " target " HTTP/1.1\r\nHost: " target "\r\n\r\n"
#define EDGE		CONNECT("edge.test:7844")
#define ASK_NAME	"\5\1\0\3\11edge.test\x1e\xa4"
#define BOUND		"\1\12\0\0\1\x1e\xa4"

static const struct row rows[] = {
	{PROXY_KIND_HTTP,
	 "edge.test",
	 NULL,
	 {{BYTES(EDGE), BYTES("HTTP/1.1 200 Connection established\r\n\r\n")}},
	 PROXY_DIAL_OPEN,
	 ""},
	{PROXY_KIND_HTTP,
	 "2001:db8::1",
	 NULL,
	 {{BYTES(CONNECT("[2001:db8::1]:7844")), BYTES("HTTP/1.0 200\r\nVia: x\r\n\r\n")}},
	 PROXY_DIAL_OPEN,
	 ""},
	/* "u:pw" */
	{PROXY_KIND_HTTP,
	 "10.0.0.1",
	 "u",
	 {{BYTES("CONNECT 10.0.0.1:7844 HTTP/1.1\r\nHost: 10.0.0.1:7844\r\n"
		 "Proxy-Authorization: Basic dTpwdw==\r\n\r\n"),
	   BYTES("HTTP/1.1 204 Fine\nContent-Length: 10\n\n")}},
	 PROXY_DIAL_OPEN,
	 ""},
	{PROXY_KIND_HTTP,
	 "edge.test",
	 NULL,
	 {{BYTES(EDGE), BYTES("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")}},
	 PROXY_DIAL_OPEN,
	 ""},
	{PROXY_KIND_HTTP,
	 "edge.test",
	 NULL,
	 {{BYTES(EDGE), BYTES("HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\n\r\n")}},
	 PROXY_DIAL_FAILED,
	 "wants credentials: set edge-proxy-credentials-file"},
	{PROXY_KIND_HTTP,
	 "10.0.0.1",
	 "u",
	 {{NULL, 0, BYTES("HTTP/1.1 407 Who\r\n\r\n")}},
	 PROXY_DIAL_FAILED,
	 "refuses the user or password"},
	{PROXY_KIND_HTTP,
	 "edge.test",
	 NULL,
	 {{BYTES(EDGE), BYTES("HTTP/1.1 403 No\x9bWay\r\n\r\n")}},
	 PROXY_DIAL_FAILED,
	 "answered 403 No?Way: its rules forbid"},
	{PROXY_KIND_HTTP,
	 "10.0.0.1",
	 "u",
	 {{NULL, 0, BYTES("HTTP/1.0 401 No\r\n\r\n")}},
	 PROXY_DIAL_FAILED,
	 "refuses the user or password"},
	{PROXY_KIND_HTTP,
	 "edge.test",
	 NULL,
	 {{BYTES(EDGE), BYTES("HTTP/1.1 502 \r\n\r\n")}},
	 PROXY_DIAL_FAILED,
	 "answered 502: it could not reach"},
	{PROXY_KIND_HTTP,
	 "edge.test",
	 NULL,
	 {{BYTES(EDGE), BYTES("HTTP/1.1 302 Found\r\n\r\n")}},
	 PROXY_DIAL_FAILED,
	 "answered 302 Found: it opened no tunnel"},
	{PROXY_KIND_HTTP,
	 "edge.test",
	 NULL,
	 {{BYTES(EDGE), BYTES("HTTP/1.1 101 Up\r\n\r\n")}},
	 PROXY_DIAL_FAILED,
	 "another protocol"},
	{PROXY_KIND_HTTP,
	 "edge.test",
	 NULL,
	 {{BYTES(EDGE), BYTES("HTTP/1.1 200 OK\r\n\r\n\x16")}},
	 PROXY_DIAL_FAILED,
	 "more than its answer"},
	{PROXY_KIND_HTTP,
	 "edge.test",
	 NULL,
	 {{BYTES(EDGE), BYTES("HTTP/1.1 600 No\r\n")}},
	 PROXY_DIAL_FAILED,
	 "not HTTP's"},
	{PROXY_KIND_HTTP,
	 "edge.test",
	 NULL,
	 {{BYTES(EDGE), BYTES("HTTP/1.1 2000 OK\r\n")}},
	 PROXY_DIAL_FAILED,
	 "not HTTP's"},
	{PROXY_KIND_HTTP,
	 "edge.test",
	 NULL,
	 {{BYTES(EDGE), BYTES("HTTP/1.1  200 OK\r\n")}},
	 PROXY_DIAL_FAILED,
	 "not HTTP's"},
	{PROXY_KIND_HTTP,
	 "edge.test",
	 NULL,
	 {{BYTES(EDGE), BYTES("HTTP/2 200 OK\r\n")}},
	 PROXY_DIAL_FAILED,
	 "not HTTP's"},
	{PROXY_KIND_HTTP,
	 "edge.test",
	 NULL,
	 {{BYTES(EDGE), BYTES("HTTP/1.1 20\r\n")}},
	 PROXY_DIAL_FAILED,
	 "not HTTP's"},
	{PROXY_KIND_HTTP,
	 "edge.test",
	 NULL,
	 {{BYTES(EDGE), BYTES("\n")}},
	 PROXY_DIAL_FAILED,
	 "not HTTP's"},
	{PROXY_KIND_HTTP,
	 "edge.test",
	 NULL,
	 {{BYTES(EDGE), BYTES("SSH-2.0-x\r\n")}},
	 PROXY_DIAL_FAILED,
	 "not HTTP's"},
	{PROXY_KIND_HTTP,
	 "edge.test",
	 NULL,
	 {{BYTES(EDGE), BYTES("HTTP/1.1 200 O\rK\r\n")}},
	 PROXY_DIAL_FAILED,
	 "not HTTP's"},
	{PROXY_KIND_HTTP,
	 "edge.test",
	 NULL,
	 {{BYTES(EDGE), BYTES("HTTP/1.1 200 OK\r\nA: \0")}},
	 PROXY_DIAL_FAILED,
	 "not HTTP's"},

	{PROXY_KIND_SOCKS5,
	 "edge.test",
	 NULL,
	 {{BYTES("\5\1\0"), BYTES("\5\0")}, {BYTES(ASK_NAME), BYTES("\5\0\0" BOUND)}},
	 PROXY_DIAL_OPEN,
	 ""},
	{PROXY_KIND_SOCKS5,
	 "10.0.0.1",
	 NULL,
	 {{BYTES("\5\1\0"), BYTES("\5\0")},
	  {BYTES("\5\1\0\1\12\0\0\1\x1e\xa4"), BYTES("\5\0\0\3\2ab\0\1")}},
	 PROXY_DIAL_OPEN,
	 ""},
	{PROXY_KIND_SOCKS5,
	 "2001:db8::1",
	 NULL,
	 {{BYTES("\5\1\0"), BYTES("\5\0")},
	  {BYTES("\5\1\0\4\x20\1\r\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x1e\xa4"),
	   BYTES("\5\0\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\1")}},
	 PROXY_DIAL_OPEN,
	 ""},
	{PROXY_KIND_SOCKS5,
	 "edge.test",
	 "u",
	 {{BYTES("\5\2\0\2"), BYTES("\5\2")},
	  {BYTES("\1\1u\2pw"), BYTES("\1\0")},
	  {BYTES(ASK_NAME), BYTES("\5\0\0" BOUND)}},
	 PROXY_DIAL_OPEN,
	 ""},
	/* It wants none of what we offered. */
	{PROXY_KIND_SOCKS5,
	 "edge.test",
	 "u",
	 {{BYTES("\5\2\0\2"), BYTES("\5\0")}, {BYTES(ASK_NAME), BYTES("\5\0\0" BOUND)}},
	 PROXY_DIAL_OPEN,
	 ""},
	{PROXY_KIND_SOCKS5,
	 "edge.test",
	 "u",
	 {{BYTES("\5\2\0\2"), BYTES("\5\2")}, {BYTES("\1\1u\2pw"), BYTES("\1\1")}},
	 PROXY_DIAL_FAILED,
	 "refuses the user or password"},
	{PROXY_KIND_SOCKS5,
	 "edge.test",
	 "u",
	 {{BYTES("\5\2\0\2"), BYTES("\5\2")}, {BYTES("\1\1u\2pw"), BYTES("\5\0")}},
	 PROXY_DIAL_FAILED,
	 "not SOCKS5's"},
	{PROXY_KIND_SOCKS5,
	 "edge.test",
	 NULL,
	 {{BYTES("\5\1\0"), BYTES("\5\377")}},
	 PROXY_DIAL_FAILED,
	 "wants credentials"},
	{PROXY_KIND_SOCKS5,
	 "edge.test",
	 NULL,
	 {{BYTES("\5\1\0"), BYTES("\5\2")}},
	 PROXY_DIAL_FAILED,
	 "not SOCKS5's"},
	{PROXY_KIND_SOCKS5,
	 "edge.test",
	 NULL,
	 {{BYTES("\5\1\0"), BYTES("\5\1")}},
	 PROXY_DIAL_FAILED,
	 "method 1"},
	{PROXY_KIND_SOCKS5,
	 "edge.test",
	 NULL,
	 {{BYTES("\5\1\0"), BYTES("HT")}},
	 PROXY_DIAL_FAILED,
	 "not SOCKS5's"},
	/* The answer to a request that was not sent yet. */
	{PROXY_KIND_SOCKS5,
	 "edge.test",
	 NULL,
	 {{BYTES("\5\1\0"), BYTES("\5\0\5")}},
	 PROXY_DIAL_FAILED,
	 "before it was asked"},
	{PROXY_KIND_SOCKS5,
	 "edge.test",
	 NULL,
	 {{BYTES("\5\1\0"), BYTES("\5\0")}, {BYTES(ASK_NAME), BYTES("\5\5\0\1")}},
	 PROXY_DIAL_FAILED,
	 "code 5: connection refused"},
	{PROXY_KIND_SOCKS5,
	 "edge.test",
	 NULL,
	 {{BYTES("\5\1\0"), BYTES("\5\0")}, {BYTES(ASK_NAME), BYTES("\5\2\0\1")}},
	 PROXY_DIAL_FAILED,
	 "code 2: its rules forbid"},
	{PROXY_KIND_SOCKS5,
	 "edge.test",
	 NULL,
	 {{BYTES("\5\1\0"), BYTES("\5\0")}, {BYTES(ASK_NAME), BYTES("\5\11\0\1")}},
	 PROXY_DIAL_FAILED,
	 "code 9, which is none"},
	{PROXY_KIND_SOCKS5,
	 "edge.test",
	 NULL,
	 {{BYTES("\5\1\0"), BYTES("\5\0")}, {BYTES(ASK_NAME), BYTES("\5\0\0\2")}},
	 PROXY_DIAL_FAILED,
	 "not SOCKS5's"},
	{PROXY_KIND_SOCKS5,
	 "edge.test",
	 NULL,
	 {{BYTES("\5\1\0"), BYTES("\5\0")}, {BYTES(ASK_NAME), BYTES("\5\0\0" BOUND "x")}},
	 PROXY_DIAL_FAILED,
	 "more than its answer"},
};

static struct proxy_dial *start(const struct row *row)
{
	struct proxy_dial_options opt = {
		.kind = row->kind,
		.host = row->host,
		.port = 7844,
		.user = row->user,
		.password = row->user ? "pw" : NULL,
	};

	return proxy_dial_new(&opt);
}

/* Takes the output in two pieces, too. */
static void assert_says(struct proxy_dial *p, const struct step *step)
{
	const uint8_t *data;
	size_t n = proxy_dial_output(p, &data);

	if (step->sent) {
		assert_int_equal(n, step->n_sent);
		assert_memory_equal(data, step->sent, n);
	}
	assert_true(n > 1);
	proxy_dial_sent(p, 1);
	assert_int_equal(proxy_dial_output(p, &data), n - 1);
	proxy_dial_sent(p, n - 1);
	assert_int_equal(proxy_dial_output(p, &data), 0);
}

/* The answer cut at @cut; a cut behind its end is none. */
static enum proxy_dial_outcome answer(struct proxy_dial *p, const struct step *step, size_t cut)
{
	size_t n = cut < step->n_answer ? cut : step->n_answer;
	const uint8_t *data = (const uint8_t *)step->answer;
	enum proxy_dial_outcome outcome = proxy_dial_feed(p, data, n);

	return outcome == PROXY_DIAL_MORE ? proxy_dial_feed(p, data + n, step->n_answer - n)
					  : outcome;
}

static void converse(const struct row *row, size_t cut)
{
	struct proxy_dial *p = start(row);
	enum proxy_dial_outcome outcome = PROXY_DIAL_MORE;

	for (size_t i = 0; i < STEPS && row->steps[i].answer; i++) {
		assert_int_equal(outcome, PROXY_DIAL_MORE);
		assert_says(p, &row->steps[i]);
		outcome = answer(p, &row->steps[i], cut);
	}
	/* Cut before the byte too many: it is the owner's not to read on. */
	if (outcome == PROXY_DIAL_OPEN && row->outcome == PROXY_DIAL_FAILED) {
		assert_string_equal(row->error, "more than its answer");
	} else {
		assert_int_equal(outcome, row->outcome);
		if (!strstr(proxy_dial_error(p), row->error))
			fail_msg("\"%s\" is not in \"%s\"", row->error, proxy_dial_error(p));
	}
	proxy_dial_free(p);
}

static void test_conversations(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t longest = 0;

		for (size_t j = 0; j < STEPS; j++)
			longest = rows[i].steps[j].n_answer > longest ? rows[i].steps[j].n_answer
								      : longest;
		for (size_t cut = 0; cut <= longest; cut++)
			converse(&rows[i], cut);
	}
}

static enum proxy_dial_outcome feed_head(size_t n_filler)
{
	static const char begin[] = "HTTP/1.1 200 OK\r\nA: ";
	const struct row row = {.kind = PROXY_KIND_HTTP, .host = "edge.test"};
	const struct step step = {.sent = NULL};
	struct proxy_dial *p = start(&row);
	enum proxy_dial_outcome outcome;

	assert_says(p, &step);
	outcome = proxy_dial_feed(p, (const uint8_t *)begin, strlen(begin));
	for (size_t i = 0; outcome == PROXY_DIAL_MORE && i < n_filler; i++)
		outcome = proxy_dial_feed(p, (const uint8_t *)"x", 1);
	if (outcome == PROXY_DIAL_MORE)
		outcome = proxy_dial_feed(p, (const uint8_t *)"\r\n\r\n", 4);
	if (outcome == PROXY_DIAL_FAILED)
		assert_non_null(strstr(proxy_dial_error(p), "larger than 8192 bytes"));
	proxy_dial_free(p);
	return outcome;
}

static void test_head_is_bounded(void **state UNUSED)
{
	size_t most = PROXY_HEAD_MAX - strlen("HTTP/1.1 200 OK\r\nA: ") - 4;

	assert_int_equal(feed_head(most), PROXY_DIAL_OPEN);
	assert_int_equal(feed_head(most + 1), PROXY_DIAL_FAILED);
	assert_int_equal(feed_head(1000 * 1000), PROXY_DIAL_FAILED);
}

/* The longest host, user and password fit into what we say. */
static void test_longest(void **state UNUSED)
{
	char host[HOST_NAME_MAX_LEN + 1], user[PROXY_CREDENTIAL_MAX + 1];
	const uint8_t *data;

	memset(host, 'h', sizeof(host) - 1);
	memset(user, 'u', sizeof(user) - 1);
	host[sizeof(host) - 1] = '\0';
	user[sizeof(user) - 1] = '\0';
	for (int kind = PROXY_KIND_HTTP; kind <= PROXY_KIND_SOCKS5; kind++) {
		struct proxy_dial_options opt = {(enum proxy_kind)kind, host, 65535, user, user};
		struct proxy_dial *p = proxy_dial_new(&opt);

		proxy_dial_sent(p, proxy_dial_output(p, &data));
		if (kind == PROXY_KIND_SOCKS5) {
			assert_int_equal(proxy_dial_feed(p, (const uint8_t *)"\5\2", 2),
					 PROXY_DIAL_MORE);
			assert_int_equal(proxy_dial_output(p, &data), 3 + 255 + 255);
			proxy_dial_sent(p, 3 + 255 + 255);
			assert_int_equal(proxy_dial_feed(p, (const uint8_t *)"\1\0", 2),
					 PROXY_DIAL_MORE);
			assert_int_equal(proxy_dial_output(p, &data), 5 + strlen(host) + 2);
		}
		proxy_dial_free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conversations),
		cmocka_unit_test(test_head_is_bounded),
		cmocka_unit_test(test_longest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
