/* SPDX-License-Identifier: Apache-2.0 */
#include "ctrl_daemon.h"

static void test_call(void **state)
{
	const struct daemon *d = *state;
	struct ctrl_error error;
	json_t *args = json_pack("{s:i, s:[s]}", "n", 7, "list", "x");
	json_t *result;

	assert_int_equal(ctrl_call(d->path, "echo", args, CALL_LIMIT_MS, &result, &error), 0);
	assert_true(json_equal(result, args));
	json_decref(result);
	json_decref(args);
	call_ok(d, "change");
}

static void test_errors(void **state)
{
	const struct daemon *d = *state;
	struct ctrl_error error;
	json_t *result;

	assert_int_equal(ctrl_call(d->path, "fail", NULL, CALL_LIMIT_MS, &result, &error),
			 CTRL_CLIENT_E_REFUSED);
	assert_string_equal(error.code, "conflict");
	assert_string_equal(error.text, "it is ? taken");
	assert_int_equal(ctrl_call(d->path, "nope", NULL, CALL_LIMIT_MS, &result, &error),
			 CTRL_CLIENT_E_REFUSED);
	assert_string_equal(error.code, "unknown-command");
}

static void test_order(void **state)
{
	const struct daemon *d = *state;
	int fd = client_open(d);
	json_t *reply;

	client_say(fd, "{\"v\":1,\"command\":\"hold\"}\n"
		       "{\"v\":1,\"command\":\"echo\",\"args\":{\"n\":1}}\n"
		       "{\"v\":1,\"command\":\"echo\",\"args\":{\"n\":2}}\n{\"v\":1,");
	wait_held(d);
	call_ok(d, "release");
	reply = client_hear(fd);
	assert_true(json_is_true(json_object_get(json_object_get(reply, "result"), "released")));
	json_decref(reply);
	expect_number(fd, 1);
	expect_number(fd, 2);
	client_say(fd, "\"command\":\"echo\",\"args\":{\"n\":3}}\n");
	expect_number(fd, 3);
	close(fd);
}

static void test_any_split(void **state)
{
	static const char line[] = "{\"v\":1,\"command\":\"echo\",\"args\":{\"n\":5}}\n";
	int fd = client_open(*state);

	for (size_t cut = 1; cut < sizeof(line) - 1; cut++) {
		client_send(fd, line, cut);
		client_send(fd, line + cut, sizeof(line) - 1 - cut);
		expect_number(fd, 5);
	}
	close(fd);
}

static void test_answer_for_a_gone_client(void **state)
{
	const struct daemon *d = *state;
	int fd = client_open(d);

	client_say(fd, "{\"v\":1,\"command\":\"hold\"}\n");
	wait_held(d);
	close(fd);
	call_ok(d, "echo");
	call_ok(d, "release");
	call_ok(d, "echo");
}

/* The teardown frees the server first and answers the held request then. */
static void test_answer_after_the_server(void **state)
{
	const struct daemon *d = *state;
	int fd = client_open(d);

	client_say(fd, "{\"v\":1,\"command\":\"hold\"}\n");
	wait_held(d);
	close(fd);
}

static void test_half_close(void **state)
{
	int fd = client_open(*state);

	client_say(fd, "{\"v\":1,\"command\":\"echo\",\"args\":{\"n\":1}}\n"
		       "{\"v\":1,\"command\":\"echo\",\"args\":{\"n\":2}}\n");
	shutdown(fd, SHUT_WR);
	expect_number(fd, 1);
	expect_number(fd, 2);
	expect_end(fd);
}

static void test_half_close_before_the_answer(void **state)
{
	const struct daemon *d = *state;
	int fd = client_open(d);

	client_say(fd, "{\"v\":1,\"command\":\"hold\"}\n"
		       "{\"v\":1,\"command\":\"echo\",\"args\":{\"n\":2}}\n");
	shutdown(fd, SHUT_WR);
	wait_held(d);
	call_ok(d, "release");
	json_decref(client_hear(fd));
	expect_number(fd, 2);
	expect_end(fd);
}

