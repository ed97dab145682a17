/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Random packets, answers of the edge and hours, against a model that is a list of what should be:
 * no hashes, no queues, no checksums. What goes forward and comes back must be the application's
 * view again.
 */
#include "tests/unit/tun/nat_world.h"

#define STEPS	  300000
#define N_TCP	  6
#define N_UDP	  4
#define N_ECHO	  2
#define N_HELD	  4
#define PORT_0	  2000
#define N_PORTS	  7
#define FLOWS_MAX 32
#define TOLD_MAX  256

struct tuple {
	unsigned int family, kind, src, dst, sport, dport;
};

struct model_flow {
	struct tuple tuple;
	enum flow_state state;
	uint32_t isn;
	unsigned int fins;
	uint16_t port;
	uint64_t used_ms;
	struct nat_flow *real;
};

/* An ICMP error was the answer: for a second the same SYN is no new question. */
struct told {
	struct tuple tuple;
	uint32_t isn;
	uint64_t until_ms;
};

struct model {
	struct nat_world *w;
	struct model_flow flows[FLOWS_MAX];
	size_t n;
	uint16_t ports[2][N_PORTS]; /* free, oldest first */
	size_t n_ports[2];
	unsigned int gone_expected;
	struct told told[TOLD_MAX];
	size_t n_told;
};

static const char *const sources[2][2] = {{L4, "10.9.9.9"}, {L6, "fd09::9"}};
static const char *const targets[2][2] = {{"10.0.0.1", "10.0.0.2"}, {"fd01::1", "fd01::2"}};
static const uint8_t kinds[2][3] = {{IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP},
				    {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMPV6}};

static unsigned int pick(unsigned int n)
{
	return (unsigned int)random() % n;
}

static struct model_flow *find(struct model *m, const struct tuple *t)
{
	for (size_t i = 0; i < m->n; i++) {
		if (memcmp(&m->flows[i].tuple, t, sizeof(*t)) == 0)
			return &m->flows[i];
	}
	return NULL;
}

static size_t count(const struct model *m, unsigned int kind, int family)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++)
		n += m->flows[i].tuple.kind == kind &&
		     (family < 0 || m->flows[i].tuple.family == (unsigned int)family);
	return n;
}

static size_t count_held(const struct model *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++)
		n += m->flows[i].state == FLOW_STATE_HELD;
	return n;
}

static void model_tell(struct model *m, const struct model_flow *f)
{
	m->told[m->n_told++ % TOLD_MAX] = (struct told){f->tuple, f->isn, m->w->now + NAT_TOLD_MS};
}

static bool was_told(const struct model *m, const struct tuple *t, uint32_t seq)
{
	for (size_t i = 0; i < TOLD_MAX; i++) {
		if (m->told[i].until_ms > m->w->now && m->told[i].isn == seq &&
		    memcmp(&m->told[i].tuple, t, sizeof(*t)) == 0)
			return true;
	}
	return false;
}

static void model_remove(struct model *m, struct model_flow *f)
{
	unsigned int family = f->tuple.family;

	if (f->tuple.kind == 0)
		m->ports[family][m->n_ports[family]++] = f->port;
	memmove(f, f + 1, (size_t)(&m->flows[m->n] - (f + 1)) * sizeof(*f));
	m->n--;
}

/* Ends by the engine are told, once, with this flow. */
static void model_gone(struct model *m, struct model_flow *f, enum nat_end why)
{
	m->gone_expected++;
	assert_int_equal(m->w->n_gone, m->gone_expected);
	assert_ptr_equal(m->w->gone, f->real);
	assert_int_equal(m->w->why, why);
	model_remove(m, f);
}

static struct model_flow *model_add(struct model *m, const struct tuple *t)
{
	struct model_flow *f = &m->flows[m->n++];
	unsigned int family = t->family;

	assert_true(m->n < FLOWS_MAX);
	*f = (struct model_flow){.tuple = *t, .used_ms = m->w->now, .real = m->w->v.flow};
	f->state = t->kind == 0 ? FLOW_STATE_HELD : FLOW_STATE_OPEN;
	if (t->kind == 0) {
		f->port = m->ports[family][0];
		memmove(m->ports[family], m->ports[family] + 1,
			--m->n_ports[family] * sizeof(uint16_t));
		assert_int_equal(f->real->nat_port, f->port);
	}
	return f;
}

