/* SPDX-License-Identifier: Apache-2.0 */

/* A client's flow against an edge of the test's in memory: what is asked, what is kept until the
 * answer, every refusal, every end. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "client/datagram_flow.h"
#include "tests/unit/wire/quiet_session.h"
#include "wire/datagram_stream.h"
#include "wire/h2_session.h"
#include "wire/h2_stream.h"
#include "wire/io_loop.h"

#define TOKEN "adit_0123456789abcdef.secret"

struct world {
	uv_loop_t uv;
	struct io_loop *loop;
	struct h2_session *client, *edge;
	struct datagram_flow *flow;
	/* the edge's side */
	struct h2_stream *opened;
	struct datagram_stream *far;
	char path[DATAGRAM_PATH_MAX], protocol[16], authority[32], token[64], network[16];
	char capsules[8];
	unsigned int far_n;
	size_t far_bytes;
	uint8_t far_first[64];
	unsigned int far_ends;
	/* the flow's events */
	unsigned int n_open, n_in, n_icmp, n_ends;
	uint8_t icmp_type, icmp_code;
	struct datagram_flow_end end;
	char end_text[160];
	unsigned int free_at, n_events;
};

/* ---- the flow's events ---- */

static void note(struct world *w, struct datagram_flow *f)
{
	/* The first may come while datagram_flow_new() hasn't returned: it must not. */
	assert_ptr_equal(f, w->flow);
	if (++w->n_events == w->free_at) {
		datagram_flow_free(f);
		w->flow = NULL;
	}
}

static void on_open(void *ctx, struct datagram_flow *f)
{
	struct world *w = ctx;

	w->n_open++;
	note(w, f);
}

static void on_datagram(void *ctx, struct datagram_flow *f, const uint8_t *data UNUSED,
			size_t n UNUSED)
{
	struct world *w = ctx;

	w->n_in++;
	note(w, f);
}

static void on_icmp_error(void *ctx, struct datagram_flow *f, uint8_t type, uint8_t code)
{
	struct world *w = ctx;

	w->n_icmp++;
	w->icmp_type = type;
	w->icmp_code = code;
	note(w, f);
}

static void on_end(void *ctx, struct datagram_flow *f, const struct datagram_flow_end *end)
{
	struct world *w = ctx;

	w->n_ends++;
	w->end = *end;
	snprintf(w->end_text, sizeof(w->end_text), "%s", end->text);
	note(w, f);
}

static const struct datagram_flow_events flow_events = {
	.on_open = on_open,
	.on_datagram = on_datagram,
	.on_icmp_error = on_icmp_error,
	.on_end = on_end,
};

/* ---- the edge ---- */

static void far_datagram(void *ctx, const uint8_t *data, size_t n)
{
	struct world *w = ctx;

	w->far_first[w->far_n++] = n ? data[0] : 0;
	w->far_bytes += n;
}

static void far_icmp(void *ctx UNUSED, uint8_t type UNUSED, uint8_t code UNUSED)
{
}

static void far_end(void *ctx, enum datagram_end why)
{
	struct world *w = ctx;

	assert_int_equal(why, DATAGRAM_END_PEER);
	w->far_ends++;
}

static const struct datagram_stream_events far_events = {
	.on_datagram = far_datagram,
	.on_icmp_error = far_icmp,
	.on_end = far_end,
};

static void copy_header(char *out, size_t n, const struct h2_headers *hdrs, const char *name)
{
	const char *value = h2_headers_get(hdrs, name);

	snprintf(out, n, "%s", value ? value : "-");
}

static void on_request(void *ctx, struct h2_stream *stream, const struct h2_headers *hdrs)
{
	struct world *w = ctx;

	w->opened = stream;
	assert_string_equal(h2_headers_get(hdrs, ":method"), "CONNECT");
	copy_header(w->path, sizeof(w->path), hdrs, ":path");
	copy_header(w->protocol, sizeof(w->protocol), hdrs, ":protocol");
	copy_header(w->authority, sizeof(w->authority), hdrs, ":authority");
	copy_header(w->token, sizeof(w->token), hdrs, "proxy-authorization");
	copy_header(w->network, sizeof(w->network), hdrs, "adit-virtual-network");
	copy_header(w->capsules, sizeof(w->capsules), hdrs, "capsule-protocol");
}

