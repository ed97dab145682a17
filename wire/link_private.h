/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* link_private - the body that link.c and link_io.c share; nobody else */

#include <uv.h>

#include "wire/bdp.h"
#include "wire/io_loop.h"
#include "wire/link.h"
#include "wire/tls.h"

enum link_state {
	LINK_STATE_DIALLING,
	LINK_STATE_PROXY,
	LINK_STATE_HANDSHAKE,
	LINK_STATE_SECURE,
	LINK_STATE_OPEN,
	LINK_STATE_LINGERING, /* ours is said, the peer's FIN is awaited: a close with unread
			       * input would make TCP drop what we sent */
	LINK_STATE_CLOSED,
	LINK_STATE_N,
};

enum link_bit {
	LINK_WANTS_WRITABLE = 1 << 0, /* the socket took less than we had */
	LINK_SUSPECT = 1 << 1,
	LINK_ENDING = 1 << 2, /* link_close() was called */
	LINK_DEAF = 1 << 3,   /* the peer's end: a send failed, reading goes on */
	LINK_FIN_SENT = 1 << 4,
};

struct link {
	struct io_loop *loop;
	const struct link_events *events; /* NULL: the owner is gone */
	void *ctx;
	enum link_state state;
	unsigned int bits;
	int fd;
	unsigned int n_handles;
	uv_poll_t poll;
	uv_timer_t timer;
	struct io_task flush;
	struct io_task read_on;
	struct io_task end;
	struct io_task relief; /* over budget: gives withheld credit back */
	struct tls_context *tls_context;
	struct tls_conn *tls;
	struct h2_session *session;
	struct liveness liveness;
	uint64_t phase_deadline_ms; /* UINT64_MAX: none */
	struct endpoint peer;
	struct endpoint local;
	char *server_name;
	enum proxy_kind proxy_kind;
	struct proxy_dial *proxy;     /* until the tunnel stands; NULL: none */
	uint32_t granted_bytes;	      /* connection window, counted in the loop's budget */
	uint32_t stream_window_bytes; /* what streams may grow to by now ... */
	uint32_t stream_window_max;   /* ... and ever */
	struct bdp bdp;		      /* of the connection window */
	uint64_t measure_us;	      /* when the last measuring PING was sent */
	uint64_t ping_us;	      /* opaque value of the last PING: when it was sent */
	unsigned int n_last_pulls;    /* of the session, that a goodbye may still make */
	uint64_t bytes_in;
	uint64_t bytes_out;
	enum link_end why;
	char error_text[256];
};

void link_set_state(struct link *l, enum link_state state, uint64_t timeout_ms);
/* Keeps the first text. */
void link_keep_error(struct link *l, const char *text);
/* Phase deadline or liveness, whatever comes first. */
void link_schedule(struct link *l);
/* Something was read. */
void link_heard(struct link *l, uint64_t now_ms);
/* The TLS handshake finished: on_secure. */
void link_secured(struct link *l);
/* Everything is closed now: handles, descriptor, on_closed. */
void link_finish(struct link *l);

/* ---- link_window.c ---- */

#define LINK_STREAM_WINDOW_MAX (16u * 1024 * 1024)
#define LINK_CONN_WINDOW_MAX   (32u * 1024 * 1024)

/* Asks the budget for the connection's window, which may come out smaller. False: refused. */
bool link_window_open(struct link *l, struct h2_limits *limits);
void link_window_close(struct link *l);
/* @n bytes of DATA. True: their connection credit may go back at once. */
bool link_window_received(struct link *l, size_t n);
/* After each feed. */
void link_window_fed(struct link *l);
/* The budget has room again: withheld credit goes back. */
void link_window_relieve(struct link *l);
/* An answer to a PING. False: not to one that measures. */
bool link_window_pong(struct link *l, uint64_t opaque);

/* ---- link_proxy.c ---- */

/* TCP to the proxy stands. */
void link_proxy_begin(struct link *l);
/* The socket can be read or written. */
void link_proxy_go_on(struct link *l);

/* ---- link_io.c ---- */

/* The path to the peer stands, the dialler's TLS begins. */
void link_begin_tls(struct link *l);

void link_poll_cb(uv_poll_t *poll, int status, int events);
void link_flush_run(struct io_task *task);
void link_read_run(struct io_task *task);
/* What is still to be said is said; then FIN, and the peer's is awaited. */
void link_linger(struct link *l);
/* The goodbye goes on: the socket takes more, or the owner is gone. */
void link_linger_on(struct link *l);
/* Sets the poll's interest; 0 or -errno. */
int link_arm(struct link *l);
