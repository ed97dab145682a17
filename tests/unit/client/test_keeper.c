/* SPDX-License-Identifier: Apache-2.0 */

/* A keeper and edges that are listeners in the same loop, or are not there. */

#include "../wire/link_world.h"

#include "client/keeper.h"
#include "wire/resolve.h"

/* What a keeper told, and one who waits. */
struct owner {
	struct world w;
	struct resolver *resolver;
	struct tls_context *tls;
	struct client_edge edge;
	struct keeper *keeper;
	unsigned int n_up;
	unsigned int n_down;
	struct h2_session *session;
	char text[TUNNEL_TEXT_MAX];
	struct keeper_waiter waiter;
	unsigned int n_decided;
	enum client_exit decided;
	int before_dial;
	unsigned int n_asked;
};

static void on_up(void *ctx, struct h2_session *session)
{
	struct owner *o = ctx;

	o->n_up++;
	o->session = session;
}

static void on_down(void *ctx, enum client_exit why UNUSED, const char *text)
{
	struct owner *o = ctx;

	o->n_down++;
	snprintf(o->text, sizeof(o->text), "%s", text);
}

static const struct keeper_events events = {.on_up = on_up, .on_down = on_down};

static void on_decided(struct keeper_waiter *w, enum client_exit why, const char *text)
{
	struct owner *o = container_of(w, struct owner, waiter);

	assert_true((why == CLIENT_EXIT_OK) == (text[0] == '\0'));
	assert_true((why == CLIENT_EXIT_OK) == !!keeper_session(o->keeper));
	o->n_decided++;
	o->decided = why;
}

static int before_dial(void *ctx, const struct ip_addr *ips, size_t n)
{
	struct owner *o = ctx;
	struct ip_addr loopback = {.family = AF_INET, .bytes = {127, 0, 0, 1}};

	assert_int_equal(n, 1);
	assert_true(ip_equal(&ips[0], &loopback));
	o->n_asked++;
	return o->before_dial;
}

static void owner_init(struct owner *o)
{
	struct tunnel_options opt;
	struct diag diag;

	memset(o, 0, sizeof(*o));
	world_init(&o->w);
	diag_init(&diag, NULL);
	assert_int_equal(tls_context_new_dialler(&o->tls, pki.ca, true, &diag), 0);
	diag_deinit(&diag);
	assert_int_equal(resolver_new(&o->resolver, &o->w.uv, "127.0.0.1:9", 100), 0);
	strcpy(o->edge.host, "127.0.0.1");
	o->edge.port = o->w.address.port;
	opt = (struct tunnel_options){
		.loop = o->w.io,
		.resolver = o->resolver,
		.tls = o->tls,
		.edges = &o->edge,
		.n_edges = 1,
		.server_name = "localhost",
		.before_dial = before_dial,
		.before_dial_ctx = o,
	};
	o->waiter.on_decided = on_decided;
	o->keeper = keeper_new(&opt, &events, o);
	assert_null(keeper_session(o->keeper));
}

static void owner_deinit(struct owner *o)
{
	keeper_free(o->keeper);
	resolver_free(o->resolver);
	world_deinit(&o->w);
	tls_context_free(o->tls);
}

/* Nobody listens there any more. */
static void lose_edge(struct owner *o)
{
	assert_int_equal(shutdown(o->w.listen_fd, SHUT_RDWR), 0);
}

static void start_and_wait(struct owner *o)
{
	keeper_wait(o->keeper, &o->waiter);
	keeper_start(o->keeper);
	assert_int_equal(o->n_up + o->n_down + o->n_decided, 0);
}

static void test_up(void **state UNUSED)
{
	struct owner o;

	owner_init(&o);
	start_and_wait(&o);
	TURN_UNTIL(&o.w, o.n_decided);
	assert_int_equal(o.decided, CLIENT_EXIT_OK);
	assert_int_equal(o.n_up, 1);
	assert_int_equal(o.n_down, 0);
	assert_int_equal(o.n_asked, 1);
	assert_ptr_equal(keeper_session(o.keeper), o.session);
	owner_deinit(&o);
}

static void test_tries_on(void **state UNUSED)
{
	struct owner o;

	owner_init(&o);
	lose_edge(&o);
	start_and_wait(&o);
	TURN_UNTIL(&o.w, o.n_down == 1);
	assert_int_equal(o.n_decided, 1);
	assert_int_equal(o.decided, CLIENT_EXIT_EDGE);
	assert_non_null(strstr(o.text, "127.0.0.1"));
	assert_null(keeper_session(o.keeper));
	TURN_UNTIL(&o.w, o.n_down == 2);
	assert_int_equal(o.n_decided, 1);
	owner_deinit(&o);
}

static void test_forgotten_waiter(void **state UNUSED)
{
	struct owner o;

	owner_init(&o);
	keeper_forget(&o.waiter);
	start_and_wait(&o);
	keeper_forget(&o.waiter);
	keeper_forget(&o.waiter);
	TURN_UNTIL(&o.w, o.n_up);
	assert_int_equal(o.n_decided, 0);
	owner_deinit(&o);
}

