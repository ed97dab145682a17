/* SPDX-License-Identifier: Apache-2.0 */

/* Flows between a target on loopback and a stream of two sessions joined in memory. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include "agent/origin.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "tests/unit/wire/quiet_session.h"
#include "wire/h2_session.h"
#include "wire/h2_stream.h"
#include "wire/io_loop.h"

#define ANSWER_MAX 65536

/* One request of the edge's side and what became of it. */
struct request {
	struct world *world;
	struct h2_stream *stream;
	const char *body; /* sent at once, with END_STREAM behind it if `end` */
	size_t sent;
	bool end;
	char status[8], error[32], meta[96];
	uint8_t data[ANSWER_MAX];
	size_t n_data;
	bool ended, closed;
};

struct world {
	uv_loop_t uv;
	struct io_loop *loop;
	struct io_task pump;
	struct h2_session *edge, *agent;
	struct origins *origins;
	struct origin_request next; /* template for streams that come */
	uv_idle_t idle;		    /* keeps the loop turning */
	uv_tcp_t listener;
	uv_tcp_t *accepted[8];
	size_t n_accepted;
	unsigned int n_ended;
};

/* ---- the target: echoes, and closes when it has read the end ---- */

static void free_handle_cb(uv_handle_t *handle)
{
	free(handle);
}

static void alloc_cb(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
	(void)handle;
	*buf = uv_buf_init(malloc(size), (unsigned int)size);
}

static void read_cb(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	uv_buf_t out = uv_buf_init(buf->base, n > 0 ? (unsigned int)n : 0);

	if (n > 0)
		assert_int_equal(uv_try_write(stream, &out, 1), n);
	else if (n < 0)
		uv_close((uv_handle_t *)stream, free_handle_cb);
	free(buf->base);
}

static void accept_cb(uv_stream_t *listener, int status)
{
	struct world *w = listener->data;
	uv_tcp_t *tcp = xnew(uv_tcp_t);

	assert_int_equal(status, 0);
	uv_tcp_init(&w->uv, tcp);
	assert_int_equal(uv_accept(listener, (uv_stream_t *)tcp), 0);
	w->accepted[w->n_accepted++] = tcp;
	uv_read_start((uv_stream_t *)tcp, alloc_cb, read_cb);
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

static void take_stream(void *ctx, struct h2_stream *stream, const struct h2_headers *hdrs)
{
	struct world *w = ctx;
	struct origin_request req = w->next;

	(void)hdrs;
	req.stream = stream;
	origins_open(w->origins, &req);
}

static const struct h2_session_events session_events = {
	QUIET_EVENTS,
	.on_open = take_stream,
	.on_output = on_output,
};

static void copy_header(char *out, size_t n, const struct h2_headers *hdrs, const char *name)
{
	const char *value = h2_headers_get(hdrs, name);

	strncpy(out, value ? value : "", n - 1);
}

static void on_response(void *ctx, struct h2_stream *stream, const struct h2_headers *hdrs)
{
	struct request *r = ctx;

	(void)stream;
	copy_header(r->status, sizeof(r->status), hdrs, ":status");
	copy_header(r->error, sizeof(r->error), hdrs, "adit-error");
	copy_header(r->meta, sizeof(r->meta), hdrs, "cf-cloudflared-response-meta");
}

static void on_data(void *ctx, struct h2_stream *stream, const uint8_t *data, size_t n)
{
	struct request *r = ctx;

	assert_true(r->n_data + n <= sizeof(r->data));
	memcpy(r->data + r->n_data, data, n);
	r->n_data += n;
	h2_stream_credit(stream, n);
}

static void on_eof(void *ctx, struct h2_stream *stream)
{
	(void)stream;
	((struct request *)ctx)->ended = true;
}

static void on_closed(void *ctx, struct h2_stream *stream, uint32_t h2_code)
{
	(void)stream;
	(void)h2_code;
	((struct request *)ctx)->closed = true;
}

static const struct h2_stream_events request_events = {
	.on_response = on_response,
	.on_data = on_data,
	.on_eof = on_eof,
	.on_closed = on_closed,
};

static ssize_t read_body(void *ctx, uint8_t *buf, size_t cap)
{
	struct request *r = ctx;
	size_t n = strlen(r->body) - r->sent;

	if (n == 0)
		return r->end ? 0 : -EAGAIN;
	n = n < cap ? n : cap;
	memcpy(buf, r->body + r->sent, n);
	r->sent += n;
	return (ssize_t)n;
}

/* ---- the world ---- */

static void flow_ended(void *ctx)
{
	((struct world *)ctx)->n_ended++;
}

static void listen_on_loopback(struct world *w)
{
	struct sockaddr_storage ss;
	int len = sizeof(ss);

	uv_tcp_init(&w->uv, &w->listener);
	w->listener.data = w;
	uv_ip4_addr("127.0.0.1", 0, (struct sockaddr_in *)&ss);
	assert_int_equal(uv_tcp_bind(&w->listener, (struct sockaddr *)&ss, 0), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&w->listener, 16, accept_cb), 0);
	uv_tcp_getsockname(&w->listener, (struct sockaddr *)&ss, &len);
	endpoint_from_sockaddr((struct sockaddr *)&ss, &w->next.target);
}

