/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * link_world - diallers and listeners on loopback in one uv loop, with certificates of their own
 *
 * A test turns the loop without blocking, and drives peers that are no links (struct raw)
 * between the turns.
 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/diag.h"
#include "wire/h2_queue.h"
#include "wire/io_loop.h"
#include "wire/link.h"
#include "wire/link_private.h"
#include "wire/tcp_socket.h"
#include "wire/tls.h"
#include "wire/tls_ca.h"

#include "talker.h"

#define WORLD_DEADLINE_MS 20000
#define WORLD_LINKS_MAX	  8

/* The callback in which a link is freed by its owner. */
enum stage {
	STAGE_NONE,
	STAGE_SECURE,
	STAGE_READY,
	STAGE_OPEN,
	STAGE_GOAWAY,
	STAGE_CLOSED,
};

/* A link and what it told. */
struct end {
	struct world *world;
	struct link *link; /* NULL once freed */
	enum h2_role role;
	enum stage free_at;
	enum stage close_at;
	int start_result;
	bool secure;
	bool ready;
	bool goaway;
	bool closed;
	enum link_end why;
	char text[200];
	unsigned int n_opened;
	struct h2_stream *opened;
	void (*on_open)(struct end *end, struct h2_stream *stream);
};

struct world {
	uv_loop_t uv;
	struct io_loop *io;
	uint64_t until_ms;
	struct tls_context *dialler;
	struct tls_context *stranger; /* a dialler that trusts another CA */
	struct tls_context *listener;
	int listen_fd;
	struct endpoint address;
	struct end a;
	struct end b[WORLD_LINKS_MAX]; /* accepted, in order */
	unsigned int n_accepted;
};

static const struct h2_limits link_limits = {
	.max_streams = 100,
	.stream_window_bytes = 1024 * 1024,
	.conn_window_bytes = 4 * 1024 * 1024,
	.header_list_bytes = 16 * 1024,
	.max_frame_bytes = 16384,
	.resets_burst = 1000,
	.resets_per_s = 100,
};

/* ---- certificates ---- */

struct pki {
	char dir[64];
	char ca[96];
	char ca_key[96];
	char cert[96];
	char key[96];
	char other_ca[96];
	char other_key[96];
};

static struct pki pki;

static inline void pki_path(char out[96], const char *name)
{
	snprintf(out, 96, "%s/%s", pki.dir, name);
}

static inline int pki_set_up(void **state UNUSED)
{
	struct tls_names names = {0};
	struct diag diag;
	int64_t now_ms = clock_wall_ms();

	snprintf(pki.dir, sizeof(pki.dir), "/tmp/adit-link-XXXXXX");
	if (!mkdtemp(pki.dir))
		return -1;
	pki_path(pki.ca, "ca.pem");
	pki_path(pki.ca_key, "ca-key.pem");
	pki_path(pki.cert, "cert.pem");
	pki_path(pki.key, "key.pem");
	pki_path(pki.other_ca, "other.pem");
	pki_path(pki.other_key, "other-key.pem");
	diag_init(&diag, NULL);
	assert_int_equal(tls_ca_create(pki.ca, pki.ca_key, &names, now_ms, &diag), 0);
	assert_int_equal(tls_ca_create(pki.other_ca, pki.other_key, &names, now_ms, &diag), 0);
	assert_int_equal(tls_ca_issue(pki.ca, pki.ca_key, pki.cert, pki.key, &names, now_ms, &diag),
			 0);
	diag_deinit(&diag);
	return 0;
}

static inline int pki_tear_down(void **state UNUSED)
{
	const char *files[] = {pki.ca, pki.ca_key, pki.cert, pki.key, pki.other_ca, pki.other_key};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		unlink(files[i]);
	return rmdir(pki.dir);
}

/* ---- links ---- */

/* True when the owner let go of the link in this callback. */
static inline bool end_reached(struct end *e, enum stage stage)
{
	if (e->close_at == stage)
		link_close(e->link, LINK_END_LOCAL);
	if (e->free_at != stage)
		return false;
	link_free(e->link);
	e->link = NULL;
	return true;
}

static inline void end_on_secure(void *ctx, struct link *link)
{
	struct end *e = ctx;

	e->secure = true;
	if (!end_reached(e, STAGE_SECURE))
		e->start_result = link_start(link, e->role, &link_limits, LIVENESS_PINGS);
}

static inline void end_on_ready(void *ctx, struct link *link UNUSED)
{
	struct end *e = ctx;

	e->ready = true;
	(void)end_reached(e, STAGE_READY);
}

