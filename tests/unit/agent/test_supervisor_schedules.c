/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The agent's connections in random schedules: supervisor, four uplinks, pool of addresses,
 * advertisement and health together, above a simulated clock and network. Whatever happens:
 *
 *  - one registration at most is in flight per connection index, over all its links;
 *  - the number of registered connections is that of the books, the health is that number's,
 *    and the state file was told each change of it;
 *  - the generation of what is advertised only grows; one call at most is out per edge, on the
 *    lowest registered connection that leads there; its set stays readable until the answer; a
 *    hash alone goes only to an edge that answered for that whole set before;
 *  - a stock edge is sent no routes;
 *  - the one timer lies in the future when the turn is over, no later than any call's deadline,
 *    and while a connection is missing something is under way: a timer, or a lookup;
 *  - the pool counts as many users of an address as there are links to it;
 *  - a supervisor that stops dials, registers and looks up nothing, reports its end once, not
 *    from within a call, as soon as no link is left and by the end of the grace period;
 *  - when the network behaves again, all connections register, and each edge has the last set.
 */

#include "supervisor_world.h"

#define N_SCHEDULES 100000
#define N_STEPS	    30
#define TURNS_MAX   20

#define FIRST_WAIT_MS 200 /* of the first set for the lowest connection */

#define A (&sim.agent)

/* ---- advertisement, between supervisor and books ---- */

static bool leads_lower(const struct edge_link *other, const void *arg)
{
	const struct edge_link *el = arg;

	return is_registered(other) && other->edge == el->edge && other->index < el->index;
}

int edge_link_advertise(struct edge_link *el, const struct uuid *instance_id UNUSED,
			uint64_t generation, const struct route_set *set, bool hash_only,
			uint64_t now_ms)
{
	struct sim_edge *e = &sim.edges[el->edge];

	if (!e->carrier || !is_registered(e->carrier))
		DICE_CHECK(count_links(leads_lower, el) == 0);
	else
		DICE_CHECK(e->carrier == el);
	e->carrier = el;
	DICE_CHECK(el->edge < N_ADIT && is_registered(el) && !e->answering);
	DICE_CHECK(set == advertise_routes(A->routes.advertise));
	DICE_CHECK(generation == advertise_generation(A->routes.advertise));
	DICE_CHECK(!hash_only || e->confirmed == generation);
	if (!sim.behaves && dice_percent(sim.dice, 5))
		return -EBUSY;
	e->answering = el;
	el->advertising = true;
	el->call = (struct advertise_call){
		.generation = generation, .set = set, .hash_only = hash_only};
	el->routes = set->routes;
	el->rpc_ms = now_ms + RPC_MS;
	return 0;
}

/* The edge holds generation @holds of us from now on, and the agent hears so. */
static void end_call(struct edge_link *el, uint64_t holds)
{
	struct sim_edge *e = &sim.edges[el->edge];

	e->answering = NULL;
	e->holds = e->confirmed = holds;
	el->advertising = false;
	el->rpc_ms = UINT64_MAX;
}

/* Nobody will answer it. */
static void forget_call(struct edge_link *el)
{
	el->advertising = false;
	sim.edges[el->edge].answering = NULL;
}

void edge_link_drop_advert(struct edge_link *el)
{
	if (el->advertising) {
		forget_call(el);
		el->rpc_ms = UINT64_MAX;
	}
}

static void refuse_call(struct edge_link *el, const char *failed)
{
	uint64_t generation = el->call.generation;

	end_call(el, 0);
	el->events->on_advertised(el->ctx, el, generation, NULL, 0, false, failed);
}

/* The whole set is taken; a hash is confirmed without verdicts. */
static void accept_call(struct edge_link *el)
{
	struct route_verdict verdicts[ROUTES_MADE] = {0};
	const struct advertise_call call = el->call;
	size_t n = call.hash_only ? 0 : call.set->n_routes;

	for (size_t i = 0; i < n; i++) {
		DICE_CHECK(call.set->routes[i].network[0] == '1');
		verdicts[i].accepted = dice_percent(sim.dice, 70);
		strcpy(verdicts[i].reason, verdicts[i].accepted ? "" : "not granted");
	}
	end_call(el, call.generation);
	el->events->on_advertised(el->ctx, el, call.generation, n ? verdicts : NULL, n, false,
				  NULL);
}

