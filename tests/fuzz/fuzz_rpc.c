/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The control stream: the input goes into control_server or control_client, cut
 * where the input says. Input: side and number of cuts, the cuts (sizes of pieces),
 * the stream.
 */

#include <stdlib.h>

#include "wire/control_client.h"
#include "wire/control_server.h"

#define CUTS_MAX 15

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct side {
	struct control_client *client;
	struct control_server *server;
	struct route_set set;
	unsigned int n_ends;
};

static void on_send(void *ctx, const uint8_t *data, size_t n)
{
	struct side *s = ctx;

	/* Whole messages only, and nothing after the end but an Abort, which comes before it. */
	if (!data || n % 8 || s->n_ends)
		abort();
}

static void on_register(void *ctx, uint32_t answer, const struct registration_request *req)
{
	struct side *s = ctx;
	const struct registration_error error = {.cause = "no"};
	const struct registration_details details = {.location = "here"};

	if (req->conn_index & 1)
		(void)control_server_refused(s->server, answer, &error);
	else
		(void)control_server_registered(s->server, answer, &details);
}

static void on_unregister(void *ctx, uint32_t answer)
{
	struct side *s = ctx;

	(void)control_server_unregistered(s->server, answer);
}

static void on_local_config(void *ctx, const uint8_t *json, size_t n)
{
	(void)ctx, (void)json, (void)n;
}

static void on_advertise(void *ctx, uint32_t answer, const struct route_call *call)
{
	struct side *s = ctx;
	const struct route_reply reply = {.send_all = call->hash_only};

	(void)control_server_advertised(s->server, answer, &reply);
}

static void on_end(void *ctx, bool protocol_error, const char *text)
{
	struct side *s = ctx;

	(void)protocol_error;
	if (!text || s->n_ends++)
		abort();
}

static const struct control_server_events server_events = {
	.on_send = on_send,
	.on_register = on_register,
	.on_unregister = on_unregister,
	.on_local_config = on_local_config,
	.on_advertise = on_advertise,
	.on_end = on_end,
};

static void on_registered(void *ctx, const struct registration_details *details,
			  const struct registration_error *error)
{
	struct side *s = ctx;
	static const struct uuid instance;

	if (!details == !error)
		abort();
	(void)control_client_push_config(s->client, "{}", 0, 1000);
	(void)control_client_advertise(s->client, &instance, 1, &s->set, false, 0, 1000);
}

static void on_unregistered(void *ctx, bool ok)
{
	(void)ctx, (void)ok;
}

static void on_advertised(void *ctx, uint64_t generation, const struct route_verdict *verdicts,
			  size_t n_verdicts, bool send_all, const char *failed)
{
	struct side *s = ctx;

	(void)generation;
	if (n_verdicts && (!verdicts || send_all || failed))
		abort();
	(void)control_client_unregister(s->client, 0, 1000);
}

static void on_failed(void *ctx, enum control_end why, const char *text)
{
	on_end(ctx, why == CONTROL_END_PROTOCOL, text);
}

static const struct control_client_events client_events = {
	.on_send = on_send,
	.on_registered = on_registered,
	.on_unregistered = on_unregistered,
	.on_advertised = on_advertised,
	.on_failed = on_failed,
};

static void start(struct side *s, bool is_server)
{
	static struct vnet_entry vnet = {.name = "v"};
	static struct route_entry route = {.network = "10.0.0.0/8", .virtual_network = "v"};
	static const struct registration_request request = {.account_tag = "a", .version = "1"};

	s->set = (struct route_set){.vnets = &vnet, .n_vnets = 1, .routes = &route, .n_routes = 1};
	if (is_server) {
		if (control_server_new(&s->server, &server_events, s))
			abort();
		return;
	}
	if (control_client_new(&s->client, &client_events, s) ||
	    control_client_register(s->client, &request, 0, 1000))
		abort();
}

static void feed(struct side *s, const uint8_t *data, size_t n)
{
	if (s->server)
		control_server_feed(s->server, data, n);
	else
		control_client_feed(s->client, data, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	size_t n_cuts = n ? data[0] & CUTS_MAX : 0;
	const uint8_t *cuts = data + 1;
	struct side s = {0};

	if (n < 1 + n_cuts)
		return 0;
	start(&s, data[0] & 0x80);
	data += 1 + n_cuts;
	n -= 1 + n_cuts;
	for (size_t i = 0; i < n_cuts && cuts[i] <= n; i++) {
		feed(&s, data, cuts[i]);
		data += cuts[i];
		n -= cuts[i];
	}
	feed(&s, data, n);
	if (s.client)
		control_client_tick(s.client, 10000);
	control_client_free(s.client);
	control_server_free(s.server);
	return 0;
}
