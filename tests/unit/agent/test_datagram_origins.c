/* SPDX-License-Identifier: Apache-2.0 */

/* Datagram flows to sockets on loopback; the edge's side is a session joined in memory. Idle times
 * run on a clock of the test's. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "agent/datagram_origins.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/fd.h"
#include "base/log.h"
#include "tests/unit/wire/quiet_session.h"
#include "wire/datagram_stream.h"
#include "wire/h2_session.h"
#include "wire/h2_stream.h"
#include "wire/io_loop.h"

#define FLOWS_MAX   16
#define DEADLINE_MS 20000

static uint64_t test_now_ms;

static uint64_t test_clock(void)
{
	return test_now_ms;
}

struct flow {
	struct world *world;
	struct h2_stream *stream;
	struct datagram_stream *ds;
	char status[8];
	char error[32];
	char capsule_protocol[8];
	unsigned int n_in;
	uint8_t last[128];
	size_t n_last;
	unsigned int n_icmp;
	uint8_t icmp_type, icmp_code;
	bool ended;
	enum datagram_end why;
};

struct world {
	uv_loop_t uv;
	struct io_loop *loop;
	struct io_task pump;
	struct h2_session *edge, *agent;
	struct datagram_origins *origins;
	struct datagram_request next; /* template for streams that come */
	uv_idle_t idle;		      /* keeps the loop turning */
	int target;		      /* a UDP socket */
	struct flow flows[FLOWS_MAX];
	size_t n_flows;
	unsigned int n_ended;
};

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

static void take_stream(void *ctx, struct h2_stream *stream, const struct h2_headers *hdrs UNUSED)
{
	struct world *w = ctx;
	struct datagram_request req = w->next;

	req.stream = stream;
	datagram_origins_open(w->origins, &req);
}

static const struct h2_session_events session_events = {
	QUIET_EVENTS,
	.on_open = take_stream,
	.on_output = on_output,
};

/* ---- the edge's side of a flow ---- */

static void on_datagram(void *ctx, const uint8_t *data, size_t n)
{
	struct flow *f = ctx;

	f->n_in++;
	f->n_last = n < sizeof(f->last) ? n : sizeof(f->last);
	memcpy(f->last, data, f->n_last);
}

static void on_icmp_error(void *ctx, uint8_t type, uint8_t code)
{
	struct flow *f = ctx;

	f->n_icmp++;
	f->icmp_type = type;
	f->icmp_code = code;
}

static void on_end(void *ctx, enum datagram_end why)
{
	struct flow *f = ctx;

	f->ended = true;
	f->why = why;
}

static const struct datagram_stream_events datagram_events = {
	.on_datagram = on_datagram,
	.on_icmp_error = on_icmp_error,
	.on_end = on_end,
};

static void copy_header(char *out, size_t n, const struct h2_headers *hdrs, const char *name)
{
	const char *value = h2_headers_get(hdrs, name);

	strncpy(out, value ? value : "", n - 1);
}

static void on_response(void *ctx, struct h2_stream *stream, const struct h2_headers *hdrs)
{
	struct flow *f = ctx;

	copy_header(f->status, sizeof(f->status), hdrs, ":status");
	copy_header(f->error, sizeof(f->error), hdrs, "adit-error");
	copy_header(f->capsule_protocol, sizeof(f->capsule_protocol), hdrs, "capsule-protocol");
	if (strcmp(f->status, "200") == 0)
		f->ds = datagram_stream_new(f->world->loop, stream, &datagram_events, f);
}

static const struct h2_stream_events asking_events = {.on_response = on_response};

/* ---- the world ---- */

static void flow_ended(void *ctx)
{
	((struct world *)ctx)->n_ended++;
}

static void idle_cb(uv_idle_t *idle UNUSED)
{
}

static int open_target(struct endpoint *epp)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	endpoint_parse("127.0.0.1:1", epp);
	epp->port = 0;
	n = endpoint_to_sockaddr(epp, &ss);
	assert_int_equal(bind(fd, (struct sockaddr *)&ss, n), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &n), 0);
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&ss, epp), 0);
	return fd;
}

