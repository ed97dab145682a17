/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Captured control streams with flipped bits, in pieces of random size, into both
 * halves: nothing crashes, and each half ends at most once. And requests that are
 * well-formed Cap'n Proto but no registration: an exception each, the stream lives.
 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "wire/control_client.h"
#include "wire/control_server.h"
#include "wire/proto.h"
#include "wire/rpc_message.h"

#define FLIP_ROUNDS  20000
#define CAPTURES_MAX 64

static uint32_t seed;

static uint32_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed;
}

struct peer {
	struct control_client *client;
	struct control_server *server;
	unsigned int n_ends;
	unsigned int n_sent;
	unsigned int n_registers;
	bool frees_itself;
};

static void on_send(void *ctx, const uint8_t *data, size_t n)
{
	struct peer *p = ctx;

	(void)data, (void)n;
	p->n_sent++;
}

static void on_register(void *ctx, uint32_t answer, const struct registration_request *req)
{
	struct peer *p = ctx;
	const struct registration_details details = {.location = "x"};

	assert_true(strlen(req->account_tag) < REG_TEXT_MAX && strlen(req->version) < REG_TEXT_MAX);
	assert_true(req->n_features <= REG_FEATURES_MAX && req->n_secret <= REG_SECRET_MAX);
	p->n_registers++;
	if (p->frees_itself) {
		control_server_free(p->server);
		p->server = NULL;
		return;
	}
	(void)control_server_registered(p->server, answer, &details);
}

static void on_unregister(void *ctx, uint32_t answer)
{
	struct peer *p = ctx;

	(void)control_server_unregistered(p->server, answer);
}

static void on_local_config(void *ctx, const uint8_t *json, size_t n)
{
	(void)ctx;
	assert_true(json || !n);
}

static void on_advertise(void *ctx, uint32_t answer, const struct route_call *call)
{
	struct peer *p = ctx;

	(void)call;
	(void)control_server_exception(p->server, answer, "no");
}

static void on_end(void *ctx, bool protocol_error, const char *text)
{
	struct peer *p = ctx;

	(void)protocol_error;
	assert_non_null(text);
	p->n_ends++;
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
	struct peer *p = ctx;

	assert_true(!details != !error);
	if (p->frees_itself) {
		control_client_free(p->client);
		p->client = NULL;
		return;
	}
	(void)control_client_push_config(p->client, "{}", 0, 1000);
}

static void on_unregistered(void *ctx, bool ok)
{
	(void)ctx, (void)ok;
}

static void on_advertised(void *ctx, uint64_t generation, const struct route_verdict *verdicts,
			  size_t n_verdicts, bool send_all, const char *failed)
{
	(void)ctx, (void)generation, (void)verdicts, (void)n_verdicts, (void)send_all, (void)failed;
}

static void on_failed(void *ctx, enum control_end why, const char *text)
{
	struct peer *p = ctx;

	(void)why;
	assert_non_null(text);
	p->n_ends++;
}

static const struct control_client_events client_events = {
	.on_send = on_send,
	.on_registered = on_registered,
	.on_unregistered = on_unregistered,
	.on_advertised = on_advertised,
	.on_failed = on_failed,
};

static const struct registration_request request = {
	.account_tag = "a", .version = "1", .arch = "a", .features = {"f"}, .n_features = 1};

static void start_client(struct peer *p)
{
	assert_int_equal(control_client_new(&p->client, &client_events, p), 0);
	assert_int_equal(control_client_register(p->client, &request, 0, 1000), 0);
}

static void feed(struct peer *p, const uint8_t *bytes, size_t n)
{
	size_t at = 0;

	while (at < n) {
		size_t step = 1 + next_random() % n;

		if (step > n - at)
			step = n - at;
		if (p->server)
			control_server_feed(p->server, bytes + at, step);
		else if (p->client)
			control_client_feed(p->client, bytes + at, step);
		at += step;
	}
}

static void flip(uint8_t *bytes, size_t n)
{
	for (uint32_t left = 1 + next_random() % 4; left; left--)
		bytes[next_random() % n] ^= (uint8_t)(1u << next_random() % 8);
}

/* One corrupted stream of the side that @for_server says. */
static void run_flipped(const char *data, size_t n, bool for_server)
{
	uint8_t *bytes = malloc(n);
	struct peer p = {0};

	memcpy(bytes, data, n);
	flip(bytes, n);
	if (for_server)
		assert_int_equal(control_server_new(&p.server, &server_events, &p), 0);
	else
		start_client(&p);
	feed(&p, bytes, n);
	if (p.client)
		control_client_tick(p.client, 1000);
	assert_true(p.n_ends <= 1);
	control_server_free(p.server);
	control_client_free(p.client);
	free(bytes);
}

static void run_side(const char *pattern, bool for_server)
{
	char *data[CAPTURES_MAX];
	size_t n[CAPTURES_MAX];
	glob_t found;

	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	assert_in_range(found.gl_pathc, 1, CAPTURES_MAX);
	for (size_t i = 0; i < found.gl_pathc; i++)
		assert_int_equal(file_read(found.gl_pathv[i], 1 << 20, &data[i], &n[i]), 0);
	for (size_t round = 0, i = 0; round < FLIP_ROUNDS / 2; round++) {
		run_flipped(data[i], n[i], for_server);
		if (++i == found.gl_pathc)
			i = 0;
	}
	for (size_t i = 0; i < found.gl_pathc; i++)
		free(data[i]);
	globfree(&found);
}

