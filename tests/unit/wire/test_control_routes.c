/* SPDX-License-Identifier: Apache-2.0 */

/* The advertisement of routes, from one half of the control stream to the other. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/control_client.h"
#include "wire/control_server.h"
#include "wire/proto.h"

#define QUEUE_MAX (4 * 1024 * 1024)

enum edge_mood {
	MOOD_ANSWER,
	MOOD_SEND_ALL,
	MOOD_CONFIRM, /* a hash with the verdicts as they are now */
	MOOD_EXCEPTION,
	MOOD_FEW_VERDICTS,
	MOOD_SILENT,
};

struct wire {
	uint8_t *bytes;
	size_t n;
	size_t max_waiting;
};

struct fixture {
	struct control_client *client;
	struct control_server *server;
	struct wire to_server;
	struct wire to_client;
	struct uuid instance;
	struct route_set set;

	/* edge */
	enum edge_mood mood;
	size_t n_calls;
	struct vnet_entry *vnets;
	size_t n_vnets;
	struct route_entry *routes;
	size_t n_routes;
	uint8_t hash[ROUTE_HASH_BYTES];
	bool has_last;

	/* agent */
	size_t n_reports;
	uint64_t generation;
	size_t n_verdicts;
	size_t n_refused;
	bool send_all;
	bool is_reloading; /* advertises again in on_advertised */
	char failed[128];
	bool is_over;
};

static void append(struct wire *w, const uint8_t *data, size_t n)
{
	assert_true(n <= QUEUE_MAX - w->n);
	memcpy(w->bytes + w->n, data, n);
	w->n += n;
	if (w->n > w->max_waiting)
		w->max_waiting = w->n;
}

static void to_server(void *ctx, const uint8_t *data, size_t n)
{
	struct fixture *f = ctx;

	append(&f->to_server, data, n);
}

static void to_client(void *ctx, const uint8_t *data, size_t n)
{
	struct fixture *f = ctx;

	append(&f->to_client, data, n);
}

/* Edge */

static void on_register(void *ctx, uint32_t answer, const struct registration_request *req)
{
	struct fixture *f = ctx;
	const struct registration_details details = {.location = "test"};

	assert_true(registration_has_feature(req, FEATURE_ADIT));
	assert_int_equal(control_server_registered(f->server, answer, &details), 0);
}

static void on_unregister(void *ctx, uint32_t answer)
{
	struct fixture *f = ctx;

	assert_int_equal(control_server_unregistered(f->server, answer), 0);
}

static void on_local_config(void *ctx, const uint8_t *json, size_t n)
{
	(void)ctx, (void)json, (void)n;
	fail();
}

static void keep_part(struct fixture *f, const struct route_set *part)
{
	f->vnets = realloc(f->vnets, (f->n_vnets + part->n_vnets + 1) * sizeof(*f->vnets));
	memcpy(f->vnets + f->n_vnets, part->vnets, part->n_vnets * sizeof(*f->vnets));
	f->n_vnets += part->n_vnets;
	f->routes = realloc(f->routes, (f->n_routes + part->n_routes + 1) * sizeof(*f->routes));
	memcpy(f->routes + f->n_routes, part->routes, part->n_routes * sizeof(*f->routes));
	f->n_routes += part->n_routes;
}

/* Refuses every seventh entry. */
static void answer_call(struct fixture *f, uint32_t answer, size_t first, size_t n)
{
	struct route_verdict *verdicts = calloc(n + 1, sizeof(*verdicts));
	const struct route_reply reply = {
		.send_all = f->mood == MOOD_SEND_ALL,
		.verdicts = verdicts,
		.n_verdicts = f->mood == MOOD_FEW_VERDICTS ? n - 1 : n,
	};

	for (size_t i = 0; i < n; i++) {
		verdicts[i].accepted = (first + i) % 7;
		if (!verdicts[i].accepted)
			snprintf(verdicts[i].reason, ROUTE_REASON_MAX, "no %zu", first + i);
	}
	assert_int_equal(control_server_advertised(f->server, answer, &reply), 0);
	free(verdicts);
}

static void on_advertise(void *ctx, uint32_t answer, const struct route_call *call)
{
	struct fixture *f = ctx;
	size_t first = f->n_vnets + f->n_routes;

	f->n_calls++;
	assert_true(uuid_equal(&call->instance_id, &f->instance));
	assert_true(call->part.n_vnets + call->part.n_routes <= ROUTES_PER_CALL);
	assert_false(f->has_last);
	memcpy(f->hash, call->hash, sizeof(f->hash));
	f->has_last = call->last;
	keep_part(f, &call->part);
	if (f->mood == MOOD_EXCEPTION)
		control_server_exception(f->server, answer, "no routes here");
	else if (f->mood == MOOD_CONFIRM)
		answer_call(f, answer, 0, f->set.n_vnets + f->set.n_routes);
	else if (f->mood != MOOD_SILENT)
		answer_call(f, answer, first, f->n_vnets + f->n_routes - first);
}

