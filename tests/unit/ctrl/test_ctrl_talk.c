/* SPDX-License-Identifier: Apache-2.0 */

/* A daemon that asks another one, and gets its name: both on the loop of the test. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>
#include <uv.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/log.h"
#include "ctrl/ctrl_server.h"
#include "ctrl/ctrl_socket.h"
#include "ctrl/ctrl_talk.h"

#define TURNS_MAX 100000

struct world {
	uv_loop_t loop;
	struct ctrl_server *server;
	struct ctrl_talk *talk;
	unsigned int n_answers, n_refusals, n_ends;
	int64_t number; /* of the last answer */
	char code[32];	/* of the last refusal */
	int fds[CTRL_TALK_FDS];
	struct ctrl_conn *bound; /* the client, if one is */
	unsigned int n_gone;	 /* clients that were bound */
	bool free_on_answer;
	char folder[64];
	char path[80];
	char lock[96];
};

/* ---- the daemon ---- */

static void client_gone(void *ctx)
{
	((struct world *)ctx)->n_gone++;
}

static void run_bind(void *ctx, struct ctrl_request *req, const json_t *args UNUSED)
{
	struct world *w = ctx;

	w->bound = ctrl_request_bind(req, client_gone, ctx);
	ctrl_reply_ok(req, NULL);
}

static void run_bound(void *ctx, struct ctrl_request *req, const json_t *args UNUSED)
{
	ctrl_reply_ok(req, json_pack("{s:i}", "n", ctrl_request_bound(req) == ctx));
}

static void run_echo(void *ctx UNUSED, struct ctrl_request *req, const json_t *args)
{
	ctrl_reply_ok(req, json_deep_copy(args));
}

static void run_name(void *ctx UNUSED, struct ctrl_request *req, const json_t *args UNUSED)
{
	ctrl_reply_name(req, json_pack("{s:i}", "n", 7));
}

static void run_give_up(void *ctx, struct ctrl_request *req, const json_t *args UNUSED)
{
	struct world *w = ctx;

	ctrl_reply_ok(req, NULL);
	ctrl_server_give_up(w->server);
	/* Once more changes nothing. */
	ctrl_server_give_up(w->server);
}

static const struct ctrl_command commands[] = {
	{"bind", false, run_bind, ""}, {"bound", false, run_bound, ""},
	{"echo", false, run_echo, ""}, {"give-up", false, run_give_up, ""},
	{"name", false, run_name, ""},
};

/* ---- who asks ---- */

static void answered(void *ctx, const json_t *result, const struct ctrl_error *error,
		     int fds[CTRL_TALK_FDS])
{
	struct world *w = ctx;

	if (error) {
		w->n_refusals++;
		snprintf(w->code, sizeof(w->code), "%s", error->code);
		return;
	}
	w->n_answers++;
	w->number = json_integer_value(json_object_get(result, "n"));
	for (size_t i = 0; i < CTRL_TALK_FDS; i++) {
		close_fd(w->fds[i]);
		w->fds[i] = fds[i];
		fds[i] = -1;
	}
	if (w->free_on_answer)
		w->talk = ctrl_talk_free(w->talk);
}

static void ended(void *ctx, const char *reason)
{
	assert_true(*reason != '\0');
	((struct world *)ctx)->n_ends++;
}

static const struct ctrl_talk_events events = {.on_answer = answered, .on_end = ended};

/* Turns the loop until *@counter is @n. */
static void turn_until(struct world *w, const unsigned int *counter, unsigned int n)
{
	for (unsigned int i = 0; i < TURNS_MAX && *counter < n; i++)
		uv_run(&w->loop, UV_RUN_ONCE);
	assert_int_equal(*counter, n);
}

static void talk_to(struct world *w)
{
	assert_int_equal(ctrl_talk_new(&w->talk, &w->loop, w->path, 0, &events, w), 0);
}

