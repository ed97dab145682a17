/* SPDX-License-Identifier: Apache-2.0 */
/* In a network namespace of its own: nothing of the host's network is seen or changed. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <net/if.h>
#include <uv.h>

#include "own_namespace.h"
#include "tun/netlink_addr_get.h"
#include "tun/netlink_watch.h"

#define LIMIT_MS   60000 /* only a broken watcher takes so long */
#define N_CHANGES  40000
#define ALL_TOPICS (NETLINK_LINKS | NETLINK_ADDRESSES | NETLINK_ROUTES | NETLINK_RULES)

struct world {
	uv_loop_t uv;
	uv_timer_t limit;
	struct netlink_watch *watch;
	struct netlink_change change; /* the last one */
	unsigned int n_looks;
};

static void run(const char *line)
{
	assert_int_equal(shell(line), 0);
}

static void looked(void *ctx, const struct netlink_change *change)
{
	struct world *w = ctx;

	w->change = *change;
	w->n_looks++;
	uv_stop(&w->uv);
}

static void limit_cb(uv_timer_t *timer)
{
	(void)timer;
	fail_msg("nothing was heard in time");
}

static void open_world(struct world *w, unsigned int topics)
{
	*w = (struct world){0};
	assert_int_equal(uv_loop_init(&w->uv), 0);
	uv_timer_init(&w->uv, &w->limit);
	uv_timer_start(&w->limit, limit_cb, LIMIT_MS, 0);
	assert_int_equal(netlink_watch_new(&w->watch, &w->uv, topics, looked, w), 0);
}

static void wait_look(struct world *w)
{
	unsigned int before = w->n_looks;

	uv_run(&w->uv, UV_RUN_DEFAULT);
	assert_int_equal(w->n_looks, before + 1);
}

static void close_world(struct world *w)
{
	w->watch = netlink_watch_free(w->watch);
	uv_close((uv_handle_t *)&w->limit, NULL);
	uv_run(&w->uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->uv), 0);
}

static void test_topics(void **state)
{
	static const struct {
		const char *command;
		unsigned int topic;
	} rows[] = {
		{"ip link add w0 type veth peer name w0p", NETLINK_LINKS},
		{"ip addr add 192.0.2.1/32 dev lo", NETLINK_ADDRESSES},
		{"ip addr add 2001:db8::1/128 dev lo nodad", NETLINK_ADDRESSES},
		{"ip route add blackhole 10.0.0.0/8", NETLINK_ROUTES},
		{"ip -6 route add blackhole 2001:db8:5::/48", NETLINK_ROUTES},
		{"ip rule add pref 77 lookup 77", NETLINK_RULES},
		{"ip -6 rule add pref 77 lookup 77", NETLINK_RULES},
		{"ip link del w0", NETLINK_LINKS},
	};
	struct world w;

	(void)state;
	open_world(&w, ALL_TOPICS);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		run(rows[i].command);
		wait_look(&w);
		if (!(w.change.topics & rows[i].topic) || !w.change.n_messages || w.change.lost)
			fail_msg("%s: topics %x", rows[i].command, w.change.topics);
	}
	close_world(&w);
	run("ip rule del pref 77; ip -6 rule del pref 77; ip addr flush dev lo; "
	    "ip addr add 127.0.0.1/8 dev lo; ip route flush type blackhole");
}

static void test_link_gone(void **state)
{
	struct world w;
	unsigned int index;

	(void)state;
	run("ip link add w1 type veth peer name w1p");
	index = if_nametoindex("w1");
	open_world(&w, NETLINK_LINKS);
	run("ip link del w1");
	wait_look(&w);
	/* And its peer. */
	assert_int_equal(w.change.n_gone, 2);
	assert_true(w.change.gone[0] == index || w.change.gone[1] == index);
	close_world(&w);
}

/* What was not asked for isn't heard: the second change is the only one. */
static void test_only_what_was_asked(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, NETLINK_RULES);
	run("ip route add blackhole 10.5.0.0/16");
	run("ip rule add pref 78 lookup 78");
	wait_look(&w);
	assert_int_equal(w.change.topics, NETLINK_RULES);
	assert_int_equal(w.change.n_messages, 1);
	close_world(&w);
	run("ip rule del pref 78; ip route del blackhole 10.5.0.0/16");
}

