/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Every captured control stream goes through both facades, whole and cut at every
 * byte. control_server must understand the agent's bytes and, given the edge's
 * decisions, write the edge's bytes; control_client the other way round. The .txt
 * beside each capture, written by other decoders, says what the fields are.
 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/file.h"
#include "wire/control_client.h"
#include "wire/control_server.h"

#define OUT_MAX	   16384
#define TEXT_MAX   16384
#define SMALL_SIZE 40 /* Release, Finish */
#define ABORT_SIZE 64

/* One captured connection. */
struct capture {
	char *agent;
	size_t n_agent;
	char *agent_txt;
	char *edge;
	size_t n_edge;
	char *edge_txt;
	size_t last_return; /* where the last message of the edge begins */
};

/* What one end wrote and which events it raised. */
struct record {
	uint8_t out[OUT_MAX];
	size_t n_out;
	char events[TEXT_MAX];
	size_t n_events;
};

struct server_run {
	struct record rec;
	struct control_server *server;
	/* What the captured edge decided. */
	bool is_refused;
	struct registration_details details;
	struct registration_error error;
	/* Set: register this client with the request. */
	struct control_client *echo;
	char config[4096];
	bool did_unregister;
};

struct client_run {
	struct record rec;
	struct control_client *client;
	struct server_run *decisions; /* filled from the answer when not NULL */
	const char *config;
};

static void note(struct record *rec, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void note(struct record *rec, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(rec->events + rec->n_events, TEXT_MAX - rec->n_events, format, args);
	va_end(args);
	assert_true(n >= 0 && (size_t)n < TEXT_MAX - rec->n_events);
	rec->n_events += (size_t)n;
}

static void record_bytes(struct record *rec, const uint8_t *data, size_t n)
{
	assert_true(n <= OUT_MAX - rec->n_out);
	memcpy(rec->out + rec->n_out, data, n);
	rec->n_out += n;
}

/* Server */

static void server_on_send(void *ctx, const uint8_t *data, size_t n)
{
	struct server_run *run = ctx;

	record_bytes(&run->rec, data, n);
}

static void server_on_register(void *ctx, uint32_t answer, const struct registration_request *req)
{
	struct server_run *run = ctx;
	char text[UUID_TEXT_MAX], ip[IP_TEXT_MAX];

	note(&run->rec, "register accountTag = \"%s\" connIndex = %u numPreviousAttempts = %u",
	     req->account_tag, req->conn_index, req->n_previous_attempts);
	note(&run->rec, " tunnel %s", uuid_format(&req->tunnel_id, text));
	note(&run->rec, " client %s", uuid_format(&req->client_id, text));
	note(&run->rec, " version = \"%s\" arch = \"%s\" ip %s replace %d quality %u features = [",
	     req->version, req->arch, ip_format(&req->origin_local_ip, ip), req->replace_existing,
	     req->compression_quality);
	for (size_t i = 0; i < req->n_features; i++)
		note(&run->rec, "%s\"%s\"", i ? ", " : "", req->features[i]);
	note(&run->rec, "]\n");
	assert_int_equal(req->n_secret, 32);
	for (uint8_t i = 0; i < 32; i++)
		assert_int_equal(req->secret[i], i);
	if (run->echo)
		assert_int_equal(control_client_register(run->echo, req, 0, 5000), 0);
	if (run->is_refused)
		assert_int_equal(control_server_refused(run->server, answer, &run->error), 0);
	else
		assert_int_equal(control_server_registered(run->server, answer, &run->details), 0);
}

static void server_on_unregister(void *ctx, uint32_t answer)
{
	struct server_run *run = ctx;

	note(&run->rec, "unregister\n");
	run->did_unregister = true;
	assert_int_equal(control_server_unregistered(run->server, answer), 0);
}

static void server_on_local_config(void *ctx, const uint8_t *json, size_t n)
{
	struct server_run *run = ctx;

	note(&run->rec, "config = \"%.*s\"\n", (int)n, (const char *)json);
	snprintf(run->config, sizeof(run->config), "%.*s", (int)n, (const char *)json);
}

static void server_on_advertise(void *ctx, uint32_t answer, const struct route_call *call)
{
	(void)ctx, (void)answer, (void)call;
	fail_msg("stock never advertises");
}

static void server_on_end(void *ctx, bool protocol_error, const char *text)
{
	struct server_run *run = ctx;

	note(&run->rec, "end %d reason = \"%s\"\n", protocol_error, text);
}

static const struct control_server_events server_events = {
	.on_send = server_on_send,
	.on_register = server_on_register,
	.on_unregister = server_on_unregister,
	.on_local_config = server_on_local_config,
	.on_advertise = server_on_advertise,
	.on_end = server_on_end,
};

/* Feeds a copy of each part, of its exact size, so that a sanitizer sees any read beyond. */
static void feed_server(struct control_server *s, const char *data, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);

	memcpy(copy, data, n);
	control_server_feed(s, copy, n);
	free(copy);
}