static void ask(struct world *w, const char *command, int number)
{
	unsigned int n = w->n_answers + 1;
	json_t *args = json_pack("{s:i}", "n", number);

	assert_int_equal(ctrl_talk_ask(w->talk, command, args), 0);
	json_decref(args);
	turn_until(w, &w->n_answers, n);
}

static int make_world(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_LEVEL_ERROR);
	w->fds[0] = w->fds[1] = -1;
	snprintf(w->folder, sizeof(w->folder), "/tmp/adit-talk-XXXXXX");
	if (!mkdtemp(w->folder))
		return -1;
	snprintf(w->path, sizeof(w->path), "%s/d.sock", w->folder);
	snprintf(w->lock, sizeof(w->lock), "%s.lock", w->path);
	uv_loop_init(&w->loop);
	*state = w;
	return ctrl_server_new(&w->server, &w->loop, w->path, commands, ARRAY_SIZE(commands), w);
}

static int free_world(void **state)
{
	struct world *w = *state;
	int r;

	w->talk = ctrl_talk_free(w->talk);
	ctrl_server_free(w->server);
	close_fd(w->fds[0]);
	close_fd(w->fds[1]);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->loop), 0);
	assert_int_equal(access(w->path, F_OK), -1);
	unlink(w->lock);
	r = rmdir(w->folder);
	free(w);
	return r;
}

/* ---- tests ---- */

static void test_one_after_the_other(void **state)
{
	struct world *w = *state;
	uid_t uid;

	talk_to(w);
	assert_int_equal(ctrl_talk_uid(w->talk, &uid), 0);
	assert_int_equal(uid, geteuid());
	for (int i = 1; i <= 3; i++) {
		ask(w, "echo", i);
		assert_int_equal(w->number, i);
	}
	assert_int_equal(ctrl_talk_ask(w->talk, "nonsense", NULL), 0);
	turn_until(w, &w->n_refusals, 1);
	assert_string_equal(w->code, "unknown-command");
	assert_int_equal(w->fds[0], -1);
}

static void test_free_from_the_answer(void **state)
{
	struct world *w = *state;

	talk_to(w);
	w->free_on_answer = true;
	ask(w, "echo", 1);
	assert_null(w->talk);
	assert_int_equal(w->n_ends, 0);
}

static void test_the_daemon_closes(void **state)
{
	struct world *w = *state;

	talk_to(w);
	ask(w, "echo", 1);
	ctrl_server_free(w->server);
	w->server = NULL;
	turn_until(w, &w->n_ends, 1);
	/* Gone is gone: it is told once, and asking fails or is in vain. */
	(void)!ctrl_talk_ask(w->talk, "echo", NULL);
	uv_run(&w->loop, UV_RUN_NOWAIT);
	assert_int_equal(w->n_ends, 1);
}

static void test_nobody_there(void **state)
{
	struct world *w = *state;
	char path[112];

	snprintf(path, sizeof(path), "%s/other.sock", w->folder);
	assert_int_equal(ctrl_talk_new(&w->talk, &w->loop, path, 0, &events, w), -ENOENT);
	assert_null(w->talk);
}

/* Garbage, an answer without an end and one that is too long end the talk. */
static void test_no_answers(void **state)
{
	struct world *w = *state;
	char path[112];
	struct ctrl_socket foreign;
	int fd;

	snprintf(path, sizeof(path), "%s/f.sock", w->folder);
	assert_int_equal(ctrl_socket_listen(path, &foreign), 0);
	assert_int_equal(ctrl_talk_new(&w->talk, &w->loop, path, 0, &events, w), 0);
	fd = accept(foreign.fd, NULL, NULL);
	assert_true(fd >= 0);
	assert_int_equal(send(fd, "garbage\n", 8, 0), 8);
	turn_until(w, &w->n_ends, 1);
	close(fd);
	w->talk = ctrl_talk_free(w->talk);

	assert_int_equal(ctrl_talk_new(&w->talk, &w->loop, path, 0, &events, w), 0);
	fd = accept(foreign.fd, NULL, NULL);
	for (unsigned int i = 0; i < 65536 / 8 + 1; i++) {
		(void)!send(fd, "01234567", 8, MSG_NOSIGNAL | MSG_DONTWAIT);
		uv_run(&w->loop, UV_RUN_NOWAIT);
	}
	turn_until(w, &w->n_ends, 2);
	close(fd);
	ctrl_socket_close(&foreign);
	snprintf(path, sizeof(path), "%s/f.sock.lock", w->folder);
	unlink(path);
}

