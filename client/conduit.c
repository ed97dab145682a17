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

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "client/connect_stream.h"
#include "wire/h2_session.h"
#include "wire/relay.h"
#include "wire/resolve.h"

#define NAME_MAX_SHOWN (HOST_NAME_MAX_LEN + ENDPOINT_TEXT_MAX + 8)

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
	struct connect_stream *request; /* while ASKING */
	struct relay *relay;		/* while RELAYING */
	enum client_exit why;		/* of the first refusal */
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
	connect_stream_free(c->request);
	if (!c->opt.on_answer)
		close_ends(c->in_fd, c->out_fd);
	free(c);
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

	connect_stream_free(steal_ptr(c->request));
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

static int start_relay(struct conduit *c)
{
	int in_fd = c->in_fd;
	int out_fd = c->out_fd;
	int r = c->opt.on_answer ? c->opt.on_answer(c->ctx) : 0;

	if (r < 0)
		return err_trace(r);
	c->in_fd = -1;
	c->out_fd = -1;
	return connect_stream_join(steal_ptr(c->request), in_fd, out_fd, on_relay_done, c,
				   &c->relay);
}

static void accepted(struct conduit *c)
{
	int r = start_relay(c);

	if (r == 0)
		set_state(c, CONDUIT_STATE_RELAYING);
	else
		end_about_target(c, CLIENT_EXIT_INTERNAL, strerror(-r));
}

static void on_answer(void *ctx, const struct connect_answer *answer)
{
	struct conduit *c = ctx;

	if (answer->why == CLIENT_EXIT_OK)
		accepted(c);
	else
		refused(c, answer->why, answer->text);
}

/* Accepted streams are joined at once, so there is none to be lost in between. */
static void on_lost(void *ctx)
{
	end_about_target(ctx, CLIENT_EXIT_CUT, "the connection to the edge was lost");
}

static const struct connect_stream_events stream_events = {
	.on_answer = on_answer,
	.on_lost = on_lost,
};

static void ask_next(struct conduit *c)
{
	const struct connect_stream_options opt = {
		.loop = c->opt.loop,
		.session = c->opt.session(c->opt.session_ctx),
		.target = {.ip = c->ips[c->next_ip], .port = c->opt.port},
		.network = c->opt.network,
		.token = c->opt.token,
	};
	int r = -ENOTCONN;

	set_state(c, CONDUIT_STATE_ASKING);
	c->next_ip++;
	if (opt.session)
		r = connect_stream_new(&c->request, &opt, &stream_events, c);
	if (r == H2_E_LIMIT)
		refused(c, CLIENT_EXIT_LIMIT, "the edge takes no more streams from us");
	else if (r != 0)
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
	end_about_target(c, CLIENT_EXIT_CUT, "aborted");
}
