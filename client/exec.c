/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The child is forked first, while there is one thread, one signal disposition and nothing open:
 * the command inherits none of ours. Terminal signals reach it by themselves, it is in the
 * foreground process group as this process is; those that were meant for it, but sent to this
 * process, are handed on.
 */

#include "client/exec.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "client/capture.h"
#include "client/exec_namespace.h"
#include "client/keeper.h"
#include "client/routes_feed.h"
#include "tun/private_ns.h"
#include "wire/tls_crypto.h"

/* From the start to the command's: several addresses of several edges may have to be tried. */
#define CONNECT_MS 60000

enum state {
	STATE_CONNECTING,
	STATE_RUNNING,
	STATE_ENDED,
	STATE_N,
};

struct exec {
	const struct exec_options *opt;
	connect_explain explain;
	struct tun_addresses addresses;
	struct ns_child child; /* pid 0: it was reaped */
	int device_fd;	       /* A */
	struct private_ns ns;  /* B and the listeners */
	struct client_loop loop;
	struct keeper *keeper;
	struct capture *capture;
	struct routes_feed *feed; /* NULL: none now */
	struct nat_config nat;
	uv_signal_t child_signal;
	uv_timer_t deadline;
	enum state state;
	int status;
};

static void set_state(struct exec *e, enum state to)
{
	static const bool allowed[STATE_N][STATE_N] = {
		[STATE_CONNECTING] = {[STATE_RUNNING] = true, [STATE_ENDED] = true},
		[STATE_RUNNING] = {[STATE_ENDED] = true},
	};

	if (!allowed[e->state][to])
		abort();
	e->state = to;
}

static void end(struct exec *e, int status)
{
	set_state(e, STATE_ENDED);
	e->status = status;
	uv_stop(&e->loop.uv);
}

/* Of all that goes wrong before the command runs the first counts. */
PRINTF(3, 4) static void fail(struct exec *e, enum client_exit why, const char *fmt, ...)
{
	char text[CONNECT_TEXT_MAX];
	va_list ap;

	if (e->state != STATE_CONNECTING)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	e->explain(text);
	end(e, (int)why);
}

/* ---- the command ---- */

static void start_command(struct exec *e)
{
	int r = ns_child_go(&e->child);

	if (r < 0) {
		fail(e, CLIENT_EXIT_INTERNAL, "the command can't be started: %s", strerror(-r));
		return;
	}
	uv_timer_stop(&e->deadline);
	set_state(e, STATE_RUNNING);
	log_info("command started", log_text("command", e->opt->argv[0]));
}

/*
 * A command that stopped itself looks to a shell as if we ran on: so we stop, too, and when the
 * shell wakes us we wake it. What a terminal stops, stops us as well; that needs no help.
 */
static void follow_stop(const struct exec *e, int wait_status)
{
	if (WSTOPSIG(wait_status) != SIGSTOP)
		return;
	raise(SIGSTOP);
	kill(e->child.pid, SIGCONT);
}

static void look_at_child(struct exec *e)
{
	int wait_status;

	if (!e->child.pid || waitpid(e->child.pid, &wait_status, WNOHANG | WUNTRACED) <= 0)
		return;
	if (WIFSTOPPED(wait_status)) {
		follow_stop(e, wait_status);
		return;
	}
	e->child.pid = 0;
	if (e->state != STATE_ENDED)
		end(e, exec_status_of_wait(wait_status));
}

static void on_child_signal(uv_signal_t *handle, int number UNUSED)
{
	look_at_child(handle->data);
}

static void on_signal(void *ctx, int number)
{
	struct exec *e = ctx;

	if (e->state == STATE_CONNECTING)
		end(e, CLIENT_EXIT_SIGNAL + number);
	else if (e->child.pid && number != SIGINT)
		kill(e->child.pid, number);
}

static int watch_child(struct exec *e)
{
	int r;

	/* Only we are to live through it; the child was forked before. */
	signal(SIGQUIT, SIG_IGN);
	r = uv_signal_start(&e->child_signal, on_child_signal, SIGCHLD);
	if (r == 0)
		look_at_child(e);
	return r;
}

/* ---- the edge ---- */

static void on_routes(void *ctx, const struct feed_route *routes UNUSED, size_t n)
{
	struct exec *e = ctx;
	const char *network = e->opt->connect->network;

	routes_feed_close(steal_ptr(e->feed));
	if (e->state != STATE_CONNECTING)
		return;
	if (network && n == 0)
		fail(e, CLIENT_EXIT_NO_NETWORK,
		     "the edge offers nothing in virtual network '%s': it has no route, or none "
		     "that is granted to you",
		     network);
	else
		start_command(e);
}

static void on_feed_end(void *ctx, enum client_exit why, const char *text)
{
	struct exec *e = ctx;
	const char *network = e->opt->connect->network;

	e->feed = NULL;
	/* The next link asks again. */
	if (e->state != STATE_CONNECTING || routes_feed_is_passing(why))
		return;
	if (why == CLIENT_EXIT_NO_NETWORK)
		fail(e, why, "the edge has no virtual network '%s'", network ? network : "");
	else
		fail(e, why, "%s", text);
}

static const struct routes_feed_events feed_events = {
	.on_routes = on_routes,
	.on_end = on_feed_end,
};