static void test_end_inside_a_line(void **state)
{
	int fd = client_open(*state);

	client_say(fd, "{\"v\":1,\"command\":\"echo\"}");
	shutdown(fd, SHUT_WR);
	expect_error(fd, "invalid");
	expect_end(fd);
}

static const struct {
	const char *line;
	const char *code;
} garbage[] = {
	{"", "invalid"},
	{"\r", "invalid"},
	{"hello", "invalid"},
	{"GET / HTTP/1.1\r", "invalid"},
	{"{", "invalid"},
	{"}", "invalid"},
	{"[]", "invalid"},
	{"null", "invalid"},
	{"1", "invalid"},
	{"\"status\"", "invalid"},
	{"{}", "invalid"},
	{"{\"v\":1}", "invalid"},
	{"{\"v\":\"1\",\"command\":\"echo\"}", "invalid"},
	{"{\"v\":1.0,\"command\":\"echo\"}", "invalid"},
	{"{\"v\":0,\"command\":\"echo\"}", "version"},
	{"{\"v\":2,\"command\":\"echo\"}", "version"},
	{"{\"v\":99999999999999999999,\"command\":\"echo\"}", "invalid"},
	{"{\"v\":1,\"v\":1,\"command\":\"echo\"}", "invalid"},
	{"{\"v\":1,\"command\":7}", "invalid"},
	{"{\"v\":1,\"command\":null}", "invalid"},
	{"{\"v\":1,\"command\":\"\"}", "unknown-command"},
	{"{\"v\":1,\"command\":\"ECHO\"}", "unknown-command"},
	{"{\"v\":1,\"command\":\"echo\\u0000\"}", "invalid"},
	{"{\"v\":1,\"command\":\"\xff\"}", "invalid"},
	{"{\"v\":1,\"command\":\"echo\",\"args\":[]}", "invalid"},
	{"{\"v\":1,\"command\":\"echo\",\"args\":null}", "invalid"},
	{"{\"v\":1,\"command\":\"echo\"}{}", "invalid"},
	{"\xef\xbb\xbf{\"v\":1,\"command\":\"echo\"}", "invalid"},
};

static void test_garbage(void **state)
{
	int fd = client_open(*state);

	for (size_t i = 0; i < ARRAY_SIZE(garbage); i++) {
		client_say(fd, garbage[i].line);
		client_say(fd, "\n");
		expect_error(fd, garbage[i].code);
	}
	client_say(fd, "{\"v\":1,\"later\":true,\"command\":\"echo\",\"args\":{\"n\":1}}\r\n");
	expect_number(fd, 1);
	close(fd);
}

static void test_binary_garbage(void **state)
{
	int fd = client_open(*state);
	char bytes[512];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i % 256 == '\n' ? 0 : i % 256);
	bytes[sizeof(bytes) - 1] = '\n';
	client_send(fd, bytes, sizeof(bytes));
	expect_error(fd, "invalid");
	close(fd);
}

/* "args" itself is nested two deep. */
static void say_nested(int fd, unsigned int depth)
{
	char line[4096] = "{\"v\":1,\"command\":\"echo\",\"args\":{\"n\":9,\"x\":";

	for (unsigned int i = 2; i < depth; i++)
		strcat(line, "[");
	strcat(line, depth == 2 ? "0" : "\"[[[[[[[[[[[[[[[[[[[[\\\"\"");
	for (unsigned int i = 2; i < depth; i++)
		strcat(line, "]");
	strcat(line, "}}\n");
	client_say(fd, line);
}

static void test_depth(void **state)
{
	int fd = client_open(*state);

	say_nested(fd, CTRL_DEPTH_MAX);
	expect_number(fd, 9);
	say_nested(fd, CTRL_DEPTH_MAX + 1);
	expect_error(fd, "invalid");
	say_nested(fd, 1000);
	expect_error(fd, "invalid");
	close(fd);
}

/* @n bytes without the line end: spaces behind a small request. */
static char *make_line(size_t n)
{
	static const char request[] = "{\"v\":1,\"command\":\"echo\",\"args\":{\"n\":4}}";
	char *line = malloc(n + 1);

	memset(line, ' ', n);
	memcpy(line, request, sizeof(request) - 1);
	line[n] = '\n';
	return line;
}