static void feed_client(struct control_client *c, const char *data, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);

	memcpy(copy, data, n);
	control_client_feed(c, copy, n);
	free(copy);
}

static void run_server(struct server_run *run, const struct capture *cap, size_t cut)
{
	assert_int_equal(control_server_new(&run->server, &server_events, run), 0);
	feed_server(run->server, cap->agent, cut);
	feed_server(run->server, cap->agent + cut, cap->n_agent - cut);
	control_server_free(run->server);
}

/* Client */

static void client_on_send(void *ctx, const uint8_t *data, size_t n)
{
	struct client_run *run = ctx;

	record_bytes(&run->rec, data, n);
}

static void accept_details(struct client_run *run, const struct registration_details *d)
{
	char text[UUID_TEXT_MAX];

	note(&run->rec, "registered %s locationName = \"%s\", tunnelIsRemotelyManaged = %s\n",
	     uuid_format(&d->connection_id, text), d->location,
	     d->remotely_managed ? "true" : "false");
	if (run->decisions)
		run->decisions->details = *d;
	if (run->config && run->config[0])
		assert_int_equal(control_client_push_config(run->client, run->config, 0, 5000), 0);
}

static void client_on_registered(void *ctx, const struct registration_details *details,
				 const struct registration_error *error)
{
	struct client_run *run = ctx;

	assert_true(!details != !error);
	if (details) {
		accept_details(run, details);
		return;
	}
	note(&run->rec, "refused cause = \"%s\", retryAfter = %lld, shouldRetry = %s\n",
	     error->cause, (long long)error->retry_after_ns,
	     error->should_retry ? "true" : "false");
	if (run->decisions) {
		run->decisions->is_refused = true;
		run->decisions->error = *error;
	}
}

static void client_on_unregistered(void *ctx, bool ok)
{
	struct client_run *run = ctx;

	note(&run->rec, "unregistered %d\n", ok);
}

static void client_on_advertised(void *ctx, uint64_t generation,
				 const struct route_verdict *verdicts, size_t n_verdicts,
				 bool send_all, const char *failed)
{
	(void)ctx, (void)generation, (void)verdicts, (void)n_verdicts, (void)send_all;
	fail_msg("advertised: %s", failed);
}

static void client_on_failed(void *ctx, enum control_end why, const char *text)
{
	struct client_run *run = ctx;

	note(&run->rec, "failed %d %s\n", (int)why, text);
}

static const struct control_client_events client_events = {
	.on_send = client_on_send,
	.on_registered = client_on_registered,
	.on_unregistered = client_on_unregistered,
	.on_advertised = client_on_advertised,
	.on_failed = client_on_failed,
};

