/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Load for bench/udp.py.
 *
 *   udp_load sink|echo                       a target on loopback: says its port, counts until the
 *                                            end of stdin, says how many
 *   udp_load send CREDENTIALS IP:PORT SIZE SECONDS WINDOW
 *                                            one flow through the tunnel. WINDOW 0: as fast as the
 *                                            stream takes datagrams. Else that many unanswered
 *                                            ones at a time. Says "SENT RECEIVED SECONDS"
 *   udp_load flows CREDENTIALS IP:PORT SIZE N
 *                                            N flows at once, one datagram each, again and again
 *                                            until it was answered. Says "N ANSWERED SECONDS"
 */

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>
#include <uv.h>

#include "base/compiler.h"
#include "base/diag.h"
#include "base/log.h"
#include "client/client_loop.h"
#include "client/connect.h"
#include "client/datagram_flow.h"
#include "client/tunnel.h"

#define BATCH	    64
#define PACKET_MAX  2048
#define BUFFER	    (8 * 1024 * 1024)
#define PER_TURN    128
#define GIVE_UP_MS  200 /* unanswered datagrams are lost after this without any answer */
#define AFTER_MS    500 /* what is on its way arrives by then */
#define CHECK_MS    50
#define FLOWS_MAX_S 60

/* ---- targets ---- */

static unsigned long serve_batch(int fd, bool echo)
{
	static uint8_t packets[BATCH][PACKET_MAX];
	static struct sockaddr_storage peers[BATCH];
	struct mmsghdr messages[BATCH];
	struct iovec iov[BATCH];
	int n;

	for (size_t i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){.iov_base = packets[i], .iov_len = PACKET_MAX};
		messages[i].msg_hdr = (struct msghdr){
			.msg_iov = &iov[i],
			.msg_iovlen = 1,
			.msg_name = &peers[i],
			.msg_namelen = sizeof(peers[i]),
		};
	}
	n = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; echo && i < n; i++)
		iov[i].iov_len = messages[i].msg_len;
	if (echo && n > 0)
		(void)sendmmsg(fd, messages, (unsigned int)n, 0);
	return n > 0 ? (unsigned long)n : 0;
}

static int serve(bool echo)
{
	const int buffer = BUFFER;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in sin = {
		.sin_family = AF_INET,
		.sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)},
	};
	struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
	socklen_t n_sin = sizeof(sin);
	unsigned long n_received = 0;

	if (fd < 0 || bind(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&sin, &n_sin) < 0)
		return EXIT_FAILURE;
	/* Root may go beyond net.core.rmem_max: what is lost here is no loss of the tunnel's. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
	printf("%u\n", ntohs(sin.sin_port));
	fflush(stdout);
	while (poll(fds, 2, -1) >= 0) {
		n_received += serve_batch(fd, echo);
		if (fds[1].revents)
			break;
	}
	printf("%lu\n", n_received);
	return EXIT_SUCCESS;
}

/* ---- the sender ---- */

/* One of many. */
struct one {
	struct load *load;
	struct datagram_flow *flow;
	bool answered;
};

struct load {
	struct one *ones; /* n_ones of them */
	size_t n_ones;
	struct connect_options opt;
	struct client_loop loop;
	struct tunnel *tunnel;
	struct datagram_flow *flow;
	struct endpoint target;
	size_t size;
	uint64_t duration_ms;
	unsigned long window;
	unsigned long n_sent, n_received, n_lost;
	uint64_t began_ms, ended_ms, answered_ms;
	uv_idle_t idle;
	uv_timer_t timer;
	int status;
};

static void finish(struct load *l, int status)
{
	l->status = status;
	uv_idle_stop(&l->idle);
	uv_timer_stop(&l->timer);
	uv_stop(&l->loop.uv);
}

static void over_cb(uv_timer_t *timer)
{
	finish(timer->data, EXIT_SUCCESS);
}

static void stop_sending(struct load *l, uint64_t now_ms)
{
	l->ended_ms = now_ms;
	uv_idle_stop(&l->idle);
	uv_timer_start(&l->timer, over_cb, AFTER_MS, 0);
}

