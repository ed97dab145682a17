/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The link is ours until its on_closed, and so is the memory, also when the owner has lost
 * interest: edge_link_close() takes its events away, and what still runs, runs in silence.
 * The control stream's end is reported once (CONTROL_OVER), whatever ends it: the stream, the
 * RPC on it, or the answer to our own unregister.
 */

#include "agent/edge_link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/reply.h"
#include "base/err.h"
#include "wire/control_client.h"
#include "wire/h2_queue.h"
#include "wire/h2_stream.h"
#include "wire/io_loop.h"
#include "wire/proto.h"

/*
 * What we accept from an edge.
 *
 * Streams: far above what an agent's descriptors (two per flow at most) allow, so that the
 *   limit that is met first has a name: max-active-flows or EMFILE.
 * Windows: these are where they start; the link makes them grow.
 */
static const struct h2_limits limits = {
	.max_streams = 16384,
	.stream_window_bytes = 1024 * 1024,
	.conn_window_bytes = 1024 * 1024,
	.header_list_bytes = HEADER_LIST_MAX,
	.max_frame_bytes = H2_FRAME_MIN, /* more once the edge is known to be adit's */
	.resets_burst = H2_KNOWN_RESETS_BURST,
	.resets_per_s = H2_KNOWN_RESETS_PER_S,
};

/* A full advertisement is the largest thing we send: 16,384 entries in calls of 256. */
#define CONTROL_QUEUE_MAX (8 * 1024 * 1024)

enum control_phase {
	CONTROL_NONE, /* the edge has not opened it yet */
	CONTROL_OPEN,
	CONTROL_LEAVING, /* we unregister; its end is no loss any more */
	CONTROL_OVER,	 /* ended or failed, and reported */
};

struct edge_link {
	struct list node;
	uint32_t id;
	uint32_t max_frame_bytes;
	struct edge_address address;
	struct io_loop *loop;
	struct link *link;
	const struct edge_link_events *events; /* NULL: nobody listens any more */
	void *ctx;
	enum control_phase phase;
	struct h2_stream *control; /* NULL: none or closed */
	struct h2_queue queue;	   /* to the edge, while control is not NULL */
	struct control_client *rpc;
	struct io_task report_end; /* the control stream was closed */
	bool is_adit;
	char features[EDGE_FEATURES_MAX];
	char location[REG_TEXT_MAX];
};

/* ---- the control stream's end ---- */

static void control_over(struct edge_link *el, const char *reason)
{
	bool leaving = el->phase == CONTROL_LEAVING;

	if (el->phase == CONTROL_OVER)
		return;
	el->phase = CONTROL_OVER;
	if (!el->events)
		return;
	if (leaving)
		el->events->on_unregistered(el->ctx, el);
	else
		el->events->on_control_end(el->ctx, el, reason);
}

static void control_data(void *ctx, struct h2_stream *stream, const uint8_t *data, size_t n)
{
	struct edge_link *el = ctx;

	h2_stream_credit(stream, n);
	if (el->phase != CONTROL_OVER)
		control_client_feed(el->rpc, data, n);
}

static void control_eof(void *ctx, struct h2_stream *stream)
{
	(void)stream;
	control_over(ctx, "the edge ended the control stream");
}

static void control_closed(void *ctx, struct h2_stream *stream, uint32_t h2_code)
{
	struct edge_link *el = ctx;

	(void)stream;
	(void)h2_code;
	h2_queue_deinit(&el->queue);
	el->control = NULL;
	io_task_post(el->loop, &el->report_end);
}

/* Not at once: if the whole link has ended, its own reason is the better one and comes first. */
static void report_end_task(struct io_task *task)
{
	control_over(container_of(task, struct edge_link, report_end),
		     "the edge reset the control stream");
}

static const struct h2_stream_events control_events = {
	.on_data = control_data,
	.on_eof = control_eof,
	.on_closed = control_closed,
};

/* ---- the RPC's events ---- */

static void rpc_send(void *ctx, const uint8_t *data, size_t n)
{
	struct edge_link *el = ctx;

	if (el->control && h2_queue_write(&el->queue, data, n) < 0)
		h2_stream_reset(el->control, H2_CODE_INTERNAL_ERROR);
}

/* The edge has said that it is adit's, and by its answer that it has read that we are. */
static void announce_additions(struct edge_link *el)
{
	struct h2_session *session = el->is_adit ? link_session(el->link) : NULL;

	if (session && h2_session_announce_additions(session, el->max_frame_bytes) < 0)
		link_close(el->link, LINK_END_INTERNAL);
}

