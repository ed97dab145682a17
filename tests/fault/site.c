/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fault/site.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <jansson.h>

#include "agent/agent_private.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/diag.h"
#include "ctrl/ctrl_client.h"
#include "edge/connection.h"
#include "edge/edge.h"
#include "tests/fault/fault.h"
#include "wire/h2_stream.h"
#include "wire/io_loop.h"
#include "wire/link.h"
#include "wire/tcp_socket.h"
#include "wire/tls.h"
#include "wire/tls_ca.h"

#define DESTINATION   "10.116.0.3:22"
#define N_UPLINKS     2
#define ECHOES_MAX    16
#define ECHO_BYTES    65536
#define JUMP_MAX_MS   250
#define QUIET_POLL_MS 1
#define TEXT_MAX      4096
#define TOKEN_MAX     256

/* A connection that the agent made: what comes goes back. */
struct echo {
	int fd; /* 0: none */
	bool is_half_closed;
	size_t n;
	uint8_t bytes[ECHO_BYTES];
};

static struct site {
	char dir[64];
	char note[128]; /* what is tried now */
	int stderr_fd;	/* the real one */
	int said_fd;	/* in its place */
	uint16_t port;
	int listen_fd;
	uint16_t echo_port;
	struct echo echoes[ECHOES_MAX];
	int udp_fd;	       /* the same port: datagrams go back, too */
	char token[TOKEN_MAX]; /* with "Bearer " before it */
	unsigned int version;  /* of the configs */
	uv_loop_t uv;	       /* the client's */
	struct io_loop *io;
	struct tls_context *tls;
	struct link *link;
	bool link_ready;
} site;

static struct call {
	struct h2_stream *stream;
	bool is_asked; /* waits for a link to be ready, or runs */
	enum call_kind kind;
	size_t n, sent, received;
	bool is_ok;
	bool eof;
	bool closed;
	uint32_t code;
} call;

/* ---- what is said ---- */

bool site_said_something(void)
{
	bool has = lseek(site.said_fd, 0, SEEK_END) > 0;

	if (ftruncate(site.said_fd, 0) < 0 || lseek(site.said_fd, 0, SEEK_SET) < 0)
		abort();
	return has;
}

static void print_said(void)
{
	char said[TEXT_MAX];
	off_t at = 0;
	ssize_t n;

	while ((n = pread(site.said_fd, said, sizeof(said), at)) > 0) {
		(void)!write(site.stderr_fd, said, (size_t)n);
		at += n;
	}
}

/* An assertion, or a sanitizer: what it said is among the rest. */
static void on_crash(int number)
{
	(void)!write(site.stderr_fd, site.note, strlen(site.note));
	print_said();
	signal(number, SIG_DFL);
	raise(number);
}

void site_fail(const char *text)
{
	dprintf(STDERR_FILENO, "%s: %s was made to fail\n", text, fault_name());
	abort();
}

static void mute(void)
{
	site.stderr_fd = dup(STDERR_FILENO);
	site.said_fd = memfd_create("stderr", MFD_CLOEXEC);
	dup2(site.said_fd, STDERR_FILENO);
	setvbuf(stderr, NULL, _IONBF, 0);
	signal(SIGABRT, on_crash);
	signal(SIGSEGV, on_crash);
}

void site_note(const char *text)
{
	snprintf(site.note, sizeof(site.note), "%s\n", text);
}

static void need(bool condition, const char *text)
{
	if (!condition)
		site_fail(text);
}

unsigned int site_count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	need(dir != NULL, "no /proc");
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* ---- files ---- */

static char *path_of(const char *name)
{
	static char paths[4][128];
	static unsigned int next;
	char *path = paths[next++ % ARRAY_SIZE(paths)];

	snprintf(path, sizeof(paths[0]), "%s/%s", site.dir, name);
	return path;
}

static void write_file(const char *name, const char *text)
{
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	need(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), name);
	close(fd);
}

uint32_t site_grace_ms(unsigned int version)
{
	return (1 + version % 7) * 1000;
}