static void world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	test_now_ms = 1000;
	assert_int_equal(uv_loop_init(&w->uv), 0);
	assert_int_equal(io_loop_new(&w->loop, &w->uv, 1 << 20), 0);
	io_task_init(&w->pump, pump_task);
	uv_idle_init(&w->uv, &w->idle);
	uv_idle_start(&w->idle, idle_cb);
	w->origins = datagram_origins_new(w->loop, test_clock, flow_ended, w);
	assert_int_equal(
		h2_session_new(&w->edge, H2_ROLE_OPENER, &quiet_limits, &session_events, w), 0);
	assert_int_equal(
		h2_session_new(&w->agent, H2_ROLE_ACCEPTOR, &quiet_limits, &session_events, w), 0);
	io_task_post(w->loop, &w->pump);
	w->target = open_target(&w->next.target);
	w->next.requested = w->next.target;
	w->next.kind = DATAGRAM_UDP;
	w->next.max_flows = 1000;
}

static void turn(struct world *w)
{
	uv_run(&w->uv, UV_RUN_NOWAIT);
}

static void world_deinit(struct world *w)
{
	for (size_t i = 0; i < w->n_flows; i++)
		w->flows[i].ds = datagram_stream_free(w->flows[i].ds);
	w->origins = datagram_origins_free(w->origins);
	w->edge = h2_session_free(w->edge);
	w->agent = h2_session_free(w->agent);
	close_fd(w->target);
	uv_close((uv_handle_t *)&w->idle, NULL);
	assert_int_equal(w->loop->budget.used_bytes, 0);
	io_loop_free(w->loop);
	uv_run(&w->uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->uv), 0);
}

#define TURN_UNTIL(w, condition)                                                                   \
	do {                                                                                       \
		uint64_t until_ms = clock_boot_ms() + DEADLINE_MS;                                 \
		while (!(condition)) {                                                             \
			assert_true(clock_boot_ms() < until_ms);                                   \
			turn(w);                                                                   \
		}                                                                                  \
	} while (0)

static struct flow *ask(struct world *w)
{
	static const struct h2_header request[] = {
		{.name = ":method", .value = "GET"},
		{.name = ":scheme", .value = "https"},
		{.name = ":authority", .value = "x"},
		{.name = ":path", .value = "/"},
	};
	struct flow *f = &w->flows[w->n_flows++];

	f->world = w;
	TURN_UNTIL(w, h2_session_can_open(w->edge));
	assert_int_equal(h2_stream_open(w->edge, &f->stream, request, ARRAY_SIZE(request), false,
					&asking_events, f),
			 0);
	TURN_UNTIL(w, f->status[0]);
	return f;
}

static struct flow *ask_well(struct world *w)
{
	struct flow *f = ask(w);

	assert_string_equal(f->status, "200");
	assert_string_equal(f->capsule_protocol, "?1");
	return f;
}

static void send_text(struct flow *f, const char *text)
{
	assert_int_equal(datagram_stream_send(f->ds, (const uint8_t *)text, strlen(text)), 0);
}

/* What the target received next, and who sent it. */
static ssize_t receive(struct world *w, char *out, size_t cap, struct sockaddr_in *from)
{
	socklen_t n_from = sizeof(*from);
	ssize_t n = -1;

	TURN_UNTIL(w,
		   (n = recvfrom(w->target, out, cap, 0, (struct sockaddr *)from, &n_from)) >= 0);
	return n;
}

/* ---- tests ---- */

static void there_and_back(void **state UNUSED)
{
	struct datagram_origins_stats stats;
	static struct world w;
	struct sockaddr_in from;
	struct flow *f;
	char text[64];

	world_init(&w);
	f = ask_well(&w);
	send_text(f, "question");
	assert_int_equal(receive(&w, text, sizeof(text), &from), 8);
	assert_memory_equal(text, "question", 8);
	assert_int_equal(sendto(w.target, "answer", 6, 0, (struct sockaddr *)&from, sizeof(from)),
			 6);
	TURN_UNTIL(&w, f->n_in == 1);
	assert_memory_equal(f->last, "answer", 6);
	datagram_origins_get_stats(w.origins, &stats);
	assert_int_equal(stats.n_to_target, 1);
	assert_int_equal(stats.n_from_target, 1);
	assert_int_equal(stats.n_dropped, 0);
	f->ds = datagram_stream_free(f->ds);
	TURN_UNTIL(&w, w.n_ended == 1);
	assert_int_equal(datagram_origins_count(w.origins), 0);
	world_deinit(&w);
}

