/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `adit run --replace`: the machine of takeover.h joined to the old agent's control socket, to
 * our connections and to systemd.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "agent/agent_private.h"
#include "base/compiler.h"
#include "base/log.h"
#include "base/notify.h"
#include "ctrl/agent_status.h"
#include "ctrl/ctrl_server.h"
#include "ctrl/ctrl_socket.h"
#include "ctrl/ctrl_talk.h"
#include "wire/io_loop.h"

/* A full backlog, before anything of ours runs. */
#define CONNECT_MS 1000

/* ---- the machine's wishes ---- */

static json_t *describe_us(const struct agent *a)
{
	char tunnel[UUID_TEXT_MAX], connector[UUID_TEXT_MAX];

	return json_pack("{s:s, s:s, s:I}", REPLACE_TUNNEL_ID,
			 uuid_format(&a->credentials.tunnel_id, tunnel), REPLACE_CONNECTOR_ID,
			 uuid_format(&a->connector_id, connector), REPLACE_PID,
			 (json_int_t)getpid());
}

static void ask(void *ctx, enum takeover_step step)
{
	static const char *const commands[] = {
		[TAKEOVER_STEP_CLAIM] = AGENT_COMMAND_REPLACE,
		[TAKEOVER_STEP_TAKE] = AGENT_COMMAND_REPLACE_TAKE,
		[TAKEOVER_STEP_CONFIRM] = AGENT_COMMAND_REPLACE_CONFIRM,
	};
	struct agent *a = ctx;
	json_t *args = step == TAKEOVER_STEP_CLAIM ? describe_us(a) : NULL;
	int r = ctrl_talk_ask(a->takeover.talk, commands[step], args);

	json_decref(args);
	if (r < 0)
		log_debug("the old agent was not asked", log_text("command", commands[step]),
			  log_text("reason", strerror(-r)));
}

static void join(void *ctx)
{
	struct agent *a = ctx;

	supervisor_start(a->supervisor);
}

/* Of a connection that isn't there; "" if none has one. */
static const char *find_trouble(const struct agent *a)
{
	struct supervisor_connection c;

	for (unsigned int i = 0; i < supervisor_n_uplinks(a->supervisor); i++) {
		supervisor_get_connection(a->supervisor, i, &c);
		if (c.state != UPLINK_STATE_REGISTERED && c.last_error[0])
			return c.last_error;
	}
	return "";
}

static const char *missing(void *ctx)
{
	struct agent *a = ctx;
	unsigned int expected = supervisor_n_uplinks(a->supervisor);
	unsigned int n = supervisor_n_registered(a->supervisor);
	const char *trouble;

	if (n == expected)
		return advertise_is_settled(a->routes.advertise)
			       ? NULL
			       : "the edge has not answered to the routes";
	trouble = find_trouble(a);
	snprintf(a->takeover.missing, sizeof(a->takeover.missing),
		 "%u of %u connections are registered%s%s", n, expected, *trouble ? ": " : "",
		 trouble);
	return a->takeover.missing;
}

static bool has_answer(void *ctx)
{
	const struct agent *a = ctx;

	return ctrl_talk_has_input(a->takeover.talk);
}

static int adopt(void *ctx)
{
	struct agent *a = ctx;
	struct ctrl_socket name;
	int *fds = a->takeover.fds;
	int r = ctrl_socket_adopt(a->boot->control_socket, fds[0], fds[1], &name);

	fds[0] = fds[1] = -1;
	if (r == 0)
		r = agent_ctrl_adopt(a, &name);
	if (r < 0)
		return r;
	agent_service_announce(a);
	return 0;
}

static int seize(void *ctx)
{
	struct agent *a = ctx;
	int r = agent_ctrl_listen(a);

	if (r == CTRL_E_RUNNING)
		return TAKEOVER_E_HELD;
	if (r == 0)
		agent_service_announce(a);
	return r;
}

static void in_charge(void *ctx, const char *note)
{
	struct agent *a = ctx;

	a->takeover.talk = ctrl_talk_free(a->takeover.talk);
	if (note)
		log_warn("replaced the old agent", log_int(REPLACE_PID, a->takeover.pid),
			 log_text("note", note));
	else
		log_info("replaced the old agent", log_int(REPLACE_PID, a->takeover.pid));
	agent_event(a, EVENT_REPLACEMENT, log_text(REPLACEMENT_STEP, REPLACEMENT_DONE),
		    log_int(REPLACE_PID, a->takeover.pid));
	agent_service_take_charge(a);
}

static void fail(void *ctx, int exit_code, const char *reason)
{
	struct agent *a = ctx;

	log_error("the running agent was not replaced, it goes on", log_text("reason", reason),
		  log_int(REPLACE_PID, a->takeover.pid));
	agent_service_hand_back(a, a->takeover.pid);
	ctrl_server_give_up(a->ctrl);
	agent_leave(a, exit_code);
}

