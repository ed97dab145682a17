/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Which of the edge's addresses the agent's connections take, and what it thinks of one that
 * answers but never gets a connection registered. Clock and links are simulated.
 */

#include <errno.h>

#include "supervisor_world.h"

#define S	  sim.agent.supervisor
#define TURNS_MAX 50

/* ---- what the world needs of us ---- */

int edge_link_advertise(struct edge_link *el UNUSED, const struct uuid *instance_id UNUSED,
			uint64_t generation UNUSED, const struct route_set *set UNUSED,
			bool hash_only UNUSED, uint64_t now_ms UNUSED)
{
	fail();
	return 0;
}

void edge_link_drop_advert(struct edge_link *el UNUSED)
{
}

/* A call was not answered. */
void edge_link_tick(struct edge_link *el, uint64_t now_ms)
{
	assert_true(now_ms >= el->rpc_ms);
	el->step = STEP_OVER;
	el->rpc_ms = UINT64_MAX;
	el->events->on_control_end(el->ctx, el, "no answer in time");
}

static void on_stream(void *ctx UNUSED, unsigned int index UNUSED, struct edge_link *el UNUSED,
		      struct h2_stream *stream UNUSED, const struct h2_headers *hdrs UNUSED)
{
	fail();
}

static void on_advertised(void *ctx UNUSED, uint64_t link UNUSED, uint64_t generation UNUSED,
			  const struct route_verdict *verdicts UNUSED, size_t n_verdicts UNUSED,
			  bool send_all UNUSED, const char *failed UNUSED)
{
	fail();
}

static uint64_t on_settled(void *ctx UNUSED, uint64_t now_ms UNUSED)
{
	return UINT64_MAX;
}

static void on_event(void *ctx UNUSED, const char *kind UNUSED,
		     const struct log_field *fields UNUSED)
{
}

static void on_unauthorized(void *ctx UNUSED)
{
	fail();
}

static void on_stopped(void *ctx UNUSED)
{
	sim.n_stopped++;
}

static const struct supervisor_events events = {
	.on_stream = on_stream,
	.on_advertised = on_advertised,
	.on_settled = on_settled,
	.on_event = on_event,
	.on_unauthorized = on_unauthorized,
	.on_stopped = on_stopped,
};

/* ---- time ---- */

static void run_tasks(void)
{
	struct list *node, *pos, *tmp;

	while ((node = list_pop(&sim.io.tasks)) != NULL)
		list_entry(node, struct io_task, node)->run(list_entry(node, struct io_task, node));
	list_for_each_safe (pos, tmp, &sim.links)
		if (!list_entry(pos, struct edge_link, of_world)->events)
			free_link(list_entry(pos, struct edge_link, of_world));
}

static void turn(void)
{
	run_tasks();
	while (sim.timer_ms <= sim.now_ms) {
		sim.timer_ms = UINT64_MAX;
		sim.timer_cb(sim.timer);
		run_tasks();
	}
}

/* To the next thing that is due. */
static void pass(void)
{
	assert_true(sim.timer_ms != UINT64_MAX);
	if (sim.timer_ms > sim.now_ms)
		sim.now_ms = sim.timer_ms;
	turn();
}

/* ---- addresses: 127.0.0.x and, where @v6, ::x; the port says which one of the world's ---- */

static struct edge_address address_of(unsigned int edge, bool v6)
{
	struct edge_address a = {.server_name = "edge.test"};

	a.ep.ip.family = v6 ? AF_INET6 : AF_INET;
	a.ep.ip.bytes[v6 ? 15 : 3] = (uint8_t)(edge + 1);
	a.ep.port = (uint16_t)(edge + 1);
	return a;
}

static void give_addresses(const struct edge_address *addrs, size_t n)
{
	assert_true(sim.discovery.running);
	sim.discovery.running = false;
	sim.discovery.cb(sim.discovery.ctx, 0, addrs, n, "");
	turn();
}

static void begin_with(struct dice *dice, const struct edge_address *addrs, size_t n, int v6_error)
{
	struct supervisor_options opt = {
		.link = {.loop = &sim.io},
		.discovery = &sim.discovery,
		.identity = &sim.agent.identity,
		.n_uplinks = N_UPLINKS,
	};

	log_set_level(LOG_LEVEL_ERROR);
	memset(&sim, 0, sizeof(sim));
	sim.dice = dice;
	sim.behaves = true;
	sim.v6_error = v6_error;
	sim.now_ms = 1000000;
	list_init(&sim.links);
	list_init(&sim.io.tasks);
	S = supervisor_new(&opt, &events, NULL);
	supervisor_start(S);
	turn();
	give_addresses(addrs, n);
}