static void write_batch(FILE *file)
{
	for (unsigned int i = 0; i < N_CHANGES / 2; i++)
		fprintf(file, "route add blackhole 10.%u.%u.1/32\n", i >> 8, i & 255);
	for (unsigned int i = 0; i < N_CHANGES / 2; i++)
		fprintf(file, "route del blackhole 10.%u.%u.1/32\n", i >> 8, i & 255);
}

/* More than any buffer holds, while nobody reads: one look, and the watcher goes on. */
static void test_flood_while_asleep(void **state)
{
	char path[] = "/tmp/adit-watch-XXXXXX", command[64];
	FILE *file = fdopen(mkstemp(path), "w");
	struct world w;

	(void)state;
	assert_non_null(file);
	write_batch(file);
	assert_int_equal(fclose(file), 0);
	open_world(&w, ALL_TOPICS);
	snprintf(command, sizeof(command), "ip -batch %s", path);
	run(command);
	unlink(path);
	wait_look(&w);
	assert_true(w.change.lost);
	assert_true(w.change.n_messages < N_CHANGES);
	run("ip rule add pref 79 lookup 79");
	wait_look(&w);
	assert_int_equal(w.change.topics, NETLINK_RULES);
	assert_false(w.change.lost);
	assert_int_equal(w.n_looks, 2);
	close_world(&w);
	run("ip rule del pref 79");
}

static void free_in_callback(void *ctx, const struct netlink_change *change)
{
	struct world *w = ctx;

	looked(ctx, change);
	w->watch = netlink_watch_free(w->watch);
}

static void test_free_from_the_callback(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, 0);
	netlink_watch_free(w.watch);
	assert_int_equal(netlink_watch_new(&w.watch, &w.uv, NETLINK_LINKS, free_in_callback, &w),
			 0);
	run("ip link add w2 type veth peer name w2p; ip link del w2");
	wait_look(&w);
	assert_null(w.watch);
	close_world(&w);
}

static void test_address_exists(void **state)
{
	static const struct {
		const char *ip;
		bool exists;
	} rows[] = {
		{"127.0.0.1", true},	 {"127.9.8.7", true},	 {"::1", true},
		{"192.0.2.7", true},	 {"192.0.2.8", false},	 {"::ffff:192.0.2.7", true},
		{"2001:db8::7", true},	 {"2001:db8::8", false}, {"198.51.100.1", true},
		{"198.51.100.2", false}, {"203.0.113.5", true},	 {"198.18.0.1", false},
		{"192.0.2.255", false},
	};

	(void)state;
	run("ip link set lo up && ip link add w3 type veth peer name w3p && ip link set "
	    "w3 up && "
	    "ip addr add 192.0.2.7/24 dev w3 && "
	    "ip addr add 2001:db8::7/64 dev w3 nodad && "
	    "ip addr add 198.51.100.1 peer 198.51.100.2 dev w3 && "
	    "ip route add local 203.0.113.0/24 dev lo");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ip_addr ip;
		bool exists = !rows[i].exists;

		assert_int_equal(ip_parse(rows[i].ip, &ip), 0);
		assert_int_equal(netlink_address_exists(&ip, &exists), 0);
		if (exists != rows[i].exists)
			fail_msg("%s: %d", rows[i].ip, exists);
	}
	run("ip link del w3; ip route del local 203.0.113.0/24 dev lo");
}

/* Its local route goes with the device, the address stays. */
static void test_address_of_a_device_that_is_down(void **state)
{
	struct ip_addr ip;
	bool exists = false;

	(void)state;
	run("ip link add w4 type veth peer name w4p && ip addr add 192.0.2.7/24 dev w4");
	assert_int_equal(ip_parse("192.0.2.7", &ip), 0);
	assert_int_equal(netlink_address_exists(&ip, &exists), 0);
	assert_true(exists);
	run("ip link del w4");
	assert_int_equal(netlink_address_exists(&ip, &exists), 0);
	assert_false(exists);
}

static void test_no_address(void **state)
{
	struct ip_addr none = {0};
	bool exists;

	(void)state;
	assert_int_equal(netlink_address_exists(&none, &exists), -EINVAL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_topics),
		cmocka_unit_test(test_link_gone),
		cmocka_unit_test(test_only_what_was_asked),
		cmocka_unit_test(test_flood_while_asleep),
		cmocka_unit_test(test_free_from_the_callback),
		cmocka_unit_test(test_address_exists),
		cmocka_unit_test(test_address_of_a_device_that_is_down),
		cmocka_unit_test(test_no_address),
	};

	if (own_namespace_enter(NULL, 0) < 0)
		return own_namespace_missing("netns");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
