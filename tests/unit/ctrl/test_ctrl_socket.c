/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>
#include <uv.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "ctrl/ctrl_client.h"
#include "ctrl/ctrl_server.h"
#include "ctrl/ctrl_socket.h"

#define LIMIT_MS 20000

struct place {
	char folder[64];
	char path[80];
	char lock[96];
};

static int make_place(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	snprintf(p->folder, sizeof(p->folder), "/tmp/adit-socket-XXXXXX");
	if (!mkdtemp(p->folder))
		return -1;
	snprintf(p->path, sizeof(p->path), "%s/d.sock", p->folder);
	snprintf(p->lock, sizeof(p->lock), "%s.lock", p->path);
	*state = p;
	return 0;
}

static int remove_place(void **state)
{
	struct place *p = *state;
	int r;

	unlink(p->path);
	unlink(p->lock);
	r = rmdir(p->folder);
	free(p);
	return r;
}

/* A socket bound by a program that knows no lock. */
static int bind_foreign(const char *path, bool listening)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(sun.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	if (listening)
		assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode & 07777;
}

static void test_listen_and_close(void **state)
{
	struct place *p = *state;
	struct ctrl_socket sock;
	int fd;

	assert_int_equal(ctrl_socket_listen(p->path, &sock), 0);
	fd = ctrl_socket_connect(p->path, 0);
	assert_true(fd >= 0);
	close(fd);
	ctrl_socket_close(&sock);
	assert_int_equal(sock.fd, -1);
	assert_int_equal(access(p->path, F_OK), -1);
	assert_int_equal(ctrl_socket_connect(p->path, 0), -ENOENT);
	ctrl_socket_close(&sock);
}

static void test_mode_under_any_umask(void **state)
{
	static const mode_t masks[] = {0, 022, 077, 0777};
	struct place *p = *state;
	struct ctrl_socket sock;

	for (size_t i = 0; i < ARRAY_SIZE(masks); i++) {
		mode_t before = umask(masks[i]);

		assert_int_equal(ctrl_socket_listen(p->path, &sock), 0);
		umask(before);
		assert_int_equal(mode_of(p->path), 0660);
		ctrl_socket_close(&sock);
		unlink(p->lock);
	}
}

static void test_stale_socket_is_replaced(void **state)
{
	struct place *p = *state;
	struct ctrl_socket sock;

	close(bind_foreign(p->path, true));
	assert_int_equal(ctrl_socket_connect(p->path, 0), -ECONNREFUSED);
	assert_int_equal(ctrl_socket_listen(p->path, &sock), 0);
	assert_int_equal(mode_of(p->path), 0660);
	ctrl_socket_close(&sock);
}

static void test_second_daemon(void **state)
{
	struct place *p = *state;
	struct ctrl_socket first, second;
	int fd;

	assert_int_equal(ctrl_socket_listen(p->path, &first), 0);
	assert_int_equal(ctrl_socket_listen(p->path, &second), CTRL_SOCKET_E_RUNNING);
	fd = ctrl_socket_connect(p->path, 0);
	assert_true(fd >= 0);
	close(fd);
	ctrl_socket_close(&first);
	assert_int_equal(ctrl_socket_listen(p->path, &second), 0);
	ctrl_socket_close(&second);
}

/* The first holds the name from before its bind() on: its "refused" isn't staleness. */
static void test_two_start_at_once(void **state)
{
	struct place *p = *state;
	struct ctrl_socket first, second;

	assert_int_equal(ctrl_socket_listen(p->path, &first), 0);
	assert_int_equal(unlink(p->path), 0);
	close(bind_foreign(p->path, false));
	assert_int_equal(ctrl_socket_listen(p->path, &second), CTRL_SOCKET_E_RUNNING);
	assert_int_equal(access(p->path, F_OK), 0);
	/* That file isn't the first's, so it doesn't remove it. */
	ctrl_socket_close(&first);
	assert_int_equal(access(p->path, F_OK), 0);
}

