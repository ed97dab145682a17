/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Each request is told apart by its headers alone, in the order of kind_rules, and handed to the
 * one function that answers for its kind. What the edge can trigger at will is logged within
 * bounds: an unserved kind once, refused destinations so many a minute.
 */

#include "agent/dispatch.h"

#include <stdlib.h>
#include <string.h>

#include "agent/config_push.h"
#include "agent/datagram_origins.h"
#include "agent/destination.h"
#include "agent/edge_link.h"
#include "agent/origin.h"
#include "agent/remote_config.h"
#include "agent/reply.h"
#include "agent/settings.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/log.h"
#include "wire/h2_stream.h"

/* Refused destinations are logged, but a peer must not fill the log: so many a minute. */
#define REFUSALS_PER_MINUTE 20
#define MINUTE_MS	    60000

struct dispatch {
	struct origins *origins;
	struct datagram_origins *datagrams;
	struct remote_config *remote;
	const struct settings *settings;
	unsigned int n_pushes;	 /* being collected */
	unsigned int told_kinds; /* bit per unserved kind that was logged */
	unsigned int n_refusals; /* logged in this minute */
	uint64_t minute_ms;
	bool draining;
};

struct incoming {
	unsigned int index;
	struct edge_link *el;
	struct h2_stream *stream;
	const struct h2_headers *hdrs;
};

/* ---- what it is ---- */

struct kind_rule {
	const char *upgrade; /* value of HDR_UPGRADE, NULL: any or none */
	bool needs_source;   /* HDR_PROXY_SRC must be there and not empty */
	enum stream_kind kind;
};

/* First match wins; values are case-sensitive, as in stock agents. */
static const struct kind_rule kind_rules[] = {
	{.upgrade = UPGRADE_CONFIG, .kind = STREAM_KIND_CONFIG},
	{.upgrade = UPGRADE_WEBSOCKET, .kind = STREAM_KIND_WEBSOCKET},
	{.needs_source = true, .kind = STREAM_KIND_TCP},
	{.upgrade = UPGRADE_CONTROL, .kind = STREAM_KIND_CONTROL},
};

enum stream_kind stream_kind_of(const char *upgrade, const char *proxy_src)
{
	for (size_t i = 0; i < ARRAY_SIZE(kind_rules); i++) {
		const struct kind_rule *rule = &kind_rules[i];

		if (rule->upgrade && (!upgrade || strcmp(upgrade, rule->upgrade) != 0))
			continue;
		if (rule->needs_source && (!proxy_src || !*proxy_src))
			continue;
		return rule->kind;
	}
	return STREAM_KIND_HTTP;
}

/* ---- who serves it ---- */

static bool may_log_refusal(struct dispatch *d)
{
	uint64_t now_ms = clock_boot_ms();

	if (now_ms - d->minute_ms >= MINUTE_MS) {
		d->minute_ms = now_ms;
		d->n_refusals = 0;
	}
	return d->n_refusals++ < REFUSALS_PER_MINUTE;
}

static void refuse_destination(struct dispatch *d, const struct incoming *in, const char *authority,
			       enum stream_error why)
{
	if (may_log_refusal(d))
		log_warn("destination refused", log_int("conn_index", in->index),
			 log_text("destination", authority),
			 log_text("reason", stream_error_info(why)->name));
	reply_refuse(in->stream, why);
}

static void refuse_kind(struct dispatch *d, const struct incoming *in, enum stream_kind kind,
			const char *name)
{
	if (!(d->told_kinds & 1u << kind))
		log_warn("this stream kind is not served", log_text("kind", name),
			 log_int("conn_index", in->index));
	d->told_kinds |= 1u << kind;
	reply_refuse(in->stream, STREAM_ERROR_UNSUPPORTED);
}

/* Streams of every kind count: stock agents count their UDP flows, too. */
static bool is_full(const struct dispatch *d)
{
	uint32_t max = d->remote->effective.max_active_flows;

	return max && origins_count(d->origins) + datagram_origins_count(d->datagrams) >= max;
}