static const struct h2_session_events session_events = {
	QUIET_EVENTS,
	.on_open = on_request,
	.on_output = quiet_event,
};

static void pump(struct world *w)
{
	do {
		uv_run(&w->uv, UV_RUN_NOWAIT);
	} while (quiet_carry(w->client, w->edge) + quiet_carry(w->edge, w->client) > 0);
}

/* ---- the world ---- */

static struct h2_session *session_of(void *ctx)
{
	return ((struct world *)ctx)->client;
}

static void world_init(struct world *w, bool allows)
{
	struct h2_limits edge = quiet_limits;

	memset(w, 0, sizeof(*w));
	edge.enable_connect_protocol = allows;
	assert_int_equal(uv_loop_init(&w->uv), 0);
	assert_int_equal(io_loop_new(&w->loop, &w->uv, 1 << 20), 0);
	assert_int_equal(
		h2_session_new(&w->client, H2_ROLE_OPENER, &quiet_limits, &session_events, w), 0);
	assert_int_equal(h2_session_new(&w->edge, H2_ROLE_ACCEPTOR, &edge, &session_events, w), 0);
	pump(w);
}

static void world_deinit(struct world *w)
{
	datagram_flow_free(w->flow);
	w->far = datagram_stream_free(w->far);
	w->client = h2_session_free(w->client);
	w->edge = h2_session_free(w->edge);
	uv_run(&w->uv, UV_RUN_NOWAIT);
	assert_int_equal(w->loop->budget.used_bytes, 0);
	io_loop_free(w->loop);
	uv_run(&w->uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->uv), 0);
}

static void ask(struct world *w, enum datagram_kind kind)
{
	struct datagram_flow_options opt = {
		.loop = w->loop,
		.kind = kind,
		.network = "staging",
		.token = TOKEN,
		.session = session_of,
		.session_ctx = w,
	};

	assert_int_equal(endpoint_parse("[fd00::3]:53", &opt.target), 0);
	w->flow = datagram_flow_new(&opt, &flow_events, w);
	assert_int_equal(w->n_events, 0);
}

static void accept_flow(struct world *w)
{
	static const struct h2_header ok[] = {
		{.name = ":status", .value = "200"},
		{.name = "capsule-protocol", .value = "?1"},
	};

	assert_int_equal(h2_stream_respond(w->opened, ok, ARRAY_SIZE(ok), false), 0);
	w->far = datagram_stream_new(w->loop, w->opened, &far_events, w);
	pump(w);
}

static int send_octets(struct world *w, uint8_t octet, size_t n)
{
	static uint8_t bytes[DATAGRAM_MAX + 1];

	memset(bytes, octet, sizeof(bytes));
	return datagram_flow_send(w->flow, bytes, n);
}

/* ---- tests ---- */

static void what_is_asked(void **state UNUSED)
{
	static struct world w;

	world_init(&w, true);
	ask(&w, DATAGRAM_UDP);
	pump(&w);
	assert_string_equal(w.protocol, "connect-udp");
	assert_string_equal(w.path, "/.well-known/masque/udp/fd00%3A%3A3/53/");
	assert_string_equal(w.authority, DATAGRAM_AUTHORITY);
	assert_string_equal(w.token, "Bearer " TOKEN);
	assert_string_equal(w.network, "staging");
	assert_string_equal(w.capsules, "?1");
	world_deinit(&w);

	world_init(&w, true);
	ask(&w, DATAGRAM_ECHO);
	pump(&w);
	assert_string_equal(w.protocol, "adit-echo");
	assert_string_equal(w.path, "/.well-known/adit/echo/fd00%3A%3A3/");
	world_deinit(&w);
}