/* An edge that was restarted knows no hash. */
static void ask_for_all(struct edge_link *el)
{
	uint64_t generation = el->call.generation;

	end_call(el, 0);
	el->events->on_advertised(el->ctx, el, generation, NULL, 0, true, NULL);
}

static void answer_call(struct edge_link *el)
{
	uint32_t how = dice_below(sim.dice, 10);

	if (el->call.hash_only && sim.edges[el->edge].holds != el->call.generation)
		ask_for_all(el);
	else if (sim.behaves || how < 6)
		accept_call(el);
	else if (how < 8)
		ask_for_all(el);
	else
		refuse_call(el, "no routes here");
}

static void load_routes(void)
{
	size_t n = dice_below(sim.dice, ROUTES_MADE + 1);
	struct route_set set = {.routes = calloc(n + 1, sizeof(*set.routes)), .n_routes = n};

	for (size_t i = 0; i < n; i++)
		strcpy(set.routes[i].network, "10.0.0.0/8");
	advertise_set_routes(A->routes.advertise, &set);
	supervisor_poke(A->supervisor);
}

/* ---- the network ---- */

static struct edge_link *some_link(void)
{
	unsigned int nth = sim.n_links ? dice_below(sim.dice, sim.n_links) : 0;
	struct list *pos;

	list_for_each (pos, &sim.links) {
		struct edge_link *el = list_entry(pos, struct edge_link, of_world);

		if (nth-- == 0)
			return el->events ? el : NULL;
	}
	return NULL;
}

static void close_link(struct edge_link *el, const char *reason)
{
	list_remove(&el->node);
	if (sim.edges[el->edge].answering == el)
		sim.edges[el->edge].answering = NULL;
	el->step = STEP_OVER;
	el->events->on_closed(el->ctx, el, LINK_END_PEER_CLOSED, reason);
	DICE_CHECK(el->events);
	free_link(el);
}

static void end_control(struct edge_link *el, const char *reason)
{
	bool leaving = el->step == STEP_LEAVING;

	if (el->step < STEP_CONTROL || el->step == STEP_OVER)
		return;
	if (el->advertising)
		forget_call(el);
	el->step = STEP_OVER;
	el->rpc_ms = UINT64_MAX;
	if (leaving)
		el->events->on_unregistered(el->ctx, el);
	else
		el->events->on_control_end(el->ctx, el, reason);
}

/* Called by the supervisor's own turn when a call was not answered. */
void edge_link_tick(struct edge_link *el, uint64_t now_ms)
{
	DICE_CHECK(el->events && now_ms >= el->rpc_ms);
	if (el->advertising)
		refuse_call(el, "no answer in time");
	else
		end_control(el, "no answer in time");
}

static void answer_registration(struct edge_link *el)
{
	static const struct registration_details details = {.location = "here"};
	static const char *const causes[] = {"EDUPCONN", "Unauthorized", "not now"};
	struct registration_error error = {.should_retry = true};

	el->rpc_ms = UINT64_MAX;
	if (sim.behaves || dice_percent(sim.dice, 75)) {
		el->step = STEP_REGISTERED;
		supersede(el);
		el->events->on_registered(el->ctx, el, &details, NULL);
		return;
	}
	strcpy(error.cause, causes[dice_below(sim.dice, ARRAY_SIZE(causes))]);
	error.retry_after_ns = dice_percent(sim.dice, 50) ? (int64_t)dice_u32(sim.dice) : 0;
	el->step = STEP_OVER;
	el->events->on_registered(el->ctx, el, NULL, &error);
	/* The uplink has no use for it any more. */
}

/* The next thing in the life of a link that goes well. */
static void advance(struct edge_link *el)
{
	switch (el->step) {
	case STEP_DIALLING:
		el->step = STEP_SECURE;
		el->events->on_secure(el->ctx, el);
		break;
	case STEP_SECURE:
		el->step = STEP_CONTROL;
		el->events->on_control(el->ctx, el);
		break;
	case STEP_REGISTERING:
		answer_registration(el);
		break;
	case STEP_REGISTERED:
		if (el->advertising)
			answer_call(el);
		else
			el->n_streams = el->n_streams ? 0 : 1;
		break;
	case STEP_LEAVING:
		el->step = STEP_OVER;
		el->rpc_ms = UINT64_MAX;
		el->events->on_unregistered(el->ctx, el);
		break;
	case STEP_CONTROL:
	case STEP_OVER:
		el->n_streams = 0;
		break;
	}
}

