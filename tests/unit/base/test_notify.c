/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/notify.h"

static char folder[64];

static int make_folder(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/adit-notify-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

/* Plays systemd: a datagram socket. @name starts with '@' for an abstract one. */
static int listen_at(const char *name)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	size_t n = strlen(name);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(sun.sun_path, name, n);
	if (name[0] == '@')
		sun.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (struct sockaddr *)&sun,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)),
			 0);
	return fd;
}

static void check_message(const char *name)
{
	int fd = listen_at(name);
	char got[128] = "";

	setenv("NOTIFY_SOCKET", name, 1);
	assert_true(notify_is_wanted());
	assert_int_equal(notify_send("READY=1\nSTATUS=Healthy"), 0);
	assert_int_equal(recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT), 22);
	assert_string_equal(got, "READY=1\nSTATUS=Healthy");
	close(fd);
}

static void test_path_socket(void **state)
{
	char path[96];

	(void)state;
	snprintf(path, sizeof(path), "%s/notify", folder);
	check_message(path);
	unlink(path);
}

static void test_abstract_socket(void **state)
{
	char name[96];

	(void)state;
	snprintf(name, sizeof(name), "@%s", folder);
	check_message(name);
}

static void test_nobody_listens(void **state)
{
	(void)state;
	unsetenv("NOTIFY_SOCKET");
	assert_false(notify_is_wanted());
	assert_int_equal(notify_send("READY=1"), 0);
	setenv("NOTIFY_SOCKET", "", 1);
	assert_false(notify_is_wanted());
	assert_int_equal(notify_send("READY=1"), 0);
}

static void test_bad_addresses(void **state)
{
	char path[256], gone[96];

	(void)state;
	setenv("NOTIFY_SOCKET", "relative", 1);
	assert_int_equal(notify_send("READY=1"), -EAFNOSUPPORT);
	setenv("NOTIFY_SOCKET", "vsock:2:1234", 1);
	assert_int_equal(notify_send("READY=1"), -EAFNOSUPPORT);
	setenv("NOTIFY_SOCKET", "/", 1);
	assert_int_equal(notify_send("READY=1"), -EINVAL);
	memset(path, 'a', sizeof(path) - 1);
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	setenv("NOTIFY_SOCKET", path, 1);
	assert_int_equal(notify_send("READY=1"), -EINVAL);
	snprintf(gone, sizeof(gone), "%s/gone", folder);
	setenv("NOTIFY_SOCKET", gone, 1);
	assert_int_equal(notify_send("READY=1"), -ENOENT);
}

static void test_watchdog(void **state)
{
	char own_pid[24];
	const struct {
		const char *usec, *pid;
		uint64_t ms;
	} rows[] = {
		{"30000000", NULL, 30000},
		{"30000000", own_pid, 30000},
		{"30000000", "1", 0},
		{"30000000", "", 0},
		{"30000000", "x", 0},
		{"0", NULL, 0},
		{"-1", NULL, 0},
		{" 5", NULL, 0},
		{"5s", NULL, 0},
		{"", NULL, 0},
		{"18446744073709551615", NULL, 0},
		{"18446744073709551616", NULL, 0},
		{NULL, NULL, 0},
	};

	(void)state;
	snprintf(own_pid, sizeof(own_pid), "%d", (int)getpid());
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unsetenv("WATCHDOG_USEC");
		unsetenv("WATCHDOG_PID");
		if (rows[i].usec)
			setenv("WATCHDOG_USEC", rows[i].usec, 1);
		if (rows[i].pid)
			setenv("WATCHDOG_PID", rows[i].pid, 1);
		assert_int_equal(notify_watchdog_ms(), rows[i].ms);
	}
}

static void test_credentials(void **state)
{
	static const char *const bad_names[] = {"absent", "", "..", ".hidden", "a/b", "../token"};
	char path[128], expected[128];
	FILE *file;

	(void)state;
	unsetenv("CREDENTIALS_DIRECTORY");
	assert_false(credential_path("token", path, sizeof(path)));
	setenv("CREDENTIALS_DIRECTORY", folder, 1);
	assert_false(credential_path("token", path, sizeof(path)));
	snprintf(expected, sizeof(expected), "%s/token", folder);
	file = fopen(expected, "w");
	fclose(file);
	assert_true(credential_path("token", path, sizeof(path)));
	assert_string_equal(path, expected);
	assert_false(credential_path("token", path, strlen(expected)));
	for (size_t i = 0; i < ARRAY_SIZE(bad_names); i++)
		assert_false(credential_path(bad_names[i], path, sizeof(path)));
	setenv("CREDENTIALS_DIRECTORY", "relative", 1);
	assert_false(credential_path("token", path, sizeof(path)));
	unlink(expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_path_socket),    cmocka_unit_test(test_abstract_socket),
		cmocka_unit_test(test_nobody_listens), cmocka_unit_test(test_bad_addresses),
		cmocka_unit_test(test_watchdog),       cmocka_unit_test(test_credentials),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
