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
#include "base/quota.h"
#include "wire/h2_stream.h"

/* Refusals are logged, but a peer must not fill the log: so many of each sort a minute. */
#define REFUSALS_PER_MINUTE 20

struct dispatch {
	struct origins *origins;
	struct datagram_origins *datagrams;
	struct remote_config *remote;
	const struct settings *settings;
	unsigned int n_pushes;	 /* being collected */
	unsigned int told_kinds; /* bit per unserved kind that was logged */
	struct quota refusals;	 /* logged, of destinations */
	struct quota limits;	 /* logged, because of a limit */
	uint64_t n_limited;
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

static void refuse_destination(struct dispatch *d, const struct incoming *in, const char *authority,
			       enum stream_error why)
{
	if (quota_take(&d->refusals, REFUSALS_PER_MINUTE, clock_boot_ms()))
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

struct limit {
	const char *key; /* of the setting */
	uint32_t max;	 /* 0: none */
	size_t n;	 /* that there are */
	/* What the edge hears: stock agents have a word of their own for their limit of flows. */
	int (*reply)(struct h2_stream *stream);
};

static int reply_limit(struct h2_stream *stream)
{
	return reply_refuse(stream, STREAM_ERROR_LIMIT);
}

/* Streams of every kind count: stock agents count their UDP flows, too. */
static struct limit flows_limit(const struct dispatch *d)
{
	return (struct limit){
		.key = "max-active-flows",
		.max = d->remote->effective.max_active_flows,
		.n = origins_count(d->origins) + datagram_origins_count(d->datagrams),
		.reply = reply_flow_limited,
	};
}

static struct limit dials_limit(const struct dispatch *d)
{
	return (struct limit){
		.key = "max-dials",
		.max = d->settings->max_dials,
		.n = origins_n_dials(d->origins),
		.reply = reply_limit,
	};
}

static struct limit datagrams_limit(const struct dispatch *d)
{
	return (struct limit){
		.key = "max-udp-flows",
		.max = d->settings->max_udp_flows,
		.n = datagram_origins_count(d->datagrams),
		.reply = reply_flow_limited,
	};
}

/* True: @limit is reached, and the stream has heard so. What runs goes on. */
static bool is_over(struct dispatch *d, const struct incoming *in, struct limit limit)
{
	if (!limit.max || limit.n < limit.max)
		return false;
	d->n_limited++;
	if (quota_take(&d->limits, REFUSALS_PER_MINUTE, clock_boot_ms()))
		log_warn("limit reached: stream refused", log_text("limit", limit.key),
			 log_int("value", limit.max), log_int("conn_index", in->index));
	(void)limit.reply(in->stream);
	return true;
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
	else if (!is_over(d, in, flows_limit(d)) && !is_over(d, in, dials_limit(d)))
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
	else if (!is_over(d, in, flows_limit(d)) && !is_over(d, in, datagrams_limit(d)))
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

uint64_t dispatch_n_limited(const struct dispatch *d)
{
	return d->n_limited;
}

void dispatch_drain(struct dispatch *d)
{
	d->draining = true;
}
