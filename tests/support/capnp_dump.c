/* SPDX-License-Identifier: Apache-2.0 */

/*
 * capnp_dump - lets the capnp tool check what we write, and us what it writes
 *
 *   capnp_dump write DIR     both halves of the control stream talk; each message becomes a
 *                            file: agent-00, agent-01, ..., edge-00, ...
 *   capnp_dump read-agent    stdin, an agent's bytes, goes into control_server
 *   capnp_dump read-edge     stdin, an edge's bytes, goes into control_client
 *
 * The reading modes print one line per event.
 */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/file.h"
#include "wire/control_client.h"
#include "wire/control_server.h"
#include "wire/proto.h"

#define INPUT_MAX (1 << 20)

struct queue {
	const char *name;
	uint8_t bytes[INPUT_MAX];
	size_t n;
	unsigned int n_messages;
};

static struct control_client *client;
static struct control_server *server;
static struct queue from_agent = {.name = "agent"};
static struct queue from_edge = {.name = "edge"};
static const char *folder; /* NULL: messages aren't kept */
static bool refuses;

static void keep(struct queue *q, const uint8_t *data, size_t n)
{
	char path[4096];

	if (n > sizeof(q->bytes) - q->n)
		abort();
	memcpy(q->bytes + q->n, data, n);
	q->n += n;
	if (!folder)
		return;
	snprintf(path, sizeof(path), "%s/%s-%02u", folder, q->name, q->n_messages++);
	if (file_replace(path, 0600, data, n) < 0)
		abort();
}

/* Edge */

static void edge_on_send(void *ctx, const uint8_t *data, size_t n)
{
	(void)ctx;
	keep(&from_edge, data, n);
}

static void print_hex(const char *name, const uint8_t *data, size_t n)
{
	printf(" %s=", name);
	for (size_t i = 0; i < n; i++)
		printf("%02x", data[i]);
}

static void on_register(void *ctx, uint32_t answer, const struct registration_request *req)
{
	struct registration_details details = {.location = "XYZ01", .remotely_managed = true};
	const struct registration_error error = {
		.cause = "please retry", .retry_after_ns = 3000000000, .should_retry = true};
	char ip[IP_TEXT_MAX];

	(void)ctx;
	printf("register tag=%s", req->account_tag);
	print_hex("secret", req->secret, req->n_secret);
	print_hex("tunnel", req->tunnel_id.bytes, sizeof(req->tunnel_id.bytes));
	print_hex("client", req->client_id.bytes, sizeof(req->client_id.bytes));
	printf(" index=%u version=%s arch=%s ip=%s replace=%d quality=%u attempts=%u features=",
	       req->conn_index, req->version, req->arch, ip_format(&req->origin_local_ip, ip),
	       req->replace_existing, req->compression_quality, req->n_previous_attempts);
	for (size_t i = 0; i < req->n_features; i++)
		printf("%s,", req->features[i]);
	printf("\n");
	for (uint8_t i = 0; i < 16; i++)
		details.connection_id.bytes[i] = (uint8_t)(i * 0x11);
	if (refuses)
		control_server_refused(server, answer, &error);
	else
		control_server_registered(server, answer, &details);
}

static void on_unregister(void *ctx, uint32_t answer)
{
	(void)ctx;
	printf("unregister\n");
	control_server_unregistered(server, answer);
}

static void on_local_config(void *ctx, const uint8_t *json, size_t n)
{
	(void)ctx;
	printf("config %.*s\n", (int)n, (const char *)json);
}

static void on_advertise(void *ctx, uint32_t answer, const struct route_call *call)
{
	static const struct route_verdict verdicts[ROUTES_PER_CALL] = {
		{.accepted = true}, {.reason = "not granted"}, {.accepted = true}};
	const struct route_reply reply = {.verdicts = verdicts,
					  .n_verdicts = call->part.n_vnets + call->part.n_routes};

	(void)ctx;
	printf("advertise generation=%llu hash_only=%d last=%d",
	       (unsigned long long)call->generation, call->hash_only, call->last);
	print_hex("instance", call->instance_id.bytes, sizeof(call->instance_id.bytes));
	for (size_t i = 0; i < call->part.n_vnets; i++)
		printf(" vnet=%s/%s", call->part.vnets[i].name, call->part.vnets[i].comment);
	for (size_t i = 0; i < call->part.n_routes; i++)
		printf(" route=%s@%s/%s", call->part.routes[i].network,
		       call->part.routes[i].virtual_network, call->part.routes[i].comment);
	printf("\n");
	control_server_advertised(server, answer, &reply);
}

static void on_end(void *ctx, bool protocol_error, const char *text)
{
	(void)ctx;
	printf("end %s %s\n", protocol_error ? "protocol" : "abort", text);
}

static const struct control_server_events server_events = {
	.on_send = edge_on_send,
	.on_register = on_register,
	.on_unregister = on_unregister,
	.on_local_config = on_local_config,
	.on_advertise = on_advertise,
	.on_end = on_end,
};

/* Agent */

static void agent_on_send(void *ctx, const uint8_t *data, size_t n)
{
	(void)ctx;
	keep(&from_agent, data, n);
}