static void both_ways_and_ended_by_the_far_side(void **state UNUSED)
{
	static struct world w;

	world_init(&w, true);
	ask(&w, DATAGRAM_UDP);
	pump(&w);
	accept_flow(&w);
	assert_int_equal(w.n_open, 1);
	assert_int_equal(send_octets(&w, 7, DATAGRAM_MAX), 0);
	assert_int_equal(send_octets(&w, 7, DATAGRAM_MAX + 1), -EMSGSIZE);
	assert_int_equal(datagram_stream_send(w.far, (const uint8_t *)"x", 1), 0);
	assert_int_equal(datagram_stream_send_icmp_error(w.far, 1, 4), 0);
	pump(&w);
	assert_int_equal(w.far_n, 1);
	assert_int_equal(w.far_bytes, DATAGRAM_MAX);
	assert_int_equal(w.n_in, 1);
	assert_int_equal(w.n_icmp, 1);
	assert_int_equal(w.icmp_type, 1);
	assert_int_equal(w.icmp_code, 4);
	w.far = datagram_stream_free(w.far);
	pump(&w);
	assert_int_equal(w.n_ends, 1);
	assert_true(w.end.was_open);
	assert_int_equal(w.end.why, CLIENT_EXIT_OK);
	assert_int_equal(w.end.error, STREAM_ERROR_NONE);
	assert_int_equal(send_octets(&w, 1, 1), -ENOTCONN);
	assert_int_equal(h2_session_n_streams(w.client), 0);
	world_deinit(&w);
}

static void early_datagrams_are_kept_within_bounds(void **state UNUSED)
{
	static struct world w;

	world_init(&w, true);
	ask(&w, DATAGRAM_UDP);
	for (uint8_t i = 0; i < DATAGRAM_FLOW_EARLY_N; i++)
		assert_int_equal(send_octets(&w, i, i), 0);
	assert_int_equal(send_octets(&w, 99, 1), -ENOBUFS);
	pump(&w);
	assert_int_equal(w.far_n, 0);
	accept_flow(&w);
	assert_int_equal(w.far_n, DATAGRAM_FLOW_EARLY_N);
	for (uint8_t i = 0; i < DATAGRAM_FLOW_EARLY_N; i++)
		assert_int_equal(w.far_first[i], i);
	assert_int_equal(datagram_flow_n_dropped(w.flow), 1);
	world_deinit(&w);

	world_init(&w, true);
	ask(&w, DATAGRAM_UDP);
	assert_int_equal(send_octets(&w, 1, DATAGRAM_MAX), 0);
	assert_int_equal(send_octets(&w, 2, 1400), -ENOBUFS);
	pump(&w);
	accept_flow(&w);
	assert_int_equal(w.far_bytes, DATAGRAM_MAX);
	world_deinit(&w);
}

static void refuse(struct world *w, const char *status, const char *error)
{
	const struct h2_header response[] = {
		{.name = ":status", .value = status},
		{.name = "adit-error", .value = error},
	};

	pump(w);
	assert_int_equal(h2_stream_respond(w->opened, response, error ? 2 : 1, true), 0);
	pump(w);
}

static void every_refusal(void **state UNUSED)
{
	static struct world w;

	for (int e = STREAM_ERROR_NONE + 1; e < STREAM_ERROR_N; e++) {
		const struct stream_error_info *info = stream_error_info((enum stream_error)e);

		world_init(&w, true);
		ask(&w, DATAGRAM_UDP);
		assert_int_equal(send_octets(&w, 1, 100), 0);
		refuse(&w, info->status, info->name);
		assert_int_equal(w.n_ends, 1);
		assert_false(w.end.was_open);
		assert_int_equal(w.end.error, e);
		assert_int_equal(w.end.why, client_exit_of_stream_error((enum stream_error)e));
		assert_string_equal(w.end_text, info->text);
		assert_int_equal(h2_session_n_streams(w.client), 0);
		world_deinit(&w);
	}
	world_init(&w, true);
	ask(&w, DATAGRAM_UDP);
	refuse(&w, "404", NULL);
	assert_int_equal(w.end.error, STREAM_ERROR_NONE);
	assert_int_equal(w.end.why, CLIENT_EXIT_NO_ROUTE);
	assert_string_equal(w.end_text, "the edge answered 404");
	world_deinit(&w);
	world_init(&w, true);
	ask(&w, DATAGRAM_UDP);
	refuse(&w, "418", NULL);
	assert_int_equal(w.end.error, STREAM_ERROR_NONE);
	assert_int_equal(w.end.why, CLIENT_EXIT_EDGE_FAULT);
	assert_string_equal(w.end_text, "the edge answered 418");
	world_deinit(&w);
}