void site_write_configs(unsigned int version)
{
	char text[TEXT_MAX];

	site.version = version;
	snprintf(text, sizeof(text),
		 "listen: 127.0.0.1:%u\nstate-directory: %s\ncontrol-socket: %s/edge.sock\n"
		 "access-log: %s/access.log\nloglevel: error\ndrain-timeout: %us\n"
		 "limits:\n  handshakes-per-second: 1000000\n",
		 site.port, site.dir, site.dir, site.dir, site_grace_ms(version) / 1000);
	write_file("edge.yml", text);
	snprintf(text, sizeof(text),
		 "edge: 127.0.0.1:%u\ncacert: %s/ca.pem\ncredentials-file: %s/agent.json\n"
		 "control-socket: %s/agent.sock\nstate-directory: %s/agent\nha-connections: %d\n"
		 "loglevel: error\ngrace-period: %us\nroutes:\n"
		 "  - network: 10.116.0.3\n    via: 127.0.0.1:%u\n  - network: 10.116.%u.0/24\n",
		 site.port, site.dir, site.dir, site.dir, site.dir, N_UPLINKS,
		 site_grace_ms(version) / 1000, site.echo_port, version % 7 + 1);
	write_file("agent.yml", text);
}

static void make_certificates(void)
{
	struct tls_names names = {0};
	struct diag diag;

	diag_init(&diag, NULL);
	need(tls_ca_create(path_of("ca.pem"), path_of("ca-key.pem"), &names, clock_wall_ms(),
			   &diag) == 0 &&
		     tls_ca_issue(path_of("ca.pem"), path_of("ca-key.pem"), path_of("cert.pem"),
				  path_of("key.pem"), &names, clock_wall_ms(), &diag) == 0,
	     "no certificates");
	need(tls_context_new_dialler(&site.tls, path_of("ca.pem"), true, &diag) == 0, "no TLS");
	diag_deinit(&diag);
}

static int listen_anywhere(uint16_t *portp)
{
	struct endpoint at = {.ip = {.family = AF_INET, .bytes = {127, 0, 0, 1}}};
	struct sockaddr_storage ss;
	socklen_t n = endpoint_to_sockaddr(&at, &ss);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	need(fd >= 0 && bind(fd, (struct sockaddr *)&ss, n) == 0 && listen(fd, 64) == 0 &&
		     tcp_socket_local(fd, &at) == 0,
	     "no listener");
	*portp = at.port;
	return fd;
}

static int bind_datagrams(uint16_t port)
{
	struct endpoint at = {.ip = {.family = AF_INET, .bytes = {127, 0, 0, 1}}, .port = port};
	struct sockaddr_storage ss;
	socklen_t n = endpoint_to_sockaddr(&at, &ss);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	need(fd >= 0 && bind(fd, (struct sockaddr *)&ss, n) == 0, "no port for datagrams");
	return fd;
}

/* ---- the daemons ---- */

static int run_agent(void)
{
	static struct agent_options opt = {.starter_fd = -1};
	static char path[128];

	snprintf(path, sizeof(path), "%s/agent.yml", site.dir);
	opt.config_path = path;
	return agent_run(&opt);
}

static int run_edge(void)
{
	static struct edge_source source;
	static char path[128];
	struct edge_settings *settings;
	struct diag diag;
	int r;

	snprintf(path, sizeof(path), "%s/edge.yml", site.dir);
	source.config_path = path;
	diag_init(&diag, source.config_path);
	r = edge_settings_load(&settings, source.config_path, NULL, &diag);
	diag_print(&diag);
	diag_deinit(&diag);
	return r < 0 ? EDGE_EXIT_CONFIG : (int)edge_run(settings, &source);
}

struct daemon site_agent = {.name = "agent", .run = run_agent};
struct daemon site_edge = {.name = "edge", .run = run_edge};

bool site_agent_ended(void)
{
	return !site_agent.is_up;
}

bool site_edge_ended(void)
{
	return !site_edge.is_up;
}

struct agent *site_agent_object(void)
{
	return site_agent.is_up ? daemon_owner(&site_agent) : NULL;
}

struct edge *site_edge_object(void)
{
	return site_edge.is_up ? daemon_owner(&site_edge) : NULL;
}

bool site_edge_serves(void)
{
	const struct edge *e = site_edge_object();

	return e && e->listener && site_edge.loop;
}

