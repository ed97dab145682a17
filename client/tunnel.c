/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Edges in the order of the list, and the addresses of each in the order of the answer; the
 * first link whose HTTP/2 comes up is the tunnel. Who is silent for AHEAD_MS is not waited for:
 * the next address is dialled beside it (as RFC 8305 has it, but slower: a handshake costs the
 * edge something). The tunnel is not made again: that is the owner's decision. The failure that is
 * told is the last, unless one was about a certificate.
 */

#include "client/tunnel.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "base/err.h"
#include "base/log.h"
#include "wire/h2_session.h"
#include "wire/io_loop.h"
#include "wire/link.h"
#include "wire/proto.h"
#include "wire/resolve.h"

#define AHEAD_MS  1000
#define DIALS_MAX 4 /* at once */

/*
 * What we accept from the edge. Streams: none, we open them. Windows: where they start; the link
 * makes them grow.
 */
static const struct h2_limits limits = {
	.max_streams = 0,
	.stream_window_bytes = 1024 * 1024,
	.conn_window_bytes = 1024 * 1024,
	.header_list_bytes = HEADER_LIST_MAX,
	.max_frame_bytes = H2_FRAME_MAX,
	.resets_burst = H2_KNOWN_RESETS_BURST,
	.resets_per_s = H2_KNOWN_RESETS_PER_S,
};

enum tunnel_state {
	TUNNEL_STATE_IDLE,
	TUNNEL_STATE_RESOLVING,
	TUNNEL_STATE_HELD,
	TUNNEL_STATE_DIALLING,
	TUNNEL_STATE_OPEN,
	TUNNEL_STATE_ENDED,
	TUNNEL_STATE_N,
};

struct dial {
	struct link *link; /* NULL: none */
	size_t edge;
};

struct tunnel {
	struct tunnel_options opt;
	const struct tunnel_events *events;
	void *ctx;
	enum tunnel_state state;
	size_t edge;			 /* the entry that is tried; n_edges: no more */
	struct ip_addr ips[RESOLVE_MAX]; /* of that entry */
	size_t n_ips;
	size_t next_ip;
	struct resolve_query *query;
	struct dial dials[DIALS_MAX]; /* until one is the tunnel */
	struct link *open;
	uv_timer_t ahead;
	enum client_exit why; /* the most telling failure so far */
	char text[TUNNEL_TEXT_MAX];
};

#define MAY(state) (1u << TUNNEL_STATE_##state)

static const struct {
	const char *name;
	unsigned int next; /* states that may follow */
} states[TUNNEL_STATE_N] = {
	[TUNNEL_STATE_IDLE] = {"idle", MAY(RESOLVING)},
	[TUNNEL_STATE_RESOLVING] = {"resolving", MAY(RESOLVING) | MAY(HELD) | MAY(DIALLING) |
							 MAY(OPEN) | MAY(ENDED)},
	[TUNNEL_STATE_HELD] = {"held", MAY(RESOLVING) | MAY(DIALLING) | MAY(OPEN) | MAY(ENDED)},
	[TUNNEL_STATE_DIALLING] = {"dialling",
				   MAY(DIALLING) | MAY(RESOLVING) | MAY(OPEN) | MAY(ENDED)},
	[TUNNEL_STATE_OPEN] = {"open", MAY(ENDED)},
	[TUNNEL_STATE_ENDED] = {"ended", 0},
};

static void set_state(struct tunnel *t, enum tunnel_state to)
{
	assert(states[t->state].next & (1u << to));
	log_debug("tunnel", log_text("from", states[t->state].name),
		  log_text("to", states[to].name),
		  log_text("edge", t->opt.edges[t->edge < t->opt.n_edges ? t->edge : 0].host));
	t->state = to;
}

/* ---- failures ---- */

/* A bad certificate tells more than the address that could not be reached after it. */
static void note_failure(struct tunnel *t, enum client_exit why, const char *where,
			 const char *reason)
{
	if (t->why == CLIENT_EXIT_CERTIFICATE && why != CLIENT_EXIT_CERTIFICATE)
		return;
	t->why = why;
	snprintf(t->text, sizeof(t->text), "edge %s: %s", where, reason);
}

/* The owner may free the tunnel inside. */
static void end(struct tunnel *t)
{
	set_state(t, TUNNEL_STATE_ENDED);
	t->events->on_end(t->ctx, t, t->why, t->text);
}

