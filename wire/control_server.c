/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One row per method; a call of anything else raises "not implemented". Parameters are read
 * before the event runs, and text in them is valid only during it. An event may free
 * the server: then it goes when the feed returns.
 */

#include "wire/control_server.h"

#include <stdlib.h>

#include "base/err.h"
#include "wire/proto.h"
#include "wire/registration_codec.h"
#include "wire/route_codec.h"
#include "wire/rpc.h"

struct control_server {
	const struct control_server_events *events;
	void *ctx;
	struct rpc *rpc;
	bool is_feeding;
	bool is_doomed; /* freed by one of its own events: goes at the end of the feed */
};

typedef void (*method_handler)(struct control_server *s, uint32_t answer,
			       const struct capnp_struct *params);

struct method {
	uint64_t iface;
	uint16_t method;
	method_handler handler;
};

/* rpc.c ends the connection because of a malformed message, so that needs no answer. */
static bool is_readable(const struct capnp_struct *params)
{
	return !params->msg || capnp_message_is_ok(params->msg);
}

static void handle_register(struct control_server *s, uint32_t answer,
			    const struct capnp_struct *params)
{
	struct registration_request req;
	const char *wrong = registration_get_request(params, &req);

	if (!is_readable(params))
		return;
	if (wrong)
		control_server_exception(s, answer, wrong);
	else
		s->events->on_register(s->ctx, answer, &req);
}

static void handle_unregister(struct control_server *s, uint32_t answer,
			      const struct capnp_struct *params UNUSED)
{
	s->events->on_unregister(s->ctx, answer);
}

static void handle_local_config(struct control_server *s, uint32_t answer,
				const struct capnp_struct *params)
{
	size_t n;
	const uint8_t *json = registration_get_local_config(params, &n);

	if (!is_readable(params))
		return;
	s->events->on_local_config(s->ctx, json ? json : (const uint8_t *)"", n);
	(void)rpc_return(s->rpc, answer, NULL, NULL);
}

static void handle_advertise(struct control_server *s, uint32_t answer,
			     const struct capnp_struct *params)
{
	struct route_call call;
	const char *wrong = route_get_call(params, &call);

	if (is_readable(params)) {
		if (wrong)
			control_server_exception(s, answer, wrong);
		else
			s->events->on_advertise(s->ctx, answer, &call);
	}
	route_set_deinit(&call.part);
}

static const struct method methods[] = {
	{IFACE_REGISTRATION, METHOD_REGISTER, handle_register},
	{IFACE_REGISTRATION, METHOD_UNREGISTER, handle_unregister},
	{IFACE_REGISTRATION, METHOD_LOCAL_CONFIG, handle_local_config},
	{IFACE_ROUTES, METHOD_ADVERTISE, handle_advertise},
};

static void on_call(void *ctx, uint32_t answer, uint64_t iface, uint16_t method,
		    struct capnp_struct params)
{
	struct control_server *s = ctx;

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		if (methods[i].iface == iface && methods[i].method == method) {
			methods[i].handler(s, answer, &params);
			return;
		}
	}
	(void)rpc_return_exception(s->rpc, answer, RPC_NOT_IMPLEMENTED, "rpc: no such method");
}

static void on_send(void *ctx, const uint8_t *data, size_t n)
{
	struct control_server *s = ctx;

	s->events->on_send(s->ctx, data, n);
}

static void on_end(void *ctx, enum rpc_end why, const char *text)
{
	struct control_server *s = ctx;

	s->events->on_end(s->ctx, why == RPC_END_PROTOCOL, text);
}

static const struct rpc_events rpc_events = {
	.on_send = on_send,
	.on_call = on_call,
	.on_end = on_end,
};

int control_server_new(struct control_server **sp, const struct control_server_events *events,
		       void *ctx)
{
	struct control_server *s = xnew(struct control_server);

	s->events = events;
	s->ctx = ctx;
	s->rpc = rpc_new(&rpc_events, s);
	*sp = s;
	return 0;
}

struct control_server *control_server_free(struct control_server *s)
{
	if (!s)
		return NULL;
	if (s->is_feeding) {
		rpc_close(s->rpc);
		s->is_doomed = true;
		return NULL;
	}
	rpc_free(s->rpc);
	free(s);
	return NULL;
}

void control_server_feed(struct control_server *s, const uint8_t *data, size_t n)
{
	s->is_feeding = true;
	rpc_feed(s->rpc, data, n);
	s->is_feeding = false;
	if (s->is_doomed)
		control_server_free(s);
}

int control_server_registered(struct control_server *s, uint32_t answer,
			      const struct registration_details *details)
{
	return rpc_return(s->rpc, answer, registration_put_details, details);
}

int control_server_refused(struct control_server *s, uint32_t answer,
			   const struct registration_error *error)
{
	return rpc_return(s->rpc, answer, registration_put_error, error);
}

int control_server_unregistered(struct control_server *s, uint32_t answer)
{
	return rpc_return(s->rpc, answer, NULL, NULL);
}

int control_server_advertised(struct control_server *s, uint32_t answer,
			      const struct route_reply *reply)
{
	return rpc_return(s->rpc, answer, route_put_reply, reply);
}

int control_server_exception(struct control_server *s, uint32_t answer, const char *reason)
{
	return rpc_return_exception(s->rpc, answer, RPC_FAILED, reason);
}