static void harm(struct edge_link *el)
{
	switch (dice_below(sim.dice, 4)) {
	case 0:
		close_link(el, "connection reset by peer");
		break;
	case 1:
		end_control(el, "the edge ended the control stream");
		break;
	case 2:
		if (!el->goaway && el->step > STEP_DIALLING) {
			el->goaway = true;
			el->events->on_goaway(el->ctx, el);
		}
		break;
	default:
		el->n_streams++;
		break;
	}
}

/* It forgets us; all of its connections go. */
static void restart_edge(unsigned int edge)
{
	struct list *pos, *tmp;

	sim.edges[edge].holds = 0;
	list_for_each_safe (pos, tmp, &sim.links) {
		struct edge_link *el = list_entry(pos, struct edge_link, of_world);

		if (el->events && el->edge == edge)
			close_link(el, "connection reset by peer");
	}
}

static struct edge_address address_of(unsigned int edge)
{
	struct edge_address a = {.server_name = "edge.test"};

	a.ep = (struct endpoint){.ip = {.family = AF_INET, .bytes = {127, 0, 0, 1}},
				 .port = (uint16_t)(edge + 1)};
	return a;
}

static void finish_lookup(void)
{
	struct edge_discovery *d = &sim.discovery;
	struct edge_address found[N_EDGES];
	size_t n = 0;

	if (!d->running)
		return;
	d->running = false;
	if (!sim.behaves && dice_percent(sim.dice, 25)) {
		d->cb(d->ctx, -ENOENT, NULL, 0, "no such name");
		return;
	}
	for (unsigned int i = 0; i < N_EDGES; i++)
		if (sim.behaves || dice_percent(sim.dice, 80))
			found[n++] = address_of(i);
	sim.changed_addresses |= n < N_EDGES;
	d->cb(d->ctx, 0, found, n, "");
}

static bool lost_now(const struct edge_link *el, const void *arg UNUSED)
{
	return el->events && el->address_lost;
}

static void change_network(void)
{
	struct supervisor_recheck recheck;
	struct edge_link *el = some_link();
	unsigned int n_lost;

	if (el && dice_percent(sim.dice, 50))
		el->address_lost = true;
	n_lost = count_links(lost_now, NULL);
	supervisor_network_changed(A->supervisor, &recheck);
	/* When the kernel doesn't tell, the link has the benefit of the doubt. */
	DICE_CHECK(recheck.n_replaced <= n_lost && recheck.n_hurried <= N_UPLINKS);
	DICE_CHECK(!sim.stopping || recheck.n_replaced + recheck.n_hurried == 0);
}

/* ---- the agent ---- */

static void on_stream(void *ctx UNUSED, unsigned int index UNUSED, struct edge_link *el UNUSED,
		      struct h2_stream *stream UNUSED, const struct h2_headers *hdrs UNUSED)
{
	abort();
}

static void on_advertised(void *ctx UNUSED, uint64_t link, uint64_t generation,
			  const struct route_verdict *verdicts, size_t n_verdicts, bool send_all,
			  const char *failed)
{
	agent_routes_answered(A, link, generation, verdicts, n_verdicts, send_all, failed);
}

static uint64_t on_settled(void *ctx UNUSED, uint64_t now_ms)
{
	DICE_CHECK(now_ms == sim.now_ms);
	agent_service_update(A);
	return sim.stopping ? UINT64_MAX : agent_routes_settle(A, now_ms);
}

static void on_event(void *ctx UNUSED, const char *kind, const struct log_field *fields)
{
	agent_tell(A, kind, fields);
}

static void on_unauthorized(void *ctx UNUSED)
{
	DICE_CHECK(!sim.stopping);
}