static struct shape shape_of(const struct tuple *t)
{
	return (struct shape){
		.src = sources[t->family][t->src],
		.dst = targets[t->family][t->dst],
		.sport = (uint16_t)(100 + t->sport),
		.dport = (uint16_t)(t->kind == 2 ? 0 : 50 + t->dport),
		.transport = kinds[t->family][t->kind],
		.n_payload = pick(40),
		.partial = t->kind != 2 && pick(2),
	};
}

static void expect_drop(struct model *m, enum drop_reason reason)
{
	assert_int_equal(m->w->v.action, NAT_DROP);
	assert_int_equal(m->w->v.drop, reason);
}

/* The flow's part of a packet that was forwarded. */
static void follow(struct model *m, struct model_flow *f, unsigned int flags, unsigned int fin)
{
	if (flags & TCP_RST) {
		model_gone(m, f, NAT_END_RESET);
		return;
	}
	f->used_ms = m->w->now;
	if (flags & TCP_FIN)
		f->fins |= fin;
	f->state = f->fins == 3	  ? FLOW_STATE_CLOSED
		   : f->fins != 0 ? FLOW_STATE_CLOSING
				  : FLOW_STATE_ACTIVE;
	assert_int_equal(f->real->state, f->state);
}

static void new_tcp(struct model *m, const struct tuple *t, unsigned int flags, uint32_t seq)
{
	bool is_syn = (flags & (TCP_SYN | TCP_ACK | TCP_FIN | TCP_RST)) == TCP_SYN;

	if (t->src == 1) {
		expect_drop(m, DROP_FOREIGN);
	} else if (is_syn && was_told(m, t, seq)) {
		expect_drop(m, DROP_HELD_AGAIN);
	} else if (!is_syn && (flags & TCP_RST)) {
		expect_drop(m, DROP_NO_FLOW);
	} else if (!is_syn) {
		assert_int_equal(m->w->v.action, NAT_REPLY);
		assert_true(frame_sums_are_right(m->w->v.frame.bytes, m->w->v.frame.n));
	} else if (count_held(m) == N_HELD) {
		expect_drop(m, DROP_HELD_LIMIT);
	} else if (count(m, 0, (int)t->family) == N_TCP) {
		expect_drop(m, DROP_FLOW_LIMIT);
	} else {
		assert_int_equal(m->w->v.action, NAT_HOLD);
		model_add(m, t)->isn = seq;
	}
}

static void held_tcp(struct model *m, struct model_flow *f, unsigned int flags, uint32_t seq)
{
	if (flags & TCP_RST) {
		expect_drop(m, DROP_GAVE_UP);
		model_gone(m, f, NAT_END_GAVE_UP);
	} else if (flags != TCP_SYN) {
		expect_drop(m, DROP_NO_FLOW);
	} else {
		expect_drop(m, DROP_HELD_AGAIN);
		f->isn = seq;
	}
}

static void expect_forward(struct model *m, const struct model_flow *f)
{
	unsigned int family = f->tuple.family;

	assert_int_equal(m->w->v.action, NAT_FORWARD);
	assert_int_equal(m->w->v.to, NAT_SIDE_B);
	assert_frame(m->w->v.frame.bytes, m->w->v.frame.n, family ? P6 : P4, f->port,
		     family ? B6 : B4, 443);
}

static void step_tcp(struct model *m, const struct tuple *t)
{
	static const uint8_t choices[] = {TCP_SYN,	     TCP_SYN, TCP_SYN,
					  TCP_ACK,	     TCP_ACK, 0,
					  TCP_FIN | TCP_ACK, TCP_RST, TCP_SYN | TCP_ACK};
	struct model_flow *f = find(m, t);
	struct shape s = shape_of(t);

	s.flags = choices[pick(sizeof(choices))];
	s.seq = pick(2);
	feed_a(m->w, &s);
	if (f && f->state == FLOW_STATE_HELD) {
		held_tcp(m, f, s.flags, s.seq);
		return;
	}
	if (f && s.flags == TCP_SYN && s.seq != f->isn) {
		model_gone(m, f, NAT_END_REUSED);
		f = NULL;
	}
	if (!f) {
		new_tcp(m, t, s.flags, s.seq);
		return;
	}
	expect_forward(m, f);
	follow(m, f, s.flags, 1);
}

/* Of the flows of that kind the one that is unused for the longest, if it is idle enough. */
static struct model_flow *find_idle(struct model *m, unsigned int kind)
{
	struct model_flow *idlest = NULL;

	for (size_t i = 0; i < m->n; i++) {
		struct model_flow *f = &m->flows[i];

		if (f->tuple.kind == kind && (!idlest || f->used_ms < idlest->used_ms))
			idlest = f;
	}
	return idlest && m->w->now - idlest->used_ms >= NAT_EVICT_IDLE_MS ? idlest : NULL;
}