static void begin(struct dice *dice, const struct edge_address *addrs, size_t n)
{
	begin_with(dice, addrs, n, 0);
}

static void end(void)
{
	supervisor_kill(S);
	turn();
	assert_int_equal(sim.n_stopped, 1);
	supervisor_free(S);
	assert_int_equal(sim.n_links, 0);
}

/* ---- edges ---- */

static bool on_edge(const struct edge_link *el, const void *arg)
{
	return el->events && el->edge == *(const unsigned int *)arg;
}

static unsigned int count_on(unsigned int edge)
{
	return count_links(on_edge, &edge);
}

/* Each link gets as far as @most, one step at a time; to be registered only at @good. */
static void answer(enum control_step most, unsigned int good)
{
	static const struct registration_details details = {.location = "here"};
	struct list *pos, *tmp;

	list_for_each_safe (pos, tmp, &sim.links) {
		struct edge_link *el = list_entry(pos, struct edge_link, of_world);
		bool all = el->edge == good;

		if (!el->events)
			continue;
		if (el->step == STEP_DIALLING && (all || most >= STEP_SECURE)) {
			el->step = STEP_SECURE;
			el->events->on_secure(el->ctx, el);
		} else if (el->step == STEP_SECURE && (all || most >= STEP_CONTROL)) {
			el->step = STEP_CONTROL;
			el->events->on_control(el->ctx, el);
		} else if (el->step == STEP_REGISTERING && all) {
			el->step = STEP_REGISTERED;
			el->rpc_ms = UINT64_MAX;
			supersede(el);
			el->events->on_registered(el->ctx, el, &details, NULL);
		}
	}
	turn();
}

static void answer_all(enum control_step most, unsigned int good)
{
	for (unsigned int i = 0; i < 4; i++)
		answer(most, good);
}

/* One edge of two gets no further than @most: all connections are soon at the other. */
static void one_gets_no_further(enum control_step most, const char *reason)
{
	struct edge_address addrs[] = {address_of(0, false), address_of(1, false)};
	struct supervisor_connection c;
	struct dice dice = {0};
	bool said = false;

	begin(&dice, addrs, ARRAY_SIZE(addrs));
	answer_all(most, 1);
	assert_int_equal(count_on(0), 2);
	assert_int_equal(supervisor_n_registered(S), 2);
	for (unsigned int i = 0; i < TURNS_MAX && supervisor_n_registered(S) < N_UPLINKS; i++) {
		pass();
		answer_all(most, 1);
	}
	assert_int_equal(supervisor_n_registered(S), N_UPLINKS);
	assert_int_equal(count_on(1), N_UPLINKS);
	for (unsigned int i = 0; i < N_UPLINKS; i++) {
		supervisor_get_connection(S, i, &c);
		said |= !strcmp(c.last_error, reason);
	}
	assert_true(said);
	assert_true(S->pool.failed_ms[0] > 0 && S->pool.failed_ms[1] == 0);
	/* One is still known to work: no reason to ask for others. */
	assert_false(sim.discovery.running);
	end();
}

static void no_control_stream_is_the_address_s_fault(void **state UNUSED)
{
	one_gets_no_further(STEP_SECURE, "the edge opened no control stream");
}

static void no_return_is_the_address_s_fault(void **state UNUSED)
{
	one_gets_no_further(STEP_REGISTERING, "no answer in time");
}

/* When no address gets any connection registered they are asked for again. */
static void all_fail_and_are_looked_up(enum control_step most)
{
	struct edge_address addrs[] = {address_of(0, false), address_of(1, false)};
	struct dice dice = {0};

	begin(&dice, addrs, ARRAY_SIZE(addrs));
	for (unsigned int i = 0; i < TURNS_MAX && !sim.discovery.running; i++) {
		answer_all(most, N_EDGES);
		pass();
	}
	assert_true(sim.discovery.running);
	addrs[0] = address_of(2, false);
	give_addresses(addrs, 1);
	for (unsigned int i = 0; i < TURNS_MAX && supervisor_n_registered(S) < N_UPLINKS; i++) {
		pass();
		answer_all(most, 2);
	}
	assert_int_equal(supervisor_n_registered(S), N_UPLINKS);
	end();
}

static void all_without_control_stream(void **state UNUSED)
{
	all_fail_and_are_looked_up(STEP_SECURE);
}

static void all_without_return(void **state UNUSED)
{
	all_fail_and_are_looked_up(STEP_REGISTERING);
}

