/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * flow_request - what a flow asks an agent for, and what its client is answered
 *
 * TCP is stock's GET with the destination as ":authority". UDP and ICMP echo are extended CONNECTs
 * (RFC 8441): only to an agent that announced adit/1 and, after that, allowed them in a second
 * SETTINGS. A stock agent never does.
 */

#include <stdbool.h>

#include "wire/proto.h"

struct connection;
struct flow;
struct h2_stream_events;

/* Opens f->agent_stream on @c. As h2_stream_open(). */
int flow_request_open(struct flow *f, struct connection *c, const struct h2_stream_events *events);

/* 200 to the client. 0 or -errno. */
int flow_request_accept(const struct flow *f);

/* The error of a flow that no connection could be asked for. */
enum stream_error flow_request_why_nobody(const struct flow *f);
