/* SPDX-License-Identifier: Apache-2.0 */

/* Connections that a firewall of this test's own namespace refuses by ICMP. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/compiler.h"
#include "tests/unit/tun/own_namespace.h"
#include "wire/tcp_socket.h"

#define UNREACHABLE_PORT 9
#define PROHIBITED_PORT	 10
#define CLOSED_PORT	 11

static const struct ip_addr any = {.family = 0};

static int connecting(uint16_t port)
{
	const struct endpoint peer = {
		.ip = {.family = AF_INET, .bytes = {127, 0, 0, 1}},
		.port = port,
	};
	int fd = tcp_socket_open(&peer, &any);

	assert_true(fd >= 0);
	assert_int_equal(tcp_socket_connect(fd, &peer), -EINPROGRESS);
	return fd;
}

static int so_error(int fd)
{
	int error = 0;
	socklen_t n = sizeof(error);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n), 0);
	return -error;
}

static void wait_for_answer(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	assert_int_equal(poll(&p, 1, 60000), 1);
}

static void the_error_of_icmp(void **state UNUSED)
{
	CLEANUP(close_fd) int fd = connecting(UNREACHABLE_PORT);

	wait_for_answer(fd);
	assert_int_equal(tcp_socket_error(fd), -EHOSTUNREACH);
}

/* As it is between the queueing of the error and its coming to SO_ERROR. */
static void an_error_that_is_only_queued(void **state UNUSED)
{
	static const uint16_t ports[] = {UNREACHABLE_PORT, PROHIBITED_PORT};

	for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
		CLEANUP(close_fd) int fd = connecting(ports[i]);

		wait_for_answer(fd);
		assert_int_equal(so_error(fd), -EHOSTUNREACH);
		assert_int_equal(so_error(fd), 0);
		assert_int_equal(tcp_socket_error(fd), -EHOSTUNREACH);
		assert_int_equal(tcp_socket_error(fd), 0);
	}
}

static void others(void **state UNUSED)
{
	const struct endpoint here = {.ip = {.family = AF_INET, .bytes = {127, 0, 0, 1}}};
	CLEANUP(close_fd) int listener = tcp_socket_listen(&here);
	struct endpoint at;

	assert_true(listener >= 0);
	assert_int_equal(tcp_socket_local(listener, &at), 0);

	CLEANUP(close_fd) int good = connecting(at.port);
	wait_for_answer(good);
	assert_int_equal(tcp_socket_error(good), 0);

	CLEANUP(close_fd) int closed = connecting(CLOSED_PORT);
	wait_for_answer(closed);
	assert_int_equal(tcp_socket_error(closed), -ECONNREFUSED);
}

static int enter(void)
{
	static const char *const lines[] = {
		"ip link set lo up",
		"nft add table inet t",
		"nft 'add chain inet t c { type filter hook input priority 0; }'",
		"nft add rule inet t c tcp dport 9 reject with icmp host-unreachable",
		"nft add rule inet t c tcp dport 10 reject with icmp admin-prohibited",
	};

	return own_namespace_enter(lines, ARRAY_SIZE(lines));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_error_of_icmp),
		cmocka_unit_test(an_error_that_is_only_queued),
		cmocka_unit_test(others),
	};

	if (enter() < 0)
		return own_namespace_missing("netns");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