static struct model_flow *find_real(struct model *m, const struct nat_flow *real)
{
	for (size_t i = 0; i < m->n; i++) {
		if (m->flows[i].real == real)
			return &m->flows[i];
	}
	return NULL;
}

static void answer_datagram(struct model *m, const struct model_flow *f, const struct shape *s)
{
	struct nat_frame frame;
	struct nat_world *w = m->w;
	int r = f->tuple.kind == 1 ? nat_build_udp(w->nat, f->real, w->v.payload, w->v.n_payload,
						   w->now, &frame)
				   : nat_build_echo(w->nat, f->real, 1, w->v.payload,
						    w->v.n_payload, w->now, &frame);

	assert_int_equal(r, 0);
	assert_frame(frame.bytes, frame.n, s->dst, s->dport, s->src, s->sport);
	assert_int_equal(frame.n, w->fed.n);
}

static void step_datagram(struct model *m, const struct tuple *t)
{
	struct model_flow *f = find(m, t);
	struct shape s = shape_of(t);
	struct model_flow *idle = NULL;

	feed_a(m->w, &s);
	if (!f && t->src == 1) {
		expect_drop(m, DROP_FOREIGN);
		return;
	}
	if (!f && count(m, t->kind, -1) == (t->kind == 1 ? N_UDP : N_ECHO)) {
		idle = find_idle(m, t->kind);
		if (!idle) {
			expect_drop(m, DROP_FLOW_LIMIT);
			return;
		}
		/* Of several that are equally idle the engine may take any. */
		f = find_real(m, m->w->gone);
		assert_true(f && f->used_ms == idle->used_ms && f->tuple.kind == t->kind);
		model_gone(m, f, NAT_END_EVICTED);
		f = NULL;
	}
	assert_int_equal(m->w->v.action, t->kind == 1 ? NAT_DATAGRAM : NAT_ECHO);
	assert_int_equal(m->w->v.is_new, !f);
	if (!f)
		f = model_add(m, t);
	assert_ptr_equal(m->w->v.flow, f->real);
	assert_int_equal(m->w->v.n_payload, s.n_payload);
	f->used_ms = m->w->now;
	answer_datagram(m, f, &s);
}

/* The listener's packet to a port: what comes out is what the application expects. */
static void step_back(struct model *m)
{
	static const uint8_t choices[] = {TCP_ACK,	     TCP_ACK,		TCP_ACK,
					  TCP_FIN | TCP_ACK, TCP_FIN | TCP_ACK, TCP_RST,
					  TCP_SYN | TCP_ACK};
	unsigned int family = pick(2);
	uint16_t port = (uint16_t)(PORT_0 - 1 + pick(N_PORTS + 2));
	struct shape s = {.src = family ? B6 : B4, .dst = family ? P6 : P4, .sport = 443};
	struct model_flow *f = NULL;

	for (size_t i = 0; i < m->n; i++) {
		if (m->flows[i].port == port && m->flows[i].tuple.family == family)
			f = &m->flows[i];
	}
	s.dport = port;
	s.flags = choices[pick(sizeof(choices))];
	s.n_payload = pick(40);
	s.partial = pick(2);
	feed_b(m->w, &s);
	if (!f || f->state == FLOW_STATE_HELD) {
		expect_drop(m, DROP_NO_FLOW);
		return;
	}
	assert_int_equal(m->w->v.to, NAT_SIDE_A);
	assert_frame(m->w->v.frame.bytes, m->w->v.frame.n, targets[family][f->tuple.dst],
		     50 + f->tuple.dport, sources[family][f->tuple.src], 100 + f->tuple.sport);
	follow(m, f, s.flags, 2);
}

static void step_answer(struct model *m)
{
	struct model_flow *f = m->n ? &m->flows[pick((unsigned int)m->n)] : NULL;
	struct nat_frame frame;
	enum nat_refusal why;

	if (!f || f->state != FLOW_STATE_HELD)
		return;
	if (pick(3)) {
		nat_admit(m->w->nat, f->real, m->w->now, &frame);
		assert_frame(frame.bytes, frame.n, f->tuple.family ? P6 : P4, f->port,
			     f->tuple.family ? B6 : B4, 443);
		assert_int_equal(get32(l4_of(frame.bytes) + 4), f->isn);
		f->state = FLOW_STATE_ACTIVE;
		f->used_ms = m->w->now;
		return;
	}
	why = (enum nat_refusal)pick(NAT_REFUSAL_N);
	nat_refuse(m->w->nat, f->real, why, m->w->now, &frame);
	if (why != NAT_REFUSED)
		model_tell(m, f);
	assert_true(frame_sums_are_right(frame.bytes, frame.n));
	model_remove(m, f);
}