/* IPv6 is swallowed: links there end when their time for TCP is over. */
static void fail_v6(uint64_t *longest_ms)
{
	struct list *pos, *tmp;

	list_for_each_safe (pos, tmp, &sim.links) {
		struct edge_link *el = list_entry(pos, struct edge_link, of_world);

		if (!el->events || el->address.ep.ip.family != AF_INET6)
			continue;
		*longest_ms = el->connect_ms > *longest_ms ? el->connect_ms : *longest_ms;
		assert_int_not_equal(el->connect_ms, 0);
		list_remove(&el->node);
		el->events->on_closed(el->ctx, el, LINK_END_TIMEOUT,
				      "no answer to the TCP connect");
		free_link(el);
	}
	sim.now_ms += *longest_ms;
	turn();
}

/* Each connection loses one short time to it at the most, and none comes back to it soon. */
static void a_family_that_is_swallowed_is_given_up(void **state UNUSED)
{
	struct edge_address addrs[] = {address_of(0, true), address_of(1, true),
				       address_of(2, false), address_of(3, false)};
	struct dice dice = {0};
	uint64_t longest_ms = 0;
	struct list *pos, *tmp;

	begin(&dice, addrs, ARRAY_SIZE(addrs));
	assert_int_equal(count_on(0) + count_on(1), 2);
	fail_v6(&longest_ms);
	assert_int_equal(longest_ms, EDGE_HASTY_CONNECT_MS);
	for (unsigned int i = 0; i < TURNS_MAX && supervisor_n_registered(S) < N_UPLINKS; i++) {
		answer_all(STEP_DIALLING, 2);
		answer_all(STEP_DIALLING, 3);
		assert_int_equal(count_on(0) + count_on(1), 0);
		if (supervisor_n_registered(S) < N_UPLINKS)
			pass();
	}
	assert_int_equal(supervisor_n_registered(S), N_UPLINKS);
	/* All are lost: they come back where it works. */
	list_for_each_safe (pos, tmp, &sim.links) {
		struct edge_link *el = list_entry(pos, struct edge_link, of_world);

		list_remove(&el->node);
		el->events->on_closed(el->ctx, el, LINK_END_PEER_CLOSED, "connection reset");
		free_link(el);
	}
	turn();
	for (unsigned int i = 0; i < TURNS_MAX && supervisor_n_registered(S) < N_UPLINKS; i++) {
		pass();
		assert_int_equal(count_on(0) + count_on(1), 0);
		answer_all(STEP_DIALLING, 2);
		answer_all(STEP_DIALLING, 3);
	}
	assert_int_equal(supervisor_n_registered(S), N_UPLINKS);
	end();
}

/* No link can even be begun on it: the other one has all connections after the next try. */
static void a_family_that_this_host_lacks_is_given_up(void **state UNUSED)
{
	struct edge_address addrs[] = {address_of(0, true), address_of(1, true),
				       address_of(2, false), address_of(3, false)};
	struct dice dice = {0};

	begin_with(&dice, addrs, ARRAY_SIZE(addrs), -EAFNOSUPPORT);
	for (unsigned int i = 0; i < TURNS_MAX && supervisor_n_registered(S) < N_UPLINKS; i++) {
		answer_all(STEP_DIALLING, 2);
		answer_all(STEP_DIALLING, 3);
		if (supervisor_n_registered(S) < N_UPLINKS)
			pass();
	}
	assert_int_equal(supervisor_n_registered(S), N_UPLINKS);
	assert_true(S->pool.failed_ms[0] > 0 || S->pool.failed_ms[1] > 0);
	assert_false(sim.discovery.running);
	end();
}

/* Only such addresses: they are asked for again. */
static void all_of_a_family_that_this_host_lacks(void **state UNUSED)
{
	struct edge_address addrs[] = {address_of(0, true), address_of(1, true)};
	struct dice dice = {0};

	begin_with(&dice, addrs, ARRAY_SIZE(addrs), -EAFNOSUPPORT);
	for (unsigned int i = 0; i < TURNS_MAX && !sim.discovery.running; i++)
		pass();
	assert_true(sim.discovery.running);
	end();
}

/* No descriptor is left: that is held against no address. */
static void a_shortage_is_no_address_s_fault(void **state UNUSED)
{
	struct edge_address addrs[] = {address_of(0, true), address_of(1, true)};
	struct dice dice = {0};

	begin_with(&dice, addrs, ARRAY_SIZE(addrs), -EMFILE);
	for (unsigned int i = 0; i < TURNS_MAX; i++)
		pass();
	assert_true(S->pool.failed_ms[0] == 0 && S->pool.failed_ms[1] == 0);
	assert_false(sim.discovery.running);
	end();
}

