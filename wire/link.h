/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * link - one TCP + TLS + HTTP/2 connection on an io_loop
 *
 *   DIALLING -> [PROXY] -> HANDSHAKE -> SECURE -> OPEN -> CLOSED
 *
 * DIALLING   connect() is under way (dialler only)
 * PROXY      a proxy is asked for the tunnel; the deadline is still DIALLING's
 * HANDSHAKE  TLS is under way
 * SECURE     TLS is done and on_secure ran; the owner calls link_start()
 * OPEN       HTTP/2 runs; streams come and go
 * CLOSED     on_closed ran or will run from a task; nothing else is called any more
 *
 * Each phase has its deadline (wire/proto.h). Reading never stops while the
 * link is open: back-pressure is per stream, by credit. Output is pulled once
 * per loop turn, the next only when the last went out: at most TLS_WRITE_MAX wait. Liveness is
 * checked by one timer.
 *
 * Ownership: the owner holds one reference from link_dial() or link_adopt() until
 * it calls link_free(), at any time, also from on_closed; memory goes when uv has
 * let the handles go.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "wire/h2_session.h"
#include "wire/liveness.h"
#include "wire/proxy_dial.h"

struct io_loop;
struct link;
struct tls_context;

enum link_end {
	LINK_END_LOCAL,	      /* link_close() */
	LINK_END_CONNECT,     /* TCP connect failed */
	LINK_END_PROXY,	      /* the proxy opened no tunnel */
	LINK_END_TLS,	      /* handshake failed; see link_error_text() */
	LINK_END_CERTIFICATE, /* the peer's certificate was refused */
	LINK_END_TIMEOUT,     /* a set-up phase took too long */
	LINK_END_PEER_CLOSED, /* EOF or reset by the peer */
	LINK_END_PROTOCOL,    /* HTTP/2 error */
	LINK_END_DEAD,	      /* liveness */
	LINK_END_LIMIT,	      /* budget */
	LINK_END_INTERNAL,    /* local error: memory, descriptors */
	LINK_END_N,
};

/* on_closed must be set, and on_secure by who dials or adopts; the others may be NULL. */
struct link_events {
	/* TLS is done: look at link_alpn() and call link_start() before returning. */
	void (*on_secure)(void *ctx, struct link *link);
	/* HTTP/2 is up: the peer's SETTINGS arrived. */
	void (*on_ready)(void *ctx, struct link *link);
	/* As h2_session_events.on_open; NULL: requests are refused with REFUSED_STREAM. */
	void (*on_open)(void *ctx, struct link *link, struct h2_stream *stream,
			const struct h2_headers *hdrs);
	void (*on_goaway)(void *ctx, struct link *link, uint32_t h2_code);
	void (*on_suspect)(void *ctx, struct link *link, bool suspect);
	/* Last event; streams were closed before. */
	void (*on_closed)(void *ctx, struct link *link, enum link_end why);
};

struct link_dial_options {
	struct endpoint peer;			/* of TCP: the proxy, if there is one */
	struct ip_addr bind;			/* family 0: any */
	const char *server_name;		/* SNI and verified name; copied */
	const struct proxy_dial_options *proxy; /* NULL: none; copied */
	uint32_t connect_ms;			/* for DIALLING; 0: TCP_CONNECT_MS */
};

/* Starts to dial. Failure after the return comes as on_closed. 0 or -errno. */
NODISCARD int link_dial(struct link **linkp, struct io_loop *loop, struct tls_context *tls,
			const struct link_dial_options *opt, const struct link_events *events,
			void *ctx);

/* A listener's accepted socket @fd, which is consumed also on failure. */
NODISCARD int link_adopt(struct link **linkp, struct io_loop *loop, struct tls_context *tls, int fd,
			 const struct link_events *events, void *ctx);

/* Hands the link over: @events and @ctx from now on. Meant for on_secure of a listener. */
void link_set_owner(struct link *l, const struct link_events *events, void *ctx);

/*
 * From on_secure: who opens streams, what we accept, who pings. 0 or -errno (the link closes).
 * Windows begin as @limits have them, if the budget allows that much, and grow with what the path
 * turns out to hold.
 */
int link_start(struct link *l, enum h2_role role, const struct h2_limits *limits,
	       enum liveness_mode liveness);

/* The edge learns only at registration what an agent is. */
void link_set_liveness(struct link *l, enum liveness_mode mode);

/* The network changed: asks the peer now instead of at the next PING's time. */
void link_probe(struct link *l);

/* Flushes what it can without waiting, sends close_notify, closes TCP; on_closed from a task. */
void link_close(struct link *l, enum link_end why);

/* No more events; closes if need be. NULL is fine. */
void link_free(struct link *l);

/* NULL before link_start() and after the end. */
struct h2_session *link_session(struct link *l);
/* NULL when none was negotiated. */
const char *link_alpn(const struct link *l);
const struct endpoint *link_peer(const struct link *l);
/* Of a dialled one: family 0 while the kernel hasn't chosen yet. */
const struct endpoint *link_local(const struct link *l);
/* Why it ended, for people; never NULL. */
const char *link_error_text(const struct link *l);
const char *link_end_name(enum link_end why);

struct link_stats {
	uint64_t bytes_in; /* plaintext */
	uint64_t bytes_out;
	uint64_t rtt_us;       /* last PING, else TCP's estimate */
	uint64_t last_read_ms; /* clock_boot_ms() */
	size_t n_streams;
	bool suspect;
};

void link_get_stats(const struct link *l, struct link_stats *out);