static void serve_tcp(struct dispatch *d, const struct incoming *in)
{
	const char *authority = h2_headers_get(in->hdrs, ":authority");
	struct origin_request req = {
		.stream = in->stream,
		.mode = edge_link_is_adit(in->el) ? RELAY_HALF_CLOSE : RELAY_STOCK_ACCEPTOR,
		.connect_timeout_ms = d->remote->effective.connect_timeout_ms,
		.keep_alive_ms = d->remote->effective.tcp_keep_alive_ms,
		.max_flows = d->remote->effective.max_active_flows,
		.conn_index = in->index,
	};
	enum stream_error why;

	if (!authority)
		authority = h2_headers_get(in->hdrs, "host");
	why = authority ? destination_decide(d->settings, authority, &req.requested, &req.target)
			: STREAM_ERROR_BAD_DESTINATION;
	if (why != STREAM_ERROR_NONE)
		refuse_destination(d, in, authority, why);
	else if (is_full(d))
		reply_flow_limited(in->stream);
	else
		origins_open(d->origins, &req);
}

static void serve_datagrams(struct dispatch *d, const struct incoming *in)
{
	const char *path = h2_headers_get(in->hdrs, ":path");
	struct datagram_request req = {
		.stream = in->stream,
		.max_flows = d->settings->max_udp_flows,
		.conn_index = in->index,
	};
	enum stream_error why = STREAM_ERROR_BAD_DESTINATION;

	if (datagram_kind_parse(h2_headers_get(in->hdrs, ":protocol"), &req.kind) < 0) {
		refuse_kind(d, in, STREAM_KIND_DATAGRAMS, "extended CONNECT of another protocol");
		return;
	}
	if (datagram_path_parse(req.kind, path, &req.requested) == 0)
		why = destination_decide_endpoint(d->settings, &req.requested, &req.target);
	if (why != STREAM_ERROR_NONE)
		refuse_destination(d, in, path, why);
	else if (is_full(d))
		reply_flow_limited(in->stream);
	else
		datagram_origins_open(d->datagrams, &req);
}

static void push_ended(void *ctx)
{
	struct dispatch *d = ctx;

	d->n_pushes--;
}

static void serve_config(struct dispatch *d, const struct incoming *in)
{
	if (d->n_pushes >= DISPATCH_CONFIG_MAX) {
		reply_refuse(in->stream, STREAM_ERROR_LIMIT);
		return;
	}
	d->n_pushes++;
	config_push_take(in->stream, d->remote, push_ended, d);
}

static void serve_control(struct dispatch *d, const struct incoming *in)
{
	(void)d;
	if (!edge_link_take_control(in->el, in->stream, in->hdrs))
		reply_refuse(in->stream, STREAM_ERROR_UNSUPPORTED);
}

static void serve_websocket(struct dispatch *d, const struct incoming *in)
{
	refuse_kind(d, in, STREAM_KIND_WEBSOCKET, "websocket");
}

static void serve_http(struct dispatch *d, const struct incoming *in)
{
	refuse_kind(d, in, STREAM_KIND_HTTP, "http");
}

static void (*const servers[STREAM_KIND_N])(struct dispatch *d, const struct incoming *in) = {
	[STREAM_KIND_CONFIG] = serve_config, [STREAM_KIND_WEBSOCKET] = serve_websocket,
	[STREAM_KIND_TCP] = serve_tcp,	     [STREAM_KIND_CONTROL] = serve_control,
	[STREAM_KIND_HTTP] = serve_http,     [STREAM_KIND_DATAGRAMS] = serve_datagrams,
};

void dispatch_stream(struct dispatch *d, unsigned int index, struct edge_link *el,
		     struct h2_stream *stream, const struct h2_headers *hdrs)
{
	const struct incoming in = {.index = index, .el = el, .stream = stream, .hdrs = hdrs};
	enum stream_kind kind = h2_headers_get(hdrs, ":protocol")
					? STREAM_KIND_DATAGRAMS
					: stream_kind_of(h2_headers_get(hdrs, HDR_UPGRADE),
							 h2_headers_get(hdrs, HDR_PROXY_SRC));

	if (d->draining)
		reply_refuse(stream, STREAM_ERROR_DRAINING);
	else
		servers[kind](d, &in);
}

/* ---- life ---- */

struct dispatch *dispatch_new(struct origins *origins, struct datagram_origins *datagrams,
			      struct remote_config *remote, const struct settings *settings)
{
	struct dispatch *d = xnew(struct dispatch);

	d->origins = origins;
	d->datagrams = datagrams;
	d->remote = remote;
	d->settings = settings;
	return d;
}

struct dispatch *dispatch_free(struct dispatch *d)
{
	free(d);
	return NULL;
}

void dispatch_set_settings(struct dispatch *d, const struct settings *settings)
{
	d->settings = settings;
}

void dispatch_drain(struct dispatch *d)
{
	d->draining = true;
}
