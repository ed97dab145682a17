/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The helper: isolate, then one request after the other, then clean up.
 *
 * It trusts nothing that comes over the channel: each message is compared with bounds copied before
 * privileges were dropped on the other side. It holds no TUN descriptor, so the device goes when
 * the main process does. It outlives that one to clean up, hence no PDEATHSIG and a session of its
 * own.
 */

#include "client/net_helper_service.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/log.h"
#include "base/privileges.h"
#include "client/net_helper_dns.h"
#include "tun/netlink_cleanup.h"
#include "tun/netlink_socket.h"

#define EXIT_CLEAN    0
#define EXIT_LEFT     1
#define EXIT_NO_START 2

#define REFUSALS_LOGGED 16

struct service {
	int channel;
	int signals; /* signalfd: SIGTERM */
	const struct net_bounds *bounds;
	const char *resolvectl;
	struct netlink *nl;
	size_t n_routes;
	uint64_t n_refused;
	bool dns_is_set;
};

/* Handlers of the main process's event loop would write into descriptors that are closed here. */
static int take_signals(void)
{
	static const int ignored[] = {SIGINT, SIGQUIT, SIGHUP, SIGPIPE, SIGTSTP, SIGTTOU};
	sigset_t mask;

	for (int number = 1; number < SIGRTMIN; number++)
		signal(number, SIG_DFL);
	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	if (sigprocmask(SIG_SETMASK, &mask, NULL) < 0)
		return -errno;
	return 0;
}

static int open_signals(int *fdp)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	*fdp = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	return *fdp < 0 ? -errno : 0;
}

static int quiet_stdio(void)
{
	CLEANUP(close_fd) int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0 || dup2(fd, STDIN_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0)
		return -errno;
	return 0;
}

static int close_between(int first, int last)
{
	if (first > last)
		return 0;
	return close_range((unsigned int)first, (unsigned int)last, 0) < 0 ? -errno : 0;
}

/* All but stdio, @a and @b (-1: none). */
static int close_the_rest(int a, int b)
{
	int low = a < b ? a : b;
	int high = a < b ? b : a;
	int next = STDERR_FILENO + 1;
	int r = 0;

	if (low >= next) {
		r = close_between(next, low - 1);
		next = low + 1;
	}
	if (r == 0)
		r = close_between(next, high - 1);
	return r == 0 ? close_between(high + 1, INT32_MAX) : r;
}

