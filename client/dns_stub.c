/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The forwarder decides, this carries. A flow to a server is opened by the first query and ends
 * when it was idle, as the agent does it; then the next query opens another. While it is being
 * opened queries wait in the forwarder, which has them anyway.
 */

#include "client/dns_stub.h"

#include <errno.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "client/datagram_flow.h"
#include "client/dns_exchange.h"
#include "client/dns_stub_private.h"
#include "client/keeper.h"
#include "wire/io_loop.h"
#include "wire/tls_crypto.h"

static uint64_t now_ms(const struct dns_stub *s)
{
	return io_loop_now_ms(s->opt.loop);
}

int dns_stub_network_of(struct dns_stub *s, const struct dns_upstream *upstream,
			const char **networkp)
{
	*networkp = upstream->network;
	return upstream->network ? 0 : s->opt.network_of(s->ctx, &upstream->server.ip, networkp);
}

/* ---- time ---- */

static void on_timer(uv_timer_t *timer);

static void arm(struct dns_stub *s)
{
	uint64_t next_ms = dns_forwarder_next_ms(s->forwarder);
	uint64_t now = now_ms(s);

	if (next_ms == UINT64_MAX)
		uv_timer_stop(&s->timer);
	else
		uv_timer_start(&s->timer, on_timer, next_ms > now ? next_ms - now : 1, 0);
}

static void on_timer(uv_timer_t *timer)
{
	struct dns_stub *s = timer->data;

	dns_forwarder_tick(s->forwarder, now_ms(s));
	arm(s);
}

/* ---- flows to the servers ---- */

static void on_open(void *ctx, struct datagram_flow *flow UNUSED)
{
	struct dns_stub_flow *f = ctx;
	struct dns_stub *s = f->stub;

	f->is_open = true;
	dns_forwarder_upstream_open(s->forwarder, f->upstream, now_ms(s));
	arm(s);
}

static void on_datagram(void *ctx, struct datagram_flow *flow UNUSED, const uint8_t *data, size_t n)
{
	struct dns_stub_flow *f = ctx;

	dns_forwarder_take(f->stub->forwarder, f->upstream, data, n);
	arm(f->stub);
}

static void be_failed(struct dns_stub_flow *f)
{
	struct dns_stub *s = f->stub;

	dns_forwarder_upstream_failed(s->forwarder, f->upstream, now_ms(s));
	arm(s);
}

/* Whatever it is: no answer comes from there now. */
static void on_icmp_error(void *ctx, struct datagram_flow *flow UNUSED, uint8_t type UNUSED,
			  uint8_t code UNUSED)
{
	be_failed(ctx);
}

static void drop_flow(struct dns_stub_flow *f)
{
	f->is_open = false;
	datagram_flow_free(steal_ptr(f->flow));
}

static void on_end(void *ctx, struct datagram_flow *flow UNUSED,
		   const struct datagram_flow_end *end)
{
	struct dns_stub_flow *f = ctx;
	bool was_idle = end->was_open && end->why == CLIENT_EXIT_OK;

	drop_flow(f);
	if (!was_idle)
		be_failed(f);
}

static const struct datagram_flow_events flow_events = {
	.on_open = on_open,
	.on_datagram = on_datagram,
	.on_icmp_error = on_icmp_error,
	.on_end = on_end,
};

static struct h2_session *get_session(void *ctx)
{
	const struct dns_stub *s = ctx;

	return keeper_session(s->opt.keeper);
}

static int open_flow(struct dns_stub_flow *f)
{
	struct dns_stub *s = f->stub;
	const struct dns_upstream *upstream = &s->zones->upstreams[f->upstream];
	struct datagram_flow_options opt = {
		.loop = s->opt.loop,
		.kind = DATAGRAM_UDP,
		.target = upstream->server,
		.token = s->opt.token,
		.session = get_session,
		.session_ctx = s,
	};

	if (dns_stub_network_of(s, upstream, &opt.network) < 0)
		return -ENETUNREACH;
	f->session = get_session(s);
	f->flow = datagram_flow_new(&opt, &flow_events, f);
	return 0;
}

/* ---- the forwarder's events ---- */

/* A flow that is always in use would keep a retired link for ever: it moves to the new one. */
static int on_send(void *ctx, size_t upstream, const uint8_t *data, size_t n)
{
	struct dns_stub *s = ctx;
	struct dns_stub_flow *f = &s->flows[upstream];
	int r = 0;

	if (f->flow && f->session != get_session(s))
		drop_flow(f);
	if (!f->flow)
		r = open_flow(f);
	if (r == 0 && !f->is_open)
		r = -EAGAIN;
	/* One that finds no room is lost, as on any network. */
	if (r == 0)
		(void)datagram_flow_send(f->flow, data, n);
	return r;
}

