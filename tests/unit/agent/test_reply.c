/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "agent/reply.h"
#include "base/compiler.h"
#include "tests/unit/wire/quiet_session.h"
#include "wire/h2_session.h"
#include "wire/h2_stream.h"

/* An edge's session and an agent's, back to back; the agent answers with `reply`. */
struct pair {
	struct h2_session *edge, *agent;
	int (*reply)(struct h2_stream *stream);
	const char *const (*expected)[2];
	size_t n_expected;
	bool saw_response, saw_end;
	uint32_t closed_code;
};

static void answer(void *ctx, struct h2_stream *stream, const struct h2_headers *hdrs)
{
	struct pair *p = ctx;

	(void)hdrs;
	assert_int_equal(p->reply(stream), 0);
}

static void refuse_open(void *ctx, struct h2_stream *stream, const struct h2_headers *hdrs)
{
	(void)ctx;
	(void)stream;
	(void)hdrs;
	fail();
}

static const struct h2_session_events agent_events = {
	QUIET_EVENTS,
	.on_open = answer,
	.on_output = quiet_event,
};

static const struct h2_session_events edge_events = {
	QUIET_EVENTS,
	.on_open = refuse_open,
	.on_output = quiet_event,
};

static void see_response(void *ctx, struct h2_stream *stream, const struct h2_headers *hdrs)
{
	struct pair *p = ctx;

	(void)stream;
	p->saw_response = true;
	for (size_t i = 0; i < p->n_expected; i++)
		assert_string_equal(h2_headers_get(hdrs, p->expected[i][0]), p->expected[i][1]);
	assert_int_equal(strlen(h2_headers_get(hdrs, "date")), 29);
	assert_int_equal(h2_headers_count(hdrs), p->n_expected + 1);
}

static void see_eof(void *ctx, struct h2_stream *stream)
{
	(void)stream;
	((struct pair *)ctx)->saw_end = true;
}

static void see_closed(void *ctx, struct h2_stream *stream, uint32_t h2_code)
{
	(void)stream;
	((struct pair *)ctx)->closed_code = h2_code;
}

static const struct h2_stream_events request_events = {
	.on_response = see_response,
	.on_eof = see_eof,
	.on_closed = see_closed,
};

static void run(struct pair *p, int (*reply)(struct h2_stream *stream),
		const char *const (*expected)[2], size_t n_expected)
{
	static const struct h2_limits limits = {
		.max_streams = 10,
		.stream_window_bytes = 65535,
		.conn_window_bytes = 65535,
		.header_list_bytes = 65536,
		.max_frame_bytes = 16384,
		.resets_burst = 10,
		.resets_per_s = 10,
	};
	static const struct h2_header request[] = {
		{.name = ":method", .value = "GET"},
		{.name = ":scheme", .value = "https"},
		{.name = ":path", .value = "/"},
		{.name = ":authority", .value = "10.0.0.1:22"},
	};
	struct h2_stream *stream;

	*p = (struct pair){.reply = reply, .expected = expected, .n_expected = n_expected};
	assert_int_equal(h2_session_new(&p->edge, H2_ROLE_OPENER, &limits, &edge_events, p), 0);
	assert_int_equal(h2_session_new(&p->agent, H2_ROLE_ACCEPTOR, &limits, &agent_events, p), 0);
	quiet_carry(p->agent, p->edge);
	quiet_carry(p->edge, p->agent);
	assert_int_equal(h2_stream_open(p->edge, &stream, request, ARRAY_SIZE(request), false,
					&request_events, p),
			 0);
	quiet_carry(p->edge, p->agent);
	quiet_carry(p->agent, p->edge);
	assert_true(p->saw_response);
	p->closed_code = UINT32_MAX;
	p->agent = h2_session_free(p->agent);
	p->edge = h2_session_free(p->edge);
}

static int refuse_forbidden(struct h2_stream *stream)
{
	return reply_refuse(stream, STREAM_ERROR_FORBIDDEN);
}

static int refuse_draining(struct h2_stream *stream)
{
	return reply_refuse(stream, STREAM_ERROR_DRAINING);
}

static int answer_config(struct h2_stream *stream)
{
	return reply_config(stream, 35);
}

static void test_accept(void **state)
{
	static const char *const expected[][2] = {
		{":status", "200"},
		{"cf-cloudflared-response-headers", ""},
		{"cf-cloudflared-response-meta", "{\"src\":\"origin\"}"},
	};
	struct pair p;

	(void)state;
	run(&p, reply_accept, expected, ARRAY_SIZE(expected));
	assert_false(p.saw_end);
}

static void test_control(void **state)
{
	static const char *const expected[][2] = {
		{":status", "200"},
		{"content-type", "application/octet-stream"},
	};
	struct pair p;

	(void)state;
	run(&p, reply_control, expected, ARRAY_SIZE(expected));
	assert_false(p.saw_end);
}

static void test_refuse(void **state)
{
	static const char *const forbidden[][2] = {
		{":status", "502"},
		{"cf-cloudflared-response-meta", "{\"src\":\"cloudflared\"}"},
		{"adit-error", "forbidden"},
		{"content-length", "0"},
	};
	static const char *const draining[][2] = {
		{":status", "503"},
		{"cf-cloudflared-response-meta", "{\"src\":\"cloudflared\"}"},
		{"adit-error", "draining"},
		{"content-length", "0"},
	};
	struct pair p;

	(void)state;
	run(&p, refuse_forbidden, forbidden, ARRAY_SIZE(forbidden));
	assert_true(p.saw_end);
	run(&p, refuse_draining, draining, ARRAY_SIZE(draining));
	assert_true(p.saw_end);
}

/* Stock edges tell this one apart by its meta, and expect 502. */
static void test_flow_limited(void **state)
{
	static const char *const expected[][2] = {
		{":status", "502"},
		{"cf-cloudflared-response-meta",
		 "{\"src\":\"cloudflared\",\"flow_rate_limited\":true}"},
		{"adit-error", "limit"},
		{"content-length", "0"},
	};
	struct pair p;

	(void)state;
	run(&p, reply_flow_limited, expected, ARRAY_SIZE(expected));
	assert_true(p.saw_end);
}

static void test_config(void **state)
{
	static const char *const expected[][2] = {
		{":status", "200"},
		{"content-type", "text/plain; charset=utf-8"},
		{"content-length", "35"},
	};
	struct pair p;

	(void)state;
	run(&p, answer_config, expected, ARRAY_SIZE(expected));
	assert_false(p.saw_end);
}

static void test_date(void **state)
{
	char out[REPLY_DATE_MAX];

	(void)state;
	assert_string_equal(reply_date(784111777000, out), "Sun, 06 Nov 1994 08:49:37 GMT");
	assert_string_equal(reply_date(0, out), "Thu, 01 Jan 1970 00:00:00 GMT");
	assert_string_equal(reply_date(1795366957999, out), "Sun, 22 Nov 2026 17:02:37 GMT");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accept), cmocka_unit_test(test_control),
		cmocka_unit_test(test_refuse), cmocka_unit_test(test_flow_limited),
		cmocka_unit_test(test_config), cmocka_unit_test(test_date),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
