/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config_push.h"

#include <stdlib.h>
#include <string.h>

#include "agent/remote_config.h"
#include "agent/reply.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "wire/h2_queue.h"
#include "wire/h2_session.h"
#include "wire/h2_stream.h"
#include "wire/proto.h"

#define NOTE_MAX 256

struct config_push {
	struct h2_stream *stream;
	struct remote_config *remote;
	struct buf body;
	struct h2_queue answer;	  /* in use once answered with 200 */
	void (*ended)(void *ctx); /* NULL once called */
	void *ctx;
};

static void end_body(struct config_push *p)
{
	buf_deinit(&p->body);
	if (p->ended)
		p->ended(p->ctx);
	p->ended = NULL;
}

static void log_outcome(enum remote_config_outcome outcome, int32_t version, const char *note)
{
	static const char *const messages[] = {
		[REMOTE_CONFIG_APPLIED] = "remote configuration applied",
		[REMOTE_CONFIG_OLD] = "remote configuration is not newer",
		[REMOTE_CONFIG_INVALID] = "remote configuration refused",
		[REMOTE_CONFIG_UNREADABLE] = "remote configuration unreadable",
	};

	if (outcome == REMOTE_CONFIG_OLD)
		log_debug(messages[outcome], log_int("version", version));
	else
		log_info(messages[outcome], log_int("version", version),
			 log_text(outcome == REMOTE_CONFIG_APPLIED ? "unserved" : "reason",
				  *note ? note : NULL));
}

static void send_answer(struct config_push *p, const char *answer)
{
	size_t n = strlen(answer);

	if (reply_config(p->stream, n) < 0) {
		h2_stream_reset(p->stream, H2_CODE_INTERNAL_ERROR);
		return;
	}
	h2_stream_reset_after_end(p->stream);
	h2_queue_init(&p->answer, p->stream, REMOTE_CONFIG_ANSWER_MAX);
	h2_queue_write(&p->answer, answer, n);
	h2_queue_end(&p->answer);
}

static void apply(struct config_push *p)
{
	char answer[REMOTE_CONFIG_ANSWER_MAX], note[NOTE_MAX] = "";
	enum remote_config_outcome outcome = remote_config_apply(
		p->remote, buf_peek(&p->body), buf_len(&p->body), answer, note, sizeof(note));

	log_outcome(outcome, p->remote->version, note);
	end_body(p);
	if (outcome == REMOTE_CONFIG_UNREADABLE)
		reply_refuse(p->stream, STREAM_ERROR_INTERNAL);
	else
		send_answer(p, answer);
}

static void body_data(void *ctx, struct h2_stream *stream, const uint8_t *data, size_t n)
{
	struct config_push *p = ctx;

	h2_stream_credit(stream, n);
	if (!p->ended || buf_append(&p->body, data, n) == 0)
		return;
	log_warn("remote configuration is too large", log_int("limit_bytes", CONFIG_BODY_MAX));
	end_body(p);
	reply_refuse(stream, STREAM_ERROR_INTERNAL);
}

static void body_eof(void *ctx, struct h2_stream *stream)
{
	struct config_push *p = ctx;

	(void)stream;
	if (p->ended)
		apply(p);
}

static void push_closed(void *ctx, struct h2_stream *stream, uint32_t h2_code)
{
	struct config_push *p = ctx;

	(void)stream;
	(void)h2_code;
	end_body(p);
	if (p->answer.stream)
		h2_queue_deinit(&p->answer);
	free(p);
}

static const struct h2_stream_events push_events = {
	.on_data = body_data,
	.on_eof = body_eof,
	.on_closed = push_closed,
};

void config_push_take(struct h2_stream *stream, struct remote_config *remote,
		      void (*ended)(void *ctx), void *ctx)
{
	struct config_push *p = xnew(struct config_push);

	p->stream = stream;
	p->remote = remote;
	p->ended = ended;
	p->ctx = ctx;
	buf_init(&p->body, CONFIG_BODY_MAX);
	h2_stream_set_events(stream, &push_events, p);
	if (h2_stream_peer_ended(stream))
		apply(p);
}