/* The host slept while all connections waited for their next try: each makes one, now. */
static void after_a_jump_of_the_clock_each_dials_once(void **state UNUSED)
{
	struct edge_address addrs[] = {address_of(0, false), address_of(1, false)};
	uint32_t before[N_UPLINKS];
	struct list *pos, *tmp;
	struct dice dice = {0};

	begin(&dice, addrs, ARRAY_SIZE(addrs));
	memcpy(before, sim.last_ids, sizeof(before));
	list_for_each_safe (pos, tmp, &sim.links) {
		struct edge_link *el = list_entry(pos, struct edge_link, of_world);

		list_remove(&el->node);
		el->events->on_closed(el->ctx, el, LINK_END_CONNECT, "refused");
		free_link(el);
	}
	turn();
	assert_int_equal(sim.n_links, 0);
	sim.now_ms += 3600 * 1000;
	turn();
	assert_int_equal(sim.n_links, N_UPLINKS);
	for (unsigned int i = 0; i < N_UPLINKS; i++)
		assert_int_equal(sim.last_ids[i], before[i] + 1);
	/* What failed before it is held against nobody: they spread. */
	assert_int_equal(count_on(0), 2);
	answer_all(STEP_DIALLING, 0);
	answer_all(STEP_DIALLING, 1);
	assert_int_equal(supervisor_n_registered(S), N_UPLINKS);
	end();
}

/* What is due for @ms, both edges being well; all connections stay registered meanwhile. */
static void all_is_well_for(uint64_t ms)
{
	uint64_t end_ms = sim.now_ms + ms;

	while (sim.now_ms < end_ms) {
		pass();
		answer_all(STEP_DIALLING, 0);
		answer_all(STEP_DIALLING, 1);
		assert_int_equal(supervisor_n_registered(S), N_UPLINKS);
	}
}

/* One at a time, and what runs on the old link goes on. */
static void an_edge_that_was_away_gets_its_share_again(void **state UNUSED)
{
	struct edge_address addrs[] = {address_of(0, false), address_of(1, false)};
	struct edge_link *busy;
	struct dice dice = {0};

	begin(&dice, addrs, ARRAY_SIZE(addrs));
	while (supervisor_n_registered(S) < N_UPLINKS) {
		answer_all(STEP_DIALLING, 0);
		if (supervisor_n_registered(S) < N_UPLINKS)
			pass();
	}
	assert_int_equal(count_on(0), N_UPLINKS);
	busy = slot_find_link(&S->slots[0], S->slots[0].uplink.current);
	busy->n_streams = 1;
	while (count_on(1) == 0)
		all_is_well_for(1);
	assert_int_equal(count_on(0), N_UPLINKS);
	assert_true(busy->superseded);
	all_is_well_for(2 * EDGE_MOVE_MS);
	assert_int_equal(count_on(1), 2);
	assert_int_equal(count_on(0), 3);
	busy->n_streams = 0;
	all_is_well_for(10 * EDGE_MOVE_MS);
	assert_int_equal(count_on(0), 2);
	assert_int_equal(count_on(1), 2);
	end();
}

/* It is tried, and nobody notices. */
static void an_edge_that_stays_away_costs_nothing(void **state UNUSED)
{
	struct edge_address addrs[] = {address_of(0, false), address_of(1, false)};
	struct supervisor_connection c;
	struct dice dice = {0};
	uint64_t end_ms;

	begin(&dice, addrs, ARRAY_SIZE(addrs));
	while (supervisor_n_registered(S) < N_UPLINKS) {
		answer_all(STEP_DIALLING, 0);
		if (supervisor_n_registered(S) < N_UPLINKS)
			pass();
	}
	end_ms = sim.now_ms + 20 * EDGE_MOVE_MS;
	while (sim.now_ms < end_ms) {
		pass();
		answer_all(STEP_DIALLING, 0);
		assert_int_equal(supervisor_n_registered(S), N_UPLINKS);
		assert_true(count_on(1) <= 1);
	}
	for (unsigned int i = 0; i < N_UPLINKS; i++) {
		supervisor_get_connection(S, i, &c);
		assert_true(c.state == UPLINK_STATE_REGISTERED || count_on(1) == 1);
		assert_true(c.state != UPLINK_STATE_REGISTERED ||
			    edge_address_equal(c.edge, &addrs[0]));
	}
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_control_stream_is_the_address_s_fault),
		cmocka_unit_test(no_return_is_the_address_s_fault),
		cmocka_unit_test(all_without_control_stream),
		cmocka_unit_test(all_without_return),
		cmocka_unit_test(a_family_that_is_swallowed_is_given_up),
		cmocka_unit_test(a_family_that_this_host_lacks_is_given_up),
		cmocka_unit_test(all_of_a_family_that_this_host_lacks),
		cmocka_unit_test(a_shortage_is_no_address_s_fault),
		cmocka_unit_test(after_a_jump_of_the_clock_each_dials_once),
		cmocka_unit_test(an_edge_that_was_away_gets_its_share_again),
		cmocka_unit_test(an_edge_that_stays_away_costs_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