/* Only the target can answer: the socket is connected. */
static void strangers_are_not_heard(void **state UNUSED)
{
	static struct world w;
	struct endpoint other;
	struct sockaddr_in from;
	struct flow *f;
	char text[64];
	int stranger;

	world_init(&w);
	stranger = open_target(&other);
	f = ask_well(&w);
	send_text(f, "x");
	receive(&w, text, sizeof(text), &from);
	assert_int_equal(sendto(stranger, "bad", 3, 0, (struct sockaddr *)&from, sizeof(from)), 3);
	assert_int_equal(sendto(w.target, "good", 4, 0, (struct sockaddr *)&from, sizeof(from)), 4);
	TURN_UNTIL(&w, f->n_in > 0);
	assert_int_equal(f->n_in, 1);
	assert_memory_equal(f->last, "good", 4);
	close_fd(stranger);
	world_deinit(&w);
}

static void refused_port_is_told_and_the_flow_goes_on(void **state UNUSED)
{
	static struct world w;
	struct endpoint ep;
	struct flow *f;

	world_init(&w);
	close_fd(open_target(&ep));
	w.next.target = ep;
	f = ask_well(&w);
	for (unsigned int i = 1; i <= 3; i++) {
		send_text(f, "anybody?");
		TURN_UNTIL(&w, f->n_icmp >= i);
		assert_int_equal(f->icmp_type, 3);
		assert_int_equal(f->icmp_code, 3);
	}
	assert_false(f->ended);
	assert_int_equal(datagram_origins_count(w.origins), 1);
	world_deinit(&w);
}

static void too_large_for_the_socket_is_dropped(void **state UNUSED)
{
	struct datagram_origins_stats stats;
	static uint8_t large[DATAGRAM_MAX];
	static struct world w;
	struct sockaddr_in from;
	struct flow *f;
	char text[64];

	world_init(&w);
	f = ask_well(&w);
	assert_int_equal(datagram_stream_send(f->ds, large, 65508), 0);
	assert_int_equal(datagram_stream_send(f->ds, large, DATAGRAM_MAX), 0);
	send_text(f, "small");
	assert_int_equal(receive(&w, text, sizeof(text), &from), 5);
	datagram_origins_get_stats(w.origins, &stats);
	assert_int_equal(stats.n_to_target, 1);
	assert_int_equal(stats.n_dropped, 2);
	assert_false(f->ended);
	world_deinit(&w);
}

/* The idle time runs from the last datagram of either direction, to the millisecond. */
static void check_idle(enum datagram_kind kind, uint16_t port, uint64_t idle_ms)
{
	static struct world w;
	struct sockaddr_in from;
	struct flow *f, *other;
	char text[64];

	world_init(&w);
	w.next.kind = kind;
	w.next.requested.port = port;
	f = ask_well(&w);
	other = ask_well(&w);
	test_now_ms += idle_ms - 1;
	datagram_origins_tick(w.origins, test_now_ms);
	assert_int_equal(datagram_origins_count(w.origins), 2);
	if (kind == DATAGRAM_UDP) {
		send_text(f, "awake");
		receive(&w, text, sizeof(text), &from);
		/* The other one is over now, this one isn't. */
		datagram_origins_tick(w.origins, test_now_ms + 1);
		assert_int_equal(datagram_origins_count(w.origins), 1);
		TURN_UNTIL(&w, other->ended);
		assert_int_equal(other->why, DATAGRAM_END_PEER);
		test_now_ms += idle_ms - 1;
		sendto(w.target, "you too", 7, 0, (struct sockaddr *)&from, sizeof(from));
		TURN_UNTIL(&w, f->n_in == 1);
		datagram_origins_tick(w.origins, test_now_ms + idle_ms - 1);
		assert_int_equal(datagram_origins_count(w.origins), 1);
		test_now_ms += idle_ms - 1;
	}
	datagram_origins_tick(w.origins, test_now_ms + 1);
	assert_int_equal(datagram_origins_count(w.origins), 0);
	TURN_UNTIL(&w, f->ended);
	assert_int_equal(f->why, DATAGRAM_END_PEER);
	assert_int_equal(w.n_ended, 2);
	world_deinit(&w);
}