static void idle_cb(uv_idle_t *idle)
{
	(void)idle;
}

static void open_world(struct world *w)
{
	memset(w, 0, sizeof(*w));
	log_set_level(LOG_LEVEL_ERROR);
	uv_loop_init(&w->uv);
	uv_idle_init(&w->uv, &w->idle);
	uv_idle_start(&w->idle, idle_cb);
	assert_int_equal(io_loop_new(&w->loop, &w->uv, 1 << 20), 0);
	io_task_init(&w->pump, pump_task);
	listen_on_loopback(w);
	w->origins = origins_new(w->loop, flow_ended, w);
	w->next.requested = w->next.target;
	w->next.mode = RELAY_HALF_CLOSE;
	w->next.connect_timeout_ms = 5000;
	w->next.keep_alive_ms = 30000;
	assert_int_equal(
		h2_session_new(&w->edge, H2_ROLE_OPENER, &quiet_limits, &session_events, w), 0);
	assert_int_equal(
		h2_session_new(&w->agent, H2_ROLE_ACCEPTOR, &quiet_limits, &session_events, w), 0);
	quiet_carry(w->agent, w->edge);
	quiet_carry(w->edge, w->agent);
}

static void close_world(struct world *w)
{
	w->agent = h2_session_free(w->agent);
	w->edge = h2_session_free(w->edge);
	io_task_cancel(&w->pump);
	if (!uv_is_closing((uv_handle_t *)&w->listener))
		uv_close((uv_handle_t *)&w->listener, NULL);
	uv_close((uv_handle_t *)&w->idle, NULL);
	uv_run(&w->uv, UV_RUN_DEFAULT);
	assert_int_equal(origins_count(w->origins), 0);
	assert_int_equal(w->loop->budget.used_bytes, 0);
	origins_free(w->origins);
	io_loop_free(w->loop);
	uv_run(&w->uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->uv), 0);
}

static struct request *ask(struct world *w, const char *body, bool end)
{
	static const struct h2_header head[] = {
		{.name = ":method", .value = "GET"},
		{.name = ":scheme", .value = "https"},
		{.name = ":path", .value = "/"},
		{.name = ":authority", .value = "127.0.0.1:1"},
	};
	struct request *r = xnew(struct request);

	r->world = w;
	r->body = body;
	r->end = end;
	assert_int_equal(h2_stream_open(w->edge, &r->stream, head, ARRAY_SIZE(head), false,
					&request_events, r),
			 0);
	h2_stream_set_source(r->stream, read_body, r);
	return r;
}

static void run_until(struct world *w, const bool *done)
{
	while (!*done)
		uv_run(&w->uv, UV_RUN_ONCE);
}

static void run_until_answered(struct world *w, const struct request *r)
{
	while (r->status[0] == '\0')
		uv_run(&w->uv, UV_RUN_ONCE);
}

/* ---- tests ---- */

/* Bytes, and the end, that came before the connection stood reach the target. */
static void test_early_bytes(void **state)
{
	struct world w;
	struct request *r;

	(void)state;
	open_world(&w);
	r = ask(&w, "hello, target", true);
	pump_task(&w.pump);
	assert_int_equal(origins_count(w.origins), 1);
	assert_int_equal(origins_n_dials(w.origins), 1);
	assert_int_equal(w.loop->budget.used_bytes, strlen("hello, target"));
	assert_string_equal(r->status, "");
	run_until(&w, &r->closed);
	assert_string_equal(r->status, "200");
	assert_int_equal(origins_n_dials(w.origins), 0);
	assert_string_equal(r->meta, "{\"src\":\"origin\"}");
	assert_true(r->ended);
	assert_int_equal(r->n_data, strlen("hello, target"));
	assert_memory_equal(r->data, "hello, target", r->n_data);
	while (!w.n_ended)
		uv_run(&w.uv, UV_RUN_ONCE);
	close_world(&w);
	free(r);
}