static void on_end(void *ctx, bool protocol_error, const char *text)
{
	struct fixture *f = ctx;

	assert_false(protocol_error);
	assert_string_equal(text, "rpc: shutdown");
	f->is_over = true;
}

static const struct control_server_events server_events = {
	.on_send = to_client,
	.on_register = on_register,
	.on_unregister = on_unregister,
	.on_local_config = on_local_config,
	.on_advertise = on_advertise,
	.on_end = on_end,
};

/* Agent */

static void on_registered(void *ctx, const struct registration_details *details,
			  const struct registration_error *error)
{
	(void)ctx;
	assert_null(error);
	assert_string_equal(details->location, "test");
}

static void on_unregistered(void *ctx, bool ok)
{
	(void)ctx;
	assert_true(ok);
}

static void on_advertised(void *ctx, uint64_t generation, const struct route_verdict *verdicts,
			  size_t n_verdicts, bool send_all, const char *failed)
{
	struct fixture *f = ctx;

	f->n_reports++;
	f->generation = generation;
	f->n_verdicts = n_verdicts;
	f->send_all = send_all;
	snprintf(f->failed, sizeof(f->failed), "%s", failed ? failed : "");
	f->n_refused = 0;
	for (size_t i = 0; i < n_verdicts; i++) {
		char reason[32] = "";

		if (i % 7 == 0)
			snprintf(reason, sizeof(reason), "no %zu", i);
		assert_string_equal(verdicts[i].reason, reason);
		assert_int_equal(verdicts[i].accepted, i % 7 != 0);
		f->n_refused += !verdicts[i].accepted;
	}
	if (f->is_reloading) {
		f->is_reloading = false;
		assert_int_equal(control_client_advertise(f->client, &f->instance, generation + 1,
							  &f->set, true, 0, 1000),
				 0);
	}
}

static void on_failed(void *ctx, enum control_end why, const char *text)
{
	(void)ctx;
	fail_msg("%d %s", (int)why, text);
}

static const struct control_client_events client_events = {
	.on_send = to_server,
	.on_registered = on_registered,
	.on_unregistered = on_unregistered,
	.on_advertised = on_advertised,
	.on_failed = on_failed,
};

/* Returns how many bytes moved. */
static size_t exchange(struct fixture *f)
{
	uint8_t *bytes = malloc(QUEUE_MAX);
	size_t n_server = f->to_server.n, n_client;

	memcpy(bytes, f->to_server.bytes, n_server);
	f->to_server.n = 0;
	control_server_feed(f->server, bytes, n_server);
	n_client = f->to_client.n;
	memcpy(bytes, f->to_client.bytes, n_client);
	f->to_client.n = 0;
	control_client_feed(f->client, bytes, n_client);
	free(bytes);
	return n_server + n_client;
}

static void pump(struct fixture *f)
{
	while (exchange(f))
		;
}

static void make_set(struct fixture *f, size_t n_vnets, size_t n_routes)
{
	route_set_deinit(&f->set);
	f->set = (struct route_set){
		.vnets = calloc(n_vnets + 1, sizeof(struct vnet_entry)),
		.n_vnets = n_vnets,
		.routes = calloc(n_routes + 1, sizeof(struct route_entry)),
		.n_routes = n_routes,
	};
	for (size_t i = 0; i < n_vnets; i++)
		snprintf(f->set.vnets[i].name, ROUTE_VNET_MAX, "net%zu", i);
	for (size_t i = 0; i < n_routes; i++) {
		struct route_entry *e = &f->set.routes[i];

		snprintf(e->network, sizeof(e->network), "10.%zu.%zu.0/24", i / 256, i % 256);
		snprintf(e->virtual_network, sizeof(e->virtual_network), "net%zu", i % 3);
		snprintf(e->comment, sizeof(e->comment), "größe %zu", i);
	}
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct registration_request req = {
		.account_tag = "a",
		.features = {FEATURE_ADIT},
		.n_features = 1,
		.version = "1",
		.arch = "linux_amd64",
	};

	f->to_server.bytes = malloc(QUEUE_MAX);
	f->to_client.bytes = malloc(QUEUE_MAX);
	f->instance = uuid_random();
	assert_int_equal(control_client_new(&f->client, &client_events, f), 0);
	assert_int_equal(control_server_new(&f->server, &server_events, f), 0);
	assert_int_equal(control_client_register(f->client, &req, 0, 1000), 0);
	pump(f);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	control_client_free(f->client);
	control_server_free(f->server);
	route_set_deinit(&f->set);
	free(f->to_server.bytes);
	free(f->to_client.bytes);
	free(f->vnets);
	free(f->routes);
	free(f);
	return 0;
}