static void rpc_registered(void *ctx, const struct registration_details *details,
			   const struct registration_error *error)
{
	struct edge_link *el = ctx;

	if (details) {
		memcpy(el->location, details->location, sizeof(el->location));
		announce_additions(el);
	}
	if (el->events)
		el->events->on_registered(el->ctx, el, details, error);
}

static void rpc_unregistered(void *ctx, bool ok)
{
	struct edge_link *el = ctx;

	(void)ok;
	control_client_goodbye(el->rpc);
	if (el->control)
		h2_queue_end(&el->queue);
	control_over(el, "unregistered");
}

static void rpc_advertised(void *ctx, uint64_t generation, const struct route_verdict *verdicts,
			   size_t n_verdicts, bool send_all, const char *failed)
{
	struct edge_link *el = ctx;

	if (el->events)
		el->events->on_advertised(el->ctx, el, generation, verdicts, n_verdicts, send_all,
					  failed);
}

static void rpc_failed(void *ctx, enum control_end why, const char *text)
{
	(void)why;
	control_over(ctx, text);
}

static const struct control_client_events rpc_events = {
	.on_send = rpc_send,
	.on_registered = rpc_registered,
	.on_unregistered = rpc_unregistered,
	.on_advertised = rpc_advertised,
	.on_failed = rpc_failed,
};

/* ---- the control stream's start ---- */

/* "1" or "1;feature;..." from an adit edge; anything else is a stock edge. */
static void note_edge(struct edge_link *el, const char *announced)
{
	size_t n_version = sizeof(ADIT_EDGE_VERSION) - 1;

	if (!announced || strncmp(announced, ADIT_EDGE_VERSION, n_version) != 0)
		return;
	if (announced[n_version] != '\0' && announced[n_version] != ';')
		return;
	el->is_adit = true;
	if (announced[n_version] == ';')
		strncpy(el->features, announced + n_version + 1, sizeof(el->features) - 1);
}

bool edge_link_take_control(struct edge_link *el, struct h2_stream *stream,
			    const struct h2_headers *hdrs)
{
	if (el->phase != CONTROL_NONE)
		return false;
	note_edge(el, h2_headers_get(hdrs, HDR_ADIT_EDGE));
	if (reply_control(stream) < 0 || control_client_new(&el->rpc, &rpc_events, el) < 0) {
		h2_stream_reset(stream, H2_CODE_INTERNAL_ERROR);
		return true;
	}
	el->phase = CONTROL_OPEN;
	el->control = stream;
	h2_stream_set_events(stream, &control_events, el);
	h2_stream_reset_after_end(stream);
	h2_queue_init(&el->queue, stream, CONTROL_QUEUE_MAX);
	el->events->on_control(el->ctx, el);
	return true;
}

/* ---- calls ---- */

void edge_link_register(struct edge_link *el, struct registration_request *req, uint64_t now_ms)
{
	req->origin_local_ip = link_local(el->link)->ip;
	if (control_client_register(el->rpc, req, now_ms, RPC_MS) < 0 && el->control)
		h2_stream_reset(el->control, H2_CODE_INTERNAL_ERROR);
}

void edge_link_unregister(struct edge_link *el, uint32_t timeout_ms, uint64_t now_ms)
{
	if (el->phase != CONTROL_OPEN)
		return;
	el->phase = CONTROL_LEAVING;
	if (control_client_unregister(el->rpc, now_ms, timeout_ms) < 0 && el->control)
		h2_stream_reset(el->control, H2_CODE_INTERNAL_ERROR);
}

int edge_link_advertise(struct edge_link *el, const struct uuid *instance_id, uint64_t generation,
			const struct route_set *set, bool hash_only, uint64_t now_ms)
{
	if (el->phase != CONTROL_OPEN)
		return -ENOTCONN;
	return control_client_advertise(el->rpc, instance_id, generation, set, hash_only, now_ms,
					RPC_MS);
}

void edge_link_drop_advert(struct edge_link *el)
{
	if (el->rpc)
		control_client_drop_advert(el->rpc);
}

void edge_link_push_config(struct edge_link *el, const char *json, uint64_t now_ms)
{
	if (el->phase == CONTROL_OPEN)
		control_client_push_config(el->rpc, json, now_ms, RPC_MS);
}

void edge_link_drain(struct edge_link *el)
{
	struct h2_session *session = link_session(el->link);

	if (session)
		h2_session_drain(session);
}

void edge_link_probe(struct edge_link *el)
{
	link_probe(el->link);
}

uint64_t edge_link_deadline_ms(const struct edge_link *el)
{
	bool running = el->phase == CONTROL_OPEN || el->phase == CONTROL_LEAVING;

	return running ? control_client_deadline_ms(el->rpc) : UINT64_MAX;
}

