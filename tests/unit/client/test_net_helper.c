/* SPDX-License-Identifier: Apache-2.0 */
/* The helper process in a network namespace of its own: what it does, refuses and takes back. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <linux/capability.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../tun/own_namespace.h"
#include "client/net_helper.h"
#include "client/net_helper_service.h"
#include "base/privileges.h"
#include "tun/netlink_cleanup.h"

#define DEADLINE_MS 60000
#define MANY_ROUTES 5000
#define STUCK_MS    200

static const char *const set_up_lines[] = {
	"ip link set lo up",
	"ip link add adit0 type veth peer name adit1",
	"ip addr add 100.96.0.1/32 dev adit0 noprefixroute",
	"ip addr add fd01:203:405:607::1/128 dev adit0 nodad noprefixroute",
	"ip link set adit1 up",
	"ip link set adit0 up",
	/* Not ours, and to stay. */
	"ip rule add priority 5300 lookup 44301",
	"ip route add 192.0.2.0/24 dev adit0 table 44301",
};

static const uint8_t id[TUN_ULA_ID_SIZE] = {1, 2, 3, 4, 5, 6, 7};
static struct prefix bound_prefixes[2];
static struct net_helper_config config;
static uv_loop_t loop;
static char folder[] = "/tmp/adit-helper-XXXXXX";
static char program[sizeof(folder) + 16];

/* Answers, as they came. */
static struct {
	size_t n;
	int results[16];
	char last_text[NET_REPLY_TEXT];
	size_t n_lost;
} seen;

static struct prefix prefix_of(const char *text)
{
	struct prefix p;

	assert_int_equal(prefix_parse(text, &p), 0);
	return p;
}

static void on_done(void *ctx, int result, const char *text)
{
	(void)ctx;
	seen.results[seen.n++ % ARRAY_SIZE(seen.results)] = result;
	snprintf(seen.last_text, sizeof(seen.last_text), "%s", text);
}

static void on_lost(void *ctx)
{
	(void)ctx;
	seen.n_lost++;
}

static struct net_helper *start_helper(void)
{
	struct net_helper *h = NULL;
	struct diag d;

	memset(&seen, 0, sizeof(seen));
	diag_init(&d, NULL);
	if (net_helper_start(&config, &h, &d) < 0)
		fail_msg("%s", d.items[0].text);
	diag_deinit(&d);
	assert_int_equal(net_helper_attach(h, &loop, on_lost, NULL), 0);
	return h;
}

static void run_until(const size_t *counter, size_t n)
{
	while (*counter < n)
		uv_run(&loop, UV_RUN_ONCE);
}

static void finish(struct net_helper *h)
{
	net_helper_free(h);
	uv_run(&loop, UV_RUN_DEFAULT);
}

static void expect_own(size_t n_rules, size_t n_routes)
{
	CLEANUP(netlink_close) struct netlink *nl = NULL;
	struct netlink_found found;

	assert_int_equal(netlink_open(&nl), 0);
	assert_int_equal(netlink_count_own(nl, &config.bounds.numbers, &found), 0);
	assert_int_equal(found.n_rules, n_rules);
	assert_int_equal(found.n_routes, n_routes);
}

static void expect_foreign(void)
{
	assert_non_null(strstr(shell_text("ip rule show"), "5300:	from all lookup 44301"));
	assert_non_null(strstr(shell_text("ip route show table 44301"), "192.0.2.0/24 dev adit0"));
}

