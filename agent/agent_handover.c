/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Being replaced: the control commands `replace`, and what follows the last of them.
 *
 * Who is connected to the control socket is served to our end; who comes meets the new agent.
 *
 * The claim belongs to its connection, so the death of who made it ends it; so does its silence,
 * after a while. After the confirmation our routes are withdrawn first and our connections after
 * that: the new agent serves the same ones already, the edge leads no more streams to us, and does
 * not hold for us (route-hold) what the new one may no longer advertise.
 */

#include <stdlib.h>
#include <unistd.h>

#include <jansson.h>

#include "agent/agent_private.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/log.h"
#include "base/notify.h"
#include "ctrl/agent_status.h"
#include "ctrl/ctrl_server.h"
#include "wire/io_loop.h"

/* The edge's answer; without it we drain all the same. */
#define WITHDRAW_MS 3000
/* A claim is over, but what its owner has sent is read first. */
#define READ_FIRST_MS 100

/* What a claimant's connection is bound to. */
struct claimant {
	struct agent *agent;
	uint64_t claim;
};

static void tell_step(struct agent *a, const char *step, int64_t pid)
{
	log_info("replacement", log_text(REPLACEMENT_STEP, step), log_int(REPLACE_PID, pid));
	agent_event(a, EVENT_REPLACEMENT, log_text(REPLACEMENT_STEP, step),
		    log_int(REPLACE_PID, pid));
}

static void claim_ended(struct agent *a, int64_t pid, bool had_name)
{
	/* Who had our name may have told systemd so. */
	if (had_name && a->in_charge)
		agent_service_say_main(getpid());
	a->handover.conn = NULL;
	tell_step(a, REPLACEMENT_LEFT, pid);
}

static void claimant_gone(void *ctx)
{
	struct claimant *c = ctx;
	struct agent *a = c->agent;
	struct handover *h = &a->handover.machine;
	int64_t pid = handover_pid(h);
	bool had_name = handover_gone(h, c->claim);

	if (pid && !handover_pid(h))
		claim_ended(a, pid, had_name);
	free(c);
}

/* UINT64_MAX, or when to look again. */
static uint64_t expire_claim(struct agent *a, uint64_t now_ms)
{
	struct handover *h = &a->handover.machine;
	struct ctrl_conn *conn = a->handover.conn;
	int64_t pid = handover_pid(h);
	bool had_name;

	if (now_ms < handover_deadline_ms(h))
		return handover_deadline_ms(h);
	if (ctrl_conn_has_input(conn))
		return now_ms + READ_FIRST_MS;
	handover_expire(h, now_ms, &had_name);
	claim_ended(a, pid, had_name);
	ctrl_conn_dismiss(conn, "unavailable", "the claim has lasted too long and is over");
	return UINT64_MAX;
}

/* ---- replace ---- */

/* NULL, or why not, with the error's code. */
static const char *check_claim(const struct agent *a, const json_t *args, const char **codep)
{
	const char *tunnel = json_string_value(json_object_get(args, REPLACE_TUNNEL_ID));
	struct uuid id;

	*codep = "invalid";
	if (!tunnel || uuid_parse(tunnel, &id) < 0 ||
	    json_integer_value(json_object_get(args, REPLACE_PID)) <= 0)
		return "'" REPLACE_TUNNEL_ID "' is a UUID, '" REPLACE_PID "' a process";
	if (!uuid_equal(&id, &a->credentials.tunnel_id))
		return "the agent that runs here is another tunnel's; give one of them another "
		       "control-socket";
	*codep = "conflict";
	if (takeover_is_under_way(&a->takeover.machine))
		return "this agent is about to replace another one itself";
	*codep = "unavailable";
	return a->in_charge && a->phase != AGENT_PHASE_LEAVING ? NULL : "the agent ends just now";
}

