/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * reply - the response heads that an agent sends
 *
 * Exactly as stock cloudflared (docs/protocol.md, "Streams"), plus adit-error on
 * refusals, which stock edges ignore. Each returns 0 or -errno of h2_stream_respond();
 * a refusal that can't be sent resets the stream.
 */

#include <stddef.h>
#include <stdint.h>

#include "wire/proto.h"

struct h2_stream;

#define REPLY_DATE_MAX 32

/* IMF-fixdate (RFC 9110 5.6.7) into @out, which is returned. */
const char *reply_date(int64_t wall_ms, char out[REPLY_DATE_MAX]);

/* 200 of the control stream: no meta header; RPC bytes follow. */
int reply_control(struct h2_stream *stream);
/* 200 of a TCP stream whose target has answered. */
int reply_accept(struct h2_stream *stream);
/* 200 of a datagram stream: capsules follow. Only adit edges open one. */
int reply_datagrams(struct h2_stream *stream);
/* 502 or 503 with the reason; ends the stream. @why isn't NONE. */
int reply_refuse(struct h2_stream *stream, enum stream_error why);
/* 502 in the one shape that stock edges can tell apart; ends the stream. */
int reply_flow_limited(struct h2_stream *stream);
/* 200 of a configuration push: @n_body bytes of text follow. */
int reply_config(struct h2_stream *stream, size_t n_body);