static void idle_flows_end(void **state UNUSED)
{
	check_idle(DATAGRAM_UDP, 54, 210000);
	check_idle(DATAGRAM_UDP, 443, 210000);
}

static void idle_dns_ends_sooner(void **state UNUSED)
{
	check_idle(DATAGRAM_UDP, 53, 10000);
}

static void the_limit_of_flows(void **state UNUSED)
{
	static struct world w;
	struct flow *first, *f;

	world_init(&w);
	w.next.max_flows = 2;
	first = ask_well(&w);
	ask_well(&w);
	f = ask(&w);
	assert_string_equal(f->status, "502");
	assert_string_equal(f->error, "limit");
	first->ds = datagram_stream_free(first->ds);
	TURN_UNTIL(&w, w.n_ended == 1);
	ask_well(&w);
	world_deinit(&w);
}

static void no_descriptor_is_a_limit(void **state UNUSED)
{
	struct rlimit before, none;
	static struct world w;
	struct flow *f;

	world_init(&w);
	TURN_UNTIL(&w, h2_session_can_open(w.edge));
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	f = ask(&w);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_string_equal(f->status, "503");
	assert_string_equal(f->error, "limit");
	assert_int_equal(datagram_origins_count(w.origins), 0);
	ask_well(&w);
	world_deinit(&w);
}

static void flows_leave_spare_descriptors(void **state UNUSED)
{
	struct rlimit before, low;
	static struct world w;
	struct flow *f;
	int lowest;

	world_init(&w);
	TURN_UNTIL(&w, h2_session_can_open(w.edge));
	lowest = dup(w.target);
	assert_true(lowest > 3);
	close(lowest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = before;
	low.rlim_cur = (rlim_t)lowest + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	assert_int_equal(fd_limit_read(), 0);
	f = ask(&w);
	assert_int_equal(dup(w.target), lowest);
	close(lowest);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(fd_limit_read(), 0);
	assert_string_equal(f->status, "503");
	assert_string_equal(f->error, "limit");
	world_deinit(&w);
}

static void a_lost_link_ends_its_flows(void **state UNUSED)
{
	static struct world w;

	world_init(&w);
	ask_well(&w);
	ask_well(&w);
	w.agent = h2_session_free(w.agent);
	assert_int_equal(w.n_ended, 2);
	assert_int_equal(datagram_origins_count(w.origins), 0);
	world_deinit(&w);
}

static void end_all_is_in_order(void **state UNUSED)
{
	static struct world w;
	struct flow *f;

	world_init(&w);
	f = ask_well(&w);
	datagram_origins_end_all(w.origins);
	TURN_UNTIL(&w, f->ended);
	assert_int_equal(f->why, DATAGRAM_END_PEER);
	TURN_UNTIL(&w, h2_session_n_streams(w.agent) == 0);
	world_deinit(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(strangers_are_not_heard),
		cmocka_unit_test(refused_port_is_told_and_the_flow_goes_on),
		cmocka_unit_test(too_large_for_the_socket_is_dropped),
		cmocka_unit_test(idle_flows_end),
		cmocka_unit_test(idle_dns_ends_sooner),
		cmocka_unit_test(the_limit_of_flows),
		cmocka_unit_test(no_descriptor_is_a_limit),
		cmocka_unit_test(flows_leave_spare_descriptors),
		cmocka_unit_test(a_lost_link_ends_its_flows),
		cmocka_unit_test(end_all_is_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