static inline void end_on_open(void *ctx, struct link *link UNUSED, struct h2_stream *stream,
			       const struct h2_headers *hdrs UNUSED)
{
	struct end *e = ctx;

	e->n_opened++;
	e->opened = stream;
	if (e->on_open)
		e->on_open(e, stream);
	(void)end_reached(e, STAGE_OPEN);
}

static inline void end_on_goaway(void *ctx, struct link *link UNUSED, uint32_t h2_code UNUSED)
{
	struct end *e = ctx;

	e->goaway = true;
	(void)end_reached(e, STAGE_GOAWAY);
}

static inline void end_on_closed(void *ctx, struct link *link, enum link_end why)
{
	struct end *e = ctx;

	assert_false(e->closed);
	e->closed = true;
	e->why = why;
	snprintf(e->text, sizeof(e->text), "%s", link_error_text(link));
	(void)end_reached(e, STAGE_CLOSED);
}

static const struct link_events end_events = {
	.on_secure = end_on_secure,
	.on_ready = end_on_ready,
	.on_open = end_on_open,
	.on_goaway = end_on_goaway,
	.on_closed = end_on_closed,
};

/* ---- the world ---- */

static inline int listen_on_loopback(struct endpoint *addressp)
{
	struct endpoint any = {.ip = {.family = AF_INET, .bytes = {127, 0, 0, 1}}};
	struct sockaddr_storage ss;
	socklen_t n = endpoint_to_sockaddr(&any, &ss);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&ss, n), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(tcp_socket_local(fd, addressp), 0);
	return fd;
}

static inline void world_init(struct world *w)
{
	struct diag diag;

	memset(w, 0, sizeof(*w));
	w->until_ms = clock_boot_ms() + WORLD_DEADLINE_MS;
	diag_init(&diag, NULL);
	assert_int_equal(uv_loop_init(&w->uv), 0);
	assert_int_equal(io_loop_new(&w->io, &w->uv, 64 * 1024 * 1024), 0);
	assert_int_equal(tls_context_new_dialler(&w->dialler, pki.ca, false, &diag), 0);
	assert_int_equal(tls_context_new_dialler(&w->stranger, pki.other_ca, false, &diag), 0);
	assert_int_equal(tls_context_new_listener(&w->listener, pki.cert, pki.key, &diag), 0);
	diag_deinit(&diag);
	w->listen_fd = listen_on_loopback(&w->address);
	w->a.world = w;
	w->a.role = H2_ROLE_OPENER;
	for (unsigned int i = 0; i < WORLD_LINKS_MAX; i++) {
		w->b[i].world = w;
		w->b[i].role = H2_ROLE_ACCEPTOR;
	}
}

/* Accepted sockets hold little; segments that fit, or the kernel waits for its probe timer. */
static inline void world_make_readers_slow(struct world *w)
{
	int bytes = 4096;
	int segment = 536;

	(void)setsockopt(w->listen_fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	(void)setsockopt(w->listen_fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof(segment));
}

/* Adopts what was dialled. */
static inline void world_accept(struct world *w)
{
	int fd = accept4(w->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct end *e;

	if (fd < 0)
		return;
	assert_true(w->n_accepted < WORLD_LINKS_MAX);
	e = &w->b[w->n_accepted++];
	assert_int_equal(link_adopt(&e->link, w->io, w->listener, fd, &end_events, e), 0);
}

static inline void turn(struct world *w)
{
	world_accept(w);
	uv_run(&w->uv, UV_RUN_NOWAIT);
	assert_true(clock_boot_ms() < w->until_ms);
}

#define TURN_UNTIL(w, condition)                                                                   \
	do {                                                                                       \
		turn(w);                                                                           \
	} while (!(condition))

/* Nothing is ready: the loop would sleep, not spin. */
static inline void assert_idle(struct world *w)
{
	struct pollfd backend = {.fd = uv_backend_fd(&w->uv), .events = POLLIN};

	assert_int_equal(poll(&backend, 1, 0), 0);
	assert_true(list_is_empty(&w->io->tasks));
}

/* Some turns, for what must not happen. */
static inline void turn_on(struct world *w)
{
	for (unsigned int i = 0; i < 50; i++)
		turn(w);
}

static inline void world_deinit(struct world *w)
{
	link_free(w->a.link);
	for (unsigned int i = 0; i < w->n_accepted; i++)
		link_free(w->b[i].link);
	/* Both ends go on with their goodbyes until no handle is left but the loop's own. */
	while (uv_loop_alive(&w->uv)) {
		uv_run(&w->uv, UV_RUN_NOWAIT);
		assert_true(clock_boot_ms() < w->until_ms);
	}
	assert_int_equal(w->io->budget.granted_bytes, 0);
	assert_int_equal(w->io->budget.used_bytes, 0);
	io_loop_free(w->io);
	uv_run(&w->uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->uv), 0);
	tls_context_free(w->dialler);
	tls_context_free(w->stranger);
	tls_context_free(w->listener);
	close(w->listen_fd);
}

static inline void dial_as(struct world *w, struct end *e, struct tls_context *tls,
			   const char *server_name)
{
	struct link_dial_options opt = {.peer = w->address, .server_name = server_name};

	assert_int_equal(link_dial(&e->link, w->io, tls, &opt, &end_events, e), 0);
}

static inline void dial(struct world *w)
{
	dial_as(w, &w->a, w->dialler, "localhost");
}

/* A dialler that opens streams and a listener that accepts them, both ready. */
static inline void world_connect(struct world *w)
{
	dial(w);
	TURN_UNTIL(w, w->a.ready && w->n_accepted == 1 && w->b[0].ready);
}

/* ---- a peer that is no link ---- */

struct raw {
	int fd;
	struct tls_conn *tls;
	struct mem_end h2; /* its session, once it speaks HTTP/2 */
	uint8_t bytes[MEM_OUT_BYTES];
};

static inline void raw_connect(struct world *w, struct raw *r)
{
	struct sockaddr_storage ss;
	socklen_t n = endpoint_to_sockaddr(&w->address, &ss);
	unsigned int before = w->n_accepted;

	memset(r, 0, sizeof(*r));
	r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(r->fd, (struct sockaddr *)&ss, n), 0);
	assert_int_equal(fcntl(r->fd, F_SETFL, O_NONBLOCK), 0);
	/* Nagle would hold bytes back, and a reset would drop them. */
	tcp_socket_tune_link(r->fd);
	TURN_UNTIL(w, w->n_accepted == before + 1);
}