static int isolate(struct service *s, int keep_fd)
{
	int r;

	prctl(PR_SET_NAME, "adit-net", 0, 0, 0);
	prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
	setsid();
	r = take_signals();
	if (r == 0)
		r = quiet_stdio();
	if (r == 0)
		r = close_the_rest(s->channel, keep_fd);
	if (r == 0)
		r = open_signals(&s->signals);
	if (r == 0)
		r = privileges_keep(PRIVILEGE(CAP_NET_ADMIN));
	if (r == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		r = -errno;
	return r == 0 ? netlink_open(&s->nl) : r;
}

/* Nothing to be done about a peer that doesn't read but to wait for room, or for SIGTERM. */
static int send_reply(struct service *s, uint32_t id, int result, const char *text)
{
	struct net_reply reply = {.id = id, .result = result};
	struct pollfd fds[] = {{.fd = s->channel, .events = POLLOUT},
			       {.fd = s->signals, .events = POLLIN}};

	snprintf(reply.text, sizeof(reply.text), "%s", text);
	while (send(s->channel, &reply, sizeof(reply), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		if (poll(fds, ARRAY_SIZE(fds), -1) > 0 && fds[1].revents)
			return -EINTR;
	}
	return 0;
}

/* Routes that went with a device set down weren't subtracted: count anew before refusing. */
static bool has_room(struct service *s)
{
	struct netlink_found found;

	if (s->n_routes >= NET_ROUTES_MAX &&
	    netlink_count_own(s->nl, &s->bounds->numbers, &found) == 0)
		s->n_routes = found.n_routes;
	return s->n_routes < NET_ROUTES_MAX;
}

static int add_route(struct service *s, struct net_request *request)
{
	struct netlink_route route = net_request_to_route(request, s->bounds);
	int r;

	if (!has_room(s))
		return -ENOSPC;
	r = netlink_route_add(s->nl, &route);
	s->n_routes += r == 0;
	return r;
}

static int delete_route(struct service *s, struct net_request *request)
{
	struct netlink_route route = net_request_to_route(request, s->bounds);
	int r = netlink_route_delete(s->nl, &route);

	if (r == 0 && s->n_routes)
		s->n_routes--;
	return r;
}

static int add_rule(struct service *s, struct net_request *request)
{
	return netlink_rule_add(s->nl, &s->bounds->numbers,
				(enum netlink_rule_kind)request->rule.rule_kind,
				request->rule.family);
}

static int delete_rule(struct service *s, struct net_request *request)
{
	return netlink_rule_delete(s->nl, &s->bounds->numbers,
				   (enum netlink_rule_kind)request->rule.rule_kind,
				   request->rule.family);
}

static int revert_dns(struct service *s)
{
	/* They went with the device. */
	if (!s->dns_is_set || !if_nametoindex(s->bounds->device)) {
		s->dns_is_set = false;
		return 0;
	}
	s->dns_is_set = false;
	return net_helper_dns_revert(s->resolvectl, s->bounds->device);
}

static int set_dns(struct service *s, struct net_request *request)
{
	struct ip_addr server = {.family = request->dns.server_family};
	char *names[NET_DOMAINS_MAX];
	size_t n;
	int r;

	if (!server.family)
		return revert_dns(s);
	if (!net_helper_dns_available(s->resolvectl))
		return -EOPNOTSUPP;
	memcpy(server.bytes, request->dns.server, sizeof(server.bytes));
	n = net_request_to_domains(request, names);
	r = net_helper_dns_apply(s->resolvectl, s->bounds->device, &server, names, n);
	s->dns_is_set = r == 0;
	return r;
}

static const struct {
	int (*act)(struct service *s, struct net_request *request);
	bool netlink; /* a failure's words are the kernel's */
} actions[] = {
	[NET_REQUEST_ROUTE_ADD] = {add_route, true},
	[NET_REQUEST_ROUTE_DELETE] = {delete_route, true},
	[NET_REQUEST_RULE_ADD] = {add_rule, true},
	[NET_REQUEST_RULE_DELETE] = {delete_rule, true},
	[NET_REQUEST_DNS_SET] = {set_dns, false},
};

/* All of the first, then ever fewer: whoever sends them shall not fill the log. */
static bool is_worth_a_line(uint64_t n)
{
	return n <= REFUSALS_LOGGED || (n & (n - 1)) == 0;
}

static int refuse(struct service *s, const struct net_request *request, const char *why)
{
	if (is_worth_a_line(++s->n_refused))
		log_warn("refused a request of the main process", log_text("reason", why),
			 log_int("kind", request->kind), log_int("refused", (int64_t)s->n_refused));
	return send_reply(s, request->id, -EPERM, why);
}

static int carry_out(struct service *s, const void *data, size_t n)
{
	struct net_request request = {0};
	const char *why = net_request_check(s->bounds, data, n, &request);
	const char *text = "";
	int r;

	if (why)
		return refuse(s, &request, why);
	r = actions[request.kind].act(s, &request);
	if (r == -EOPNOTSUPP && request.kind == NET_REQUEST_DNS_SET)
		text = "resolvectl isn't installed";
	else if (r < 0 && actions[request.kind].netlink)
		text = netlink_error(s->nl);
	return send_reply(s, request.id, r, text);
}

/* One byte more than any request has, so that a longer one isn't mistaken for it. */
static int serve_one(struct service *s)
{
	char data[sizeof(struct net_request) + 1];
	ssize_t n = recv(s->channel, data, sizeof(data), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -EPIPE;
	return carry_out(s, data, (size_t)n);
}

static void serve(struct service *s)
{
	struct pollfd fds[] = {{.fd = s->channel, .events = POLLIN},
			       {.fd = s->signals, .events = POLLIN}};
	int r = 0;

	while (r == 0) {
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			return;
		if (fds[1].revents)
			return;
		if (fds[0].revents)
			r = serve_one(s);
	}
}

static int clean_up(struct service *s)
{
	struct netlink_found found = {0};
	int dns = revert_dns(s);
	int r = netlink_cleanup(s->nl, &s->bounds->numbers, &found);

	if (dns < 0)
		log_warn("DNS settings couldn't be taken back",
			 log_text("device", s->bounds->device), log_text("reason", strerror(-dns)));
	if (r < 0)
		log_error("routes or rules are left behind", log_text("reason", strerror(-r)),
			  log_int("table", s->bounds->numbers.table));
	return r < 0 || dns < 0 ? EXIT_LEFT : EXIT_CLEAN;
}

int net_helper_service_run(int channel, const struct net_helper_config *config)
{
	struct service s = {
		.channel = channel,
		.signals = -1,
		.bounds = &config->bounds,
		.resolvectl = config->resolvectl ? config->resolvectl : NET_HELPER_RESOLVECTL,
	};
	int r = isolate(&s, config->keep_fd);
	int status = EXIT_NO_START;

	if (send_reply(&s, 0, r, "") == 0 && r == 0)
		serve(&s);
	if (r == 0)
		status = clean_up(&s);
	log_flush();
	netlink_close(s.nl);
	return status;
}
