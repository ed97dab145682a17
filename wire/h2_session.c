/* SPDX-License-Identifier: Apache-2.0 */

/*
 * nghttp2 as a byte machine.
 *
 * Invariants: nghttp2 is never entered from its own callbacks (IN_CALL is
 * asserted); SETTINGS are queued before the first feed; window updates are
 * ours, not nghttp2's; output goes into the caller's buffer, DATA straight
 * behind its frame header.
 */

#include "wire/h2_session.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "base/err.h"
#include "wire/h2_private.h"

void h2_bucket_init(struct h2_bucket *b, uint32_t burst, uint32_t per_s)
{
	*b = (struct h2_bucket){.tokens = burst, .burst = burst, .per_s = per_s};
}

bool h2_bucket_take(struct h2_bucket *b, uint64_t now_ms)
{
	if (now_ms > b->filled_ms) {
		uint64_t earned = (now_ms - b->filled_ms) * b->per_s / 1000;

		if (earned > 0) {
			uint64_t full = b->tokens + earned;

			b->tokens = full > b->burst ? b->burst : (uint32_t)full;
			b->filled_ms = now_ms;
		}
	}
	if (b->tokens == 0)
		return false;
	b->tokens--;
	return true;
}

void h2_bucket_give(struct h2_bucket *b, uint32_t n)
{
	uint32_t room = b->burst - b->tokens;

	b->tokens += n < room ? n : room;
}

int h2_error(int nghttp2_code)
{
	switch (nghttp2_code) {
	case 0:
		return 0;
	case NGHTTP2_ERR_NOMEM:
		return -ENOMEM;
	default:
		return -EPROTO;
	}
}

void h2_session_touch(struct h2_session *s)
{
	s->events->on_output(s->ctx);
}

static int make_nghttp2(struct h2_session *s)
{
	nghttp2_session_callbacks *callbacks = h2_callbacks_new();
	nghttp2_option *option = NULL;
	int r = callbacks ? nghttp2_option_new(&option) : NGHTTP2_ERR_NOMEM;

	if (r != 0)
		goto out;
	nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_option_set_no_closed_streams(option, 1);
	nghttp2_option_set_peer_max_concurrent_streams(option, UINT32_MAX);
	nghttp2_option_set_max_send_header_block_length(option, HEADER_BLOCK_MAX);
	/* Its limit can't change later and applies to acceptors only: ours counts instead. */
	nghttp2_option_set_stream_reset_rate_limit(option, UINT32_MAX, UINT32_MAX);
	if (s->role == H2_ROLE_OPENER)
		r = nghttp2_session_client_new2(&s->ng, callbacks, s, option);
	else
		r = nghttp2_session_server_new2(&s->ng, callbacks, s, option);
out:
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(callbacks);
	return h2_error(r);
}

static int queue_settings(struct h2_session *s)
{
	const struct h2_limits *l = &s->limits;
	nghttp2_settings_entry common[] = {
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, l->stream_window_bytes},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, l->header_list_bytes},
		{NGHTTP2_SETTINGS_MAX_FRAME_SIZE, l->max_frame_bytes},
		{0, 0},
		{NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
	};
	size_t n = ARRAY_SIZE(common) - (l->enable_connect_protocol ? 0 : 1);
	int r;

	/* A server may not send ENABLE_PUSH, a client has no use for a stream limit. */
	common[3] = s->role == H2_ROLE_OPENER
			    ? (nghttp2_settings_entry){NGHTTP2_SETTINGS_ENABLE_PUSH, 0}
			    : (nghttp2_settings_entry){NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
						       l->max_streams};
	r = nghttp2_submit_settings(s->ng, NGHTTP2_FLAG_NONE, common, n);
	if (r == 0)
		r = nghttp2_session_set_local_window_size(s->ng, NGHTTP2_FLAG_NONE, 0,
							  (int32_t)l->conn_window_bytes);
	return h2_error(r);
}

