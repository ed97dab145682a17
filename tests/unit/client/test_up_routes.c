/* SPDX-License-Identifier: Apache-2.0 */
/* An edge's address is dialled only when its "throw" route is there, in a namespace of its own. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <signal.h>

#include "../tun/own_namespace.h"
#include "client/up_private.h"
#include "wire/io_loop.h"

static const char *const set_up_lines[] = {"ip link set lo up"};

static struct up up;
static size_t n_lost;

static void on_lost(void *ctx)
{
	(void)ctx;
	n_lost++;
}

static int before_dial(const char *text)
{
	struct ip_addr ip;

	assert_int_equal(ip_parse(text, &ip), 0);
	return up_routes_before_dial(&up, &ip, 1);
}

static int set_up(void **state)
{
	static const uint8_t id[TUN_ULA_ID_SIZE] = {1, 2, 3, 4, 5, 6, 7};
	static const struct keeper_events no_events;
	struct tunnel_options opt = {0};
	const struct net_helper_config config = {
		.bounds = {.numbers = tun_numbers_of(0),
			   .index = 1,
			   .device = "lo",
			   .addresses = tun_addresses_default(0, id)},
		.keep_fd = -1,
	};

	(void)state;
	up = (struct up){0};
	n_lost = 0;
	assert_int_equal(uv_loop_init(&up.loop.uv), 0);
	assert_int_equal(io_loop_new(&up.loop.io, &up.loop.uv, 1 << 20), 0);
	assert_int_equal(net_helper_start(&config, &up.host.helper, NULL), 0);
	opt.loop = up.loop.io;
	up.keeper = keeper_new(&opt, &no_events, NULL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	net_helper_free(up.host.helper);
	keeper_free(up.keeper);
	up_routes_deinit(&up);
	io_loop_free(up.loop.io);
	uv_run(&up.loop.uv, UV_RUN_DEFAULT);
	return uv_loop_close(&up.loop.uv);
}

static void attach(void)
{
	assert_int_equal(net_helper_attach(up.host.helper, &up.loop.uv, on_lost, NULL), 0);
}

static void test_once_per_address(void **state)
{
	(void)state;
	attach();
	assert_int_equal(before_dial("198.51.100.7"), TUNNEL_WAIT);
	while (up.routes.n_throws_pending > 0)
		uv_run(&up.loop.uv, UV_RUN_ONCE);
	assert_non_null(strstr(shell_text("ip route show table 44301"), "throw 198.51.100.7"));
	assert_int_equal(before_dial("198.51.100.7"), 0);
	assert_int_equal(before_dial("198.51.100.8"), TUNNEL_WAIT);
}

static void test_what_cant_be_asked(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(before_dial("198.51.100.7"), -EPIPE);
}

static void test_what_failed(void **state)
{
	(void)state;
	attach();
	kill(net_helper_pid(up.host.helper), SIGSTOP);
	assert_int_equal(before_dial("198.51.100.7"), TUNNEL_WAIT);
	kill(net_helper_pid(up.host.helper), SIGKILL);
	while (n_lost == 0)
		uv_run(&up.loop.uv, UV_RUN_ONCE);
	assert_int_equal(up.routes.throw_status, -EPIPE);
	assert_int_equal(before_dial("198.51.100.7"), -EPIPE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_once_per_address, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_cant_be_asked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_failed, set_up, tear_down),
	};

	if (own_namespace_enter(set_up_lines, ARRAY_SIZE(set_up_lines)) < 0)
		return own_namespace_missing("netns");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
