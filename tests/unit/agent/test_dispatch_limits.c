/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Each bound of the agent's streams: at it, one beyond, and freed again. The targets are a port of
 * loopback whose backlog is full, so that a connection stays half-open, and UDP.
 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "agent/datagram_origins.h"
#include "agent/dispatch.h"
#include "agent/edge_link.h"
#include "agent/origin.h"
#include "agent/remote_config.h"
#include "agent/settings.h"
#include "base/diag.h"
#include "base/file.h"
#include "base/log.h"
#include "tests/unit/wire/quiet_session.h"
#include "wire/h2_stream.h"
#include "wire/io_loop.h"

#define HALF_OPEN  4 /* what fills a backlog of 0, and more */
#define ANSWER_MAX 32

struct request {
	struct h2_stream *stream;
	char status[8], error[ANSWER_MAX];
	bool closed;
};

struct world {
	uv_loop_t uv;
	struct io_loop *loop;
	struct io_task pump;
	struct h2_session *edge, *agent;
	struct origins *origins;
	struct datagram_origins *datagrams;
	struct remote_config remote;
	struct settings *settings;
	struct dispatch *dispatch;
	int listener, crowd[HALF_OPEN];
	uint16_t port;
};

/* The link is of no account here, and there is none. */
bool edge_link_is_adit(const struct edge_link *el UNUSED)
{
	return true;
}

bool edge_link_take_control(struct edge_link *el UNUSED, struct h2_stream *stream UNUSED,
			    const struct h2_headers *hdrs UNUSED)
{
	return false;
}

/* ---- the sessions ---- */

static void pump_task(struct io_task *task)
{
	struct world *w = container_of(task, struct world, pump);

	quiet_carry(w->edge, w->agent);
	quiet_carry(w->agent, w->edge);
	quiet_carry(w->edge, w->agent);
}

static void on_output(void *ctx)
{
	struct world *w = ctx;

	io_task_post(w->loop, &w->pump);
}

static void on_open(void *ctx, struct h2_stream *stream, const struct h2_headers *hdrs)
{
	struct world *w = ctx;

	dispatch_stream(w->dispatch, 0, NULL, stream, hdrs);
}

static const struct h2_session_events session_events = {
	QUIET_EVENTS,
	.on_open = on_open,
	.on_output = on_output,
};

static void on_response(void *ctx, struct h2_stream *stream UNUSED, const struct h2_headers *hdrs)
{
	const char *error = h2_headers_get(hdrs, HDR_ADIT_ERROR);
	struct request *r = ctx;

	snprintf(r->status, sizeof(r->status), "%s", h2_headers_get(hdrs, ":status"));
	snprintf(r->error, sizeof(r->error), "%s", error ? error : "");
}

static void on_closed(void *ctx, struct h2_stream *stream UNUSED, uint32_t h2_code UNUSED)
{
	((struct request *)ctx)->closed = true;
}

static const struct h2_stream_events request_events = {
	.on_response = on_response,
	.on_closed = on_closed,
};

/* ---- the world ---- */

static void flow_ended(void *ctx UNUSED)
{
}

static void listen_to_nobody(struct world *w)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t n = sizeof(sin);

	w->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(w->listener, (struct sockaddr *)&sin, n), 0);
	assert_int_equal(listen(w->listener, 0), 0);
	assert_int_equal(getsockname(w->listener, (struct sockaddr *)&sin, &n), 0);
	w->port = ntohs(sin.sin_port);
	for (size_t i = 0; i < HALF_OPEN; i++) {
		w->crowd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)connect(w->crowd[i], (struct sockaddr *)&sin, n);
	}
}

static void load_settings(struct world *w, const char *limits)
{
	char path[] = "/tmp/adit-limits-XXXXXX";
	char text[512];
	struct diag diag;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	snprintf(text, sizeof(text), "edge: 127.0.0.1:1\nallow: [{network: 127.0.0.1}]\n%s",
		 limits);
	assert_int_equal(file_replace(path, 0600, text, strlen(text)), 0);
	diag_init(&diag, path);
	assert_int_equal(settings_load(&w->settings, path, NULL, &diag), 0);
	diag_deinit(&diag);
	unlink(path);
}

static void open_world(struct world *w, const char *limits)
{
	struct h2_limits agent_limits = quiet_limits;

	memset(w, 0, sizeof(*w));
	log_set_level(LOG_LEVEL_ERROR);
	load_settings(w, limits);
	listen_to_nobody(w);
	uv_loop_init(&w->uv);
	assert_int_equal(io_loop_new(&w->loop, &w->uv, 1 << 20), 0);
	io_task_init(&w->pump, pump_task);
	w->origins = origins_new(w->loop, flow_ended, w);
	w->datagrams = datagram_origins_new(w->loop, NULL, flow_ended, w);
	remote_config_init(&w->remote, &w->settings->warp_routing, false);
	w->dispatch = dispatch_new(w->origins, w->datagrams, &w->remote, w->settings);
	agent_limits.enable_connect_protocol = true;
	assert_int_equal(
		h2_session_new(&w->edge, H2_ROLE_OPENER, &quiet_limits, &session_events, w), 0);
	assert_int_equal(
		h2_session_new(&w->agent, H2_ROLE_ACCEPTOR, &agent_limits, &session_events, w), 0);
	quiet_carry(w->agent, w->edge);
	quiet_carry(w->edge, w->agent);
}