/* ---- one address after the other ---- */

static const struct link_events link_events;

static void next_edge(struct tunnel *t);

static struct dial *find_dial(struct tunnel *t, const struct link *link)
{
	for (size_t i = 0; i < DIALS_MAX; i++) {
		if (t->dials[i].link == link)
			return &t->dials[i];
	}
	return NULL;
}

static bool is_dialling(const struct tunnel *t)
{
	for (size_t i = 0; i < DIALS_MAX; i++) {
		if (t->dials[i].link)
			return true;
	}
	return false;
}

static void drop_dials(struct tunnel *t)
{
	uv_timer_stop(&t->ahead);
	for (size_t i = 0; i < DIALS_MAX; i++)
		link_free(steal_ptr(t->dials[i].link));
}

static void on_silence(uv_timer_t *timer);

/* @d is free. */
static int dial(struct tunnel *t, struct dial *d, const struct ip_addr *ip)
{
	const struct client_edge *edge = &t->opt.edges[t->edge];
	const struct link_dial_options opt = {
		.peer = {.ip = *ip, .port = edge->port},
		.server_name = t->opt.server_name[0] ? t->opt.server_name : edge->host,
	};
	int r = link_dial(&d->link, t->opt.loop, t->opt.tls, &opt, &link_events, t);

	if (r < 0)
		return r;
	d->edge = t->edge;
	return uv_timer_start(&t->ahead, on_silence, AHEAD_MS, 0);
}

/* While all dials are taken, the next address waits for one to end. */
static void next_address(struct tunnel *t)
{
	struct dial *d = find_dial(t, NULL);

	set_state(t, TUNNEL_STATE_DIALLING);
	while (d && t->next_ip < t->n_ips) {
		const struct ip_addr *ip = &t->ips[t->next_ip++];
		char text[IP_TEXT_MAX];
		int r = dial(t, d, ip);

		if (r == 0)
			return;
		note_failure(t, CLIENT_EXIT_EDGE, ip_format(ip, text), strerror(-r));
	}
	if (!d)
		return;
	t->edge++;
	next_edge(t);
}

static void go_ahead(struct tunnel *t)
{
	/* Else the answer that is waited for leads on. */
	if (t->state == TUNNEL_STATE_DIALLING && t->edge < t->opt.n_edges)
		next_address(t);
}

static void on_silence(uv_timer_t *timer)
{
	go_ahead(container_of(timer, struct tunnel, ahead));
}

/* -errno: the owner doesn't want these addresses dialled. */
static void dial_all(struct tunnel *t, int status)
{
	if (status < 0) {
		note_failure(t, CLIENT_EXIT_EDGE, t->opt.edges[t->edge].host, strerror(-status));
		t->next_ip = t->n_ips;
	}
	next_address(t);
}

static void ask_owner(struct tunnel *t)
{
	int r = 0;

	if (t->opt.before_dial && t->n_ips > 0)
		r = t->opt.before_dial(t->opt.before_dial_ctx, t->ips, t->n_ips);
	if (r == TUNNEL_WAIT)
		set_state(t, TUNNEL_STATE_HELD);
	else
		dial_all(t, r);
}

static void remember(struct tunnel *t)
{
	if (!t->opt.known)
		return;
	memcpy(t->opt.known[t->edge].ips, t->ips, t->n_ips * sizeof(*t->ips));
	t->opt.known[t->edge].n = t->n_ips;
}

static void recall(struct tunnel *t)
{
	if (!t->opt.known)
		return;
	t->n_ips = t->opt.known[t->edge].n;
	memcpy(t->ips, t->opt.known[t->edge].ips, t->n_ips * sizeof(*t->ips));
}

static void on_resolved(void *ctx, int status, const struct ip_addr *ips, size_t n)
{
	struct tunnel *t = ctx;

	t->query = NULL;
	t->next_ip = 0;
	t->n_ips = n;
	memcpy(t->ips, ips, n * sizeof(*ips));
	if (status < 0) {
		note_failure(t, CLIENT_EXIT_EDGE, t->opt.edges[t->edge].host,
			     resolve_status_text(status));
		recall(t);
	} else {
		remember(t);
	}
	ask_owner(t);
}