static void send_some(struct load *l)
{
	static uint8_t payload[DATAGRAM_MAX];

	for (unsigned int i = 0; i < PER_TURN; i++) {
		if (l->window && l->n_sent - l->n_received - l->n_lost >= l->window)
			return;
		if (datagram_flow_send(l->flow, payload, l->size) < 0)
			return;
		l->n_sent++;
	}
}

static void idle_cb(uv_idle_t *idle)
{
	struct load *l = idle->data;
	uint64_t now_ms = uv_now(&l->loop.uv);

	if (now_ms - l->began_ms >= l->duration_ms)
		stop_sending(l, now_ms);
	else
		send_some(l);
}

static void check_cb(uv_timer_t *timer)
{
	struct load *l = timer->data;
	uint64_t now_ms = uv_now(&l->loop.uv);

	if (now_ms - l->answered_ms >= GIVE_UP_MS)
		l->n_lost = l->n_sent - l->n_received;
}

static void on_open(void *ctx, struct datagram_flow *f UNUSED)
{
	struct load *l = ctx;

	l->began_ms = uv_now(&l->loop.uv);
	l->answered_ms = l->began_ms;
	uv_idle_start(&l->idle, idle_cb);
	uv_timer_start(&l->timer, check_cb, CHECK_MS, CHECK_MS);
}

static void on_datagram(void *ctx, struct datagram_flow *f UNUSED, const uint8_t *data UNUSED,
			size_t n UNUSED)
{
	struct load *l = ctx;

	l->n_received++;
	l->answered_ms = uv_now(&l->loop.uv);
}

static void on_icmp_error(void *ctx UNUSED, struct datagram_flow *f UNUSED, uint8_t type,
			  uint8_t code)
{
	fprintf(stderr, "ICMP error %u/%u\n", type, code);
}

static void on_flow_end(void *ctx, struct datagram_flow *f UNUSED,
			const struct datagram_flow_end *end)
{
	fprintf(stderr, "the flow ended: %s\n", end->text);
	finish(ctx, EXIT_FAILURE);
}

static const struct datagram_flow_events flow_events = {
	.on_open = on_open,
	.on_datagram = on_datagram,
	.on_icmp_error = on_icmp_error,
	.on_end = on_flow_end,
};

static struct h2_session *session_of(void *ctx)
{
	return tunnel_session(((struct load *)ctx)->tunnel);
}

/* ---- many flows ---- */

static void ask_again_cb(uv_timer_t *timer)
{
	static const uint8_t payload[PACKET_MAX];
	struct load *l = timer->data;

	for (size_t i = 0; i < l->n_ones; i++) {
		if (!l->ones[i].answered)
			(void)datagram_flow_send(l->ones[i].flow, payload, l->size);
	}
	l->ended_ms = uv_now(&l->loop.uv);
	if (l->ended_ms - l->began_ms > FLOWS_MAX_S * 1000)
		finish(l, EXIT_FAILURE);
}

static void one_on_open(void *ctx UNUSED, struct datagram_flow *f UNUSED)
{
}

static void one_on_datagram(void *ctx, struct datagram_flow *f UNUSED, const uint8_t *data UNUSED,
			    size_t n UNUSED)
{
	struct one *one = ctx;
	struct load *l = one->load;

	l->n_received += !one->answered;
	one->answered = true;
	l->ended_ms = uv_now(&l->loop.uv);
	if (l->n_received == l->n_ones)
		finish(l, EXIT_SUCCESS);
}

static void one_on_icmp_error(void *ctx UNUSED, struct datagram_flow *f UNUSED, uint8_t type UNUSED,
			      uint8_t code UNUSED)
{
}

static void one_on_end(void *ctx, struct datagram_flow *f UNUSED,
		       const struct datagram_flow_end *end)
{
	struct one *one = ctx;

	fprintf(stderr, "flow %zu ended: %s\n", (size_t)(one - one->load->ones), end->text);
	finish(one->load, EXIT_FAILURE);
}

static const struct datagram_flow_events one_events = {
	.on_open = one_on_open,
	.on_datagram = one_on_datagram,
	.on_icmp_error = one_on_icmp_error,
	.on_end = one_on_end,
};

