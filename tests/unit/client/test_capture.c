/* SPDX-License-Identifier: Apache-2.0 */
/* What the integration tests of `adit up` can't show: set-ups that fail half-way, each refusal. */
#include "client/capture_private.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "wire/io_loop.h"

struct world {
	uv_loop_t uv;
	struct io_loop *loop;
	struct nat_config nat;
	int pair[2]; /* stand for the devices */
};

static void world_init(struct world *w)
{
	assert_int_equal(uv_loop_init(&w->uv), 0);
	assert_int_equal(io_loop_new(&w->loop, &w->uv, 1 << 20), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, w->pair), 0);
	nat_config_init(&w->nat);
	w->nat.v4.listener_port = 1;
	assert_int_equal(ip_parse("100.96.0.1", &w->nat.v4.local), 0);
	assert_int_equal(ip_parse("100.96.0.2", &w->nat.v4.peer), 0);
	w->nat.v4.listener = w->nat.v4.local;
}

/* A handle that is still open, or was closed without having been one, shows here. */
static void world_deinit(struct world *w)
{
	io_loop_free(w->loop);
	uv_run(&w->uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->uv), 0);
	close_fd(w->pair[0]);
	close_fd(w->pair[1]);
}

static struct capture_options options(const struct world *w)
{
	return (struct capture_options){
		.loop = w->loop,
		.user_fd = w->pair[0],
		.private_fd = w->pair[1],
		.listen4_fd = -1,
		.listen6_fd = -1,
		.nat = &w->nat,
		.token = "",
	};
}

static void fail_with(int *(*which)(struct capture_options *opt))
{
	CLEANUP(close_fd) int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct capture *c = NULL;
	struct capture_options opt;
	struct world w;

	world_init(&w);
	opt = options(&w);
	*which(&opt) = file; /* epoll takes no regular file */
	assert_true(capture_new(&c, &opt, NULL) < 0);
	assert_null(c);
	world_deinit(&w);
}

static int *user_fd(struct capture_options *opt)
{
	return &opt->user_fd;
}

static int *private_fd(struct capture_options *opt)
{
	return &opt->private_fd;
}

static int *listen4_fd(struct capture_options *opt)
{
	return &opt->listen4_fd;
}

static int *listen6_fd(struct capture_options *opt)
{
	return &opt->listen6_fd;
}

static void descriptors_that_cant_be_watched(void **state UNUSED)
{
	fail_with(user_fd);
	fail_with(private_fd);
	fail_with(listen4_fd);
	fail_with(listen6_fd);
}

static void started_and_freed(void **state UNUSED)
{
	struct capture *c = NULL;
	struct capture_options opt;
	struct world w;

	world_init(&w);
	opt = options(&w);
	assert_int_equal(capture_new(&c, &opt, NULL), 0);
	capture_free(c);
	world_deinit(&w);
}

/* A row that is missing from the table would read as "refused by the target". */
static void every_refusal_has_a_row(void **state UNUSED)
{
	for (int e = STREAM_ERROR_NONE + 1; e < STREAM_ERROR_N; e++)
		assert_int_equal(capture_refusal((enum stream_error)e) == NAT_REFUSED,
				 e == STREAM_ERROR_REFUSED);
	assert_int_equal(capture_refusal(STREAM_ERROR_PING_UNAVAILABLE), NAT_FORBIDDEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(descriptors_that_cant_be_watched),
		cmocka_unit_test(started_and_freed),
		cmocka_unit_test(every_refusal_has_a_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