static void add_some(struct net_helper *h)
{
	struct prefix capture = prefix_of("10.0.0.0/8");
	struct prefix capture6 = prefix_of("2001:db8:7::/48");
	struct prefix edge = prefix_of("198.51.100.7/32");

	assert_int_equal(net_helper_route_add(h, NETLINK_ROUTE_THROW, &edge, on_done, NULL), 0);
	assert_int_equal(net_helper_route_add(h, NETLINK_ROUTE_DEVICE, &capture, on_done, NULL), 0);
	assert_int_equal(net_helper_route_add(h, NETLINK_ROUTE_DEVICE, &capture6, on_done, NULL),
			 0);
	assert_int_equal(net_helper_rule_add(h, NETLINK_RULE_LOCAL_FIRST, AF_INET, on_done, NULL),
			 0);
	assert_int_equal(net_helper_rule_add(h, NETLINK_RULE_CAPTURE, AF_INET6, on_done, NULL), 0);
}

static void test_adds_and_takes_back(void **state)
{
	struct prefix capture = prefix_of("10.0.0.0/8");
	struct net_helper *h = start_helper();

	(void)state;
	add_some(h);
	assert_int_equal(seen.n, 0);
	run_until(&seen.n, 5);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(seen.results[i], 0);
	expect_own(2, 3);
	assert_non_null(
		strstr(shell_text("ip route show table 44301"),
		       "10.0.0.0/8 dev adit0 proto 173 scope link src 100.96.0.1 congctl cubic"));
	/* In order, each with its own answer and the kernel's words. */
	assert_int_equal(net_helper_route_add(h, NETLINK_ROUTE_DEVICE, &capture, on_done, NULL), 0);
	assert_int_equal(net_helper_route_delete(h, NETLINK_ROUTE_DEVICE, &capture, on_done, NULL),
			 0);
	assert_int_equal(net_helper_route_delete(h, NETLINK_ROUTE_DEVICE, &capture, on_done, NULL),
			 0);
	assert_int_equal(net_helper_rule_delete(h, NETLINK_RULE_CAPTURE, AF_INET6, on_done, NULL),
			 0);
	run_until(&seen.n, 9);
	assert_int_equal(seen.results[5], -EEXIST);
	assert_int_equal(seen.results[6], 0);
	assert_int_equal(seen.results[7], -ESRCH);
	assert_int_equal(seen.results[8], 0);
	assert_int_equal(net_helper_n_pending(h), 0);
	expect_own(1, 2);
	assert_int_equal(net_helper_stop(h), 0);
	expect_own(0, 0);
	expect_foreign();
	assert_int_equal(net_helper_rule_add(h, NETLINK_RULE_CAPTURE, AF_INET, on_done, NULL),
			 -EPIPE);
	assert_int_equal(seen.n_lost, 0);
	finish(h);
}

static void test_thousands(void **state)
{
	struct net_helper *h = start_helper();
	struct prefix p = prefix_of("10.0.0.0/32");

	(void)state;
	for (unsigned int i = 0; i < MANY_ROUTES; i++) {
		p.ip.bytes[2] = (uint8_t)(i >> 8);
		p.ip.bytes[3] = (uint8_t)i;
		assert_int_equal(net_helper_route_add(h, NETLINK_ROUTE_DEVICE, &p, on_done, NULL),
				 0);
	}
	run_until(&seen.n, MANY_ROUTES);
	expect_own(0, MANY_ROUTES);
	finish(h);
	expect_own(0, 0);
}

static void test_queue_is_bounded(void **state)
{
	struct net_helper *h = start_helper();
	size_t n = 0;
	int r;

	(void)state;
	while ((r = net_helper_rule_delete(h, NETLINK_RULE_CAPTURE, AF_INET, on_done, NULL)) == 0)
		n++;
	assert_int_equal(r, -ENOBUFS);
	assert_int_equal(n, NET_HELPER_PENDING_MAX);
	run_until(&seen.n, n);
	assert_int_equal(net_helper_rule_delete(h, NETLINK_RULE_CAPTURE, AF_INET, NULL, NULL), 0);
	finish(h);
}