static void open_many(struct load *l, const struct datagram_flow_options *opt)
{
	l->began_ms = uv_now(&l->loop.uv);
	for (size_t i = 0; i < l->n_ones; i++) {
		l->ones[i].load = l;
		l->ones[i].flow = datagram_flow_new(opt, &one_events, &l->ones[i]);
	}
	l->n_sent = l->n_ones;
	uv_timer_start(&l->timer, ask_again_cb, 0, 1000);
}

static void on_ready(void *ctx, struct tunnel *t UNUSED)
{
	struct load *l = ctx;
	const struct datagram_flow_options opt = {
		.loop = l->loop.io,
		.kind = DATAGRAM_UDP,
		.target = l->target,
		.token = l->opt.credentials->token,
		.session = session_of,
		.session_ctx = l,
	};

	if (l->n_ones)
		open_many(l, &opt);
	else
		l->flow = datagram_flow_new(&opt, &flow_events, l);
}

static void on_goaway(void *ctx UNUSED, struct tunnel *t UNUSED)
{
}

static void on_tunnel_end(void *ctx, struct tunnel *t, enum client_exit why UNUSED,
			  const char *text)
{
	struct load *l = ctx;

	fprintf(stderr, "the tunnel ended: %s\n", text);
	tunnel_free(t);
	l->tunnel = NULL;
	finish(l, EXIT_FAILURE);
}

static const struct tunnel_events tunnel_events = {
	.on_ready = on_ready,
	.on_goaway = on_goaway,
	.on_end = on_tunnel_end,
};

static void on_signal(void *ctx, int number UNUSED)
{
	finish(ctx, EXIT_FAILURE);
}

static void run(struct load *l)
{
	struct tunnel_options opt = client_loop_tunnel_options(&l->loop, &l->opt);

	uv_idle_init(&l->loop.uv, &l->idle);
	uv_timer_init(&l->loop.uv, &l->timer);
	l->idle.data = l;
	l->timer.data = l;
	l->tunnel = tunnel_new(&opt, &tunnel_events, l);
	if (tunnel_start(l->tunnel) == 0)
		uv_run(&l->loop.uv, UV_RUN_DEFAULT);
	datagram_flow_free(l->flow);
	for (size_t i = 0; i < l->n_ones; i++)
		datagram_flow_free(l->ones[i].flow);
	tunnel_free(l->tunnel);
	uv_close((uv_handle_t *)&l->idle, NULL);
	uv_close((uv_handle_t *)&l->timer, NULL);
}

static int load(char **argv, size_t n_ones)
{
	CLEANUP(client_credentials_free) struct client_credentials *credentials = NULL;
	struct load l = {
		.size = strtoul(argv[2], NULL, 10),
		.status = EXIT_FAILURE,
	};
	struct diag diag;

	if (n_ones == 0) {
		l.duration_ms = strtoul(argv[3], NULL, 10) * 1000;
		l.window = strtoul(argv[4], NULL, 10);
	}
	l.ones = calloc(n_ones + 1, sizeof(*l.ones));
	l.n_ones = n_ones;
	diag_init(&diag, argv[0]);
	if (!l.ones || l.size > PACKET_MAX || endpoint_parse(argv[1], &l.target) < 0 ||
	    client_credentials_load(argv[0], &credentials, &diag) < 0)
		return EXIT_FAILURE;
	l.opt.credentials = credentials;
	if (client_loop_init(&l.loop, &l.opt, on_signal, &l, &diag) < 0)
		return EXIT_FAILURE;
	run(&l);
	client_loop_deinit(&l.loop);
	diag_deinit(&diag);
	free(l.ones);
	printf("%lu %lu %.3f\n", l.n_sent, l.n_received, (double)(l.ended_ms - l.began_ms) / 1000);
	return l.status;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "sink") == 0)
		return serve(false);
	if (argc == 2 && strcmp(argv[1], "echo") == 0)
		return serve(true);
	if (argc == 7 && strcmp(argv[1], "send") == 0)
		return load(argv + 2, 0);
	if (argc == 6 && strcmp(argv[1], "flows") == 0 && atoi(argv[5]) > 0)
		return load(argv + 2, (size_t)atoi(argv[5]));
	fprintf(stderr, "usage: see the head of bench/udp_load.c\n");
	return EX_USAGE;
}