/* Bytes @from to @to; the agent unregisters before the edge's last Return can come. */
static void feed_range(struct client_run *run, const struct capture *cap, size_t from, size_t to,
		       bool unregisters)
{
	size_t at = cap->last_return;

	if (!unregisters || at < from || at >= to) {
		feed_client(run->client, cap->edge + from, to - from);
		return;
	}
	feed_client(run->client, cap->edge + from, at - from);
	assert_int_equal(control_client_unregister(run->client, 0, 5000), 0);
	feed_client(run->client, cap->edge + at, to - at);
}

/* @agent has seen the request in the captured bytes; it is made again from what was decoded. */
static void run_client(struct client_run *run, const struct capture *cap, size_t cut,
		       struct server_run *agent, bool unregisters)
{
	assert_int_equal(control_client_new(&run->client, &client_events, run), 0);
	agent->echo = run->client;
	run_server(agent, cap, cap->n_agent);
	run->config = agent->config;
	feed_range(run, cap, 0, cut, unregisters);
	feed_range(run, cap, cut, cap->n_edge, unregisters);
	control_client_goodbye(run->client);
	control_client_free(run->client);
}

/* Captures */

static char *read_side(const char *bin, const char *from, const char *to, size_t *np)
{
	char path[1024], *data = NULL;
	const char *at = strstr(bin, from);

	assert_non_null(at);
	snprintf(path, sizeof(path), "%.*s%s", (int)(at - bin), bin, to);
	assert_int_equal(file_read(path, 1 << 20, &data, np), 0);
	return data;
}

static size_t message_size(const char *at)
{
	uint32_t n_words;

	memcpy(&n_words, at + 4, sizeof(n_words));
	return 8 + (size_t)n_words * 8;
}

static struct capture load(const char *bin)
{
	const char *side = "-agent2edge.bin";
	struct capture cap = {0};
	size_t n;

	cap.agent = read_side(bin, side, side, &cap.n_agent);
	cap.agent_txt = read_side(bin, side, "-agent2edge.txt", &n);
	cap.edge = read_side(bin, side, "-edge2agent.bin", &cap.n_edge);
	cap.edge_txt = read_side(bin, side, "-edge2agent.txt", &n);
	for (size_t at = 0; at < cap.n_edge; at += message_size(cap.edge + at))
		cap.last_return = at;
	return cap;
}

static void unload(struct capture *cap)
{
	free(cap->agent);
	free(cap->agent_txt);
	free(cap->edge);
	free(cap->edge_txt);
}

/* `name = value` of @events, up to @end, must stand in the other decoder's text too. */
static void check_field(const char *events, const char *name, char end, const char *txt)
{
	const char *at = strstr(events, name);
	const char *stop;
	char field[4096];

	if (!at)
		return;
	stop = strchr(at + strlen(name), end);
	assert_non_null(stop);
	snprintf(field, sizeof(field), "%.*s", (int)(stop - at), at);
	if (!strstr(txt, field))
		fail_msg("not in the capture's text: %s", field);
}

static void check_agent_fields(const struct server_run *run, const struct capture *cap)
{
	const char *e = run->rec.events;

	assert_non_null(strstr(e, "tunnel 11111111-2222-4333-8444-555555555555"));
	assert_non_null(strstr(e, "ip 127.0.0.1"));
	check_field(e, "accountTag = \"", '"', cap->agent_txt);
	check_field(e, "connIndex = ", ' ', cap->agent_txt);
	check_field(e, "numPreviousAttempts = ", ' ', cap->agent_txt);
	check_field(e, "version = \"", '"', cap->agent_txt);
	check_field(e, "arch = \"", '"', cap->agent_txt);
	check_field(e, "features = [", ']', cap->agent_txt);
	check_field(e, "config = \"", '\n', cap->agent_txt);
	check_field(e, "reason = \"", '\n', cap->agent_txt);
	assert_int_equal(!!strstr(e, "config = "),
			 !!strstr(cap->agent_txt, "method updateLocalConfiguration"));
	assert_int_equal(run->did_unregister,
			 !!strstr(cap->agent_txt, "method unregisterConnection"));
	assert_int_equal(!!strstr(e, "end 0 reason = \"rpc: shutdown\""),
			 !!strstr(cap->agent_txt, "rpc: shutdown"));
}