static void test_lost_and_made_again(void **state UNUSED)
{
	struct owner o;

	owner_init(&o);
	keeper_start(o.keeper);
	TURN_UNTIL(&o.w, o.n_up == 1);
	TURN_UNTIL(&o.w, o.w.b[0].ready);
	/* Without the GOAWAY of a link that is closed. */
	assert_int_equal(shutdown(o.w.b[0].link->fd, SHUT_RDWR), 0);
	TURN_UNTIL(&o.w, o.n_down == 1);
	assert_null(keeper_session(o.keeper));
	keeper_wait(o.keeper, &o.waiter);
	TURN_UNTIL(&o.w, o.n_decided);
	assert_int_equal(o.n_up, 2);
	owner_deinit(&o);
}

static const struct h2_stream_events no_stream_events;

static void test_goaway(void **state UNUSED)
{
	static const struct h2_header request[] = {{.name = ":method", .value = "CONNECT"},
						   {.name = ":authority", .value = "10.0.0.1:22"}};
	struct h2_stream *stream;
	struct owner o;

	owner_init(&o);
	keeper_start(o.keeper);
	TURN_UNTIL(&o.w, o.n_up == 1);
	assert_int_equal(
		h2_stream_open(o.session, &stream, request, 2, false, &no_stream_events, NULL), 0);
	TURN_UNTIL(&o.w, o.w.b[0].n_opened == 1);
	h2_session_drain(link_session(o.w.b[0].link));
	TURN_UNTIL(&o.w, o.n_up == 2);
	/* The old one lives as long as its stream. */
	assert_int_equal(o.n_down, 0);
	assert_ptr_equal(keeper_session(o.keeper), o.session);
	turn_on(&o.w);
	assert_false(o.w.b[0].closed);
	h2_stream_reset(stream, H2_CODE_CANCEL);
	TURN_UNTIL(&o.w, o.w.b[0].closed);
	assert_false(o.w.b[1].closed);
	assert_int_equal(o.n_down, 0);
	owner_deinit(&o);
}

static void test_goaway_then_lost(void **state UNUSED)
{
	static const struct h2_header request[] = {{.name = ":method", .value = "CONNECT"},
						   {.name = ":authority", .value = "10.0.0.1:22"}};
	struct h2_stream *stream;
	struct owner o;

	owner_init(&o);
	keeper_start(o.keeper);
	TURN_UNTIL(&o.w, o.n_up == 1);
	assert_int_equal(
		h2_stream_open(o.session, &stream, request, 2, false, &no_stream_events, NULL), 0);
	TURN_UNTIL(&o.w, o.w.b[0].n_opened == 1);
	h2_session_drain(link_session(o.w.b[0].link));
	TURN_UNTIL(&o.w, o.n_up == 2);
	link_close(o.w.b[0].link, LINK_END_LOCAL);
	TURN_UNTIL(&o.w, o.w.b[0].closed);
	turn_on(&o.w);
	assert_int_equal(o.n_down, 0);
	assert_non_null(keeper_session(o.keeper));
	owner_deinit(&o);
}

static void test_held(void **state UNUSED)
{
	struct owner o;

	owner_init(&o);
	keeper_go_on(o.keeper, 0);
	o.before_dial = TUNNEL_WAIT;
	keeper_start(o.keeper);
	TURN_UNTIL(&o.w, o.n_asked);
	turn_on(&o.w);
	assert_int_equal(o.w.n_accepted, 0);
	keeper_go_on(o.keeper, 0);
	TURN_UNTIL(&o.w, o.n_up);
	keeper_go_on(o.keeper, 0);
	assert_int_equal(o.n_asked, 1);
	owner_deinit(&o);
}

static void test_held_and_refused(void **state UNUSED)
{
	struct owner o;

	owner_init(&o);
	o.before_dial = TUNNEL_WAIT;
	start_and_wait(&o);
	TURN_UNTIL(&o.w, o.n_asked == 1);
	keeper_go_on(o.keeper, -EPERM);
	assert_int_equal(o.n_decided, 1);
	assert_int_equal(o.decided, CLIENT_EXIT_EDGE);
	assert_non_null(strstr(o.text, strerror(EPERM)));
	o.before_dial = -EIO;
	TURN_UNTIL(&o.w, o.n_down == 2);
	assert_non_null(strstr(o.text, strerror(EIO)));
	assert_int_equal(o.w.n_accepted, 0);
	/* The next try asks again. */
	o.before_dial = 0;
	TURN_UNTIL(&o.w, o.n_up);
	owner_deinit(&o);
}

static void test_freed_while_held(void **state UNUSED)
{
	struct owner o;

	owner_init(&o);
	o.before_dial = TUNNEL_WAIT;
	start_and_wait(&o);
	TURN_UNTIL(&o.w, o.n_asked == 1);
	owner_deinit(&o);
	assert_int_equal(o.n_decided, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_up),
		cmocka_unit_test(test_tries_on),
		cmocka_unit_test(test_forgotten_waiter),
		cmocka_unit_test(test_lost_and_made_again),
		cmocka_unit_test(test_goaway),
		cmocka_unit_test(test_goaway_then_lost),
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_held_and_refused),
		cmocka_unit_test(test_freed_while_held),
	};

	return cmocka_run_group_tests(tests, pki_set_up, pki_tear_down);
}