int h2_session_new(struct h2_session **sessionp, enum h2_role role, const struct h2_limits *limits,
		   const struct h2_session_events *events, void *ctx)
{
	CLEANUP(h2_session_free) struct h2_session *s = xnew(struct h2_session);
	int r;

	assert(role == H2_ROLE_ACCEPTOR || !limits->enable_connect_protocol);
	s->role = role;
	s->limits = *limits;
	s->grown_stream_bytes = limits->stream_window_bytes;
	s->events = events;
	s->ctx = ctx;
	list_init(&s->streams);
	list_init(&s->touched);
	list_init(&s->starved);
	h2_bucket_init(&s->resets, limits->resets_burst, limits->resets_per_s);
	h2_frame_count_init(&s->heads, role == H2_ROLE_ACCEPTOR ? NGHTTP2_CLIENT_MAGIC_LEN : 0);
	h2_bucket_init(&s->nuisance, H2_NUISANCE_BURST, H2_NUISANCE_PER_S);
	r = make_nghttp2(s);
	if (r == 0)
		r = queue_settings(s);
	if (r < 0)
		return err_trace(r);
	*sessionp = steal_ptr(s);
	return 0;
}

struct h2_session *h2_session_free(struct h2_session *s)
{
	struct list *node;

	if (!s)
		return NULL;
	assert(!(s->bits & H2_SESSION_IN_CALL));
	/* An on_closed that tries again must not find a session that takes it. */
	s->bits |= H2_SESSION_DRAINING;
	while ((node = s->streams.next) != &s->streams)
		h2_stream_finish(list_entry(node, struct h2_stream, node), H2_CODE_CANCEL);
	nghttp2_session_del(s->ng);
	free(s);
	return NULL;
}

void h2_session_allow_resets(struct h2_session *s, uint32_t burst, uint32_t per_s)
{
	h2_bucket_init(&s->resets, burst, per_s);
}

void h2_session_set_now(struct h2_session *s, uint64_t now_ms)
{
	s->now_ms = now_ms;
}

static void run_batches(struct h2_session *s)
{
	struct list *node;

	while ((node = list_pop(&s->touched)) != NULL)
		h2_stream_run_batch(list_entry(node, struct h2_stream, touched));
}

/* True when a connection error or flood ended the session: nghttp2 has queued its GOAWAY. */
static bool peer_failed(const struct h2_session *s)
{
	if (s->bits & (H2_SESSION_FLOODED | H2_SESSION_BROKEN))
		return true;
	/* After a goodbye nothing to read is no failure. */
	return !(s->bits & (H2_SESSION_PEER_GOAWAY | H2_SESSION_DRAINING)) &&
	       !nghttp2_session_want_read(s->ng);
}

/* The library's words for it would have the reader look for a client. */
static const char *feed_error_text(int r)
{
	return r == NGHTTP2_ERR_BAD_CLIENT_MAGIC ? "the peer doesn't speak HTTP/2"
						 : nghttp2_strerror(r);
}

/* Frames that cost us work and carry nothing for anybody are counted. */
static bool is_flood(struct h2_session *s, const uint8_t *data, size_t n)
{
	size_t n_idle = h2_frame_count_feed(&s->heads, data, n);

	while (n_idle > 0 && h2_bucket_take(&s->nuisance, s->now_ms))
		n_idle--;
	if (n_idle > 0)
		h2_session_flooded(s, "frames without payload");
	return n_idle > 0;
}

int h2_session_feed(struct h2_session *s, const uint8_t *data, size_t n)
{
	ssize_t r;

	assert(!(s->bits & H2_SESSION_IN_CALL));
	s->bits |= H2_SESSION_IN_CALL;
	r = is_flood(s, data, n) ? 0 : nghttp2_session_mem_recv(s->ng, data, n);
	run_batches(s);
	s->bits &= ~(unsigned int)H2_SESSION_IN_CALL;
	h2_session_credit(s);
	h2_session_touch(s);
	if (r == NGHTTP2_ERR_NOMEM)
		return err_trace(-ENOMEM);
	if (r < 0) {
		if (s->error_text[0] == '\0')
			snprintf(s->error_text, sizeof(s->error_text), "%s",
				 feed_error_text((int)r));
		return H2_E_PEER;
	}
	return peer_failed(s) ? H2_E_PEER : H2_OK;
}

int h2_session_pull(struct h2_session *s, uint8_t *out, size_t cap, size_t *np)
{
	int r;

	assert(!(s->bits & H2_SESSION_IN_CALL) && cap >= H2_PULL_MIN);
	s->bits |= H2_SESSION_IN_CALL;
	s->out.bytes = out;
	s->out.cap = cap;
	s->out.len = 0;
	r = nghttp2_session_send(s->ng);
	*np = s->out.len;
	s->bits &= ~(unsigned int)H2_SESSION_IN_CALL;
	return r == 0 ? 0 : err_trace(h2_error(r));
}