static void test_out_of_bounds_is_refused_here(void **state)
{
	struct prefix outside = prefix_of("172.16.0.0/12");
	const char *const option = "--help";
	struct net_helper *h = start_helper();

	(void)state;
	assert_int_equal(net_helper_route_add(h, NETLINK_ROUTE_DEVICE, &outside, on_done, NULL),
			 -EPERM);
	assert_int_equal(net_helper_route_add(h, NETLINK_ROUTE_THROW, &outside, on_done, NULL),
			 -EPERM);
	assert_int_equal(net_helper_dns_set(h, &option, 1, on_done, NULL), -EINVAL);
	assert_int_equal(net_helper_n_pending(h), 0);
	finish(h);
}

/* What a main process that somebody took over could send. */
struct raw {
	pid_t pid;
	int fd;
};

static struct raw start_raw(void)
{
	struct net_reply hello;
	struct raw raw;
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	raw.pid = fork();
	if (raw.pid == 0) {
		close(ends[0]);
		_exit(net_helper_service_run(ends[1], &config));
	}
	close(ends[1]);
	raw.fd = ends[0];
	assert_int_equal(recv(raw.fd, &hello, sizeof(hello), 0), sizeof(hello));
	assert_int_equal(hello.result, 0);
	return raw;
}

static int ask_raw(const struct raw *raw, const void *data, size_t n)
{
	struct net_reply reply;

	assert_int_equal(send(raw->fd, data, n, 0), (ssize_t)n);
	assert_int_equal(recv(raw->fd, &reply, sizeof(reply), 0), sizeof(reply));
	return reply.result;
}

static int ask_request(const struct raw *raw, const struct net_request *request)
{
	return ask_raw(raw, request, net_request_size(request->kind));
}

static void end_raw(const struct raw *raw)
{
	int status;

	close(raw->fd);
	assert_int_equal(waitpid(raw->pid, &status, 0), raw->pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_refuses_what_is_forbidden(void **state)
{
	struct prefix inside = prefix_of("10.1.0.0/16");
	struct prefix single = prefix_of("198.51.100.7/32");
	struct raw raw = start_raw();
	struct net_request good;
	struct net_request r;

	(void)state;
	net_request_route(&good, NET_REQUEST_ROUTE_ADD, &config.bounds, NETLINK_ROUTE_DEVICE,
			  &inside);
	r = good;
	r.route.table = 254;
	assert_int_equal(ask_request(&raw, &r), -EPERM);
	r = good;
	r.route.protocol = 3;
	assert_int_equal(ask_request(&raw, &r), -EPERM);
	r = good;
	r.route.index = if_nametoindex("lo");
	assert_int_equal(ask_request(&raw, &r), -EPERM);
	r = good;
	r.route.ip[0] = 11;
	assert_int_equal(ask_request(&raw, &r), -EPERM);
	r = good;
	r.route.bits = 0;
	memset(r.route.ip, 0, sizeof(r.route.ip));
	assert_int_equal(ask_request(&raw, &r), -EPERM);
	r = good;
	r.route.route_kind = NETLINK_ROUTE_UNREACHABLE;
	assert_int_equal(ask_request(&raw, &r), -EPERM);
	net_request_route(&r, NET_REQUEST_ROUTE_ADD, &config.bounds, NETLINK_ROUTE_THROW, &inside);
	assert_int_equal(ask_request(&raw, &r), -EPERM);
	net_request_rule(&r, NET_REQUEST_RULE_ADD, &config.bounds, NETLINK_RULE_CAPTURE, AF_INET);
	r.rule.priority = 1;
	assert_int_equal(ask_request(&raw, &r), -EPERM);
	net_request_rule(&r, NET_REQUEST_RULE_DELETE, &config.bounds, NETLINK_RULE_LOCAL_FIRST,
			 AF_INET);
	r.rule.priority = 32766;
	assert_int_equal(ask_request(&raw, &r), -EPERM);
	net_request_dns(&r, &config.bounds, NULL, 0);
	r.dns.index++;
	assert_int_equal(ask_request(&raw, &r), -EPERM);
	assert_int_equal(ask_raw(&raw, "x", 1), -EPERM);
	assert_int_equal(ask_raw(&raw, &good, net_request_size(good.kind) - 1), -EPERM);
	assert_int_equal(ask_raw(&raw, &r, sizeof(r) - 1), -EPERM);
	expect_own(0, 0);
	/* It goes on serving. */
	assert_int_equal(ask_request(&raw, &good), 0);
	net_request_route(&r, NET_REQUEST_ROUTE_ADD, &config.bounds, NETLINK_ROUTE_THROW, &single);
	assert_int_equal(ask_request(&raw, &r), 0);
	expect_own(0, 2);
	end_raw(&raw);
	expect_own(0, 0);
	expect_foreign();
}

/* Until there is no room: the helper, whose answers nobody takes, reads no more. */
static void fill(int fd, const struct net_request *r)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};

	while (poll(&poll_fd, 1, STUCK_MS) > 0)
		assert_true(send(fd, r, net_request_size(r->kind), MSG_DONTWAIT) > 0 ||
			    errno == EAGAIN);
}