/* Requests of one client know of each other, and the server when it leaves. */
static void test_bound_client(void **state)
{
	struct world *w = *state;

	talk_to(w);
	ask(w, "bound", 0);
	assert_int_equal(w->number, 0);
	ask(w, "bind", 0);
	ask(w, "bound", 0);
	assert_int_equal(w->number, 1);
	/* It may be silent for as long as it takes. */
	ctrl_server_sweep(w->server, uv_now(&w->loop) + 10 * CTRL_IDLE_MS);
	ask(w, "bound", 0);
	assert_int_equal(w->number, 1);
	assert_int_equal(w->n_gone, 0);
	w->talk = ctrl_talk_free(w->talk);
	turn_until(w, &w->n_gone, 1);
}

/* Nobody reads: a line that goes only in part fails by itself, not by an old errno. */
static void test_a_daemon_that_reads_nothing(void **state)
{
	struct world *w = *state;
	char *text = malloc(1 << 20);
	json_t *args;

	assert_non_null(text);
	memset(text, 'x', (1 << 20) - 1);
	text[(1 << 20) - 1] = '\0';
	args = json_pack("{s:s}", "text", text);
	talk_to(w);
	errno = EPERM;
	assert_int_equal(ctrl_talk_ask(w->talk, "echo", args), -EAGAIN);
	json_decref(args);
	free(text);
}

/* It learns why, then the connection ends; what it has said too late is not read. */
static void test_dismissed_client(void **state)
{
	struct world *w = *state;

	talk_to(w);
	ask(w, "bind", 0);
	assert_false(ctrl_conn_has_input(w->bound));
	assert_false(ctrl_talk_has_input(w->talk));
	ctrl_conn_dismiss(w->bound, "unavailable", "too late");
	ctrl_conn_dismiss(w->bound, "unavailable", "once is enough");
	assert_true(ctrl_talk_has_input(w->talk));
	assert_int_not_equal(ctrl_talk_ask(w->talk, "bound", NULL), 0);
	turn_until(w, &w->n_refusals, 1);
	assert_string_equal(w->code, "unavailable");
	turn_until(w, &w->n_ends, 1);
	turn_until(w, &w->n_gone, 1);
	assert_int_equal(w->n_refusals, 1);
	assert_int_equal(w->n_answers, 1);
}

/* What waits to be read is known of. */
static void test_bound_client_has_input(void **state)
{
	struct world *w = *state;

	talk_to(w);
	ask(w, "bind", 0);
	assert_int_equal(ctrl_talk_ask(w->talk, "bound", NULL), 0);
	assert_true(ctrl_conn_has_input(w->bound));
	turn_until(w, &w->n_answers, 2);
	assert_false(ctrl_conn_has_input(w->bound));
	assert_false(ctrl_talk_has_input(NULL));
}

static void test_idle_client_goes(void **state)
{
	struct world *w = *state;

	talk_to(w);
	ask(w, "bound", 0);
	ctrl_server_sweep(w->server, uv_now(&w->loop) + 10 * CTRL_IDLE_MS);
	turn_until(w, &w->n_ends, 1);
}

static bool is_locked(const struct world *w)
{
	int fd = open(w->lock, O_RDWR | O_CLOEXEC);
	bool locked = flock(fd, LOCK_EX | LOCK_NB) < 0;

	close(fd);
	return locked;
}

