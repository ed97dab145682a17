/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/flow_request.h"

#include "base/clock.h"
#include "base/compiler.h"
#include "edge/connection.h"
#include "edge/edge.h"
#include "edge/flow.h"
#include "wire/datagram_path.h"
#include "wire/h2_session.h"
#include "wire/h2_stream.h"
#include "wire/link.h"

/* An adit agent's second SETTINGS is on its way when we have just registered it. */
#define SETTINGS_GRACE_MS 5000

static const enum datagram_kind kinds[TRANSPORT_N] = {
	[TRANSPORT_UDP] = DATAGRAM_UDP,
	[TRANSPORT_ICMP] = DATAGRAM_ECHO,
};

/* ---- to the agent ---- */

static int open_tcp(struct flow *f, struct connection *c, struct h2_session *session,
		    const struct h2_stream_events *events)
{
	char authority[ENDPOINT_TEXT_MAX];
	char network[UUID_TEXT_MAX];
	const struct h2_header request[] = {
		{.name = ":method", .value = "GET"},
		{.name = ":scheme", .value = "https"},
		{.name = ":authority",
		 .value = endpoint_format(&f->decision.destination, authority)},
		{.name = ":path", .value = "/"},
		{.name = HDR_PROXY_SRC, .value = f->client_name},
		{.name = HDR_VIRTUAL_NETWORK, .value = uuid_format(&f->decision.vnet, network)},
	};
	size_t n = c->is_adit ? ARRAY_SIZE(request) : ARRAY_SIZE(request) - 1;

	return h2_stream_open(session, &f->agent_stream, request, n, false, events, f);
}

static int open_datagrams(struct flow *f, struct h2_session *session,
			  const struct h2_stream_events *events)
{
	enum datagram_kind kind = kinds[f->decision.transport];
	char path[DATAGRAM_PATH_MAX];
	char network[UUID_TEXT_MAX];
	const struct h2_header request[] = {
		{.name = ":method", .value = "CONNECT"},
		{.name = ":protocol", .value = datagram_protocol(kind)},
		{.name = ":scheme", .value = "https"},
		{.name = ":authority", .value = DATAGRAM_AUTHORITY},
		{.name = ":path",
		 .value = datagram_path_format(kind, &f->decision.destination, path)},
		{.name = HDR_CAPSULE_PROTOCOL, .value = CAPSULE_PROTOCOL_ON},
		{.name = HDR_PROXY_SRC, .value = f->client_name},
		{.name = HDR_VIRTUAL_NETWORK, .value = uuid_format(&f->decision.vnet, network)},
	};

	return h2_stream_open(session, &f->agent_stream, request, ARRAY_SIZE(request), false,
			      events, f);
}

int flow_request_open(struct flow *f, struct connection *c, const struct h2_stream_events *events)
{
	struct h2_session *session = link_session(c->link);

	if (!session)
		return H2_E_DRAINING;
	if (f->decision.transport == TRANSPORT_TCP)
		return open_tcp(f, c, session, events);
	return open_datagrams(f, session, events);
}

/* ---- to the client ---- */

int flow_request_accept(const struct flow *f)
{
	static const struct h2_header ok[] = {
		{.name = ":status", .value = "200"},
		{.name = HDR_CAPSULE_PROTOCOL, .value = CAPSULE_PROTOCOL_ON},
	};
	size_t n = f->decision.transport == TRANSPORT_TCP ? 1 : ARRAY_SIZE(ok);

	return h2_stream_respond(f->client_stream, ok, n, false);
}

/* ---- who can ---- */

struct census {
	const struct flow *flow;
	bool has_any; /* connections that would take a TCP stream */
	bool may_come;
};

static bool is_candidate(const struct flow_dial *d, const struct registry_entry *e)
{
	for (size_t i = 0; e->accepts && i < d->n_connectors; i++) {
		if (uuid_equal(&e->connector, &d->connectors[i]))
			return true;
	}
	return false;
}

static void count(void *ctx, struct registry_entry *e)
{
	const struct connection *c = connection_of_entry(e);
	struct census *census = ctx;

	if (!is_candidate(census->flow->dial, e))
		return;
	census->has_any = true;
	if (c->is_adit && clock_boot_ms() < c->opened_ms + SETTINGS_GRACE_MS)
		census->may_come = true;
}

enum stream_error flow_request_why_nobody(const struct flow *f)
{
	struct census census = {.flow = f};

	if (f->decision.transport == TRANSPORT_TCP)
		return f->dial->failure;
	registry_each(f->edge->registry, &f->decision.route.tunnel, count, &census);
	return census.has_any && !census.may_come ? STREAM_ERROR_UNSUPPORTED : f->dial->failure;
}