static void test_ends_though_nobody_reads(void **state)
{
	struct raw raw = start_raw();
	struct net_request r;
	int status;

	(void)state;
	net_request_rule(&r, NET_REQUEST_RULE_ADD, &config.bounds, NETLINK_RULE_CAPTURE, AF_INET);
	fill(raw.fd, &r);
	expect_own(1, 0);
	assert_int_equal(kill(raw.pid, SIGTERM), 0);
	assert_int_equal(waitpid(raw.pid, &status, 0), raw.pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	close(raw.fd);
	expect_own(0, 0);
}

static void read_proc(pid_t pid, const char *file, char *text, size_t n_text)
{
	char path[64];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	f = fopen(path, "r");
	n = f ? fread(text, 1, n_text - 1, f) : 0;
	text[n] = '\0';
	if (f)
		fclose(f);
}

static void test_is_isolated(void **state)
{
	struct net_helper *h = start_helper();
	pid_t pid = net_helper_pid(h);
	char status[4096];
	char line[96];

	(void)state;
	read_proc(pid, "status", status, sizeof(status));
	assert_non_null(strstr(status, "CapPrm:\t0000000000001000\n"));
	assert_non_null(strstr(status, "CapEff:\t0000000000001000\n"));
	assert_non_null(strstr(status, "CapInh:\t0000000000000000\n"));
	assert_non_null(strstr(status, "CapAmb:\t0000000000000000\n"));
	assert_non_null(strstr(status, "CapBnd:\t0000000000001000\n"));
	assert_non_null(strstr(status, "NoNewPrivs:\t1\n"));
	assert_non_null(strstr(status, "Name:\tadit-net\n"));
	assert_int_equal(getsid(pid), pid);
	/* stdio, channel, signals, netlink. */
	snprintf(line, sizeof(line), "ls /proc/%d/fd 2>/dev/null | wc -l", pid);
	if (geteuid() == 0 && strcmp(shell_text(line), "0\n") != 0)
		assert_string_equal(shell_text(line), "6\n");
	finish(h);
}

static void test_terminal_signals_are_ignored(void **state)
{
	static const int numbers[] = {SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP};
	struct net_helper *h = start_helper();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		assert_int_equal(kill(net_helper_pid(h), numbers[i]), 0);
	assert_int_equal(net_helper_rule_add(h, NETLINK_RULE_CAPTURE, AF_INET, on_done, NULL), 0);
	run_until(&seen.n, 1);
	assert_int_equal(seen.results[0], 0);
	finish(h);
}

static void test_loss_is_told(void **state)
{
	struct net_helper *h = start_helper();

	(void)state;
	add_some(h);
	run_until(&seen.n, 5);
	assert_int_equal(kill(net_helper_pid(h), SIGTERM), 0);
	run_until(&seen.n_lost, 1);
	expect_own(0, 0);
	assert_int_equal(net_helper_rule_add(h, NETLINK_RULE_CAPTURE, AF_INET, on_done, NULL),
			 -EPIPE);
	assert_int_equal(net_helper_stop(h), 0);
	finish(h);
	assert_int_equal(seen.n_lost, 1);
}

static void test_pending_ones_learn_of_the_loss(void **state)
{
	struct net_helper *h = start_helper();

	(void)state;
	assert_int_equal(kill(net_helper_pid(h), SIGSTOP), 0);
	add_some(h);
	assert_int_equal(kill(net_helper_pid(h), SIGKILL), 0);
	run_until(&seen.n_lost, 1);
	assert_int_equal(seen.n, 5);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(seen.results[i], -EPIPE);
	assert_true(net_helper_stop(h) < 0);
	finish(h);
}

/* A main process that is killed: rules and throw routes, which would stay, go. */
static void main_that_dies(int ready)
{
	struct net_helper *h = start_helper();

	add_some(h);
	run_until(&seen.n, 5);
	if (write(ready, "x", 1) == 1)
		raise(SIGKILL);
	_exit(1);
}

static void test_cleans_up_after_sigkill(void **state)
{
	int ready[2];
	int held[2];
	pid_t pid;
	char c;

	(void)state;
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	assert_int_equal(pipe2(held, O_CLOEXEC), 0);
	config.keep_fd = held[1];
	pid = fork();
	if (pid == 0)
		main_that_dies(ready[1]);
	config.keep_fd = -1;
	close(held[1]);
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	/* What it was told to keep is held until the clean-up is done. */
	assert_int_equal(read(held[0], &c, 1), 0);
	expect_own(0, 0);
	expect_foreign();
	close(ready[0]);
	close(held[0]);
}

/* Without a capability: nothing goes directly, all of it by the helper. */
static int main_without_capabilities(void)
{
	CLEANUP(netlink_close) struct netlink *nl = NULL;
	struct net_helper *h = start_helper();
	struct netlink_route route = {.kind = NETLINK_ROUTE_THROW,
				      .table = config.bounds.numbers.table};

	if (privileges_drop_all() < 0 || netlink_open(&nl) < 0)
		return 1;
	route.prefix = prefix_of("10.0.0.1/32");
	if (netlink_route_add(nl, &route) != -EPERM)
		return 2;
	add_some(h);
	run_until(&seen.n, 5);
	for (size_t i = 0; i < 5; i++)
		if (seen.results[i] != 0)
			return 3;
	if (net_helper_stop(h) != 0)
		return 4;
	finish(h);
	return 0;
}

static void test_after_privileges_are_gone(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(main_without_capabilities());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	expect_own(0, 0);
}

static int start_without_right(void)
{
	struct net_helper *h;
	struct diag d;

	diag_init(&d, NULL);
	if (privileges_drop_all() < 0 || net_helper_start(&config, &h, &d) != -EPERM)
		return 1;
	return d.n_errors == 1 && strstr(d.items[0].text, "CAP_NET_ADMIN is needed") ? 0 : 2;
}

static void test_start_without_the_right(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(start_without_right());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* A stand-in for resolvectl that notes its arguments and fails at @failing. */
static void write_program(const char *failing)
{
	FILE *f = fopen(program, "w");

	assert_non_null(f);
	fprintf(f,
		"#!/bin/sh\n"
		"echo \"$*|$(env | grep -c SECRET)|$(ls /proc/self/fd | wc -l)\" >>%s/log\n"
		"[ \"$1\" != \"%s\" ]\n",
		folder, failing);
	fclose(f);
	assert_int_equal(chmod(program, 0755), 0);
	config.resolvectl = program;
}

static const char *program_log(void)
{
	char line[2 * sizeof(folder) + 64];

	snprintf(line, sizeof(line), "sed 's/|.*//' %s/log 2>/dev/null; rm -f %s/log", folder,
		 folder);
	return shell_text(line);
}

static int set_names(struct net_helper *h, size_t n)
{
	static const char *const names[] = {"corp.example", "lab.example"};
	size_t before = seen.n;

	assert_int_equal(net_helper_dns_set(h, names, n, on_done, NULL), 0);
	run_until(&seen.n, before + 1);
	return seen.results[before % ARRAY_SIZE(seen.results)];
}

static void test_dns(void **state)
{
	struct net_helper *h;

	(void)state;
	write_program("nothing");
	h = start_helper();
	assert_int_equal(set_names(h, 2), 0);
	assert_string_equal(program_log(), "dns adit0 100.96.0.2\n"
					   "domain adit0 ~corp.example ~lab.example\n"
					   "default-route adit0 no\n");
	assert_int_equal(set_names(h, 0), 0);
	assert_string_equal(program_log(), "revert adit0\n");
	assert_int_equal(set_names(h, 1), 0);
	(void)program_log();
	/* Its end takes it back as well. */
	finish(h);
	assert_string_equal(program_log(), "revert adit0\n");
}

static void test_dns_that_fails(void **state)
{
	struct net_helper *h;

	(void)state;
	write_program("domain");
	h = start_helper();
	assert_int_equal(set_names(h, 1), -EREMOTEIO);
	assert_string_equal(program_log(), "dns adit0 100.96.0.2\n"
					   "domain adit0 ~corp.example\n"
					   "revert adit0\n");
	finish(h);
	assert_string_equal(program_log(), "");
}

static void test_dns_is_not_there(void **state)
{
	struct net_helper *h;

	(void)state;
	config.resolvectl = "/no/such/resolvectl";
	h = start_helper();
	assert_int_equal(set_names(h, 1), -EOPNOTSUPP);
	assert_string_equal(seen.last_text, "resolvectl isn't installed");
	finish(h);
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(program, sizeof(program), "%s/resolvectl", folder);
	setenv("SECRET", "x", 1);
	bound_prefixes[0] = prefix_of("10.0.0.0/8");
	bound_prefixes[1] = prefix_of("2001:db8::/32");
	config = (struct net_helper_config){
		.bounds = {.numbers = tun_numbers_of(0),
			   .index = if_nametoindex("adit0"),
			   .device = "adit0",
			   .addresses = tun_addresses_default(0, id),
			   .prefixes = bound_prefixes,
			   .n_prefixes = 2},
		.keep_fd = -1,
	};
	return uv_loop_init(&loop);
}

static int tear_down(void **state)
{
	char line[sizeof(folder) + 16];

	(void)state;
	snprintf(line, sizeof(line), "rm -r %s", folder);
	return uv_loop_close(&loop) == 0 ? system(line) : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_adds_and_takes_back),
		cmocka_unit_test(test_thousands),
		cmocka_unit_test(test_queue_is_bounded),
		cmocka_unit_test(test_out_of_bounds_is_refused_here),
		cmocka_unit_test(test_refuses_what_is_forbidden),
		cmocka_unit_test(test_ends_though_nobody_reads),
		cmocka_unit_test(test_is_isolated),
		cmocka_unit_test(test_terminal_signals_are_ignored),
		cmocka_unit_test(test_loss_is_told),
		cmocka_unit_test(test_pending_ones_learn_of_the_loss),
		cmocka_unit_test(test_cleans_up_after_sigkill),
		cmocka_unit_test(test_after_privileges_are_gone),
		cmocka_unit_test(test_start_without_the_right),
		cmocka_unit_test(test_dns),
		cmocka_unit_test(test_dns_that_fails),
		cmocka_unit_test(test_dns_is_not_there),
	};

	if (own_namespace_enter(set_up_lines, ARRAY_SIZE(set_up_lines)) < 0)
		return own_namespace_missing("netns");
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