static void close_world(struct world *w)
{
	w->agent = h2_session_free(w->agent);
	w->edge = h2_session_free(w->edge);
	io_task_cancel(&w->pump);
	uv_run(&w->uv, UV_RUN_DEFAULT);
	assert_int_equal(origins_count(w->origins), 0);
	assert_int_equal(origins_n_dials(w->origins), 0);
	assert_int_equal(datagram_origins_count(w->datagrams), 0);
	dispatch_free(w->dispatch);
	origins_free(w->origins);
	datagram_origins_free(w->datagrams);
	uv_run(&w->uv, UV_RUN_DEFAULT);
	io_loop_free(w->loop);
	uv_run(&w->uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->uv), 0);
	settings_free(w->settings);
	for (size_t i = 0; i < HALF_OPEN; i++)
		close(w->crowd[i]);
	close(w->listener);
}

static void open_stream(struct world *w, struct request *r, const struct h2_header *head, size_t n)
{
	*r = (struct request){0};
	assert_int_equal(h2_stream_open(w->edge, &r->stream, head, n, false, &request_events, r),
			 0);
	pump_task(&w->pump);
}

static void ask_tcp(struct world *w, struct request *r)
{
	char authority[32];
	const struct h2_header head[] = {
		{.name = ":method", .value = "GET"},	 {.name = ":scheme", .value = "https"},
		{.name = ":path", .value = "/"},	 {.name = ":authority", .value = authority},
		{.name = HDR_PROXY_SRC, .value = "ann"},
	};

	snprintf(authority, sizeof(authority), "127.0.0.1:%u", w->port);
	open_stream(w, r, head, ARRAY_SIZE(head));
}

static void ask_udp(struct world *w, struct request *r)
{
	char path[64];
	const struct h2_header head[] = {
		{.name = ":method", .value = "CONNECT"},
		{.name = ":protocol", .value = "connect-udp"},
		{.name = ":scheme", .value = "https"},
		{.name = ":authority", .value = "adit"},
		{.name = ":path", .value = path},
		{.name = HDR_CAPSULE_PROTOCOL, .value = CAPSULE_PROTOCOL_ON},
	};

	snprintf(path, sizeof(path), "/.well-known/masque/udp/127.0.0.1/%u/", w->port);
	open_stream(w, r, head, ARRAY_SIZE(head));
}

static void give_up(struct world *w, struct request *r)
{
	h2_stream_reset(r->stream, H2_CODE_CANCEL);
	pump_task(&w->pump);
	assert_true(r->closed);
}

static void expect_refused(const struct request *r, const char *status)
{
	assert_string_equal(r->status, status);
	assert_string_equal(r->error, "limit");
}

/* ---- tests ---- */

static void test_half_open_dials(void **state UNUSED)
{
	struct request dials[3], more;
	struct world w;

	open_world(&w, "max-dials: 3\n");
	for (size_t i = 0; i < ARRAY_SIZE(dials); i++)
		ask_tcp(&w, &dials[i]);
	assert_int_equal(origins_n_dials(w.origins), 3);
	assert_int_equal(dispatch_n_limited(w.dispatch), 0);
	ask_tcp(&w, &more);
	expect_refused(&more, "503");
	assert_int_equal(dispatch_n_limited(w.dispatch), 1);
	/* Datagrams are dialled at once. */
	ask_udp(&w, &more);
	assert_string_equal(more.status, "200");
	for (size_t i = 0; i < ARRAY_SIZE(dials); i++)
		assert_false(dials[i].closed);
	give_up(&w, &dials[1]);
	ask_tcp(&w, &dials[1]);
	assert_int_equal(origins_n_dials(w.origins), 3);
	assert_string_equal(dials[1].status, "");
	close_world(&w);
}

static void test_streams_of_all_kinds(void **state UNUSED)
{
	struct request tcp, udp, more;
	struct world w;

	open_world(&w, "max-active-flows: 2\n");
	ask_tcp(&w, &tcp);
	ask_udp(&w, &udp);
	assert_string_equal(udp.status, "200");
	ask_tcp(&w, &more);
	expect_refused(&more, "502");
	ask_udp(&w, &more);
	expect_refused(&more, "502");
	assert_int_equal(dispatch_n_limited(w.dispatch), 2);
	give_up(&w, &tcp);
	ask_udp(&w, &more);
	assert_string_equal(more.status, "200");
	close_world(&w);
}

static void test_datagrams(void **state UNUSED)
{
	struct request first, more;
	struct world w;

	open_world(&w, "max-udp-flows: 1\n");
	ask_udp(&w, &first);
	ask_udp(&w, &more);
	expect_refused(&more, "502");
	assert_int_equal(dispatch_n_limited(w.dispatch), 1);
	give_up(&w, &first);
	ask_udp(&w, &more);
	assert_string_equal(more.status, "200");
	close_world(&w);
}

/* What is over a lowered bound goes on; a raised one counts at once. */
static void test_reload(void **state UNUSED)
{
	struct request dials[2], more;
	struct settings *few, *before;
	struct world w;

	open_world(&w, "max-dials: 2\n");
	ask_tcp(&w, &dials[0]);
	ask_tcp(&w, &dials[1]);
	before = w.settings;
	load_settings(&w, "max-dials: 1\n");
	few = w.settings;
	dispatch_set_settings(w.dispatch, few);
	ask_tcp(&w, &more);
	expect_refused(&more, "503");
	give_up(&w, &dials[0]);
	ask_tcp(&w, &more);
	expect_refused(&more, "503");
	assert_false(dials[1].closed);
	dispatch_set_settings(w.dispatch, before);
	ask_tcp(&w, &dials[0]);
	assert_int_equal(origins_n_dials(w.origins), 2);
	w.settings = before;
	settings_free(few);
	close_world(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_half_open_dials),
		cmocka_unit_test(test_streams_of_all_kinds),
		cmocka_unit_test(test_datagrams),
		cmocka_unit_test(test_reload),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