static void on_answer(void *ctx UNUSED, const struct dns_asker *asker, const uint8_t *data,
		      size_t n)
{
	capture_answer(asker->via, asker->flow, data, n);
}

static uint16_t draw_id(void *ctx UNUSED)
{
	return (uint16_t)random_u32();
}

static const struct dns_forwarder_events forwarder_events = {
	.send = on_send,
	.answer = on_answer,
	.draw_id = draw_id,
};

/* ---- from the capture ---- */

static void local_on_datagram(void *ctx, struct capture *c, struct nat_flow *flow,
			      const uint8_t *data, size_t n)
{
	const struct dns_asker asker = {.via = c, .flow = flow};
	struct dns_stub *s = ctx;

	dns_forwarder_ask(s->forwarder, &asker, data, n, now_ms(s));
	arm(s);
}

static void local_on_datagram_gone(void *ctx, struct nat_flow *flow)
{
	struct dns_stub *s = ctx;

	dns_forwarder_forget(s->forwarder, flow);
	arm(s);
}

static void local_on_connection(void *ctx, int fd)
{
	dns_stub_accept(ctx, fd);
}

const struct capture_local dns_stub_local = {
	.port = DNS_STUB_PORT,
	.on_datagram = local_on_datagram,
	.on_datagram_gone = local_on_datagram_gone,
	.on_connection = local_on_connection,
};

/* ---- life ---- */

int dns_stub_new(struct dns_stub **sp, const struct dns_stub_options *opt, void *ctx)
{
	struct dns_zones *zones = NULL;
	struct dns_stub *s;
	int r = dns_zones_new(&zones, opt->forwards, opt->n_forwards);

	if (r < 0)
		return r;
	s = xnew(struct dns_stub);
	s->opt = *opt;
	s->ctx = ctx;
	s->zones = zones;
	s->forwarder = dns_forwarder_new(zones, &forwarder_events, s);
	s->flows = xzalloc((zones->n_upstreams + 1) * sizeof(*s->flows));
	for (size_t i = 0; i < zones->n_upstreams; i++)
		s->flows[i] = (struct dns_stub_flow){.stub = s, .upstream = i};
	list_init(&s->connections);
	list_init(&s->exchanges);
	uv_timer_init(opt->loop->uv, &s->timer);
	s->timer.data = s;
	*sp = s;
	return 0;
}

static void timer_closed_cb(uv_handle_t *handle)
{
	free(handle->data);
}

void dns_stub_free(struct dns_stub *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->zones->n_upstreams; i++)
		drop_flow(&s->flows[i]);
	dns_stub_close_connections(s);
	dns_exchange_free_all(&s->exchanges);
	dns_forwarder_free(s->forwarder);
	dns_zones_free(s->zones);
	free(s->flows);
	uv_close((uv_handle_t *)&s->timer, timer_closed_cb);
}

/* ---- what there is ---- */

static json_t *servers_json(const struct up_dns_forward *forward)
{
	json_t *list = json_array();
	char text[ENDPOINT_TEXT_MAX];

	for (size_t i = 0; i < forward->n_servers; i++)
		json_array_append_new(list,
				      json_string(endpoint_format(&forward->servers[i], text)));
	return list;
}

static json_t *domains_json(const struct dns_stub *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->opt.n_forwards; i++) {
		const struct up_dns_forward *forward = &s->opt.forwards[i];
		const char *network = forward->virtual_network;

		json_array_append_new(list,
				      json_pack("{s:s, s:o, s:s?}", "domain", forward->domain,
						"servers", servers_json(forward), "virtual_network",
						network[0] ? network : NULL));
	}
	return list;
}

static json_int_t of_both(uint64_t udp, uint64_t tcp)
{
	return (json_int_t)udp + (json_int_t)tcp;
}

struct json_t *dns_stub_json(const struct dns_stub *s)
{
	const struct dns_stub_counts *tcp = &s->counts;
	struct dns_forwarder_stats udp;

	dns_forwarder_get_stats(s->forwarder, &udp);
	return json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I}", "domains", domains_json(s),
			 "queries", of_both(udp.queries, tcp->queries), "failures",
			 of_both(udp.failed, tcp->failed), "refused",
			 of_both(udp.refused, tcp->refused), "overload",
			 of_both(udp.overload, tcp->overload), "in_flight",
			 (json_int_t)udp.n_in_flight, "connections", (json_int_t)s->n_connections);
}