bool site_is_healthy(void)
{
	const struct agent *a = site_agent_object();
	const char *reason;
	size_t n;

	if (!a || !a->supervisor || !a->routes.advertise || !site_edge_serves() ||
	    supervisor_n_registered(a->supervisor) < N_UPLINKS ||
	    a->service.health != HEALTH_HEALTHY ||
	    a->live->grace_period_ms != site_grace_ms(site.version))
		return false;
	n = advertise_routes(a->routes.advertise)->n_routes;
	for (size_t i = 0; i < n; i++)
		if (advertise_entry_state(a->routes.advertise, i, &reason) !=
		    ADVERTISE_STATE_ACCEPTED)
			return false;
	return n > 0 && advertise_deadline_ms(a->routes.advertise) == UINT64_MAX;
}

/* ---- the echo ---- */

static void accept_echoes(void)
{
	int fd = accept4(site.listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	for (size_t i = 0; fd >= 0 && i < ECHOES_MAX; i++) {
		struct echo *e = &site.echoes[i];

		if (e->fd)
			continue;
		e->fd = fd;
		e->n = 0;
		e->is_half_closed = false;
		return;
	}
	if (fd >= 0)
		close(fd);
}

static void end_echo(struct echo *e)
{
	close(e->fd);
	e->fd = 0;
}

/* True if something moved. */
static bool serve_echo(struct echo *e)
{
	ssize_t n_in = -1, n_out = -1;

	if (!e->is_half_closed && e->n < ECHO_BYTES) {
		n_in = recv(e->fd, e->bytes + e->n, ECHO_BYTES - e->n, 0);
		e->is_half_closed = n_in == 0;
		e->n += n_in > 0 ? (size_t)n_in : 0;
	}
	if (n_in < 0 && errno != EAGAIN) {
		end_echo(e);
		return true;
	}
	if (e->n > 0) {
		n_out = send(e->fd, e->bytes, e->n, MSG_NOSIGNAL);
		if (n_out > 0) {
			e->n -= (size_t)n_out;
			memmove(e->bytes, e->bytes + n_out, e->n);
		}
	}
	if ((e->is_half_closed && e->n == 0) || (n_out < 0 && e->n > 0 && errno != EAGAIN))
		end_echo(e);
	return n_in >= 0 || n_out > 0;
}

static bool serve_echoes(void)
{
	bool moved = false;

	accept_echoes();
	for (size_t i = 0; i < ECHOES_MAX; i++)
		if (site.echoes[i].fd)
			moved |= serve_echo(&site.echoes[i]);
	return moved;
}

static bool serve_datagrams(void)
{
	struct sockaddr_storage from;
	socklen_t n_from = sizeof(from);
	uint8_t bytes[2048];
	ssize_t n =
		recvfrom(site.udp_fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &n_from);

	if (n >= 0)
		(void)sendto(site.udp_fd, bytes, (size_t)n, 0, (struct sockaddr *)&from, n_from);
	return n >= 0;
}

/* ---- turns ---- */

static bool is_quiet(uint64_t *wait_msp)
{
	return work_out() == 0 && (!site_agent.loop || loop_is_quiet(site_agent.loop, wait_msp)) &&
	       (!site_edge.loop || loop_is_quiet(site_edge.loop, wait_msp)) &&
	       (!site.io || loop_is_quiet(&site.uv, wait_msp));
}

void site_turn(void)
{
	uint64_t wait_ms = JUMP_MAX_MS;
	bool moved;

	(void)daemon_turn(&site_edge);
	(void)daemon_turn(&site_agent);
	if (site.io)
		uv_run(&site.uv, UV_RUN_NOWAIT);
	moved = serve_echoes();
	moved |= serve_datagrams();
	if (moved || !is_quiet(&wait_ms))
		return;
	/* Workers and the kernel get a moment that is no turn of the clock's. */
	poll(NULL, 0, QUIET_POLL_MS);
	if (is_quiet(&wait_ms))
		time_jump(wait_ms + 1);
}

bool site_until(bool (*condition)(void), uint64_t limit_ms)
{
	uint64_t until_ms = clock_boot_ms() + limit_ms;

	while (!condition()) {
		if (clock_boot_ms() >= until_ms)
			return false;
		site_turn();
	}
	return true;
}

/* ---- the administrator ---- */

static json_t *edge_answer;
static _Atomic bool edge_answered;

struct question {
	const char *command;
	json_t *args;
	char socket[128];
};

static void *ask(void *arg)
{
	struct question *q = arg;
	struct ctrl_error error = {0};

	fault_set_thread(&fault_never);
	edge_answer = NULL;
	if (ctrl_call(q->socket, q->command, q->args, 20000, &edge_answer, &error) != 0)
		fprintf(stderr, "%s: %s\n", q->command, error.text);
	edge_answered = true;
	work_end();
	return NULL;
}

/* @args is stolen. A new reference. */
static json_t *ask_edge(const char *command, json_t *args)
{
	struct question q = {.command = command, .args = args};
	pthread_t thread;

	snprintf(q.socket, sizeof(q.socket), "%s", path_of("edge.sock"));
	edge_answered = false;
	work_begin();
	need(pthread_create(&thread, NULL, ask, &q) == 0, "no thread");
	while (!edge_answered)
		site_turn();
	pthread_join(thread, NULL);
	json_decref(args);
	need(edge_answer != NULL, command);
	return edge_answer;
}

static void make_tunnel(void)
{
	json_t *tunnel = ask_edge("tunnel.create", json_pack("{s:s}", "name", "lab"));
	char *text = json_dumps(json_object_get(tunnel, "credentials"), 0);

	write_file("agent.json", text);
	free(text);
	json_decref(tunnel);
	json_decref(ask_edge("grant.add",
			     json_pack("{s:s, s:s}", "tunnel", "lab", "prefix", "10.116.0.0/16")));
}

static void make_client(void)
{
	json_t *client = ask_edge("client.add", json_pack("{s:s}", "name", "ann"));
	const char *token = json_string_value(json_object_get(client, "token"));

	need(token != NULL, "no token");
	snprintf(site.token, sizeof(site.token), "Bearer %s", token);
	json_decref(client);
	json_decref(ask_edge("client.grant.add",
			     json_pack("{s:s, s:s}", "client", "ann", "prefix", "10.116.0.0/16")));
}

/* ---- life ---- */

void site_set_up(void)
{
	int fd;

	fault_set_thread(&fault_never);
	mute();
	snprintf(site.dir, sizeof(site.dir), "/tmp/adit-fault-XXXXXX");
	need(mkdtemp(site.dir) != NULL, "no folder");
	make_certificates();
	site.listen_fd = listen_anywhere(&site.echo_port);
	site.udp_fd = bind_datagrams(site.echo_port);
	fd = listen_anywhere(&site.port);
	close(fd);
	site_write_configs(0);
	need(uv_loop_init(&site.uv) == 0 && io_loop_new(&site.io, &site.uv, 1 << 24) == 0,
	     "no loop");
	daemon_start(&site_edge);
	need(site_until(site_edge_serves, 60000), "the edge doesn't start");
	make_tunnel();
	make_client();
	(void)site_said_something();
}

static void remove_folder(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	char name[512];

	while (dir && (entry = readdir(dir)) != NULL) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		if (unlink(name) < 0)
			remove_folder(name);
	}
	if (dir)
		closedir(dir);
	rmdir(path);
}