/* What can't be asked ends the same way, never inside the call. */
static void what_cannot_be_asked(void **state UNUSED)
{
	static struct world w;

	world_init(&w, false);
	ask(&w, DATAGRAM_UDP);
	pump(&w);
	assert_int_equal(w.n_ends, 1);
	assert_int_equal(w.end.why, CLIENT_EXIT_EDGE_FAULT);
	assert_null(w.opened);
	world_deinit(&w);

	world_init(&w, true);
	w.client = h2_session_free(w.client);
	ask(&w, DATAGRAM_UDP);
	assert_int_equal(send_octets(&w, 1, 1), 0);
	pump(&w);
	assert_int_equal(w.n_ends, 1);
	assert_int_equal(w.end.why, CLIENT_EXIT_CUT);
	world_deinit(&w);

	world_init(&w, true);
	w.client = h2_session_free(w.client);
	ask(&w, DATAGRAM_UDP);
	datagram_flow_free(w.flow);
	w.flow = NULL;
	pump(&w);
	assert_int_equal(w.n_events, 0);
	world_deinit(&w);
}

static void a_lost_link_ends_it(void **state UNUSED)
{
	static struct world w;

	for (unsigned int i = 0; i < 2; i++) {
		world_init(&w, true);
		ask(&w, DATAGRAM_UDP);
		pump(&w);
		if (i)
			accept_flow(&w);
		w.client = h2_session_free(w.client);
		assert_int_equal(w.n_ends, 1);
		assert_int_equal(w.end.was_open, i);
		assert_int_equal(w.end.why, CLIENT_EXIT_CUT);
		world_deinit(&w);
	}
}

static void freed_from_any_event(void **state UNUSED)
{
	static struct world w;

	for (unsigned int at = 1; at <= 4; at++) {
		world_init(&w, true);
		w.free_at = at;
		ask(&w, DATAGRAM_UDP);
		assert_int_equal(send_octets(&w, 1, 100), 0);
		pump(&w);
		accept_flow(&w);
		(void)datagram_stream_send(w.far, (const uint8_t *)"x", 1);
		(void)datagram_stream_send_icmp_error(w.far, 3, 3);
		pump(&w);
		w.far = datagram_stream_free(w.far);
		pump(&w);
		assert_null(w.flow);
		assert_int_equal(w.n_events, at);
		assert_int_equal(h2_session_n_streams(w.client), 0);
		world_deinit(&w);
	}
	world_init(&w, true);
	w.free_at = 1;
	ask(&w, DATAGRAM_UDP);
	refuse(&w, "503", "limit");
	assert_null(w.flow);
	world_deinit(&w);
}

static void freed_by_its_owner_ends_the_stream(void **state UNUSED)
{
	static struct world w;

	world_init(&w, true);
	ask(&w, DATAGRAM_UDP);
	pump(&w);
	accept_flow(&w);
	datagram_flow_free(w.flow);
	w.flow = NULL;
	pump(&w);
	assert_int_equal(w.far_ends, 1);
	assert_int_equal(w.n_ends, 0);
	world_deinit(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_asked),
		cmocka_unit_test(both_ways_and_ended_by_the_far_side),
		cmocka_unit_test(early_datagrams_are_kept_within_bounds),
		cmocka_unit_test(every_refusal),
		cmocka_unit_test(what_cannot_be_asked),
		cmocka_unit_test(a_lost_link_ends_it),
		cmocka_unit_test(freed_from_any_event),
		cmocka_unit_test(freed_by_its_owner_ends_the_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