static void test_refused(void **state)
{
	struct world w;
	struct request *r;

	(void)state;
	open_world(&w);
	/* A port that was ours a moment ago. */
	uv_close((uv_handle_t *)&w.listener, NULL);
	r = ask(&w, "x", false);
	run_until(&w, &r->closed);
	assert_string_equal(r->status, "502");
	assert_string_equal(r->error, "refused");
	assert_string_equal(r->meta, "{\"src\":\"cloudflared\"}");
	assert_int_equal(w.n_ended, 1);
	close_world(&w);
	free(r);
}

static void test_flow_limit(void **state)
{
	struct world w;
	struct request *first, *second;

	(void)state;
	open_world(&w);
	w.next.max_flows = 1;
	first = ask(&w, "stays", false);
	run_until_answered(&w, first);
	assert_string_equal(first->status, "200");
	second = ask(&w, "", false);
	run_until(&w, &second->closed);
	assert_string_equal(second->status, "502");
	assert_string_equal(second->error, "limit");
	assert_string_equal(second->meta, "{\"src\":\"cloudflared\",\"flow_rate_limited\":true}");
	h2_stream_reset(first->stream, H2_CODE_CANCEL);
	run_until(&w, &first->closed);
	while (!w.n_ended)
		uv_run(&w.uv, UV_RUN_ONCE);
	/* There is room again. */
	free(second);
	second = ask(&w, "", false);
	run_until_answered(&w, second);
	assert_string_equal(second->status, "200");
	close_world(&w);
	free(first);
	free(second);
}

static void test_reset_while_dialling(void **state)
{
	struct world w;
	struct request *r;

	(void)state;
	open_world(&w);
	r = ask(&w, "never mind", false);
	pump_task(&w.pump);
	assert_int_equal(origins_count(w.origins), 1);
	assert_int_equal(origins_n_dials(w.origins), 1);
	h2_stream_reset(r->stream, H2_CODE_CANCEL);
	pump_task(&w.pump);
	assert_int_equal(origins_count(w.origins), 0);
	assert_int_equal(origins_n_dials(w.origins), 0);
	assert_int_equal(w.n_ended, 1);
	assert_string_equal(r->status, "");
	close_world(&w);
	free(r);
}

static void test_no_descriptors(void **state)
{
	struct rlimit old, low;
	struct world w;
	struct request *r;
	int lowest;

	(void)state;
	open_world(&w);
	lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_true(lowest >= 0);
	close(lowest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = (struct rlimit){.rlim_cur = (rlim_t)lowest, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	r = ask(&w, "x", false);
	run_until(&w, &r->closed);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_string_equal(r->error, "limit");
	assert_int_equal(origins_count(w.origins), 0);
	assert_int_equal(origins_n_dials(w.origins), 0);
	close_world(&w);
	free(r);
}

/* Streams leave some for control clients and new connections to the edge. */
static void test_spare_descriptors(void **state)
{
	struct rlimit old, low;
	struct world w;
	struct request *r;
	int lowest;

	(void)state;
	open_world(&w);
	lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_true(lowest > 3);
	close(lowest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = (struct rlimit){.rlim_cur = (rlim_t)lowest + 1, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	assert_int_equal(fd_limit_read(), 0);
	r = ask(&w, "x", false);
	run_until(&w, &r->closed);
	assert_string_equal(r->status, "503");
	assert_string_equal(r->error, "limit");
	assert_int_equal(open("/dev/null", O_RDONLY | O_CLOEXEC), lowest);
	close(lowest);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(fd_limit_read(), 0);
	close_world(&w);
	free(r);
}

static void test_abort_all(void **state)
{
	struct world w;
	struct request *relaying, *dialling;

	(void)state;
	open_world(&w);
	relaying = ask(&w, "running", false);
	run_until_answered(&w, relaying);
	dialling = ask(&w, "starting", false);
	pump_task(&w.pump);
	assert_int_equal(origins_count(w.origins), 2);
	origins_abort_all(w.origins);
	run_until(&w, &relaying->closed);
	run_until(&w, &dialling->closed);
	assert_string_equal(dialling->error, "draining");
	while (w.n_ended < 2)
		uv_run(&w.uv, UV_RUN_ONCE);
	close_world(&w);
	free(relaying);
	free(dialling);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_early_bytes),    cmocka_unit_test(test_refused),
		cmocka_unit_test(test_flow_limit),     cmocka_unit_test(test_reset_while_dialling),
		cmocka_unit_test(test_no_descriptors), cmocka_unit_test(test_spare_descriptors),
		cmocka_unit_test(test_abort_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