static void advertise(struct fixture *f, uint64_t generation, bool hash_only)
{
	assert_int_equal(control_client_advertise(f->client, &f->instance, generation, &f->set,
						  hash_only, 0, 1000),
			 0);
}

static void check_round_trip(struct fixture *f, size_t n_vnets, size_t n_routes)
{
	size_t n = n_vnets + n_routes;
	uint8_t hash[ROUTE_HASH_BYTES];

	make_set(f, n_vnets, n_routes);
	f->n_calls = f->n_vnets = f->n_routes = f->n_reports = 0;
	f->has_last = false;
	f->to_server.max_waiting = 0;
	advertise(f, 7, false);
	pump(f);
	assert_int_equal(f->n_calls, n ? (n + ROUTES_PER_CALL - 1) / ROUTES_PER_CALL : 1);
	assert_true(f->has_last);
	assert_int_equal(f->n_reports, 1);
	assert_int_equal(f->generation, 7);
	assert_string_equal(f->failed, "");
	assert_int_equal(f->n_verdicts, n);
	assert_int_equal(f->n_refused, (n + 6) / 7);
	assert_int_equal(f->n_vnets, n_vnets);
	assert_int_equal(f->n_routes, n_routes);
	assert_memory_equal(f->vnets, f->set.vnets, n_vnets * sizeof(*f->vnets));
	assert_memory_equal(f->routes, f->set.routes, n_routes * sizeof(*f->routes));
	route_set_hash(&f->set, hash);
	assert_memory_equal(f->hash, hash, sizeof(hash));
	/* Two calls in flight, never the whole set. */
	assert_true(f->to_server.max_waiting < 3 * ROUTES_PER_CALL * 300);
}

static void test_round_trips(void **state)
{
	struct fixture *f = *state;

	check_round_trip(f, 0, 0);
	check_round_trip(f, 1, 0);
	check_round_trip(f, 1, 1);
	check_round_trip(f, 3, 997);
	check_round_trip(f, 256, 1);
	check_round_trip(f, 300, 700);
	check_round_trip(f, 0, 256);
	check_round_trip(f, 0, 257);
	check_round_trip(f, 0, ROUTES_MAX);
}

static void test_too_many(void **state)
{
	struct fixture *f = *state;

	make_set(f, 1, ROUTES_MAX);
	assert_int_equal(control_client_advertise(f->client, &f->instance, 1, &f->set, false, 0, 1),
			 -E2BIG);
}

static void test_hash_only(void **state)
{
	struct fixture *f = *state;

	make_set(f, 2, 500);
	advertise(f, 1, true);
	pump(f);
	assert_int_equal(f->n_calls, 1);
	assert_int_equal(f->n_routes, 0);
	assert_int_equal(f->n_reports, 1);
	assert_int_equal(f->n_verdicts, 0);
	assert_false(f->send_all);
	assert_string_equal(f->failed, "");

	f->has_last = false;
	f->mood = MOOD_SEND_ALL;
	advertise(f, 2, true);
	pump(f);
	assert_true(f->send_all);
	assert_int_equal(f->n_reports, 2);
}

static void test_hash_confirmed_with_verdicts(void **state)
{
	struct fixture *f = *state;

	make_set(f, 2, 100);
	f->mood = MOOD_CONFIRM;
	advertise(f, 1, true);
	pump(f);
	assert_int_equal(f->n_calls, 1);
	assert_int_equal(f->n_verdicts, 102);
	assert_string_equal(f->failed, "");
}

static void test_failures(void **state)
{
	static const struct {
		enum edge_mood mood;
		const char *failed;
	} rows[] = {
		{MOOD_EXCEPTION, "no routes here"},
		{MOOD_FEW_VERDICTS, "the edge answered another number of entries"},
	};
	struct fixture *f = *state;

	make_set(f, 2, 1500);
	for (size_t i = 0; i < 2; i++) {
		f->mood = rows[i].mood;
		f->n_reports = f->n_calls = 0;
		f->has_last = false;
		advertise(f, 1, false);
		pump(f);
		assert_int_equal(f->n_reports, 1);
		assert_string_equal(f->failed, rows[i].failed);
		assert_int_equal(f->n_verdicts, 0);
		assert_in_range(f->n_calls, 1, 3);
	}
}

