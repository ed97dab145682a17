/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "client/proxy_handshake.h"

#define CONNECT "CONNECT 10.1.2.3:22 HTTP/1.1\r\n"

static const struct row {
	const char *sent;
	unsigned int status; /* 0: READY */
	const char *host;
	uint16_t port;
	const char *network;
	size_t n_rest;
} rows[] = {
	{CONNECT "\r\n", 0, "10.1.2.3", 22, "", 0},
	{CONNECT "Host: 10.1.2.3:22\r\nUser-Agent: x\r\n\r\nSSH-2.0", 0, "10.1.2.3", 22, "", 7},
	{"\r\nCONNECT web.test:443 HTTP/1.0\n\nx", 0, "web.test", 443, "", 1},
	{"CONNECT [2001:db8::1]:80 HTTP/1.1\r\n\r\n", 0, "2001:db8::1", 80, "", 0},
	/* lab:x, lab:, :x, in any case of the words */
	{CONNECT "Proxy-Authorization: Basic bGFiOng=\r\n\r\n", 0, "10.1.2.3", 22, "lab", 0},
	{CONNECT "proxy-authorization:basic  bGFiOg==  \r\n\r\n", 0, "10.1.2.3", 22, "lab", 0},
	{CONNECT "PROXY-AUTHORIZATION: BASIC Ong=\r\n\r\n", 0, "10.1.2.3", 22, "", 0},

	{"GET http://10.1.2.3/ HTTP/1.1\r\nHost: 10.1.2.3\r\n\r\nbody", 405, NULL, 0, NULL, 4},
	{"connect 10.1.2.3:22 HTTP/1.1\r\n\r\n", 405, NULL, 0, NULL, 0},
	{CONNECT "Proxy-Authorization: Bearer bGFiOng=\r\n\r\n", 407, NULL, 0, NULL, 0},
	{CONNECT "Proxy-Authorization: Basic bGFiOng\r\n\r\n", 400, NULL, 0, NULL, 0},
	{CONNECT "Proxy-Authorization: Basic bGFi\r\n\r\n", 400, NULL, 0, NULL, 0},
	{CONNECT "Proxy-Authorization: Basic \r\n\r\n", 407, NULL, 0, NULL, 0},
	/* "a b:x" and "a\0b:x" */
	{CONNECT "Proxy-Authorization: Basic YSBiOng=\r\n\r\n", 400, NULL, 0, NULL, 0},
	{CONNECT "Proxy-Authorization: Basic YQBiOng=\r\n\r\n", 400, NULL, 0, NULL, 0},
	{CONNECT "Proxy-Authorization: Basic bGFiOng=\r\nProxy-Authorization: Basic bGFiOng=\r\n"
		 "\r\n",
	 400, NULL, 0, NULL, 0},
	{"CONNECT 10.1.2.3 HTTP/1.1\r\n\r\n", 400, NULL, 0, NULL, 0},
	{"CONNECT 10.1.2.3:0 HTTP/1.1\r\n\r\n", 400, NULL, 0, NULL, 0},
	{"CONNECT http://10.1.2.3:22/ HTTP/1.1\r\n\r\n", 400, NULL, 0, NULL, 0},
	{"CONNECT 10.1.2.3:22 HTTP/2.0\r\n", 505, NULL, 0, NULL, 0},
	{"CONNECT 10.1.2.3:22 HTTP/1.10\r\n", 505, NULL, 0, NULL, 0},
	{"CONNECT  10.1.2.3:22 HTTP/1.1\r\n", 400, NULL, 0, NULL, 0},
	{"CONNECT 10.1.2.3:22\r\n", 400, NULL, 0, NULL, 0},
	{"CONNECT\r\n", 400, NULL, 0, NULL, 0},
	{" \r\n", 400, NULL, 0, NULL, 0},
	{CONNECT "no colon\r\n", 400, NULL, 0, NULL, 0},
	{CONNECT "name : x\r\n", 400, NULL, 0, NULL, 0},
	{CONNECT " folded\r\n", 400, NULL, 0, NULL, 0},
	{CONNECT "a: b\rc: d\r\n", 400, NULL, 0, NULL, 0},
	{"\x16\3\1", 400, NULL, 0, NULL, 2}, /* TLS */
};

