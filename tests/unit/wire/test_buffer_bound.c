/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Many links, many streams, and nobody reads: what is buffered stays under the hard bound, PINGs
 * are answered, and all arrives once the readers go on.
 */

#include "link_world.h"

#include "wire/relay.h"

#define N_LINKS	  6
#define N_STREAMS 4 /* of each */
#define N_BYTES	  ((size_t)3 * 1024 * 1024)
#define SOFT	  ((size_t)2 * 1024 * 1024)

/* A stream that is joined to a socket pair whose other end the test reads, or doesn't. */
struct target {
	int fd;
	size_t received;
	bool done;
	struct relay_result result;
};

static struct target targets[N_LINKS * N_STREAMS];
static unsigned int n_targets;

static void on_done(void *ctx, const struct relay_result *result)
{
	struct target *t = ctx;

	t->done = true;
	t->result = *result;
}

static void join(struct end *e, struct h2_stream *stream)
{
	struct target *t = &targets[n_targets++];
	struct relay *relay;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	*t = (struct target){.fd = fds[0]};
	assert_int_equal(h2_stream_respond(stream, ok_response, 1, false), 0);
	assert_int_equal(relay_new_fd(&relay, e->world->io, fds[1], fds[1], stream,
				      RELAY_HALF_CLOSE, on_done, t),
			 0);
}

static void check_bound(const struct world *w)
{
	const struct budget *b = &w->io->budget;

	assert_true(b->peak_bytes <= b->soft_bytes + b->granted_bytes);
	assert_true(b->soft_bytes + b->granted_bytes <= b->hard_bytes);
}

static void bounded_turn(struct world *w)
{
	turn(w);
	check_bound(w);
}

/* Reads on with one target; true once its end came. */
static bool read_on(struct target *t)
{
	static uint8_t bytes[65536];
	ssize_t n = read(t->fd, bytes, sizeof(bytes));

	for (ssize_t i = 0; i < n; i++)
		assert_int_equal(bytes[i], pattern(t->received + (size_t)i));
	t->received += n > 0 ? (size_t)n : 0;
	if (n != 0 || t->fd < 0)
		return t->fd < 0;
	t->fd = close_fd(t->fd);
	return true;
}

static void connect_all(struct world *w, struct end *dialled)
{
	for (unsigned int i = 0; i < N_LINKS; i++) {
		dialled[i] = (struct end){.world = w, .role = H2_ROLE_OPENER};
		w->b[i].on_open = join;
		dial_as(w, &dialled[i], w->dialler, "localhost");
		TURN_UNTIL(w, dialled[i].ready && w->n_accepted == i + 1 && w->b[i].ready);
	}
}

static void talk_all(struct end *dialled, struct talker *talkers)
{
	for (unsigned int i = 0; i < N_LINKS * N_STREAMS; i++) {
		struct talker *t = &talkers[i];

		*t = (struct talker){.to_send = N_BYTES};
		assert_int_equal(h2_stream_open(link_session(dialled[i / N_STREAMS].link),
						&t->stream, get_request, ARRAY_SIZE(get_request),
						false, &talker_events, t),
				 0);
		h2_stream_set_source(t->stream, talk, t);
	}
}

static size_t total_sent(const struct talker *talkers)
{
	size_t n = 0;

	for (unsigned int i = 0; i < N_LINKS * N_STREAMS; i++)
		n += talkers[i].sent;
	return n;
}

static void stall(struct world *w, const struct talker *talkers)
{
	size_t before;

	do {
		before = total_sent(talkers);
		for (unsigned int i = 0; i < 200; i++)
			bounded_turn(w);
	} while (total_sent(talkers) > before);
}

static void answer_pings(struct world *w, struct end *dialled)
{
	for (unsigned int i = 0; i < N_LINKS; i++) {
		struct link *l = dialled[i].link;

		/* One that went out by itself may be on its way. */
		while (l->liveness.ping_sent_ms != 0)
			bounded_turn(w);
		l->liveness.rtt_us = 0;
		link_probe(l);
		while (l->liveness.rtt_us == 0)
			bounded_turn(w);
	}
}

static void stalled_readers_are_waited_for_within_the_bound(void **state UNUSED)
{
	static struct talker talkers[N_LINKS * N_STREAMS];
	static struct end dialled[N_LINKS];
	static struct world w;
	unsigned int n_left = N_LINKS * N_STREAMS;

	n_targets = 0;
	world_init(&w);
	w.io->budget.soft_bytes = SOFT;
	/* Windows for some, the smallest for the others: less than all streams' windows together.
	 */
	budget_set_windows(&w.io->budget, (size_t)10 * 1024 * 1024, (size_t)2 * N_LINKS);
	connect_all(&w, dialled);
	talk_all(dialled, talkers);
	stall(&w, talkers);
	assert_true(w.io->budget.used_bytes > SOFT);
	assert_true(total_sent(talkers) < N_BYTES * N_LINKS * N_STREAMS);
	answer_pings(&w, dialled);
	assert_int_equal(n_targets, N_LINKS * N_STREAMS);
	while (n_left > 0) {
		n_left = 0;
		for (unsigned int i = 0; i < n_targets; i++)
			n_left += !read_on(&targets[i]);
		bounded_turn(&w);
	}
	for (unsigned int i = 0; i < n_targets; i++) {
		TURN_UNTIL(&w, targets[i].done);
		assert_int_equal(targets[i].received, N_BYTES);
		assert_int_equal(targets[i].result.end, RELAY_END_CLEAN);
	}
	for (unsigned int i = 0; i < N_LINKS; i++)
		link_free(dialled[i].link);
	world_deinit(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stalled_readers_are_waited_for_within_the_bound),
	};

	return cmocka_run_group_tests(tests, pki_set_up, pki_tear_down);
}
