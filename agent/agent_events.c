/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The control command `events`, and who follows it.
 *
 * A follower has no queue: it has a number, that of the last event it was sent, and is
 * sent the next ones while its socket takes them. Slow ones fall behind, and may find
 * the ring gone round: then they are told how much they missed.
 */

#include <jansson.h>

#include "agent/agent_private.h"
#include "base/clock.h"
#include "base/err.h"
#include "ctrl/agent_status.h"
#include "ctrl/ctrl_server.h"

/* The other half of the control clients is for questions. */
#define FOLLOWERS_MAX (CTRL_CLIENTS_MAX / 2)

struct follower {
	struct list node;
	struct agent *agent;
	struct ctrl_request *req;
	uint64_t after;
};

void agent_feed_open(struct agent *a)
{
	a->feed.events = events_new(EVENTS_MAX);
	list_init(&a->feed.followers);
}

void agent_feed_close(struct agent *a)
{
	a->feed.events = events_free(a->feed.events);
}

/* ---- followers ---- */

static void feed(struct follower *f)
{
	json_t *event;

	while (ctrl_stream_has_room(f->req) &&
	       (event = events_next(f->agent->feed.events, &f->after)) != NULL)
		ctrl_stream_send(f->req, event);
}

static void follower_room(void *ctx, struct ctrl_request *req UNUSED)
{
	feed(ctx);
}

static void follower_gone(void *ctx, struct ctrl_request *req UNUSED)
{
	struct follower *f = ctx;

	list_remove(&f->node);
	f->agent->feed.n_followers--;
	free(f);
}

static const struct ctrl_stream_events follower_events = {
	.on_room = follower_room,
	.on_gone = follower_gone,
};

static void follow(struct agent *a, struct ctrl_request *req, uint64_t since)
{
	struct follower *f;

	if (a->feed.n_followers >= FOLLOWERS_MAX) {
		ctrl_reply_error(req, "busy", "%d clients follow already", FOLLOWERS_MAX);
		return;
	}
	f = xnew(struct follower);
	f->agent = a;
	f->req = req;
	f->after = since;
	list_append(&a->feed.followers, &f->node);
	a->feed.n_followers++;
	ctrl_stream_begin(req, &follower_events, f);
	feed(f);
}

void agent_tell(struct agent *a, const char *kind, const struct log_field *fields)
{
	struct list *pos;

	events_add(a->feed.events, clock_wall_ms(), kind, fields);
	list_for_each (pos, &a->feed.followers)
		feed(list_entry(pos, struct follower, node));
}

/* ---- the command ---- */

/* Without `since` a reader has missed nothing: it never knew. */
static uint64_t before_the_oldest(const struct events *e)
{
	uint64_t last = events_last(e);

	return last > EVENTS_MAX ? last - EVENTS_MAX : 0;
}

static void list_events(struct agent *a, struct ctrl_request *req, uint64_t since)
{
	json_t *list = json_array();
	json_t *event;

	while ((event = events_next(a->feed.events, &since)) != NULL)
		json_array_append_new(list, event);
	ctrl_reply_ok(req, json_pack("{s:o}", EVENTS_EVENTS, list));
}

void agent_run_events(void *ctx, struct ctrl_request *req, const json_t *args)
{
	struct agent *a = ctx;
	const json_t *since = json_object_get(args, EVENTS_SINCE);
	const json_t *followed = json_object_get(args, EVENTS_FOLLOW);
	uint64_t after = before_the_oldest(a->feed.events);

	if ((since && (!json_is_integer(since) || json_integer_value(since) < 0)) ||
	    (followed && !json_is_boolean(followed))) {
		ctrl_reply_error(req, "invalid",
				 "'" EVENTS_SINCE "' is the number of an event, '" EVENTS_FOLLOW
				 "' true or false");
		return;
	}
	if (since)
		after = (uint64_t)json_integer_value(since);
	if (json_is_true(followed))
		follow(a, req, after);
	else
		list_events(a, req, after);
}
