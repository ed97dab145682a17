/* SPDX-License-Identifier: Apache-2.0 */

/* Extended CONNECT (RFC 8441): allowed at the start, later, or never. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <stdio.h>

#include "mem_pair.h"

static const struct h2_header request[] = {
	{.name = ":method", .value = "CONNECT"},
	{.name = ":protocol", .value = "connect-udp"},
	{.name = ":scheme", .value = "https"},
	{.name = ":authority", .value = "adit"},
	{.name = ":path", .value = "/.well-known/masque/udp/10.0.0.1/53/"},
};

static void on_closed(void *ctx, struct h2_stream *stream UNUSED, uint32_t h2_code)
{
	*(int64_t *)ctx = h2_code;
}

static const struct h2_stream_events events = {.on_closed = on_closed};

static struct h2_stream *open_stream(struct mem_pair *p, int64_t *code)
{
	struct h2_stream *stream;

	*code = -1;
	assert_int_equal(h2_stream_open(p->opener.session, &stream, request, ARRAY_SIZE(request),
					false, &events, code),
			 0);
	mem_pair_pump(p);
	return stream;
}

static void allowed_from_the_start(void **state UNUSED)
{
	struct h2_limits limits = mem_limits;
	static struct mem_pair p;
	int64_t code;

	limits.enable_connect_protocol = true;
	mem_pair_init_with(&p, 0, &mem_limits, &limits);
	assert_false(h2_session_peer_allows_connect_protocol(p.opener.session));
	mem_pair_pump(&p);
	assert_true(h2_session_peer_allows_connect_protocol(p.opener.session));
	open_stream(&p, &code);
	assert_int_equal(p.acceptor.n_opened, 1);
	assert_int_equal(code, -1);
	mem_pair_deinit(&p);
}

static void announced_later(void **state UNUSED)
{
	static struct mem_pair p;
	int64_t code;

	mem_pair_init(&p, 7);
	mem_pair_pump(&p);
	assert_false(h2_session_peer_allows_connect_protocol(p.opener.session));
	assert_int_equal(h2_session_announce_additions(p.acceptor.session, H2_FRAME_MIN), 0);
	assert_int_equal(h2_session_announce_additions(p.acceptor.session, H2_FRAME_MIN), 0);
	mem_pair_pump(&p);
	assert_true(h2_session_peer_allows_connect_protocol(p.opener.session));
	/* What the first SETTINGS said still holds. */
	assert_true(p.opener.got_settings);
	open_stream(&p, &code);
	assert_int_equal(p.acceptor.n_opened, 1);
	/* It is for one direction. */
	assert_false(h2_session_peer_allows_connect_protocol(p.acceptor.session));
	mem_pair_deinit(&p);
}

static void not_allowed_is_a_stream_error(void **state UNUSED)
{
	static struct mem_pair p;
	int64_t code;

	mem_pair_init(&p, 0);
	mem_pair_pump(&p);
	open_stream(&p, &code);
	assert_int_equal(p.acceptor.n_opened, 0);
	assert_int_equal(code, H2_CODE_PROTOCOL_ERROR);
	assert_int_equal(p.acceptor.feed_result, H2_OK);
	mem_pair_deinit(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allowed_from_the_start),
		cmocka_unit_test(announced_later),
		cmocka_unit_test(not_allowed_is_a_stream_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