static void on_registered(void *ctx, const struct registration_details *details,
			  const struct registration_error *error)
{
	(void)ctx;
	if (error) {
		printf("refused cause=%s retry_after=%lld should_retry=%d\n", error->cause,
		       (long long)error->retry_after_ns, error->should_retry);
		return;
	}
	printf("registered location=%s remote=%d", details->location, details->remotely_managed);
	print_hex("id", details->connection_id.bytes, sizeof(details->connection_id.bytes));
	printf("\n");
}

static void on_unregistered(void *ctx, bool ok)
{
	(void)ctx;
	printf("unregistered %d\n", ok);
}

static void on_advertised(void *ctx, uint64_t generation, const struct route_verdict *verdicts,
			  size_t n_verdicts, bool send_all, const char *failed)
{
	(void)ctx;
	printf("advertised generation=%llu send_all=%d failed=%s", (unsigned long long)generation,
	       send_all, failed ? failed : "");
	for (size_t i = 0; i < n_verdicts; i++)
		printf(" verdict=%d/%s", verdicts[i].accepted, verdicts[i].reason);
	printf("\n");
}

static void on_failed(void *ctx, enum control_end why, const char *text)
{
	(void)ctx;
	printf("failed %d %s\n", (int)why, text);
}

static const struct control_client_events client_events = {
	.on_send = agent_on_send,
	.on_registered = on_registered,
	.on_unregistered = on_unregistered,
	.on_advertised = on_advertised,
	.on_failed = on_failed,
};

/* A conversation */

static struct vnet_entry vnets[] = {{"office", "2nd floor"}};
static struct route_entry routes[] = {{"10.116.0.0/24", "office", "größe"},
				      {"fd00:1::/64", "", ""}};
static struct route_set set = {.vnets = vnets, .n_vnets = 1, .routes = routes, .n_routes = 2};

static void open_halves(void)
{
	if (control_client_new(&client, &client_events, NULL) ||
	    control_server_new(&server, &server_events, NULL))
		abort();
}

static void close_halves(void)
{
	control_client_free(client);
	control_server_free(server);
}

static void pump(void)
{
	while (from_agent.n || from_edge.n) {
		size_t n = from_agent.n;

		from_agent.n = 0;
		control_server_feed(server, from_agent.bytes, n);
		n = from_edge.n;
		from_edge.n = 0;
		control_client_feed(client, from_edge.bytes, n);
	}
}

static void check(int r)
{
	if (r < 0) {
		fprintf(stderr, "capnp_dump: %s\n", strerror(-r));
		exit(EXIT_FAILURE);
	}
}

static void send_registration(void)
{
	static const uint8_t secret[] = {0xde, 0xad, 0xbe, 0xef};
	struct registration_request req = {
		.account_tag = "account",
		.secret = secret,
		.n_secret = sizeof(secret),
		.conn_index = 3,
		.features = {"allow_remote_config", FEATURE_ADIT},
		.n_features = 2,
		.version = "0.1.0",
		.arch = "linux_amd64",
		.compression_quality = 1,
		.n_previous_attempts = 5,
	};

	memset(req.tunnel_id.bytes, 0x11, sizeof(req.tunnel_id.bytes));
	memset(req.client_id.bytes, 0x22, sizeof(req.client_id.bytes));
	check(ip_parse("127.0.0.1", &req.origin_local_ip));
	check(control_client_register(client, &req, 0, RPC_MS));
}

static void write_messages(void)
{
	struct uuid instance;

	memset(instance.bytes, 0x33, sizeof(instance.bytes));
	send_registration();
	pump();
	check(control_client_push_config(client, "{\"ingress\":[]}", 0, RPC_MS));
	pump();
	check(control_client_advertise(client, &instance, 1ull << 40, &set, false, 0, RPC_MS));
	pump();
	check(control_client_unregister(client, 0, RPC_MS));
	pump();
	control_client_goodbye(client);
	pump();
}

/* What the stream answers is asked before it is read: registration, and a set. */
static void ask(void)
{
	static const struct uuid instance;

	send_registration();
	check(control_client_advertise(client, &instance, 9, &set, false, 0, RPC_MS));
}

static size_t read_input(uint8_t *bytes, size_t cap)
{
	size_t n = fread(bytes, 1, cap, stdin);

	if (ferror(stdin) || n == cap)
		exit(EXIT_FAILURE);
	return n;
}

int main(int argc, char **argv)
{
	static uint8_t input[INPUT_MAX];
	const char *mode = argc > 1 ? argv[1] : "";

	open_halves();
	if (!strcmp(mode, "write") && argc == 3) {
		folder = argv[2];
		write_messages();
		close_halves();
		open_halves();
		refuses = true;
		send_registration();
		pump();
	} else if (!strcmp(mode, "read-agent")) {
		control_server_feed(server, input, read_input(input, sizeof(input)));
	} else if (!strcmp(mode, "read-edge")) {
		ask();
		control_client_feed(client, input, read_input(input, sizeof(input)));
	} else {
		fprintf(stderr, "usage: capnp_dump write DIR | read-agent | read-edge\n");
		return EXIT_FAILURE;
	}
	close_halves();
	return EXIT_SUCCESS;
}