static void test_live_foreign_socket_stays(void **state)
{
	struct place *p = *state;
	struct ctrl_socket sock;
	int fd = bind_foreign(p->path, true), pending[3];

	assert_int_equal(ctrl_socket_listen(p->path, &sock), CTRL_SOCKET_E_RUNNING);
	/* Also with a full backlog: busy isn't dead. */
	for (size_t i = 0; i < ARRAY_SIZE(pending); i++)
		pending[i] = ctrl_socket_connect(p->path, 0);
	assert_int_equal(pending[2], -EAGAIN);
	assert_int_equal(ctrl_socket_listen(p->path, &sock), CTRL_SOCKET_E_RUNNING);
	for (size_t i = 0; i < ARRAY_SIZE(pending); i++)
		close_fd(pending[i]);
	close(fd);
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void test_other_files_stay(void **state)
{
	struct place *p = *state;
	struct ctrl_socket sock;
	char target[96];
	struct stat st;

	write_file(p->path, "precious");
	assert_int_equal(ctrl_socket_listen(p->path, &sock), -EEXIST);
	assert_int_equal(stat(p->path, &st), 0);
	assert_int_equal(st.st_size, 8);
	unlink(p->path);

	/* A link, even to a dead socket, isn't followed. */
	snprintf(target, sizeof(target), "%s/target", p->folder);
	close(bind_foreign(target, true));
	assert_int_equal(symlink(target, p->path), 0);
	assert_int_equal(ctrl_socket_listen(p->path, &sock), -EEXIST);
	assert_int_equal(access(target, F_OK), 0);
	unlink(target);
	unlink(p->path);

	assert_int_equal(mkdir(p->path, 0700), 0);
	assert_int_equal(ctrl_socket_listen(p->path, &sock), -EEXIST);
	assert_int_equal(rmdir(p->path), 0);

	assert_int_equal(unlink(p->lock), 0);
	assert_int_equal(symlink("elsewhere", p->lock), 0);
	assert_int_equal(ctrl_socket_listen(p->path, &sock), -ELOOP);
	assert_int_equal(access(p->path, F_OK), -1);
}

static void test_bad_paths(void **state)
{
	struct place *p = *state;
	struct ctrl_socket sock;
	char path[256];

	memset(path, 'a', sizeof(path) - 1);
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(ctrl_socket_listen(path, &sock), -ENAMETOOLONG);
	assert_int_equal(ctrl_socket_connect(path, 0), -ENAMETOOLONG);
	assert_int_equal(ctrl_socket_listen("", &sock), -ENOENT);
	snprintf(path, sizeof(path), "%s/no/d.sock", p->folder);
	assert_int_equal(ctrl_socket_listen(path, &sock), -ENOENT);
	write_file(p->path, "");
	snprintf(path, sizeof(path), "%s/d.sock", p->path);
	assert_int_equal(ctrl_socket_listen(path, &sock), -ENOTDIR);
}

/* The server tells its caller the same. */
static void test_server_outcomes(void **state)
{
	struct place *p = *state;
	struct ctrl_server *server, *second;
	uv_loop_t loop;

	uv_loop_init(&loop);
	assert_int_equal(ctrl_server_new(&server, &loop, p->path, NULL, 0, NULL), 0);
	assert_int_equal(ctrl_server_new(&second, &loop, p->path, NULL, 0, NULL), CTRL_E_RUNNING);
	ctrl_server_free(server);
	ctrl_server_free(NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	write_file(p->path, "");
	assert_int_equal(ctrl_server_new(&server, &loop, p->path, NULL, 0, NULL), -EEXIST);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static int call(const char *path, unsigned int limit_ms, struct ctrl_error *errp)
{
	json_t *result;

	return ctrl_call(path, "status", NULL, limit_ms, &result, errp);
}

static void test_client_without_daemon(void **state)
{
	struct place *p = *state;
	struct ctrl_error error;

	assert_int_equal(call(p->path, LIMIT_MS, &error), CTRL_CLIENT_E_UNREACHABLE);
	assert_non_null(strstr(error.text, p->path));
	close(bind_foreign(p->path, true));
	assert_int_equal(call(p->path, LIMIT_MS, &error), CTRL_CLIENT_E_UNREACHABLE);
	assert_string_equal(error.code, "unreachable");
	unlink(p->path);
	write_file(p->path, "");
	/* connect() to a plain file is refused: no daemon either. */
	assert_int_equal(call(p->path, LIMIT_MS, &error), CTRL_CLIENT_E_UNREACHABLE);
}

/* Answers to one call each; the listener's backlog holds them before they are accepted. */
static int call_answered(const char *path, const char *answer, struct ctrl_error *errp)
{
	int fd = bind_foreign(path, true), r;
	pid_t child = fork();

	if (child == 0) {
		int peer = accept(fd, NULL, NULL);

		_exit(write(peer, answer, strlen(answer)) < 0);
	}
	close(fd);
	r = call(path, LIMIT_MS, errp);
	assert_int_equal(waitpid(child, NULL, 0), child);
	unlink(path);
	return r;
}

static const struct {
	const char *answer;
	int outcome;
	const char *code;
} answers[] = {
	{"", CTRL_CLIENT_E_BROKEN, "protocol"},
	{"{\"v\":1,\"ok\":true", CTRL_CLIENT_E_BROKEN, "protocol"},
	{"hello\n", CTRL_CLIENT_E_BROKEN, "protocol"},
	{"{\"v\":2,\"ok\":true,\"result\":{}}\n", CTRL_CLIENT_E_BROKEN, "protocol"},
	{"{\"v\":1,\"ok\":true}\n", CTRL_CLIENT_E_BROKEN, "protocol"},
	{"{\"v\":1,\"ok\":true,\"result\":[]}\n", CTRL_CLIENT_E_BROKEN, "protocol"},
	{"{\"v\":1,\"ok\":false}\n", CTRL_CLIENT_E_BROKEN, "protocol"},
	{"{\"v\":1,\"ok\":false,\"error\":{\"code\":\"busy\"}}\n", CTRL_CLIENT_E_BROKEN,
	 "protocol"},
	{"{\"v\":1,\"ok\":false,\"error\":{\"code\":\"busy\",\"text\":\"x\"}}\n",
	 CTRL_CLIENT_E_REFUSED, "busy"},
};

static void test_client_and_odd_answers(void **state)
{
	struct place *p = *state;
	struct ctrl_error error;

	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		int r = call_answered(p->path, answers[i].answer, &error);

		assert_int_equal(r, answers[i].outcome);
		assert_string_equal(error.code, answers[i].code);
	}
}

/* Nobody accepts: the call ends with its time limit, never hangs. */
static void test_client_and_silence(void **state)
{
	struct place *p = *state;
	struct ctrl_error error;
	int fd = bind_foreign(p->path, true);

	assert_int_equal(call(p->path, 100, &error), CTRL_CLIENT_E_BROKEN);
	assert_string_equal(error.code, "timeout");
	close(fd);
}

#define PLACE_TEST(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PLACE_TEST(test_listen_and_close),
		PLACE_TEST(test_mode_under_any_umask),
		PLACE_TEST(test_stale_socket_is_replaced),
		PLACE_TEST(test_second_daemon),
		PLACE_TEST(test_two_start_at_once),
		PLACE_TEST(test_live_foreign_socket_stays),
		PLACE_TEST(test_other_files_stay),
		PLACE_TEST(test_bad_paths),
		PLACE_TEST(test_server_outcomes),
		PLACE_TEST(test_client_without_daemon),
		PLACE_TEST(test_client_and_odd_answers),
		PLACE_TEST(test_client_and_silence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
