/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The addresses of a name are asked for one after the other, and the first refusal is the one
 * that is told, unless a later address is accepted. Until the edge says 200 nothing is read from
 * the descriptors; from then on the relay owns them and the stream. `done` runs exactly once.
 */

#include "client/conduit.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "client/client_credentials.h"
#include "wire/h2_session.h"
#include "wire/h2_stream.h"
#include "wire/io_loop.h"
#include "wire/relay.h"
#include "wire/resolve.h"

/* Longer than an edge waits for its connector, so that its own answer comes first. */
#define ANSWER_MS 90000

#define AUTHORIZATION_MAX (CLIENT_TOKEN_MAX + 16)
#define NAME_MAX_SHOWN	  (HOST_NAME_MAX_LEN + ENDPOINT_TEXT_MAX + 8)

enum conduit_state {
	CONDUIT_STATE_RESOLVING,
	CONDUIT_STATE_ASKING,
	CONDUIT_STATE_RELAYING,
	CONDUIT_STATE_ENDED,
	CONDUIT_STATE_N,
};

struct conduit {
	struct conduit_options opt;
	conduit_done done;
	void *ctx;
	enum conduit_state state;
	int in_fd; /* -1 once the relay has them */
	int out_fd;
	struct resolve_query *query;
	struct ip_addr ips[RESOLVE_MAX];
	size_t n_ips;
	size_t next_ip;
	struct h2_stream *stream; /* while ASKING */
	struct relay *relay;	  /* while RELAYING */
	uv_timer_t timer;	  /* for the answer */
	enum client_exit why;	  /* of the first refusal */
	char text[CONDUIT_TEXT_MAX];
};

#define MAY(state) (1u << CONDUIT_STATE_##state)

static const unsigned int next_states[CONDUIT_STATE_N] = {
	[CONDUIT_STATE_RESOLVING] = MAY(ASKING) | MAY(ENDED),
	[CONDUIT_STATE_ASKING] = MAY(ASKING) | MAY(RELAYING) | MAY(ENDED),
	[CONDUIT_STATE_RELAYING] = MAY(ENDED),
};

static void set_state(struct conduit *c, enum conduit_state to)
{
	assert(next_states[c->state] & (1u << to));
	c->state = to;
}

/* ---- the end ---- */

static void timer_closed_cb(uv_handle_t *handle)
{
	free(container_of(handle, struct conduit, timer));
}

static void close_ends(int in_fd, int out_fd)
{
	if (in_fd != out_fd)
		close_fd(out_fd);
	close_fd(in_fd);
}

static void end(struct conduit *c, enum client_exit why, const char *text)
{
	set_state(c, CONDUIT_STATE_ENDED);
	/* The reason first: whoever reads our output may end us when it ends. */
	c->done(c->ctx, why, text);
	if (!c->opt.on_answer)
		close_ends(c->in_fd, c->out_fd);
	uv_close((uv_handle_t *)&c->timer, timer_closed_cb);
}

static void drop_stream(struct conduit *c)
{
	struct h2_stream *stream = steal_ptr(c->stream);

	if (!stream)
		return;
	h2_stream_set_events(stream, NULL, NULL);
	h2_stream_reset(stream, H2_CODE_CANCEL);
}

/* "10.0.0.1:22", or "name (10.0.0.1:22)" of the address that is tried. */
static const char *show_target(const struct conduit *c, char out[NAME_MAX_SHOWN])
{
	struct endpoint ep = {.port = c->opt.port};
	char text[ENDPOINT_TEXT_MAX];
	struct ip_addr ip;

	if (c->next_ip == 0) {
		snprintf(out, NAME_MAX_SHOWN, "%s", c->opt.host);
		return out;
	}
	ep.ip = c->ips[c->next_ip - 1];
	endpoint_format(&ep, text);
	if (ip_parse(c->opt.host, &ip) == 0)
		snprintf(out, NAME_MAX_SHOWN, "%s", text);
	else
		snprintf(out, NAME_MAX_SHOWN, "%s (%s)", c->opt.host, text);
	return out;
}

