/* SPDX-License-Identifier: Apache-2.0 */
/* What somebody who runs code in the edge can't do. In a child, for there is no way back. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/confinement.h"
#include "base/diag.h"
#include "edge/edge_private.h"

#define NO_FILTER 70 /* a build with a sanitizer */

static char dir[] = "/tmp/adit-edge-confine-XXXXXX";

static int before; /* a socket that was there already */

static struct sockaddr_in to; /* nobody */

static int dials(void)
{
	return connect(before, (struct sockaddr *)&to, sizeof(to));
}

/* tcp(7): a connect() by another name, for which shutdown() makes a listener fit. */
static int dials_by_sending(void)
{
	shutdown(before, SHUT_RDWR);
	return (int)sendto(before, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr *)&to,
			   sizeof(to));
}

static int opens_ipv4(void)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}

static int opens_ipv6(void)
{
	return socket(AF_INET6, SOCK_DGRAM, 0);
}

/* Of unix sockets only those that tell systemd something. */
static int opens_stream(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int opens_packet(void)
{
	return socket(AF_PACKET, SOCK_RAW, 0);
}

static int executes(void)
{
	return execl("/bin/true", "true", NULL);
}

static int forks(void)
{
	return fork();
}

static int signals(void)
{
	return kill(getppid(), 0);
}

static int (*const refused[])(void) = {
	dials,	      dials_by_sending, opens_ipv4, opens_ipv6, opens_stream,
	opens_packet, executes,		forks,	    signals,
};

static struct edge_settings settings = {.state_dir = dir};
static const struct edge_source source;

static int confine_us(void)
{
	struct edge e = {.boot = &settings, .source = &source};
	struct diag diag;
	int r;

	to.sin_family = AF_INET;
	to.sin_port = htons(9);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	before = socket(AF_INET, SOCK_STREAM, 0);
	if (listen(before, 1) < 0)
		return -errno;
	unsetenv(CONFINEMENT_ENV);
	diag_init(&diag, NULL);
	r = edge_confine(&e, &diag);
	diag_deinit(&diag);
	return r;
}

/* 0, NO_FILTER, or the number of what wasn't refused. */
static int try_all(void)
{
	if (confine_us() < 0 || before < 0)
		return 100;
	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 0)
		return NO_FILTER;
	if (socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) < 0)
		return 101;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		errno = 0;
		if (refused[i]() != -1 || errno != EPERM)
			return 1 + (int)i;
	}
	return 0;
}

static void test_refused(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(try_all());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == NO_FILTER)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