void site_tear_down(void)
{
	call_hang_up();
	for (size_t i = 0; i < ECHOES_MAX; i++)
		if (site.echoes[i].fd)
			end_echo(&site.echoes[i]);
	io_loop_free(site.io);
	uv_run(&site.uv, UV_RUN_DEFAULT);
	need(uv_loop_close(&site.uv) == 0, "handles are left");
	site.io = NULL;
	tls_context_free(site.tls);
	close(site.listen_fd);
	close(site.udp_fd);
	remove_folder(site.dir);
	dup2(site.stderr_fd, STDERR_FILENO);
	close(site.stderr_fd);
	close(site.said_fd);
}

/* ---- streams ---- */

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 31 + i / 251);
}

static ssize_t read_call(void *ctx UNUSED, uint8_t *buf, size_t cap)
{
	size_t n = call.n - call.sent;

	if (n == 0 && call.kind != CALL_ENDS)
		return -EAGAIN;
	n = n < cap ? n : cap;
	for (size_t i = 0; i < n; i++)
		buf[i] = pattern(call.sent + i);
	call.sent += n;
	return (ssize_t)n;
}

static void call_response(void *ctx UNUSED, struct h2_stream *stream UNUSED,
			  const struct h2_headers *hdrs)
{
	call.is_ok = !strcmp(h2_headers_get(hdrs, ":status"), "200");
}

