/* SPDX-License-Identifier: Apache-2.0 */

/* Messages behind their lengths, over a socket pair, in all kinds of pieces. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "client/dns_frame.h"
#include "client/dns_message.h"

static int fds[2];

static int set_up(void **state UNUSED)
{
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds);
}

static int tear_down(void **state UNUSED)
{
	close(fds[0]);
	close(fds[1]);
	return 0;
}

static void put(const void *data, size_t n)
{
	assert_int_equal(write(fds[0], data, n), (ssize_t)n);
}

static void test_octet_by_octet(void **state UNUSED)
{
	static const uint8_t wire[] = "\0\14abcdefghijkl\0\15x";
	struct dns_frame f = {.bytes = NULL};

	for (size_t i = 0; i < 13; i++) {
		put(wire + i, 1);
		assert_int_equal(dns_frame_read(&f, fds[1]), 0);
	}
	/* The beginning of the next message stays where it is. */
	put(wire + 13, 4);
	assert_int_equal(dns_frame_read(&f, fds[1]), 1);
	assert_int_equal(dns_frame_size(&f), 12);
	assert_memory_equal(dns_frame_data(&f), "abcdefghijkl", 12);
	dns_frame_deinit(&f);
	assert_int_equal(dns_frame_read(&f, fds[1]), 0);
	assert_int_equal(dns_frame_size(&f), 13);
	dns_frame_deinit(&f);
	dns_frame_deinit(&f);
}

static void test_ends(void **state UNUSED)
{
	struct dns_frame f = {.bytes = NULL};

	put("\0\13", 2); /* shorter than a header */
	assert_int_equal(dns_frame_read(&f, fds[1]), -EBADMSG);
	dns_frame_deinit(&f);
	put("\0\14abc", 5);
	shutdown(fds[0], SHUT_WR);
	assert_int_equal(dns_frame_read(&f, fds[1]), -EPIPE);
	dns_frame_deinit(&f);
	assert_int_equal(dns_frame_read(&f, fds[1]), -EPIPE);
	assert_int_equal(dns_frame_set(&f, "abc", 3), 0);
	close(fds[1]);
	fds[1] = -1;
	assert_int_equal(dns_frame_write(&f, fds[0]), -EPIPE);
	dns_frame_deinit(&f);
}

/* The longest one, through a socket that takes less at a time, and twice. */
static void test_longest(void **state UNUSED)
{
	static uint8_t data[DNS_MESSAGE_MAX];
	struct dns_frame out = {.bytes = NULL};
	int small = 1;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	assert_int_equal(dns_frame_set(&out, data, sizeof(data)), 0);
	for (int i = 0; i < 2; i++) {
		struct dns_frame in = {.bytes = NULL};
		int written = dns_frame_write(&out, fds[0]);
		int read = 0;

		assert_int_equal(written, 0);
		while (read == 0) {
			read = dns_frame_read(&in, fds[1]);
			if (written == 0)
				written = dns_frame_write(&out, fds[0]);
		}
		assert_int_equal(read, 1);
		assert_int_equal(written, 1);
		assert_int_equal(dns_frame_size(&in), sizeof(data));
		assert_memory_equal(dns_frame_data(&in), data, sizeof(data));
		dns_frame_deinit(&in);
		dns_frame_rewind(&out);
	}
	dns_frame_deinit(&out);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_octet_by_octet),
		TEST(test_ends),
		TEST(test_longest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