/*
 * nghttp2's count is the one that includes padding and the bytes of streams that were reset
 * meanwhile, of which no callback tells.
 */
void h2_session_credit(struct h2_session *s)
{
	int32_t received = nghttp2_session_get_effective_recv_data_length(s->ng);
	int64_t owed = (int64_t)received - (int64_t)s->conn_withheld_bytes;

	if (owed > 0 && owed >= s->limits.conn_window_bytes / H2_WINDOW_UPDATE_SHARE)
		(void)nghttp2_submit_window_update(s->ng, NGHTTP2_FLAG_NONE, 0, (int32_t)owed);
}

void h2_session_grow_windows(struct h2_session *s, uint32_t stream_bytes, uint32_t conn_bytes)
{
	if (stream_bytes > s->grown_stream_bytes)
		s->grown_stream_bytes = stream_bytes;
	if (conn_bytes <= s->limits.conn_window_bytes)
		return;
	if (nghttp2_session_set_local_window_size(s->ng, NGHTTP2_FLAG_NONE, 0,
						  (int32_t)conn_bytes) == 0)
		s->limits.conn_window_bytes = conn_bytes;
	h2_session_touch(s);
}

void h2_session_release_credit(struct h2_session *s)
{
	if (s->conn_withheld_bytes == 0)
		return;
	s->conn_withheld_bytes = 0;
	h2_session_credit(s);
	h2_session_touch(s);
}

int h2_session_ping(struct h2_session *s, uint64_t opaque)
{
	uint8_t bytes[8];
	int r;

	memcpy(bytes, &opaque, sizeof(bytes));
	r = nghttp2_submit_ping(s->ng, NGHTTP2_FLAG_NONE, bytes);
	h2_session_touch(s);
	return h2_error(r);
}

int h2_session_announce_additions(struct h2_session *s, uint32_t max_frame_bytes)
{
	bool allows_connect = s->role == H2_ROLE_ACCEPTOR && !s->limits.enable_connect_protocol;
	nghttp2_settings_entry entries[2];
	size_t n = 0;
	int r;

	if (max_frame_bytes != s->limits.max_frame_bytes)
		entries[n++] =
			(nghttp2_settings_entry){NGHTTP2_SETTINGS_MAX_FRAME_SIZE, max_frame_bytes};
	if (allows_connect)
		entries[n++] =
			(nghttp2_settings_entry){NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1};
	if (n == 0)
		return 0;
	r = nghttp2_submit_settings(s->ng, NGHTTP2_FLAG_NONE, entries, n);
	if (r == 0) {
		s->limits.max_frame_bytes = max_frame_bytes;
		s->limits.enable_connect_protocol |= allows_connect;
	}
	h2_session_touch(s);
	return h2_error(r);
}

bool h2_session_peer_allows_connect_protocol(const struct h2_session *s)
{
	return s->role == H2_ROLE_OPENER &&
	       nghttp2_session_get_remote_settings(s->ng,
						   NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

void h2_session_drain(struct h2_session *s)
{
	if (s->bits & H2_SESSION_DRAINING)
		return;
	s->bits |= H2_SESSION_DRAINING;
	/* An acceptor announces first: streams on their way are still answered, not lost. */
	if (s->role == H2_ROLE_ACCEPTOR)
		nghttp2_submit_shutdown_notice(s->ng);
	else
		nghttp2_submit_goaway(s->ng, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, NULL, 0);
	h2_session_touch(s);
}

void h2_session_terminate(struct h2_session *s, uint32_t h2_code)
{
	nghttp2_session_terminate_session(s->ng, h2_code);
	h2_session_touch(s);
}

size_t h2_session_n_streams(const struct h2_session *s)
{
	return s->n_streams;
}

bool h2_session_can_open(const struct h2_session *s)
{
	if (!(s->bits & H2_SESSION_GOT_SETTINGS))
		return false;
	return !(s->bits & (H2_SESSION_PEER_GOAWAY | H2_SESSION_DRAINING)) &&
	       nghttp2_session_check_request_allowed(s->ng);
}

bool h2_session_is_idle(const struct h2_session *s)
{
	return s->n_streams == 0 && !nghttp2_session_want_write(s->ng);
}

bool h2_session_is_broken(const struct h2_session *s)
{
	return (s->bits & H2_SESSION_BROKEN) != 0;
}

const char *h2_session_error_text(const struct h2_session *s)
{
	return s->error_text;
}
