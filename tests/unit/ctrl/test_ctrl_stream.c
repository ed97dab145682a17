/* SPDX-License-Identifier: Apache-2.0 */
#include "ctrl_daemon.h"

#define SAY_STREAM "{\"v\":1,\"command\":\"stream\"}\n"

static json_t *stream_state(const struct daemon *d)
{
	struct ctrl_error error;
	json_t *state;

	assert_int_equal(ctrl_call(d->path, "stream-state", NULL, CALL_LIMIT_MS, &state, &error),
			 0);
	return state;
}

/* Asks until the stream is gone; each call is a turn of the daemon's loop. */
static void wait_gone(const struct daemon *d)
{
	bool open = true;

	for (int i = 0; i < 100000 && open; i++) {
		json_t *state = stream_state(d);

		open = json_is_true(json_object_get(state, "open"));
		json_decref(state);
	}
	assert_false(open);
}

static void expect_event(int fd, unsigned int n)
{
	json_t *reply = client_hear(fd);

	assert_non_null(reply);
	assert_true(json_is_true(json_object_get(reply, "ok")));
	assert_int_equal(json_integer_value(json_object_get(json_object_get(reply, "event"), "n")),
			 n);
	json_decref(reply);
}

/* Far more than may wait: it is sent as the client reads, in order, and ends in an answer. */
static void test_sent_as_it_is_read(void **state)
{
	const struct daemon *d = *state;
	int fd = client_open(d);
	json_t *reply;

	client_say(fd, SAY_STREAM "{\"v\":1,\"command\":\"echo\",\"args\":{\"n\":9}}\n");
	expect_event(fd, 1);
	reply = stream_state(d);
	assert_true(json_integer_value(json_object_get(reply, "sent")) < STREAM_EVENTS);
	assert_true(json_is_true(json_object_get(reply, "may_change")));
	json_decref(reply);
	for (unsigned int i = 2; i <= STREAM_EVENTS; i++)
		expect_event(fd, i);
	call_ok(d, "stream-end");
	reply = client_hear(fd);
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(reply, "result"), "sent")),
		STREAM_EVENTS);
	json_decref(reply);
	expect_number(fd, 9);
	close(fd);
}

static void test_client_leaves(void **state)
{
	const struct daemon *d = *state;
	int fd = client_open(d);

	client_say(fd, SAY_STREAM);
	expect_event(fd, 1);
	close(fd);
	wait_gone(d);
	assert_int_equal(d->n_gone, 1);
	/* The place is free for the next. */
	fd = client_open(d);
	client_say(fd, SAY_STREAM);
	expect_event(fd, 1);
	close(fd);
	wait_gone(d);
}

/* Nothing waits for it, so only its leaving itself tells. */
static void test_quiet_client_leaves(void **state)
{
	const struct daemon *d = *state;
	int fd = client_open(d);

	client_say(fd, SAY_STREAM);
	for (unsigned int i = 1; i <= STREAM_EVENTS; i++)
		expect_event(fd, i);
	close(fd);
	wait_gone(d);
}

/* As `nc -N` does: it has said all, and listens on. */
static void test_half_closed_client_goes_on(void **state)
{
	const struct daemon *d = *state;
	int fd = client_open(d);

	client_say(fd, SAY_STREAM);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	for (unsigned int i = 1; i <= STREAM_EVENTS; i++)
		expect_event(fd, i);
	call_ok(d, "stream-end");
	json_decref(client_hear(fd));
	expect_end(fd);
}

static void sweep(const struct daemon *d, int ms)
{
	struct ctrl_error error;
	json_t *args = json_pack("{s:i}", "ms", ms);
	json_t *result;

	assert_int_equal(ctrl_call(d->path, "sweep", args, CALL_LIMIT_MS, &result, &error), 0);
	json_decref(result);
	json_decref(args);
}

static void test_who_does_not_read_is_dropped(void **state)
{
	const struct daemon *d = *state;
	int fd = client_open(d);

	client_say(fd, SAY_STREAM);
	expect_event(fd, 1);
	sweep(d, CTRL_IDLE_MS / 2);
	assert_non_null(d->stream);
	sweep(d, CTRL_IDLE_MS + 1000);
	wait_gone(d);
	close(fd);
}

/* It has read all there is and waits for more: that may take days. */
static void test_who_waits_is_not(void **state)
{
	const struct daemon *d = *state;
	int fd = client_open(d);

	client_say(fd, SAY_STREAM);
	for (unsigned int i = 1; i <= STREAM_EVENTS; i++)
		expect_event(fd, i);
	/* The daemon has seen its last write complete when it has answered another client. */
	call_ok(d, "echo");
	sweep(d, 10 * CTRL_IDLE_MS);
	call_ok(d, "stream-end");
	json_decref(client_hear(fd));
	close(fd);
}

struct follower {
	unsigned int n;
	unsigned int last;
};

static bool count_event(void *ctx, const json_t *event)
{
	struct follower *f = ctx;

	assert_int_equal(json_integer_value(json_object_get(event, "n")), ++f->n);
	return f->n < f->last;
}

static void test_follow(void **state)
{
	const struct daemon *d = *state;
	struct follower f = {.last = 5000};
	struct ctrl_error error;
	json_t *result;

	assert_int_equal(
		ctrl_follow(d->path, "stream", NULL, CALL_LIMIT_MS, count_event, &f, &error), 0);
	assert_int_equal(f.n, 5000);
	wait_gone(d);
	/* One answer is a stream without events; a stream is no answer. */
	assert_int_equal(
		ctrl_follow(d->path, "change", NULL, CALL_LIMIT_MS, count_event, &f, &error), 0);
	assert_int_equal(ctrl_follow(d->path, "fail", NULL, CALL_LIMIT_MS, count_event, &f, &error),
			 CTRL_CLIENT_E_REFUSED);
	assert_int_equal(ctrl_call(d->path, "stream", NULL, CALL_LIMIT_MS, &result, &error),
			 CTRL_CLIENT_E_BROKEN);
	wait_gone(d);
}

/* The server is freed first; the teardown finds the stream reported as gone. */
static void test_server_ends_first(void **state)
{
	const struct daemon *d = *state;
	int fd = client_open(d);

	client_say(fd, SAY_STREAM);
	expect_event(fd, 1);
	close(fd);
}

#define WITH_DAEMON(test) cmocka_unit_test_setup_teardown(test, daemon_start, daemon_stop)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		WITH_DAEMON(test_sent_as_it_is_read),
		WITH_DAEMON(test_client_leaves),
		WITH_DAEMON(test_quiet_client_leaves),
		WITH_DAEMON(test_half_closed_client_goes_on),
		WITH_DAEMON(test_who_does_not_read_is_dropped),
		WITH_DAEMON(test_who_waits_is_not),
		WITH_DAEMON(test_follow),
		WITH_DAEMON(test_server_ends_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