static json_t *describe_us(const struct agent *a)
{
	char tunnel[UUID_TEXT_MAX], connector[UUID_TEXT_MAX], instance[UUID_TEXT_MAX];

	return json_pack("{s:s, s:s, s:I, s:s, s:b, s:b, s:I}", REPLACE_TUNNEL_ID,
			 uuid_format(&a->credentials.tunnel_id, tunnel), REPLACE_CONNECTOR_ID,
			 uuid_format(&a->connector_id, connector), REPLACE_PID,
			 (json_int_t)getpid(), REPLACE_INSTANCE_ID,
			 uuid_format(&a->service.file.instance_id, instance), REPLACE_EVER,
			 a->service.file.ever_registered, REPLACE_NOTIFIES, notify_is_wanted(),
			 REPLACE_WATCHDOG_MS, (json_int_t)a->service.watchdog_ms);
}

void agent_run_replace(void *ctx, struct ctrl_request *req, const json_t *args)
{
	struct agent *a = ctx;
	struct handover *h = &a->handover.machine;
	int64_t pid = json_integer_value(json_object_get(args, REPLACE_PID));
	const char *code, *why = check_claim(a, args, &code);
	struct claimant *c;
	uint64_t claim;

	if (why) {
		ctrl_reply_error(req, code, "%s", why);
	} else if (ctrl_request_bound(req) ||
		   handover_claim(h, pid, io_loop_now_ms(a->loop), &claim) != 0) {
		ctrl_reply_error(req, "conflict", "process %lld is about to replace this agent",
				 (long long)handover_pid(h));
	} else {
		c = xnew(struct claimant);
		*c = (struct claimant){.agent = a, .claim = claim};
		a->handover.conn = ctrl_request_bind(req, claimant_gone, c);
		supervisor_poke(a->supervisor);
		tell_step(a, REPLACEMENT_CLAIMED, pid);
		ctrl_reply_ok(req, describe_us(a));
	}
}

static uint64_t claim_of(const struct ctrl_request *req)
{
	const struct claimant *c = ctrl_request_bound(req);

	return c ? c->claim : 0;
}

static void refuse_order(struct ctrl_request *req)
{
	ctrl_reply_error(req, "conflict", "this connection has no claim, or it is not its turn");
}

/* ---- replace.take, replace.confirm ---- */

void agent_run_replace_take(void *ctx, struct ctrl_request *req, const json_t *args UNUSED)
{
	struct agent *a = ctx;

	if (handover_take(&a->handover.machine, claim_of(req)) != 0)
		refuse_order(req);
	else
		ctrl_reply_name(req, NULL);
}

static void step_down(struct agent *a, int64_t pid)
{
	log_info("replaced, draining", log_int(REPLACE_PID, pid));
	agent_service_lay_down(a);
	ctrl_server_give_up(a->ctrl);
	/* One that was told to stop before has no routes to withdraw: its connections are gone. */
	if (a->phase != AGENT_PHASE_RUNNING)
		return;
	agent_routes_withdraw(a);
	a->handover.withdrawn_ms = io_loop_now_ms(a->loop) + WITHDRAW_MS;
	supervisor_poke(a->supervisor);
}

void agent_run_replace_confirm(void *ctx, struct ctrl_request *req, const json_t *args UNUSED)
{
	struct agent *a = ctx;
	int64_t pid = handover_pid(&a->handover.machine);

	if (handover_confirm(&a->handover.machine, claim_of(req)) != 0) {
		refuse_order(req);
		return;
	}
	a->handover.conn = NULL;
	ctrl_reply_ok(req, NULL);
	step_down(a, pid);
}

void agent_handover_close(struct agent *a)
{
	/* It needs no confirmation any more. */
	if (a->handover.machine.state == HANDOVER_STATE_HANDED) {
		agent_service_lay_down(a);
		ctrl_server_give_up(a->ctrl);
	}
	ctrl_server_free(a->ctrl);
	a->ctrl = NULL;
}

uint64_t agent_handover_settle(struct agent *a, uint64_t now_ms)
{
	struct agent_handover *h = &a->handover;

	if (!h->withdrawn_ms)
		return expire_claim(a, now_ms);
	if (now_ms < h->withdrawn_ms && supervisor_n_registered(a->supervisor) > 0 &&
	    !advertise_is_settled(a->routes.advertise))
		return h->withdrawn_ms;
	h->withdrawn_ms = 0;
	agent_drain(a);
	return UINT64_MAX;
}