static void end_about_target(struct conduit *c, enum client_exit why, const char *reason)
{
	char target[NAME_MAX_SHOWN];
	char text[CONDUIT_TEXT_MAX];

	snprintf(text, sizeof(text), "%s: %s", show_target(c, target), reason);
	end(c, why, text);
}

/* ---- refusals ---- */

/* Answers of an edge that doesn't say adit-error. */
static const struct {
	const char *status;
	enum client_exit why;
} status_rows[] = {
	{"403", CLIENT_EXIT_NOT_GRANTED},     {"404", CLIENT_EXIT_NO_ROUTE},
	{"407", CLIENT_EXIT_UNAUTHENTICATED}, {"503", CLIENT_EXIT_CONNECTOR_DOWN},
	{"504", CLIENT_EXIT_TIMEOUT},
};

static enum client_exit exit_of_status(const char *status)
{
	for (size_t i = 0; i < ARRAY_SIZE(status_rows); i++) {
		if (strcmp(status, status_rows[i].status) == 0)
			return status_rows[i].why;
	}
	return CLIENT_EXIT_EDGE_FAULT;
}

/* Another address of the same name may do better, unless it's about us or the edge. */
static bool is_about_address(enum client_exit why)
{
	return why >= CLIENT_EXIT_NO_ROUTE && why <= CLIENT_EXIT_FORBIDDEN &&
	       why != CLIENT_EXIT_NO_NETWORK;
}

static void ask_next(struct conduit *c);

/* The first refusal is the one that is told. */
static void refused(struct conduit *c, enum client_exit why, const char *reason)
{
	char target[NAME_MAX_SHOWN];

	uv_timer_stop(&c->timer);
	if (!c->text[0]) {
		c->why = why;
		snprintf(c->text, sizeof(c->text), "%s: %s", show_target(c, target), reason);
	}
	if (is_about_address(why) && c->next_ip < c->n_ips)
		ask_next(c);
	else
		end(c, c->why, c->text);
}

/* ---- asking ---- */

static void on_relay_done(void *ctx, const struct relay_result *result)
{
	static const char *const reasons[] = {
		[RELAY_END_CLEAN] = "ended",
		[RELAY_END_A_RESET] = "the local side was closed",
		[RELAY_END_B_RESET] = "the connection was reset by the far side",
		[RELAY_END_ABORTED] = "aborted",
	};
	struct conduit *c = ctx;

	c->relay = NULL;
	end_about_target(c, result->end == RELAY_END_CLEAN ? CLIENT_EXIT_OK : CLIENT_EXIT_CUT,
			 reasons[result->end]);
}

static int start_relay(struct conduit *c, struct h2_stream *stream)
{
	int in_fd = c->in_fd;
	int out_fd = c->out_fd;
	int r = c->opt.on_answer ? c->opt.on_answer(c->ctx) : 0;

	if (r < 0)
		return err_trace(r);
	c->in_fd = -1;
	c->out_fd = -1;
	return relay_new_fd(&c->relay, c->opt.loop, in_fd, out_fd, stream, RELAY_HALF_CLOSE,
			    on_relay_done, c);
}

static void accepted(struct conduit *c)
{
	struct h2_stream *stream = steal_ptr(c->stream);
	int r = start_relay(c, stream);

	if (r == 0) {
		set_state(c, CONDUIT_STATE_RELAYING);
		return;
	}
	c->stream = stream;
	drop_stream(c);
	end_about_target(c, CLIENT_EXIT_INTERNAL, strerror(-r));
}

static void on_response(void *ctx, struct h2_stream *stream UNUSED, const struct h2_headers *hdrs)
{
	const char *status = h2_headers_get(hdrs, ":status");
	const char *error = h2_headers_get(hdrs, HDR_ADIT_ERROR);
	enum stream_error e = stream_error_parse(error);
	struct conduit *c = ctx;
	char reason[64];

	uv_timer_stop(&c->timer);
	if (status && status[0] == '2') {
		accepted(c);
		return;
	}
	drop_stream(c);
	if (e != STREAM_ERROR_NONE) {
		refused(c, client_exit_of_stream_error(e), stream_error_info(e)->text);
		return;
	}
	snprintf(reason, sizeof(reason), "the edge answered %.3s", status ? status : "nothing");
	refused(c, exit_of_status(status ? status : ""), reason);
}