static void test_timeout(void **state)
{
	struct fixture *f = *state;

	make_set(f, 2, 1500);
	f->mood = MOOD_SILENT;
	advertise(f, 1, false);
	pump(f);
	assert_int_equal(f->n_calls, 2);
	assert_int_equal(control_client_deadline_ms(f->client), 1000);
	control_client_tick(f->client, 1000);
	assert_int_equal(f->n_reports, 0);
	control_client_tick(f->client, 2000);
	assert_int_equal(f->n_reports, 1);
	assert_string_equal(f->failed, "no answer in time");
	assert_int_equal(control_client_deadline_ms(f->client), UINT64_MAX);
}

/* A reload while a set is on its way: the old one is reported, its late answers are dropped. */
static void test_superseded(void **state)
{
	struct fixture *f = *state;

	make_set(f, 0, 1500);
	advertise(f, 1, false);
	advertise(f, 2, false);
	assert_int_equal(f->n_reports, 1);
	assert_int_equal(f->generation, 1);
	assert_string_equal(f->failed, "superseded by a newer set");
	/* The edge of this test isn't one: it would mix both sets. */
	f->mood = MOOD_SEND_ALL;
	pump(f);
	assert_int_equal(f->n_reports, 2);
	assert_int_equal(f->generation, 2);
	assert_true(f->send_all);
}

/* The owner takes its set away in the middle of it: nobody looks at it again. */
static void test_dropped(void **state)
{
	struct fixture *f = *state;

	make_set(f, 0, 1500);
	advertise(f, 1, false);
	control_client_drop_advert(f->client);
	make_set(f, 0, 3);
	pump(f);
	assert_int_equal(f->n_calls, 2);
	assert_false(f->has_last);
	control_client_tick(f->client, 5000);
	assert_int_equal(f->n_reports, 0);

	/* The next set has nothing to do with it. */
	f->mood = MOOD_SEND_ALL;
	advertise(f, 2, false);
	pump(f);
	assert_int_equal(f->n_reports, 1);
	assert_int_equal(f->generation, 2);
	control_client_drop_advert(f->client);
}

static void test_advertise_again_in_event(void **state)
{
	struct fixture *f = *state;

	make_set(f, 0, 10);
	f->is_reloading = true;
	advertise(f, 1, false);
	exchange(f);
	f->has_last = false;
	pump(f);
	assert_int_equal(f->n_reports, 2);
	assert_int_equal(f->generation, 2);
}

static void test_unregister_and_goodbye(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(control_client_unregister(f->client, 0, 1000), 0);
	pump(f);
	control_client_goodbye(f->client);
	pump(f);
	assert_true(f->is_over);
	assert_int_equal(control_client_unregister(f->client, 0, 1000), -EPIPE);
}

static void test_hash_ignores_order(void **state)
{
	struct fixture *f = *state;
	uint8_t first[ROUTE_HASH_BYTES], second[ROUTE_HASH_BYTES];
	struct route_entry swap;

	make_set(f, 2, 10);
	route_set_hash(&f->set, first);
	swap = f->set.routes[2];
	f->set.routes[2] = f->set.routes[7];
	f->set.routes[7] = swap;
	route_set_hash(&f->set, second);
	assert_memory_equal(first, second, sizeof(first));
	f->set.routes[7].comment[0] = '!';
	route_set_hash(&f->set, second);
	assert_memory_not_equal(first, second, sizeof(first));
	f->set.routes[7] = f->set.routes[6]; /* twice the same is another set */
	route_set_hash(&f->set, first);
	f->set.n_routes--;
	route_set_hash(&f->set, second);
	assert_memory_not_equal(first, second, sizeof(first));
}

static void an_agent_says_how_many_connections_it_keeps(void **state UNUSED)
{
	static const struct {
		const char *feature;
		bool is_adit;
		unsigned int n;
	} rows[] = {
		{"adit/1", true, 4},
		{"adit/1;connections=2", true, 2},
		{"adit/1;x=y;connections=16", true, 16},
		{"adit/1;connections=0", true, 4},
		{"adit/1;connections=256", true, 4},
		{"adit/1;connections=-1", true, 4},
		{"adit/10", false, 4},
		{"support_quic_eof", false, 4},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct registration_request req = {
			.features = {"management_logs", rows[i].feature},
			.n_features = 2,
		};

		assert_int_equal(registration_is_adit(&req), rows[i].is_adit);
		assert_int_equal(registration_expected_connections(&req, 4), rows[i].n);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_agent_says_how_many_connections_it_keeps),
		TEST(test_round_trips),
		TEST(test_too_many),
		TEST(test_hash_only),
		TEST(test_hash_confirmed_with_verdicts),
		TEST(test_failures),
		TEST(test_timeout),
		TEST(test_superseded),
		TEST(test_dropped),
		TEST(test_advertise_again_in_event),
		TEST(test_unregister_and_goodbye),
		TEST(test_hash_ignores_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