static uint64_t limit_ms(const struct model_flow *f)
{
	if (f->state == FLOW_STATE_HELD)
		return 30000;
	if (f->state == FLOW_STATE_CLOSED)
		return 60000;
	if (f->tuple.kind == 0)
		return 24 * 3600 * 1000;
	if (f->tuple.kind == 2)
		return 30000;
	return f->tuple.dport == 3 ? 10000 : 210000;
}

static bool is_over(const struct model *m, const struct model_flow *f)
{
	return f->used_ms + limit_ms(f) <= m->w->now;
}

static struct model *telling; /* ends come in any order: the model follows the engine's */

static void on_gone_in_tick(void *ctx, struct nat_flow *flow, enum nat_end why,
			    const struct nat_frame *answer)
{
	struct model_flow *f = find_real(telling, flow);

	world_gone(ctx, flow, why, answer);
	assert_non_null(f);
	assert_true(is_over(telling, f));
	assert_int_equal(answer != NULL, f->state == FLOW_STATE_HELD);
	if (answer)
		model_tell(telling, f);
	model_gone(telling, f,
		   f->state == FLOW_STATE_HELD	   ? NAT_END_TIME_LIMIT
		   : f->state == FLOW_STATE_CLOSED ? NAT_END_CLOSED
						   : NAT_END_IDLE);
}

static void step_time(struct model *m)
{
	uint64_t next = UINT64_MAX;
	uint64_t said;

	m->w->now += pick(100) ? pick(9000) : pick(24 * 3600 * 1000);
	telling = m;
	m->w->events.on_gone = on_gone_in_tick;
	said = nat_tick(m->w->nat, m->w->now);
	m->w->events.on_gone = world_gone;
	for (size_t i = 0; i < m->n; i++) {
		assert_false(is_over(m, &m->flows[i]));
		if (m->flows[i].used_ms + limit_ms(&m->flows[i]) < next)
			next = m->flows[i].used_ms + limit_ms(&m->flows[i]);
	}
	assert_true(said == next);
}

static void step_forget(struct model *m)
{
	struct model_flow *f = m->n ? &m->flows[pick((unsigned int)m->n)] : NULL;

	if (!f)
		return;
	nat_forget(m->w->nat, f->real, m->w->now);
	model_remove(m, f);
}

static void step(struct model *m)
{
	/* Without padding, so that tuples compare as bytes. Port 53 is the fourth. */
	struct tuple t = {pick(2), pick(3), pick(8) == 0, pick(2), pick(3), pick(4)};

	if (t.kind == 2)
		t.dport = 0;
	switch (pick(12)) {
	case 0:
	case 1:
	case 2:
		step_back(m);
		break;
	case 3:
	case 4:
		step_answer(m);
		break;
	case 5:
		step_time(m);
		break;
	case 6:
		if (pick(4) == 0)
			step_forget(m);
		break;
	default:
		if (t.kind == 0)
			step_tcp(m, &t);
		else
			step_datagram(m, &t);
	}
	assert_int_equal(m->w->n_gone, m->gone_expected);
	assert_int_equal(flow_table_count(nat_flows(m->w->nat), FLOW_STATE_HELD), count_held(m));
	assert_int_equal(nat_held_bytes(m->w->nat) > 0, count_held(m) > 0);
}

static void test_against_model(void **state)
{
	struct nat_config c;
	struct model m = {0};

	(void)state;
	world_config(&c, false);
	c.limits.n_tcp = N_TCP;
	c.limits.n_udp = N_UDP;
	c.limits.n_echo = N_ECHO;
	c.limits.n_held = N_HELD;
	c.limits.nat_port_first = PORT_0;
	c.limits.nat_port_last = PORT_0 + N_PORTS - 1;
	m.w = world_with(&c);
	for (unsigned int family = 0; family < 2; family++) {
		for (uint16_t i = 0; i < N_PORTS; i++)
			m.ports[family][m.n_ports[family]++] = (uint16_t)(PORT_0 + i);
	}
	for (unsigned int i = 0; i < STEPS; i++)
		step(&m);
	for (unsigned int i = 0; i < NAT_END_N; i++)
		assert_true(nat_stats(m.w->nat)->ended[i] > 0); /* all ways were gone */
	world_free(m.w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_model),
	};

	srandom(3);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