/* All of it: the kernel's buffer has room, or the test is wrong. */
static inline void raw_send(struct raw *r, const void *data, size_t n)
{
	assert_int_equal(send(r->fd, data, n, MSG_NOSIGNAL), n);
}

static inline void raw_flush(struct raw *r)
{
	const uint8_t *data;
	size_t n = tls_output(r->tls, &data);

	if (n == 0)
		return;
	raw_send(r, data, n);
	tls_output_sent(r->tls, n);
}

/* Done with TLS, not a byte of HTTP/2 sent. */
static inline void raw_secure(struct world *w, struct raw *r)
{
	int outcome;

	raw_connect(w, r);
	assert_int_equal(tls_conn_new_dialler(&r->tls, w->dialler, r->fd, "localhost"), 0);
	do {
		outcome = tls_handshake(r->tls);
		raw_flush(r);
		turn(w);
	} while (outcome == TLS_E_AGAIN);
	assert_int_equal(outcome, 0);
}

/* Encrypted, and sent at once. */
static inline void raw_write(struct raw *r, const void *data, size_t n)
{
	assert_int_equal(tls_write(r->tls, data, n), 0);
	raw_flush(r);
}

/* Sends what its session has to say; returns how many bytes. */
static inline size_t raw_say(struct raw *r)
{
	size_t n;

	assert_int_equal(h2_session_pull(r->h2.session, r->bytes, sizeof(r->bytes), &n), 0);
	if (n > 0)
		raw_write(r, r->bytes, n);
	return n;
}

/* Feeds its session what has come; returns what tls_read() said last. */
static inline int raw_hear(struct raw *r)
{
	size_t n;
	int outcome;

	do {
		outcome = tls_read(r->tls, r->bytes, sizeof(r->bytes), &n);
		if (n > 0)
			r->h2.feed_result = h2_session_feed(r->h2.session, r->bytes, n);
	} while (outcome == 0);
	return outcome;
}

/* A secure peer that opens streams; the settings of both have been exchanged. */
static inline void raw_open(struct world *w, struct raw *r)
{
	raw_secure(w, r);
	assert_int_equal(
		h2_session_new(&r->h2.session, H2_ROLE_OPENER, &mem_limits, &mem_events, &r->h2),
		0);
	while (!r->h2.got_settings || !w->b[w->n_accepted - 1].ready) {
		(void)raw_say(r);
		turn(w);
		assert_int_equal(raw_hear(r), TLS_E_AGAIN);
	}
}

static inline void raw_close(struct raw *r)
{
	r->h2.session = h2_session_free(r->h2.session);
	r->tls = tls_conn_free(r->tls);
	r->fd = close_fd(r->fd);
}

/* RST instead of FIN. */
static inline void raw_reset(struct raw *r)
{
	struct linger hard = {.l_onoff = 1, .l_linger = 0};

	(void)setsockopt(r->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	raw_close(r);
}