static void call_data(void *ctx UNUSED, struct h2_stream *stream, const uint8_t *data, size_t n)
{
	for (size_t i = 0; call.is_ok && i < n; i++)
		need(data[i] == pattern(call.received + i), "other bytes came back");
	call.received += n;
	h2_stream_credit(stream, n);
	if (call.kind == CALL_RESETS && call.received >= call.n / 2)
		h2_stream_reset(stream, H2_CODE_CANCEL);
}

static void call_eof(void *ctx UNUSED, struct h2_stream *stream UNUSED)
{
	call.eof = true;
}

static void call_closed(void *ctx UNUSED, struct h2_stream *stream UNUSED, uint32_t code)
{
	call.closed = true;
	call.code = code;
	call.stream = NULL;
}

static const struct h2_stream_events call_events = {
	.on_response = call_response,
	.on_data = call_data,
	.on_eof = call_eof,
	.on_closed = call_closed,
};

static void open_call(void)
{
	const struct h2_header request[] = {
		{.name = ":method", .value = "CONNECT"},
		{.name = ":authority", .value = DESTINATION},
		{.name = "proxy-authorization", .value = site.token, .secret = true},
	};
	struct h2_session *session = link_session(site.link);
	int r = -ENOTCONN;

	/* None: the link is about to close. */
	if (session)
		r = h2_stream_open(session, &call.stream, request, ARRAY_SIZE(request), false,
				   &call_events, NULL);
	if (r != 0)
		call.closed = true;
	else
		h2_stream_set_source(call.stream, read_call, NULL);
}

static void client_secure(void *ctx UNUSED, struct link *link)
{
	(void)!link_start(link, H2_ROLE_OPENER, &edge_agent_limits, LIVENESS_PINGS);
}

static void client_ready(void *ctx UNUSED, struct link *link UNUSED)
{
	site.link_ready = true;
	if (call.is_asked && !call.stream && !call.closed)
		open_call();
}

static void client_closed(void *ctx UNUSED, struct link *link, enum link_end why UNUSED)
{
	site.link = NULL;
	site.link_ready = false;
	call.closed = true;
	link_free(link);
}

static const struct link_events client_events = {
	.on_secure = client_secure,
	.on_ready = client_ready,
	.on_closed = client_closed,
};

static int dial(void)
{
	struct link_dial_options opt = {
		.peer = {.ip = {.family = AF_INET, .bytes = {127, 0, 0, 1}}, .port = site.port},
		.server_name = "localhost",
	};

	return link_dial(&site.link, site.io, site.tls, &opt, &client_events, NULL);
}

void call_begin(size_t n, enum call_kind kind)
{
	call = (struct call){.is_asked = true, .kind = kind, .n = n};
	if (site.link_ready)
		open_call();
	else if (!site.link && dial() < 0)
		call.closed = true;
}

bool site_is_linked(void)
{
	if (!site.link && dial() < 0)
		site_fail("the client can't dial");
	return site.link_ready && link_session(site.link);
}

struct h2_session *site_session(void)
{
	return site.link_ready ? link_session(site.link) : NULL;
}

struct io_loop *site_io(void)
{
	return site.io;
}

const char *site_token(void)
{
	return site.token + strlen("Bearer ");
}

enum call_end call_state(void)
{
	if (!call.closed)
		return CALL_RUNS;
	if (!call.is_ok || !call.eof || call.code != 0)
		return CALL_BROKEN;
	return call.received == call.n ? CALL_COMPLETE : CALL_CUT_OFF;
}

bool call_is_over(void)
{
	return call.closed;
}

bool call_is_echoed(void)
{
	return call.closed || call.received == call.n;
}

void call_hang_up(void)
{
	if (site.link)
		link_close(site.link, LINK_END_LOCAL);
	while (site.link)
		site_turn();
	call = (struct call){.closed = true};
}