static void on_stopped(void *ctx UNUSED)
{
	DICE_CHECK(sim.stopping && !sim.in_call && sim.n_stopped == 0);
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

/* ---- the invariants ---- */

static void check_health(void)
{
	unsigned int n = count_registered_indices();
	const struct agent_service *sv = &A->service;

	DICE_CHECK(supervisor_n_registered(A->supervisor) == n);
	if (A->phase != AGENT_PHASE_RUNNING)
		return;
	DICE_CHECK(sv->n_registered == n);
	DICE_CHECK(sv->health == health_of(N_UPLINKS, n, sv->file.ever_registered));
	DICE_CHECK(n == 0 || sv->file.ever_registered);
	DICE_CHECK(sim.saved.state == sv->health);
	DICE_CHECK(sim.saved.ever_registered == sv->file.ever_registered);
}

static void check_views(void)
{
	struct supervisor_link links[N_UPLINKS];
	size_t n = supervisor_links(A->supervisor, links, ARRAY_SIZE(links));

	DICE_CHECK(n == supervisor_n_registered(A->supervisor));
	for (size_t i = 0; i < n; i++) {
		DICE_CHECK(is_registered(links[i].el));
		DICE_CHECK(supervisor_find_link(A->supervisor, links[i].link) == links[i].el);
		DICE_CHECK(i == 0 || links[i].el->index > links[i - 1].el->index);
	}
}

static bool leads_to(const struct edge_link *el, const void *arg)
{
	return el->events && el->edge == *(const unsigned int *)arg;
}

static void check_pool(void)
{
	const struct edge_pool *p = &A->supervisor->pool;

	for (size_t i = 0; i < p->n; i++) {
		unsigned int edge = p->addrs[i].ep.port - 1u;
		unsigned int n = count_links(leads_to, &edge);

		DICE_CHECK(sim.changed_addresses ? p->n_users[i] <= n : p->n_users[i] == n);
	}
}

/* Calls borrow the set: it is another one only with another generation, and between calls. */
static void check_set(void)
{
	const struct route_entry *routes = advertise_routes(A->routes.advertise)->routes;
	uint64_t generation = advertise_generation(A->routes.advertise);
	struct list *pos;

	DICE_CHECK(routes == sim.routes ? generation >= sim.generation
					: generation > sim.generation);
	sim.routes = routes;
	sim.generation = generation;
	list_for_each (pos, &sim.links) {
		const struct edge_link *el = list_entry(pos, struct edge_link, of_world);

		if (el->events && el->advertising)
			DICE_CHECK(el->routes == routes && el->call.generation == generation);
	}
}

static bool is_open(const struct edge_link *el, const void *arg UNUSED)
{
	return el->events;
}

static bool has_no_timer(const struct edge_link *el, const void *arg UNUSED)
{
	return el->events && sim.timer_ms > el->rpc_ms;
}

static void check_progress(void)
{
	DICE_CHECK(count_links(has_no_timer, NULL) == 0);
	if (sim.stopping) {
		DICE_CHECK(sim.n_stopped == 1 || count_links(is_open, NULL) > 0);
		DICE_CHECK(sim.n_stopped == 1 || sim.now_ms < sim.stopped_by_ms);
		DICE_CHECK(sim.n_stopped == 1 || sim.timer_ms <= sim.stopped_by_ms);
		return;
	}
	DICE_CHECK(count_registered_indices() == N_UPLINKS || sim.discovery.running ||
		   sim.timer_ms != UINT64_MAX);
	if (count_registered_indices() > 0 && !A->routes.begun)
		DICE_CHECK(sim.timer_ms <= A->routes.first_ms + FIRST_WAIT_MS);
}

static void bury_closed_links(void)
{
	struct list *pos, *tmp;

	list_for_each_safe (pos, tmp, &sim.links) {
		struct edge_link *el = list_entry(pos, struct edge_link, of_world);

		if (!el->events)
			free_link(el);
	}
}

/* What the loop does before it waits. */
static void turn(void)
{
	struct list *node;
	unsigned int n = 0;

	sim.in_call = false;
	do {
		if (sim.timer_ms <= sim.now_ms) {
			sim.timer_ms = UINT64_MAX;
			sim.timer_cb(sim.timer);
		}
		while ((node = list_pop(&sim.io.tasks)) != NULL)
			list_entry(node, struct io_task, node)
				->run(list_entry(node, struct io_task, node));
		DICE_CHECK(++n < TURNS_MAX);
	} while (sim.timer_ms <= sim.now_ms || !list_is_empty(&sim.io.tasks));
	bury_closed_links();
	check_health();
	check_views();
	check_pool();
	check_set();
	check_progress();
	sim.in_call = true;
}

/* ---- the schedule ---- */

/* Never back: a turn may have been left out. */
static void pass_until_timer(void)
{
	if (sim.timer_ms != UINT64_MAX && sim.timer_ms > sim.now_ms)
		sim.now_ms = sim.timer_ms;
}

static void pass(void)
{
	if (dice_percent(sim.dice, 60))
		pass_until_timer();
	else
		sim.now_ms += dice_size(sim.dice, 60000);
}

static void stop(void)
{
	uint32_t grace_ms = (uint32_t)dice_size(sim.dice, 30000);

	if (sim.stopping)
		return;
	sim.stopping = true;
	sim.stopped_by_ms = sim.now_ms + grace_ms;
	A->phase = AGENT_PHASE_DRAINING;
	if (dice_percent(sim.dice, 20))
		supervisor_kill(A->supervisor);
	else
		supervisor_stop(A->supervisor, grace_ms);
}

static void step(void)
{
	struct edge_link *el = some_link();
	uint32_t what = dice_below(sim.dice, 100);

	if (what < 55) {
		if (el)
			advance(el);
	} else if (what < 65) {
		if (el)
			harm(el);
	} else if (what < 72) {
		finish_lookup();
	} else if (what < 75) {
		change_network();
	} else if (what < 78) {
		load_routes();
	} else if (what < 79) {
		restart_edge(dice_below(sim.dice, N_EDGES));
	} else if (what < 80) {
		stop();
	} else {
		pass();
	}
	/* Several things may happen in one turn. */
	if (dice_percent(sim.dice, 75))
		turn();
}

static void begin(struct dice *dice)
{
	struct supervisor_options opt = {
		.link = {.loop = &sim.io},
		.discovery = &sim.discovery,
		.identity = &sim.agent.identity,
		.n_uplinks = N_UPLINKS,
	};

	memset(&sim, 0, sizeof(sim));
	sim.dice = dice;
	sim.now_ms = 1 + dice_u32(dice);
	list_init(&sim.links);
	list_init(&sim.io.tasks);
	A->live = A->boot = &sim.settings;
	A->loop = &sim.io;
	A->in_charge = true;
	A->routes.advertise = advertise_new();
	A->supervisor = supervisor_new(&opt, &events, NULL);
	load_routes();
	sim.in_call = true;
	supervisor_start(A->supervisor);
	turn();
}

/* Everything that is asked for comes about. */
static void everything_behaves(void)
{
	struct list *pos, *tmp;

	list_for_each_safe (pos, tmp, &sim.links) {
		struct edge_link *el = list_entry(pos, struct edge_link, of_world);

		el->n_streams = 0;
		if (el->events && (el->step < STEP_REGISTERED || el->advertising))
			advance(el);
	}
	finish_lookup();
}

static bool serves_us(const struct edge_link *el, const void *arg)
{
	return is_registered(el) && el->edge == *(const unsigned int *)arg;
}

static bool has_last_set(unsigned int edge)
{
	return count_links(serves_us, &edge) == 0 ||
	       sim.edges[edge].holds == advertise_generation(A->routes.advertise);
}

static void must_recover(void)
{
	bool well = false;

	sim.behaves = true;
	/* The longest wait is that after refused credentials, and each turn passes one deadline. */
	for (unsigned int i = 0; i < 400 && !well; i++) {
		everything_behaves();
		turn();
		well = count_registered_indices() == N_UPLINKS;
		for (unsigned int e = 0; e < N_ADIT; e++)
			well = well && has_last_set(e);
		if (!well)
			pass_until_timer();
	}
	DICE_CHECK(well && A->service.health == HEALTH_HEALTHY);
}

static void must_stop(void)
{
	stop();
	for (unsigned int i = 0; i < 400 && !sim.n_stopped; i++) {
		struct edge_link *el;

		turn();
		el = some_link();
		if (el && dice_percent(sim.dice, 50))
			advance(el);
		else
			pass_until_timer();
	}
	DICE_CHECK(sim.n_stopped == 1 && sim.timer_ms == UINT64_MAX);
	finish_lookup();
	turn();
	DICE_CHECK(sim.n_links == 0 && list_is_empty(&sim.io.tasks));
}

static void play(struct dice *dice)
{
	begin(dice);
	for (unsigned int i = 0; i < N_STEPS; i++)
		step();
	if (!sim.stopping)
		must_recover();
	must_stop();
	supervisor_free(A->supervisor);
	advertise_free(A->routes.advertise);
}

static void the_connections_keep_their_word_in_every_schedule(void **state UNUSED)
{
	log_set_level(LOG_LEVEL_ERROR);
	dice_play(N_SCHEDULES, play);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_connections_keep_their_word_in_every_schedule),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