static void test_longest_request(void **state)
{
	char *line = make_line(CTRL_REQUEST_MAX);
	int fd = client_open(*state);

	for (int i = 0; i < 3; i++)
		assert_true(client_send(fd, line, CTRL_REQUEST_MAX + 1));
	for (int i = 0; i < 3; i++)
		expect_number(fd, 4);
	free(line);
	close(fd);
}

static void test_too_long_request(void **state)
{
	char *line = make_line(CTRL_REQUEST_MAX + 1);
	int fd = client_open(*state);

	client_send(fd, line, CTRL_REQUEST_MAX + 2);
	expect_error(fd, "too-large");
	expect_end(fd);
	free(line);
	call_ok(*state, "echo");
}

static void test_endless_request(void **state)
{
	char chunk[4096];
	int fd = client_open(*state);
	size_t n = 0;

	memset(chunk, '[', sizeof(chunk));
	while (n < 64 * 1024 * 1024 && client_send(fd, chunk, sizeof(chunk)))
		n += sizeof(chunk);
	assert_true(n < 64 * 1024 * 1024);
	expect_error(fd, "too-large");
	expect_end(fd);
}

/* The answers wait in the server: the reading stops with a full buffer, nothing is lost. */
static void test_pipelined_behind_a_held_request(void **state)
{
	const struct daemon *d = *state;
	int fd = client_open(d);
	/* In one piece: many small ones would fill the socket by their overhead. */
	size_t n = 0, cap = 2000 * 64;
	char *lines = malloc(cap);

	client_say(fd, "{\"v\":1,\"command\":\"hold\"}\n");
	for (int i = 0; i < 2000; i++)
		n += (size_t)snprintf(lines + n, cap - n,
				      "{\"v\":1,\"command\":\"echo\",\"args\":{\"n\":%d}}\n", i);
	assert_true(n > CTRL_REQUEST_MAX);
	assert_true(client_send(fd, lines, n));
	free(lines);
	wait_held(d);
	call_ok(d, "release");
	json_decref(client_hear(fd));
	for (int i = 0; i < 2000; i++)
		expect_number(fd, i);
	close(fd);
}

static void open_all(const struct daemon *d, int fds[CTRL_CLIENTS_MAX])
{
	for (int i = 0; i < CTRL_CLIENTS_MAX; i++) {
		fds[i] = client_open(d);
		client_say(fds[i], "{\"v\":1,\"command\":\"echo\",\"args\":{\"n\":1}}\n");
		expect_number(fds[i], 1);
	}
}

static void test_forty_clients(void **state)
{
	const struct daemon *d = *state;
	int fds[CTRL_CLIENTS_MAX], late[8];

	open_all(d, fds);
	for (int i = 0; i < 8; i++)
		late[i] = client_open(d);
	for (int i = 0; i < 8; i++) {
		expect_error(late[i], "busy");
		expect_end(late[i]);
	}
	for (int i = 0; i < CTRL_CLIENTS_MAX; i++) {
		client_say(fds[i], "{\"v\":1,\"command\":\"echo\",\"args\":{\"n\":2}}\n");
		expect_number(fds[i], 2);
		close(fds[i]);
	}
}

/* ctrl_call() understands the refusal although it comes before its request is read. */
static void test_busy_call(void **state)
{
	const struct daemon *d = *state;
	struct ctrl_error error;
	int fds[CTRL_CLIENTS_MAX];
	json_t *result = NULL;
	int r = CTRL_CLIENT_E_REFUSED;

	open_all(d, fds);
	assert_int_equal(ctrl_call(d->path, "echo", NULL, CALL_LIMIT_MS, &result, &error), r);
	assert_string_equal(error.code, "busy");
	close(fds[0]);
	for (int i = 0; i < 100000 && r == CTRL_CLIENT_E_REFUSED; i++)
		r = ctrl_call(d->path, "echo", NULL, CALL_LIMIT_MS, &result, &error);
	assert_int_equal(r, 0);
	json_decref(result);
	for (int i = 1; i < CTRL_CLIENTS_MAX; i++)
		close(fds[i]);
}