static void on_up(void *ctx, struct h2_session *session)
{
	struct exec *e = ctx;
	const struct routes_feed_options opt = {
		.token = e->opt->connect->credentials->token,
		.network = e->opt->connect->network,
	};

	if (e->state != STATE_CONNECTING)
		return;
	routes_feed_close(steal_ptr(e->feed));
	/* What can't be asked on this link is asked on the next one. */
	if (routes_feed_open(&e->feed, session, &opt, &feed_events, e) != 0)
		log_debug("no routes feed on this link");
}

static void on_down(void *ctx, enum client_exit why, const char *text)
{
	fail(ctx, why, "%s", text);
}

static const struct keeper_events keeper_events = {
	.on_up = on_up,
	.on_down = on_down,
};

static void on_deadline(uv_timer_t *timer)
{
	fail(timer->data, CLIENT_EXIT_EDGE, "the edge did not answer within %d s",
	     CONNECT_MS / 1000);
}

/* ---- packets ---- */

static int network_of(void *ctx, const struct ip_addr *ip UNUSED, const char **networkp)
{
	const struct exec *e = ctx;

	*networkp = e->opt->connect->network;
	return 0;
}

/* The command may have more to do than talk: it goes on. */
static void on_broken(void *ctx UNUSED, int error)
{
	log_error("the command's network device is gone", log_text("reason", strerror(-error)));
}

static int make_capture(struct exec *e)
{
	const struct capture_options opt = {
		.loop = e->loop.io,
		.keeper = e->keeper,
		.user_fd = e->device_fd,
		.private_fd = e->ns.device.fd,
		.listen4_fd = e->ns.listeners.fd4,
		.listen6_fd = e->ns.listeners.fd6,
		.nat = &e->nat,
		.token = e->opt->connect->credentials->token,
		.network_of = network_of,
		.on_broken = on_broken,
	};

	capture_nat_config(&e->nat, &e->addresses, e->ns.listeners.port);
	return capture_new(&e->capture, &opt, e);
}

/* ---- set up ---- */

static int start_child(struct exec *e, struct diag *d)
{
	const struct exec_namespace plan = {
		.argv = e->opt->argv,
		.network = e->opt->connect->network,
		.addresses = e->addresses,
		.files =
			{
				.name_servers = e->opt->name_servers,
				.n_name_servers = e->opt->n_name_servers,
			},
	};

	return exec_namespace_start(&plan, &e->child, &e->device_fd, d);
}

/* Never the one-device form: its listeners would be in the namespace we are in, not the child's. */
static int open_private(struct exec *e, struct diag *d)
{
	struct diag own;
	int r;

	diag_init(&own, NULL);
	r = private_ns_open_form(&e->ns, PRIVATE_NS_OWN, &e->addresses, 0, &own);
	if (r < 0)
		r = private_ns_open_form(&e->ns, PRIVATE_NS_CHILD, &e->addresses, 0, d);
	diag_deinit(&own);
	return r;
}

static int set_up(struct exec *e, struct diag *d)
{
	uint8_t id[TUN_ULA_ID_SIZE];
	int r;

	random_bytes(id, sizeof(id));
	e->addresses = tun_addresses_default(0, id);
	r = start_child(e, d);
	if (r == 0)
		r = open_private(e, d);
	/* Not before: the command's limit is the user's business. */
	if (r == 0 && fd_limit_raise() < 0)
		log_debug("descriptor limit stays");
	return r == 0 ? client_loop_init(&e->loop, e->opt->connect, on_signal, e, d) : r;
}

/* ---- the run ---- */

static void run(struct exec *e)
{
	struct tunnel_options opt = client_loop_tunnel_options(&e->loop, e->opt->connect);
	int r;

	e->keeper = keeper_new(&opt, &keeper_events, e);
	uv_timer_init(&e->loop.uv, &e->deadline);
	e->deadline.data = e;
	uv_signal_init(&e->loop.uv, &e->child_signal);
	e->child_signal.data = e;
	r = make_capture(e);
	if (r == 0)
		r = uv_timer_start(&e->deadline, on_deadline, CONNECT_MS, 0);
	if (r == 0)
		r = watch_child(e);
	if (r < 0)
		fail(e, CLIENT_EXIT_INTERNAL, "can't start: %s", strerror(-r));
	if (e->state == STATE_ENDED)
		return;
	keeper_start(e->keeper);
	uv_run(&e->loop.uv, UV_RUN_DEFAULT);
}

static void stop(struct exec *e)
{
	routes_feed_close(e->feed);
	capture_free(e->capture);
	keeper_free(e->keeper);
	uv_close((uv_handle_t *)&e->deadline, NULL);
	uv_close((uv_handle_t *)&e->child_signal, NULL);
	client_loop_deinit(&e->loop);
}

int exec_run(const struct exec_options *opt, connect_explain explain)
{
	struct exec e = {
		.opt = opt,
		.explain = explain,
		.child = NS_CHILD_NONE,
		.device_fd = -1,
		.ns = PRIVATE_NS_NONE,
		.status = CLIENT_EXIT_INTERNAL,
	};
	struct diag diag;
	int r;

	diag_init(&diag, NULL);
	r = set_up(&e, &diag);
	if (r == 0) {
		run(&e);
		stop(&e);
	} else {
		explain(diag.n_items > 0 ? diag.items[0].text : strerror(-r));
	}
	diag_deinit(&diag);
	ns_child_close(&e.child);
	private_ns_close(&e.ns);
	close_fd(e.device_fd);
	return e.status;
}
