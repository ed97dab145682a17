/* SPDX-License-Identifier: Apache-2.0 */

/*
 * tun_host RUNTIME_FOLDER INSTANCE [CHILD...] - the host side of `adit up` without a tunnel
 *
 * Lock, clean-up, device, private namespace, helper, no capabilities left; then rules, a captured
 * 10/8 and an edge outside, all by the helper. Prints one line of JSON when it is up, and ends
 * well at the end of its standard input. CHILD is a command that it starts while it has all of it
 * open.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "client/instance_lock.h"
#include "client/net_helper.h"
#include "base/privileges.h"
#include "tun/netlink_cleanup.h"
#include "tun/netlink_link.h"
#include "tun/private_ns.h"

#define PATIENCE_MS 20000
#define N_REQUESTS  6
#define EXIT_TAKEN  73
#define EXIT_FAILED 70
#define ARGUMENTS   3

struct host {
	struct diag diag;
	struct tun_numbers numbers;
	struct tun_addresses addresses;
	struct tun_device device;
	struct private_ns ns;
	struct net_helper *helper;
	struct netlink_found found; /* by the clean-up at start */
	int lock;
	uv_loop_t loop;
	uv_pipe_t input;
	size_t n_done;
	pid_t child;
};

static void fail(struct host *h, const char *what, int r)
{
	diag_print(&h->diag);
	fprintf(stderr, "tun_host: %s: %s\n", what, strerror(-r));
	exit(EXIT_FAILED);
}

static void must(struct host *h, const char *what, int r)
{
	if (r < 0)
		fail(h, what, r);
}

static void take_lock(struct host *h, const char *folder)
{
	int r = instance_lock_take(folder, h->numbers.table, PATIENCE_MS, &h->lock, NULL, &h->diag);

	must(h, "lock", r);
	if (r == INSTANCE_LOCK_TAKEN) {
		diag_print(&h->diag);
		exit(EXIT_TAKEN);
	}
}

static void set_up_device(struct host *h)
{
	CLEANUP(netlink_close) struct netlink *nl = NULL;
	struct ip_addr ips[] = {h->addresses.local4, h->addresses.local6};

	must(h, "netlink", netlink_open(&nl));
	must(h, "clean-up", netlink_cleanup(nl, &h->numbers, &h->found));
	must(h, "device", tun_device_open(&h->device, "adit%d", &h->diag));
	must(h, "addresses", netlink_device_set_up(nl, h->device.index, TUN_MTU, ips, 2));
}

static void start_helper(struct host *h)
{
	struct prefix bound;
	struct net_helper_config config = {
		.bounds = {.numbers = h->numbers,
			   .index = h->device.index,
			   .addresses = h->addresses,
			   .prefixes = &bound,
			   .n_prefixes = 1},
		.keep_fd = h->lock,
	};

	memcpy(config.bounds.device, h->device.name, sizeof(config.bounds.device));
	must(h, "bound", prefix_parse("10.0.0.0/8", &bound));
	must(h, "helper", net_helper_start(&config, &h->helper, &h->diag));
}

static void start_child(struct host *h, char **argv)
{
	h->child = fork();
	if (h->child == 0) {
		execvp(argv[0], argv);
		_exit(EXIT_FAILED);
	}
}

static void on_done(void *ctx, int result, const char *text)
{
	struct host *h = ctx;

	(void)text;
	must(h, "request", result);
	if (++h->n_done < N_REQUESTS)
		return;
	printf("{\"pid\":%d,\"helper\":%d,\"child\":%d,\"device\":\"%s\",\"form\":\"%s\","
	       "\"cleaned_rules\":%zu,\"cleaned_routes\":%zu}\n",
	       getpid(), net_helper_pid(h->helper), h->child, h->device.name,
	       private_ns_form_name(h->ns.form), h->found.n_rules, h->found.n_routes);
	fflush(stdout);
}

static void ask(struct host *h)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};
	struct prefix p;

	must(h, "edge", prefix_parse("10.7.7.7/32", &p));
	must(h, "edge", net_helper_route_add(h->helper, NETLINK_ROUTE_THROW, &p, on_done, h));
	must(h, "capture", prefix_parse("10.0.0.0/8", &p));
	must(h, "capture", net_helper_route_add(h->helper, NETLINK_ROUTE_DEVICE, &p, on_done, h));
	for (size_t i = 0; i < 2; i++) {
		must(h, "rule",
		     net_helper_rule_add(h->helper, NETLINK_RULE_LOCAL_FIRST, families[i], on_done,
					 h));
		must(h, "rule",
		     net_helper_rule_add(h->helper, NETLINK_RULE_CAPTURE, families[i], on_done, h));
	}
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	static char space[64];

	(void)handle;
	(void)suggested;
	*buf = uv_buf_init(space, sizeof(space));
}

static void on_input(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	(void)buf;
	if (n < 0)
		uv_stop(stream->loop);
}

static void on_lost(void *ctx)
{
	fail(ctx, "helper", -EPIPE);
}

static void run(struct host *h)
{
	must(h, "loop", uv_loop_init(&h->loop));
	must(h, "attach", net_helper_attach(h->helper, &h->loop, on_lost, h));
	must(h, "input", uv_pipe_init(&h->loop, &h->input, 0));
	must(h, "input", uv_pipe_open(&h->input, STDIN_FILENO));
	must(h, "input", uv_read_start((uv_stream_t *)&h->input, on_alloc, on_input));
	ask(h);
	uv_run(&h->loop, UV_RUN_DEFAULT);
}

static void end(struct host *h)
{
	int status = net_helper_stop(h->helper);

	must(h, "helper's clean-up", status == 0 ? 0 : -EIO);
	net_helper_free(h->helper);
	uv_close((uv_handle_t *)&h->input, NULL);
	uv_run(&h->loop, UV_RUN_DEFAULT);
	uv_loop_close(&h->loop);
	private_ns_close(&h->ns);
	tun_device_close(&h->device);
	close_fd(h->lock);
	diag_deinit(&h->diag);
}

int main(int argc, char **argv)
{
	static const uint8_t id[TUN_ULA_ID_SIZE] = {1, 2, 3, 4, 5, 6, 7};
	struct host h = {.ns = PRIVATE_NS_NONE, .lock = -1};
	unsigned int instance;

	if (argc < ARGUMENTS)
		return EXIT_FAILED;
	instance = (unsigned int)strtoul(argv[2], NULL, 10);
	diag_init(&h.diag, NULL);
	h.numbers = tun_numbers_of(instance);
	h.addresses = tun_addresses_default(instance, id);
	take_lock(&h, argv[1]);
	set_up_device(&h);
	must(&h, "private namespace", private_ns_open(&h.ns, &h.addresses, 0, &h.diag));
	start_helper(&h);
	must(&h, "privileges", privileges_drop_all());
	if (argc > ARGUMENTS)
		start_child(&h, argv + ARGUMENTS);
	run(&h);
	end(&h);
	return 0;
}