static void test_slow_reader_is_dropped(void **state)
{
	const struct daemon *d = *state;
	int fd = client_open(d);
	int n_replies = 0;
	json_t *reply;

	for (int i = 0; i < 20; i++)
		client_say(fd, "{\"v\":1,\"command\":\"big\"}\n");
	client_say(fd, "{\"v\":1,\"command\":\"hold\"}\n");
	/* Another client is served all the while; then what was sent is read to its end. */
	for (int i = 0; i < 50; i++)
		call_ok(d, "echo");
	while ((reply = client_hear(fd))) {
		json_decref(reply);
		n_replies++;
	}
	assert_in_range(n_replies, 0, 9);
	close(fd);
}

static void test_idle_client_is_dropped(void **state)
{
	const struct daemon *d = *state;
	int idle = client_open(d), waiting = client_open(d);
	struct ctrl_error error;
	json_t *args = json_pack("{s:i}", "ms", CTRL_IDLE_MS / 2);
	json_t *result;

	client_say(idle, "{\"v\":1,\"command\":\"echo\",\"args\":{\"n\":1}}\n");
	expect_number(idle, 1);
	client_say(waiting, "{\"v\":1,\"command\":\"hold\"}\n");
	wait_held(d);
	assert_int_equal(ctrl_call(d->path, "sweep", args, CALL_LIMIT_MS, &result, &error), 0);
	json_decref(result);
	client_say(idle, "{\"v\":1,\"command\":\"echo\",\"args\":{\"n\":2}}\n");
	expect_number(idle, 2);
	json_object_set_new(args, "ms", json_integer(CTRL_IDLE_MS));
	assert_int_equal(ctrl_call(d->path, "sweep", args, CALL_LIMIT_MS, &result, &error), 0);
	json_decref(result);
	json_decref(args);
	expect_end(idle);
	/* An answer is owed to this one: it isn't idle. */
	call_ok(d, "release");
	json_decref(client_hear(waiting));
	close(waiting);
}

static void test_clients_that_only_connect(void **state)
{
	for (int i = 0; i < 200; i++)
		close(client_open(*state));
	for (int i = 0; i < 200; i++) {
		int fd = client_open(*state);

		client_say(fd, "{\"v\":1,\"command\":\"big\"}\n{\"v\":1,\"command\":\"big\"}\n");
		close(fd);
	}
	for (int i = 0; i < 100000; i++) {
		struct ctrl_error error;
		json_t *result;
		int r = ctrl_call(((struct daemon *)*state)->path, "echo", NULL, CALL_LIMIT_MS,
				  &result, &error);

		if (r == 0) {
			json_decref(result);
			return;
		}
		assert_string_equal(error.code, "busy");
	}
	fail_msg("the server stayed busy");
}

#define DAEMON_TEST(test) cmocka_unit_test_setup_teardown(test, daemon_start, daemon_stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		DAEMON_TEST(test_call),
		DAEMON_TEST(test_errors),
		DAEMON_TEST(test_order),
		DAEMON_TEST(test_any_split),
		DAEMON_TEST(test_answer_for_a_gone_client),
		DAEMON_TEST(test_answer_after_the_server),
		DAEMON_TEST(test_half_close),
		DAEMON_TEST(test_half_close_before_the_answer),
		DAEMON_TEST(test_end_inside_a_line),
		DAEMON_TEST(test_garbage),
		DAEMON_TEST(test_binary_garbage),
		DAEMON_TEST(test_depth),
		DAEMON_TEST(test_longest_request),
		DAEMON_TEST(test_too_long_request),
		DAEMON_TEST(test_endless_request),
		DAEMON_TEST(test_pipelined_behind_a_held_request),
		DAEMON_TEST(test_forty_clients),
		DAEMON_TEST(test_busy_call),
		DAEMON_TEST(test_slow_reader_is_dropped),
		DAEMON_TEST(test_idle_client_is_dropped),
		DAEMON_TEST(test_clients_that_only_connect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