/* From one server to the next: at any time somebody listens, and the lock is held. */
static void test_name_changes_hands(void **state)
{
	struct world *w = *state;
	struct ctrl_server *new = NULL;
	struct ctrl_socket name;
	int waiting;

	talk_to(w);
	ask(w, "name", 0);
	assert_int_equal(w->number, 7);
	assert_int_equal(fcntl(w->fds[0], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(ctrl_socket_adopt(w->path, w->fds[0], w->fds[1], &name), 0);
	w->fds[0] = w->fds[1] = -1;
	/* Who comes now is served by whoever reads first. */
	waiting = ctrl_socket_connect(w->path, 0);
	assert_true(waiting >= 0);
	ask(w, "give-up", 0);
	/* Who is there is still served. */
	ask(w, "echo", 4);
	assert_int_equal(w->number, 4);
	ctrl_server_free(w->server);
	w->server = NULL;
	turn_until(w, &w->n_ends, 1);
	assert_int_equal(access(w->path, F_OK), 0);
	assert_true(is_locked(w));
	close(waiting);

	assert_int_equal(
		ctrl_server_adopt(&new, &w->loop, &name, commands, ARRAY_SIZE(commands), w), 0);
	assert_int_equal(name.fd, -1);
	w->server = new;
	w->talk = ctrl_talk_free(w->talk);
	talk_to(w);
	ask(w, "echo", 3);
	assert_int_equal(w->number, 3);
	assert_true(is_locked(w));
}

/* Nothing becomes of it: the first server goes on with what it has kept. */
static void test_name_is_let_go(void **state)
{
	struct world *w = *state;
	struct ctrl_socket name;

	talk_to(w);
	ask(w, "name", 0);
	assert_int_equal(ctrl_socket_adopt(w->path, w->fds[0], w->fds[1], &name), 0);
	w->fds[0] = w->fds[1] = -1;
	ctrl_socket_give_up(&name);
	assert_int_equal(name.lock_fd, -1);
	assert_true(is_locked(w));
	ask(w, "echo", 5);
	assert_int_equal(w->number, 5);
}

/* What isn't a listening socket and its lock is refused, and closed. */
static void test_not_a_name(void **state)
{
	struct world *w = *state;
	struct ctrl_socket name;
	int pair[2];

	talk_to(w);
	ask(w, "name", 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(ctrl_socket_adopt(w->path, pair[0], dup(w->fds[1]), &name), -EINVAL);
	assert_int_equal(fcntl(pair[0], F_GETFD), -1);
	assert_int_equal(ctrl_socket_adopt(w->path, dup(w->fds[0]), pair[1], &name), -EINVAL);
	assert_int_equal(fcntl(pair[1], F_GETFD), -1);
	assert_int_equal(ctrl_socket_adopt(w->path, dup(w->fds[0]), -1, &name), -EINVAL);
	assert_int_equal(ctrl_socket_adopt(w->folder, dup(w->fds[0]), dup(w->fds[1]), &name),
			 -EINVAL);
	assert_int_equal(ctrl_socket_adopt(w->path, -1, -1, &name), -EINVAL);
}

#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, make_world, free_world)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(test_one_after_the_other), WORLD_TEST(test_free_from_the_answer),
		WORLD_TEST(test_the_daemon_closes),   WORLD_TEST(test_nobody_there),
		WORLD_TEST(test_no_answers),	      WORLD_TEST(test_bound_client),
		WORLD_TEST(test_dismissed_client),    WORLD_TEST(test_bound_client_has_input),
		WORLD_TEST(test_idle_client_goes),    WORLD_TEST(test_a_daemon_that_reads_nothing),
		WORLD_TEST(test_name_changes_hands),  WORLD_TEST(test_name_is_let_go),
		WORLD_TEST(test_not_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