static void check_edge_fields(const struct client_run *run, const struct capture *cap)
{
	const char *e = run->rec.events;

	assert_null(strstr(e, "failed"));
	check_field(e, "locationName = ", '\n', cap->edge_txt);
	check_field(e, "cause = ", '\n', cap->edge_txt);
	assert_int_equal(!!strstr(e, "refused"), !!strstr(cap->edge_txt, "(error = "));
	assert_int_equal(!!strstr(e, "registered "), !!strstr(cap->edge_txt, "connectionDetails"));
}

static void check_bytes(const uint8_t *ours, size_t n_ours, const char *theirs, size_t n_theirs)
{
	assert_int_equal(n_ours, n_theirs);
	assert_memory_equal(ours, theirs, n_theirs);
}

static size_t count(const char *text, const char *word)
{
	size_t n = 0;

	for (text = strstr(text, word); text; text = strstr(text + 1, word))
		n++;
	return n;
}

/* Takes the message of SMALL_SIZE out that stands before the Abort. */
static void drop_before_abort(struct record *rec)
{
	rec->n_out -= SMALL_SIZE;
	memmove(rec->out + rec->n_out - ABORT_SIZE, rec->out + rec->n_out - ABORT_SIZE + SMALL_SIZE,
		ABORT_SIZE);
}

/* Stock loses its Release, and once a last Finish, in a race; a capture ends before the goodbye. */
static void check_agent_bytes(struct client_run *run, const struct capture *cap)
{
	size_t n_questions = count(cap->agent_txt, ": call\n") + 1;
	struct record *rec = &run->rec;

	if (!count(cap->agent_txt, ": abort\n")) {
		rec->n_out -= SMALL_SIZE + ABORT_SIZE;
	} else {
		if (!count(cap->agent_txt, ": release\n"))
			drop_before_abort(rec);
		for (size_t n = count(cap->agent_txt, ": finish\n"); n < n_questions; n++)
			drop_before_abort(rec);
	}
	check_bytes(rec->out, rec->n_out, cap->agent, cap->n_agent);
}

static void check_capture(const struct capture *cap)
{
	static struct server_run decisions, server, cut_server, agent;
	static struct client_run client, cut_client;
	bool unregisters = strstr(cap->agent_txt, "method unregisterConnection");

	memset(&decisions, 0, sizeof(decisions));
	memset(&client, 0, sizeof(client));
	client.decisions = &decisions;
	agent = (struct server_run){0};
	run_client(&client, cap, cap->n_edge, &agent, unregisters);
	check_edge_fields(&client, cap);
	check_agent_bytes(&client, cap);
	for (size_t cut = 0; cut < cap->n_edge; cut++) {
		memset(&cut_client, 0, sizeof(cut_client));
		agent = (struct server_run){0};
		run_client(&cut_client, cap, cut, &agent, unregisters);
		assert_string_equal(cut_client.rec.events, client.rec.events);
	}

	server = decisions;
	run_server(&server, cap, cap->n_agent);
	check_agent_fields(&server, cap);
	check_bytes(server.rec.out, server.rec.n_out, cap->edge, cap->n_edge);
	for (size_t cut = 0; cut < cap->n_agent; cut++) {
		cut_server = decisions;
		run_server(&cut_server, cap, cut);
		assert_string_equal(cut_server.rec.events, server.rec.events);
		check_bytes(cut_server.rec.out, cut_server.rec.n_out, cap->edge, cap->n_edge);
	}
}

static void test_every_capture(void **state)
{
	glob_t found;

	(void)state;
	assert_int_equal(glob(TEST_DIR "/golden/*/*-agent2edge.bin", 0, NULL, &found), 0);
	assert_true(found.gl_pathc >= 29);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		struct capture cap = load(found.gl_pathv[i]);

		check_capture(&cap);
		unload(&cap);
	}
	globfree(&found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_capture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