static void on_closed(void *ctx, struct h2_stream *stream UNUSED, uint32_t h2_code UNUSED)
{
	struct conduit *c = ctx;

	c->stream = NULL;
	refused(c, CLIENT_EXIT_CUT, "the connection to the edge was lost before it answered");
}

static void on_answer_timeout(uv_timer_t *timer)
{
	struct conduit *c = container_of(timer, struct conduit, timer);

	drop_stream(c);
	refused(c, CLIENT_EXIT_EDGE_FAULT, "the edge did not answer");
}

static const struct h2_stream_events stream_events = {
	.on_response = on_response,
	.on_closed = on_closed,
};

static int open_stream(struct conduit *c, struct h2_session *session, const char *authority)
{
	char authorization[AUTHORIZATION_MAX];
	struct h2_header headers[] = {
		{.name = ":method", .value = "CONNECT"},
		{.name = ":authority", .value = authority},
		{.name = "proxy-authorization", .value = authorization, .secret = true},
		{.name = HDR_VIRTUAL_NETWORK, .value = c->opt.network},
	};
	int r;

	snprintf(authorization, sizeof(authorization), "Bearer %s", c->opt.token);
	r = h2_stream_open(session, &c->stream, headers,
			   ARRAY_SIZE(headers) - (c->opt.network ? 0 : 1), false, &stream_events,
			   c);
	explicit_bzero(authorization, sizeof(authorization));
	return r;
}

static void ask_next(struct conduit *c)
{
	struct h2_session *session = c->opt.session(c->opt.session_ctx);
	struct endpoint ep = {.ip = c->ips[c->next_ip], .port = c->opt.port};
	char authority[ENDPOINT_TEXT_MAX];
	int r = -ENOTCONN;

	set_state(c, CONDUIT_STATE_ASKING);
	c->next_ip++;
	if (session)
		r = open_stream(c, session, endpoint_format(&ep, authority));
	if (r == 0)
		uv_timer_start(&c->timer, on_answer_timeout, ANSWER_MS, 0);
	else if (r == H2_E_LIMIT)
		refused(c, CLIENT_EXIT_LIMIT, "the edge takes no more streams from us");
	else
		refused(c, CLIENT_EXIT_CUT, "the connection to the edge is gone");
}

/* ---- resolving ---- */

static void on_resolved(void *ctx, int status, const struct ip_addr *ips, size_t n)
{
	struct conduit *c = ctx;

	c->query = NULL;
	if (status < 0) {
		end_about_target(c, CLIENT_EXIT_NAME, resolve_status_text(status));
		return;
	}
	for (size_t i = 0; i < n; i++)
		c->ips[i] = ip_canonical(&ips[i]);
	c->n_ips = n;
	ask_next(c);
}

/* ---- life ---- */

int conduit_start(struct conduit **cp, const struct conduit_options *opt, int in_fd, int out_fd,
		  conduit_done done, void *ctx)
{
	struct conduit *c = xnew(struct conduit);
	int r;

	c->opt = *opt;
	c->done = done;
	c->ctx = ctx;
	r = resolve_host(opt->resolver, opt->host, on_resolved, c, &c->query);
	if (r < 0) {
		if (!opt->on_answer)
			close_ends(in_fd, out_fd);
		free(c);
		return r;
	}
	c->in_fd = in_fd;
	c->out_fd = out_fd;
	uv_timer_init(opt->loop->uv, &c->timer);
	*cp = c;
	return 0;
}

void conduit_abort(struct conduit *c)
{
	if (c->state == CONDUIT_STATE_RELAYING) {
		relay_abort(c->relay);
		return;
	}
	resolve_cancel(c->query);
	drop_stream(c);
	end_about_target(c, CLIENT_EXIT_CUT, "aborted");
}
