/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * dispatch - what a new stream of the edge is, and who serves it
 *
 * The kind follows from two request headers, first match wins (docs/protocol.md,
 * "Streams"). TCP streams go to agent/origin.h if the destination is ours to serve
 * (agent/destination.h), configuration to agent/remote_config.h, the control stream to
 * its link. A request with ":protocol" (RFC 8441) is told apart before that: only an adit edge
 * sends one, and agent/datagram_origins.h serves UDP and echo. Other kinds get a clean refusal.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct datagram_origins;
struct dispatch;
struct edge_link;
struct h2_headers;
struct h2_stream;
struct origins;
struct remote_config;
struct settings;

enum stream_kind {
	STREAM_KIND_CONFIG,
	STREAM_KIND_WEBSOCKET,
	STREAM_KIND_TCP,
	STREAM_KIND_CONTROL,
	STREAM_KIND_HTTP,
	STREAM_KIND_DATAGRAMS, /* extended CONNECT; not told by stream_kind_of() */
	STREAM_KIND_N,
};

/* @upgrade and @proxy_src: values of HDR_UPGRADE and HDR_PROXY_SRC, NULL when absent. */
enum stream_kind stream_kind_of(const char *upgrade, const char *proxy_src);

/* Configuration pushes whose bodies are being collected at once; more are refused. */
#define DISPATCH_CONFIG_MAX 4

/* All are borrowed; @settings until the next dispatch_set_settings(). */
struct dispatch *dispatch_new(struct origins *origins, struct datagram_origins *datagrams,
			      struct remote_config *remote, const struct settings *settings);
struct dispatch *dispatch_free(struct dispatch *d);
DEFINE_CLEANUP(struct dispatch *, dispatch_free);

void dispatch_set_settings(struct dispatch *d, const struct settings *settings);
/* Streams that were refused because a configured limit was reached. */
uint64_t dispatch_n_limited(const struct dispatch *d);

/* From here on every new stream is answered 503, adit-error: draining. */
void dispatch_drain(struct dispatch *d);

/* A new stream on connection @index: it is answered, now or later. */
void dispatch_stream(struct dispatch *d, unsigned int index, struct edge_link *el,
		     struct h2_stream *stream, const struct h2_headers *hdrs);