static int look_up(struct tunnel *t)
{
	set_state(t, TUNNEL_STATE_RESOLVING);
	return resolve_host(t->opt.resolver, t->opt.edges[t->edge].host, on_resolved, t, &t->query);
}

static void next_edge(struct tunnel *t)
{
	for (; t->edge < t->opt.n_edges; t->edge++) {
		int r = look_up(t);

		if (r == 0)
			return;
		note_failure(t, CLIENT_EXIT_EDGE, t->opt.edges[t->edge].host, strerror(-r));
	}
	if (is_dialling(t))
		set_state(t, TUNNEL_STATE_DIALLING);
	else
		end(t);
}

/* ---- the link ---- */

static void on_secure(void *ctx UNUSED, struct link *link)
{
	const char *alpn = link_alpn(link);

	/* Without it the other side takes us for an agent. */
	if (!alpn || strcmp(alpn, ALPN_H2) != 0)
		link_close(link, LINK_END_PROTOCOL);
	else
		(void)link_start(link, H2_ROLE_OPENER, &limits, LIVENESS_PINGS);
}

static void on_ready(void *ctx, struct link *link)
{
	struct tunnel *t = ctx;
	struct dial *d = find_dial(t, link);

	t->open = d->link;
	t->edge = d->edge;
	d->link = NULL;
	drop_dials(t);
	resolve_cancel(steal_ptr(t->query));
	set_state(t, TUNNEL_STATE_OPEN);
	t->events->on_ready(t->ctx, t);
}

static void on_goaway(void *ctx, struct link *link UNUSED, uint32_t h2_code UNUSED)
{
	struct tunnel *t = ctx;

	if (t->state == TUNNEL_STATE_OPEN)
		t->events->on_goaway(t->ctx, t);
}

static void note_closed(struct tunnel *t, struct link *link, enum client_exit why)
{
	char peer[ENDPOINT_TEXT_MAX];

	note_failure(t, why, endpoint_format(link_peer(link), peer), link_error_text(link));
	link_free(link);
}

static void on_closed(void *ctx, struct link *link, enum link_end why)
{
	struct tunnel *t = ctx;

	if (t->state == TUNNEL_STATE_OPEN) {
		t->open = NULL;
		note_closed(t, link, CLIENT_EXIT_CUT);
		end(t);
		return;
	}
	find_dial(t, link)->link = NULL;
	note_closed(t, link, client_exit_of_link_end(why));
	if (t->edge < t->opt.n_edges)
		go_ahead(t);
	else if (!is_dialling(t))
		end(t);
}

static const struct link_events link_events = {
	.on_secure = on_secure,
	.on_ready = on_ready,
	.on_goaway = on_goaway,
	.on_closed = on_closed,
};

/* ---- life ---- */

struct tunnel *tunnel_new(const struct tunnel_options *opt, const struct tunnel_events *events,
			  void *ctx)
{
	struct tunnel *t = xnew(struct tunnel);

	t->opt = *opt;
	t->events = events;
	t->ctx = ctx;
	t->why = CLIENT_EXIT_EDGE;
	uv_timer_init(opt->loop->uv, &t->ahead);
	return t;
}

int tunnel_start(struct tunnel *t)
{
	return look_up(t);
}

void tunnel_go_on(struct tunnel *t, int status)
{
	if (t->state == TUNNEL_STATE_HELD)
		dial_all(t, status);
}

static void ahead_closed_cb(uv_handle_t *handle)
{
	free(container_of((uv_timer_t *)handle, struct tunnel, ahead));
}

void tunnel_free(struct tunnel *t)
{
	if (!t)
		return;
	resolve_cancel(t->query);
	drop_dials(t);
	link_free(t->open);
	uv_close((uv_handle_t *)&t->ahead, ahead_closed_cb);
}

struct h2_session *tunnel_session(const struct tunnel *t)
{
	struct h2_session *s = t->state == TUNNEL_STATE_OPEN ? link_session(t->open) : NULL;

	return s && h2_session_can_open(s) ? s : NULL;
}

size_t tunnel_edge(const struct tunnel *t)
{
	return t->edge;
}

size_t tunnel_n_streams(const struct tunnel *t)
{
	struct h2_session *s = t->state == TUNNEL_STATE_OPEN ? link_session(t->open) : NULL;

	return s ? h2_session_n_streams(s) : 0;
}