void edge_link_tick(struct edge_link *el, uint64_t now_ms)
{
	if (now_ms >= edge_link_deadline_ms(el))
		control_client_tick(el->rpc, now_ms);
}

/* ---- the link's events ---- */

static void link_secure(void *ctx, struct link *link)
{
	struct edge_link *el = ctx;

	/* A failure closes the link, which is reported as such. */
	if (link_start(link, H2_ROLE_ACCEPTOR, &limits, LIVENESS_PINGS) == 0 && el->events)
		el->events->on_secure(el->ctx, el);
}

static void link_open(void *ctx, struct link *link, struct h2_stream *stream,
		      const struct h2_headers *hdrs)
{
	struct edge_link *el = ctx;

	(void)link;
	if (el->events)
		el->events->on_stream(el->ctx, el, stream, hdrs);
	else
		reply_refuse(stream, STREAM_ERROR_DRAINING);
}

static void link_goaway(void *ctx, struct link *link, uint32_t h2_code)
{
	struct edge_link *el = ctx;

	(void)link;
	(void)h2_code;
	if (el->events)
		el->events->on_goaway(el->ctx, el);
}

static void link_closed(void *ctx, struct link *link, enum link_end why)
{
	struct edge_link *el = ctx;

	io_task_cancel(&el->report_end);
	list_remove(&el->node);
	if (el->events)
		el->events->on_closed(el->ctx, el, why, link_error_text(link));
	link_free(link);
	control_client_free(el->rpc);
	free(el);
}

static const struct link_events link_events = {
	.on_secure = link_secure,
	.on_open = link_open,
	.on_goaway = link_goaway,
	.on_closed = link_closed,
};

/* ---- life ---- */

static int dial(struct edge_link *el, const struct edge_link_options *opt)
{
	const struct edge_address *a = &el->address;
	struct proxy_dial_options proxy;
	char ip[IP_TEXT_MAX];
	struct link_dial_options dial = {
		.peer = a->ep,
		.bind = opt->bind,
		.server_name = a->server_name,
		.connect_ms = opt->connect_ms,
	};

	if (a->proxy.ip.family) {
		proxy = (struct proxy_dial_options){
			.kind = opt->proxy->kind,
			.host = a->host[0] ? a->host : ip_format(&a->ep.ip, ip),
			.port = a->ep.port,
			.user = opt->proxy->user[0] ? opt->proxy->user : NULL,
			.password = opt->proxy->password,
		};
		dial.peer = a->proxy;
		dial.proxy = &proxy;
	}
	return link_dial(&el->link, opt->loop, opt->tls, &dial, &link_events, el);
}

int edge_link_dial(struct edge_link **elp, const struct edge_link_options *opt,
		   const struct edge_address *address, uint32_t id,
		   const struct edge_link_events *events, void *ctx)
{
	struct edge_link *el = xnew(struct edge_link);
	int r;

	list_init(&el->node);
	io_task_init(&el->report_end, report_end_task);
	el->id = id;
	el->address = *address;
	el->loop = opt->loop;
	el->max_frame_bytes = opt->max_frame_bytes;
	el->events = events;
	el->ctx = ctx;
	r = dial(el, opt);
	if (r < 0) {
		free(el);
		return r;
	}
	*elp = el;
	return 0;
}

/*
 * The link still flushes and runs the streams' last events after this, maybe we are even
 * called from one of them: so memory goes with the link's own end.
 */
void edge_link_close(struct edge_link *el)
{
	if (!el->events)
		return;
	el->events = NULL;
	edge_link_drop_advert(el);
	list_remove(&el->node);
	link_close(el->link, LINK_END_LOCAL);
}

/* ---- views ---- */

uint32_t edge_link_id(const struct edge_link *el)
{
	return el->id;
}

const struct edge_address *edge_link_address(const struct edge_link *el)
{
	return &el->address;
}

const struct ip_addr *edge_link_local_ip(const struct edge_link *el)
{
	return &link_local(el->link)->ip;
}

void edge_link_get_stats(const struct edge_link *el, struct link_stats *out)
{
	link_get_stats(el->link, out);
	if (el->control && out->n_streams)
		out->n_streams--;
}

bool edge_link_is_idle(const struct edge_link *el)
{
	struct link_stats stats;

	edge_link_get_stats(el, &stats);
	return stats.n_streams == 0;
}

bool edge_link_is_adit(const struct edge_link *el)
{
	return el->is_adit;
}

const char *edge_link_features(const struct edge_link *el)
{
	return el->features;
}

const char *edge_link_location(const struct edge_link *el)
{
	return el->location;
}

struct list *edge_link_node(struct edge_link *el)
{
	return &el->node;
}

struct edge_link *edge_link_of_node(struct list *node)
{
	return list_entry(node, struct edge_link, node);
}