static unsigned int status_of(const struct proxy_handshake *h)
{
	unsigned int status;

	assert_int_equal(sscanf((const char *)h->reply, "HTTP/1.1 %u ", &status), 1);
	return status;
}

static void check(const struct row *row, const struct proxy_handshake *h, enum proxy_parse outcome)
{
	const struct proxy_request *request = proxy_handshake_request(h);

	if (row->status) {
		assert_int_equal(outcome, PROXY_PARSE_REFUSED);
		assert_int_equal(status_of(h), row->status);
		assert_non_null(strstr((const char *)h->reply, proxy_handshake_error(h)));
		return;
	}
	assert_int_equal(outcome, PROXY_PARSE_READY);
	assert_string_equal(request->host, row->host);
	assert_int_equal(request->port, row->port);
	assert_string_equal(request->network, row->network);
}

static void converse(const struct row *row, size_t cut)
{
	const uint8_t *sent = (const uint8_t *)row->sent;
	size_t n = strlen(row->sent);
	struct proxy_handshake h;
	enum proxy_parse outcome;
	size_t at, used;

	proxy_handshake_init(&h);
	outcome = proxy_handshake_feed(&h, sent, cut, &at);
	if (outcome == PROXY_PARSE_MORE) {
		assert_int_equal(at, cut);
		outcome = proxy_handshake_feed(&h, sent + at, n - at, &used);
		at += used;
	}
	check(row, &h, outcome);
	assert_int_equal(n - at, row->n_rest);
}

static void test_cut_at_every_byte(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (size_t cut = 0; cut <= strlen(rows[i].sent); cut++)
			converse(&rows[i], cut);
	}
}

/* @n times @piece behind a good request line; the status, or 0 when more is wanted. */
static unsigned int flood(const char *piece, size_t n)
{
	struct proxy_handshake h;
	enum proxy_parse outcome;
	size_t used;

	proxy_handshake_init(&h);
	outcome = proxy_handshake_feed(&h, (const uint8_t *)CONNECT, strlen(CONNECT), &used);
	for (size_t i = 0; outcome == PROXY_PARSE_MORE && i < n; i++)
		outcome = proxy_handshake_feed(&h, (const uint8_t *)piece, strlen(piece), &used);
	return outcome == PROXY_PARSE_MORE ? 0 : status_of(&h);
}

static void test_limits(void **state UNUSED)
{
	assert_int_equal(flood("a", HTTP_LINE_MAX), 0);
	assert_int_equal(flood("a", HTTP_LINE_MAX + 1), 431);
	assert_int_equal(flood("a: b\r\n", (HTTP_HEAD_MAX - strlen(CONNECT)) / 6), 0);
	assert_int_equal(flood("a: b\r\n", HTTP_HEAD_MAX / 6 + 1), 431);
	/* Credentials that decode to more than any we take. */
	assert_int_equal(flood("Proxy-Authorization: Basic ", 1), 0);
}

static void test_large_credentials(void **state UNUSED)
{
	char sent[HTTP_LINE_MAX] = CONNECT "Proxy-Authorization: Basic ";
	struct row row = {.sent = sent, .status = 400};

	memset(sent + strlen(sent), 'Q', 3000);
	strcat(sent, "\r\n\r\n");
	converse(&row, 1);
}

static void test_responses(void **state UNUSED)
{
	char text[2 * HTTP_RESPONSE_MAX];
	char out[HTTP_RESPONSE_MAX];
	size_t n;

	n = http_response_format(200, "", out);
	assert_string_equal(out, "HTTP/1.1 200 Connection established\r\n\r\n");
	assert_int_equal(n, strlen(out));
	(void)http_response_format(405, "why", out);
	assert_non_null(strstr(out, "\r\nAllow: CONNECT\r\n"));
	assert_non_null(strstr(out, "\r\nContent-Length: 4\r\n"));
	assert_non_null(strstr(out, "\r\n\r\nwhy\n"));
	(void)http_response_format(407, "why", out);
	assert_non_null(strstr(out, "\r\nProxy-Authenticate: Basic realm="));
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	n = http_response_format(407, text, out);
	assert_true(n < sizeof(out));
	assert_int_equal(n, strlen(out));
	assert_int_equal(out[n - 1], '\n');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut_at_every_byte),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_large_credentials),
		cmocka_unit_test(test_responses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