static const struct takeover_ops ops = {
	.ask = ask,
	.join = join,
	.missing = missing,
	.has_answer = has_answer,
	.adopt = adopt,
	.seize = seize,
	.in_charge = in_charge,
	.fail = fail,
};

/* ---- what the old agent says ---- */

/* NULL, or why this isn't an agent that we can follow. */
static const char *take_claim(struct agent *a, const json_t *result)
{
	const char *instance = json_string_value(json_object_get(result, REPLACE_INSTANCE_ID));
	json_int_t watchdog_ms = json_integer_value(json_object_get(result, REPLACE_WATCHDOG_MS));
	struct uuid id;

	a->takeover.pid = json_integer_value(json_object_get(result, REPLACE_PID));
	if (!instance || uuid_parse(instance, &id) < 0 || uuid_is_nil(&id))
		return "its answer has no '" REPLACE_INSTANCE_ID "'";
	if (json_is_true(json_object_get(result, REPLACE_NOTIFIES)) && !notify_is_wanted())
		return "systemd runs it and would end its unit with it: replace it by the unit's "
		       "ExecReload";
	a->service.file.instance_id = id;
	if (json_is_true(json_object_get(result, REPLACE_EVER)))
		a->service.file.ever_registered = true;
	/* systemd sets it for the process that it starts as the main one, and expects it of us. */
	if (!a->service.watchdog_ms && watchdog_ms > 0)
		a->service.watchdog_ms = (uint64_t)watchdog_ms;
	return NULL;
}

static void answered(void *ctx, const json_t *result, const struct ctrl_error *error,
		     int fds[CTRL_TALK_FDS])
{
	struct agent *a = ctx;
	struct takeover *t = &a->takeover.machine;
	const char *why = NULL;

	if (error) {
		takeover_on_refused(t, error->code, error->text);
		return;
	}
	if (t->state == TAKEOVER_STATE_CLAIMING)
		why = take_claim(a, result);
	a->takeover.fds = fds;
	if (why)
		takeover_on_refused(t, "unavailable", why);
	else
		takeover_on_answer(t, io_loop_now_ms(a->loop));
	a->takeover.fds = NULL;
	supervisor_poke(a->supervisor);
}

static void ended(void *ctx, const char *reason)
{
	struct agent *a = ctx;

	log_debug("the old agent is gone", log_text("reason", reason));
	a->takeover.talk = ctrl_talk_free(a->takeover.talk);
	takeover_on_end(&a->takeover.machine, io_loop_now_ms(a->loop));
	supervisor_poke(a->supervisor);
}

static const struct ctrl_talk_events talk_events = {.on_answer = answered, .on_end = ended};

/* ---- life ---- */

static int refuse(const struct agent *a, int exit_code, const char *reason)
{
	log_error("the running agent can't be replaced",
		  log_text("control_socket", a->boot->control_socket), log_text("reason", reason));
	return exit_code;
}

/* What it owns would be ours afterwards, in files of its user. */
static int check_user(struct agent *a)
{
	char reason[96];
	uid_t uid;
	int r = ctrl_talk_uid(a->takeover.talk, &uid);

	if (r < 0)
		return refuse(a, AGENT_EXIT_FAILED, strerror(-r));
	if (uid == geteuid())
		return AGENT_EXIT_OK;
	snprintf(reason, sizeof(reason),
		 "it is of user %u and we are user %u: replace it as that user", uid, geteuid());
	return refuse(a, AGENT_EXIT_REFUSED, reason);
}

int agent_takeover_find(struct agent *a)
{
	int r = ctrl_talk_new(&a->takeover.talk, &a->uv, a->boot->control_socket, CONNECT_MS,
			      &talk_events, a);

	takeover_init(&a->takeover.machine, &ops, a);
	if (r == 0)
		return check_user(a);
	if (r == -ENOENT || r == -ECONNREFUSED)
		return AGENT_EXIT_OK;
	if (r == -EACCES)
		return refuse(a, AGENT_EXIT_REFUSED, "its control socket is not ours to use");
	if (r == -EAGAIN)
		return refuse(a, AGENT_EXIT_NOT_REPLACED, "it does not answer");
	return refuse(a, AGENT_EXIT_CONFIG, strerror(-r));
}

void agent_takeover_start(struct agent *a)
{
	if (a->takeover.talk)
		takeover_start(&a->takeover.machine, io_loop_now_ms(a->loop));
	else
		supervisor_start(a->supervisor);
	supervisor_poke(a->supervisor);
}

uint64_t agent_takeover_settle(struct agent *a, uint64_t now_ms)
{
	struct takeover *t = &a->takeover.machine;

	if (!takeover_is_under_way(t))
		return UINT64_MAX;
	takeover_settle(t, now_ms);
	return takeover_deadline_ms(t);
}

void agent_takeover_end(struct agent *a)
{
	takeover_cancel(&a->takeover.machine);
	a->takeover.talk = ctrl_talk_free(a->takeover.talk);
}