static void test_flipped_bits(void **state)
{
	(void)state;
	seed = 0x5eed5eed;
	run_side(TEST_DIR "/golden/*/*-agent2edge.bin", true);
	run_side(TEST_DIR "/golden/*/*-edge2agent.bin", false);
}

/* registerConnection with one thing wrong. */
enum defect {
	DEFECT_NONE,
	DEFECT_TUNNEL_ID,
	DEFECT_CLIENT_ID,
	DEFECT_LONG_TAG,
	DEFECT_CONTROL_CHARACTER,
	DEFECT_LONG_SECRET,
	DEFECT_NO_PARAMS,
	DEFECT_N,
};

static void put_request(struct capnp_out payload, enum defect defect)
{
	static const char id[16];
	char tag[REG_TEXT_MAX + 1];
	uint8_t secret[REG_SECRET_MAX + 1] = {0};
	struct capnp_out params, auth, client;

	if (defect == DEFECT_NO_PARAMS)
		return;
	memset(tag, 'x', sizeof(tag));
	tag[defect == DEFECT_LONG_TAG ? REG_TEXT_MAX : REG_TEXT_MAX - 1] = '\0';
	params = capnp_new_struct(payload, 0, 1, 3);
	auth = capnp_new_struct(params, 0, 0, 2);
	capnp_put_text(auth, 0, tag);
	capnp_put_data(auth, 1, secret, defect == DEFECT_LONG_SECRET ? REG_SECRET_MAX + 1 : 32);
	capnp_put_data(params, 1, id, defect == DEFECT_TUNNEL_ID ? 15 : 16);
	client = capnp_new_struct(capnp_new_struct(params, 2, 1, 2), 0, 0, 4);
	capnp_put_data(client, 0, id, defect == DEFECT_CLIENT_ID ? 0 : 16);
	capnp_put_text(client, 2, defect == DEFECT_CONTROL_CHARACTER ? "1\x1b[2J" : "1");
}

static void feed_message(struct peer *p, struct capnp_builder *b)
{
	const uint8_t *data;
	size_t n;

	assert_int_equal(capnp_builder_finish(b, &data, &n), 0);
	control_server_feed(p->server, data, n);
	capnp_builder_deinit(b);
}

static void test_bad_registrations(void **state)
{
	static const struct rpc_target target = {RPC_TARGET_CAP, 0};
	struct capnp_builder b;
	struct peer p = {0};

	(void)state;
	capnp_builder_init(&b, 65536);
	assert_int_equal(control_server_new(&p.server, &server_events, &p), 0);
	rpc_put_bootstrap(&b, 1000);
	feed_message(&p, &b);
	for (enum defect d = DEFECT_NONE; d < DEFECT_N; d++) {
		struct capnp_out payload =
			rpc_put_call(&b, d, &target, IFACE_REGISTRATION, METHOD_REGISTER);

		put_request(payload, d);
		feed_message(&p, &b);
		assert_int_equal(p.n_sent, d + 2);
		assert_int_equal(p.n_registers, 1);
	}
	/* Methods that nobody has. */
	rpc_put_call(&b, 100, &target, IFACE_REGISTRATION, 3);
	feed_message(&p, &b);
	rpc_put_call(&b, 101, &target, 1, 0);
	feed_message(&p, &b);
	assert_int_equal(p.n_sent, DEFECT_N + 3);
	assert_int_equal(p.n_ends, 0);
	control_server_free(p.server);
}

static void test_too_many_routes(void **state)
{
	static const struct rpc_target target = {RPC_TARGET_CAP, 0};
	static const char id[32];
	struct capnp_builder b;
	struct peer p = {0};
	struct capnp_out params;

	(void)state;
	capnp_builder_init(&b, 65536);
	assert_int_equal(control_server_new(&p.server, &server_events, &p), 0);
	rpc_put_bootstrap(&b, 1000);
	feed_message(&p, &b);
	params = capnp_new_struct(rpc_put_call(&b, 1, &target, IFACE_ROUTES, METHOD_ADVERTISE), 0,
				  2, 4);
	capnp_put_data(params, 0, id, 16);
	capnp_put_data(params, 1, id, 32);
	capnp_new_list(params, 2, ROUTES_PER_CALL, 0, 2);
	capnp_new_list(params, 3, 1, 0, 3);
	feed_message(&p, &b);
	assert_int_equal(p.n_sent, 2);
	assert_int_equal(p.n_ends, 0);
	control_server_free(p.server);
}

/* An owner may free its half in an event of that half. */
static void test_free_in_event(void **state)
{
	const char *sides[] = {TEST_DIR "/golden/success/conn0-agent2edge.bin",
			       TEST_DIR "/golden/success/conn0-edge2agent.bin"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct peer p = {.frees_itself = true};
		char *data;
		size_t n;

		assert_int_equal(file_read(sides[i], 1 << 20, &data, &n), 0);
		if (i == 0)
			assert_int_equal(control_server_new(&p.server, &server_events, &p), 0);
		else
			start_client(&p);
		if (i == 0)
			control_server_feed(p.server, (const uint8_t *)data, n);
		else
			control_client_feed(p.client, (const uint8_t *)data, n);
		assert_null(p.server);
		assert_null(p.client);
		assert_int_equal(p.n_ends, 0);
		free(data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flipped_bits),
		cmocka_unit_test(test_bad_registrations),
		cmocka_unit_test(test_too_many_routes),
		cmocka_unit_test(test_free_in_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
