/* SPDX-License-Identifier: Apache-2.0 */
/* The feed's lines, good and bad, and the feed on a session whose far end the test plays. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../wire/mem_pair.h"
#include "client/feed_lines.h"
#include "client/routes_feed.h"
#include "wire/proto.h"

#define ADD(network, vnet, up)                                                                     \
	"{\"op\":\"add\",\"network\":\"" network "\",\"virtual_network\":\"" vnet "\",\"up\":" up  \
	"}\n"
#define DELETE(network, vnet)                                                                      \
	"{\"op\":\"delete\",\"network\":\"" network "\",\"virtual_network\":\"" vnet "\"}\n"
#define RESET  "{\"op\":\"reset\"}\n"
#define COMMIT "{\"op\":\"commit\"}\n"

struct seen {
	unsigned int n_sets;
	char last[512]; /* the last set as text */
	bool stop;
	/* of the feed: */
	struct routes_feed *feed;
	bool close_in_routes;
	unsigned int n_ends;
	enum client_exit why;
	char text[256];
};

static void note_set(struct seen *seen, const struct feed_route *routes, size_t n)
{
	char prefix[PREFIX_TEXT_MAX];
	size_t used = 0;

	seen->n_sets++;
	seen->last[0] = '\0';
	for (size_t i = 0; i < n && used < sizeof(seen->last); i++)
		used += (size_t)snprintf(seen->last + used, sizeof(seen->last) - used, "%s@%s%s ",
					 prefix_format(&routes[i].prefix, prefix),
					 routes[i].network, routes[i].up ? "" : "(down)");
}

/* ---- lines ---- */

static bool lines_on_set(void *ctx, const struct feed_route *routes, size_t n)
{
	struct seen *seen = ctx;

	note_set(seen, routes, n);
	return !seen->stop;
}

static int push(struct feed_lines *f, const char *text)
{
	return feed_lines_push(f, (const uint8_t *)text, strlen(text));
}

static void sets_are_shown_at_commits(void **state)
{
	struct seen seen = {0};
	struct feed_lines *f = feed_lines_new(lines_on_set, &seen);

	(void)state;
	assert_int_equal(push(f, RESET ADD("10.1.0.0/16", "b", "true")), 0);
	assert_int_equal(push(f, ADD("10.0.0.0/8", "b", "false") ADD("fd00::/8", "a", "true")), 0);
	assert_int_equal(seen.n_sets, 0);
	assert_int_equal(push(f, COMMIT), 0);
	assert_string_equal(seen.last, "fd00::/8@a 10.0.0.0/8@b(down) 10.1.0.0/16@b ");
	assert_int_equal(push(f, DELETE("10.1.0.0/16", "b") ADD("10.0.0.0/8", "b", "true")), 0);
	assert_int_equal(push(f, DELETE("9.9.9.9/32", "b") "\n{\"op\":\"later\"}\n"), 0);
	assert_int_equal(seen.n_sets, 1);
	assert_int_equal(push(f, COMMIT), 0);
	assert_string_equal(seen.last, "fd00::/8@a 10.0.0.0/8@b ");
	/* The last line for a key counts. */
	assert_int_equal(push(f, ADD("10.3.0.0/16", "b", "true") DELETE("10.3.0.0/16", "b") DELETE(
					 "fd00::/8", "a") ADD("fd00::/8", "a", "false") COMMIT),
			 0);
	assert_string_equal(seen.last, "fd00::/8@a(down) 10.0.0.0/8@b ");
	assert_int_equal(push(f, ADD("1.2.3.4/32", "b", "true") RESET COMMIT), 0);
	assert_string_equal(seen.last, "");
	assert_int_equal(seen.n_sets, 4);
	feed_lines_free(f);
}

static void bad_lines_end_it(void **state)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
		{COMMIT, "before the first reset"},
		{ADD("10.0.0.0/8", "a", "true"), "before the first reset"},
		{RESET "junk\n", "no JSON object"},
		{RESET "[]\n", "no JSON object"},
		{RESET "{\"op\":1}\n", "no JSON object"},
		{RESET "{\"op\":\"add\",\"op\":\"commit\"}\n", "no JSON object"},
		{RESET "{\"op\":\"reset\"\n", "no JSON object"},
		{RESET "\xff\n", "no JSON object"},
		{RESET "{\"op\":{\"a\":{\"a\":{\"a\":{\"a\":1}}}}}\n", "nested"},
		{RESET ADD("10.0.0.1/8", "a", "true"), "valid network"},
		{RESET ADD("10.0.0.0", "", "true"), "valid virtual_network"},
		{RESET ADD("10.0.0.0/8", "a b", "true"), "valid virtual_network"},
		{RESET ADD("10.0.0.0/8", "a\\u001b", "true"), "valid virtual_network"},
		{RESET ADD("10.0.0.0/8", "\xc3\xa4", "true"), "valid virtual_network"},
		{RESET ADD("10.0.0.0/8", "a", "1"), "without up"},
		{RESET "{\"op\":\"add\",\"virtual_network\":\"a\",\"up\":true}\n", "valid network"},
		{RESET "{\"op\":\"delete\",\"network\":\"10.0.0.0/8\"}\n", "valid virtual_network"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct seen seen = {0};
		struct feed_lines *f = feed_lines_new(lines_on_set, &seen);

		assert_int_equal(push(f, rows[i].text), FEED_LINES_E_BAD);
		if (!strstr(feed_lines_error(f), rows[i].error))
			fail_msg("row %zu: %s", i, feed_lines_error(f));
		assert_int_equal(push(f, RESET COMMIT), FEED_LINES_E_BAD);
		assert_int_equal(seen.n_sets, 0);
		feed_lines_free(f);
	}
}

static void long_lines_are_refused(void **state)
{
	static char blanks[FEED_LINE_MAX];
	struct seen seen = {0};
	struct feed_lines *f = feed_lines_new(lines_on_set, &seen);

	(void)state;
	memset(blanks, ' ', sizeof(blanks));
	assert_int_equal(push(f, RESET), 0);
	/* The longest that fits: blanks, then the line. */
	assert_int_equal(feed_lines_push(f, (uint8_t *)blanks, FEED_LINE_MAX - strlen(COMMIT)), 0);
	assert_int_equal(push(f, COMMIT), 0);
	assert_int_equal(seen.n_sets, 1);
	assert_int_equal(feed_lines_push(f, (uint8_t *)blanks, FEED_LINE_MAX - strlen(COMMIT) + 1),
			 0);
	assert_int_equal(push(f, COMMIT), FEED_LINES_E_BAD);
	assert_non_null(strstr(feed_lines_error(f), "4096 bytes"));
	feed_lines_free(f);
}

static int add_many(struct feed_lines *f, unsigned int from, unsigned int to)
{
	char line[128];
	int r = 0;

	for (unsigned int i = from; i < to && r == 0; i++) {
		snprintf(line, sizeof(line),
			 "{\"op\":\"add\",\"network\":\"10.%u.%u.0/24\",\"virtual_network\":\"a\","
			 "\"up\":true}\n",
			 i >> 8, i & 255);
		r = push(f, line);
	}
	return r;
}

static void sizes_are_bounded(void **state)
{
	struct seen seen = {0};
	struct feed_lines *f = feed_lines_new(lines_on_set, &seen);

	(void)state;
	assert_int_equal(push(f, RESET), 0);
	assert_int_equal(add_many(f, 0, FEED_ROUTES_MAX), 0);
	assert_int_equal(push(f, COMMIT), 0);
	assert_int_equal(seen.n_sets, 1);
	assert_int_equal(push(f, ADD("192.168.0.0/16", "a", "true") COMMIT), FEED_LINES_E_BAD);
	assert_non_null(strstr(feed_lines_error(f), "16385 routes"));
	feed_lines_free(f);
	f = feed_lines_new(lines_on_set, &seen);
	assert_int_equal(push(f, RESET), 0);
	assert_int_equal(add_many(f, 0, FEED_BATCH_MAX), 0);
	assert_int_equal(push(f, DELETE("10.0.0.0/24", "a")), FEED_LINES_E_BAD);
	assert_non_null(strstr(feed_lines_error(f), "changes at once"));
	feed_lines_free(f);
}

static void the_reader_may_stop(void **state)
{
	struct seen seen = {.stop = true};
	struct feed_lines *f = feed_lines_new(lines_on_set, &seen);

	(void)state;
	assert_int_equal(push(f, RESET COMMIT COMMIT), FEED_LINES_E_STOPPED);
	assert_int_equal(seen.n_sets, 1);
	feed_lines_free(f);
}

/* ---- the feed on a session ---- */

struct far {
	struct mem_pair pair;
	struct seen seen;
	const char *text; /* left to send */
	bool ends;
	char path[64];
};

static struct far *far_of(void **state)
{
	return *state;
}

static ssize_t far_read(void *ctx, uint8_t *buf, size_t cap)
{
	struct far *f = ctx;
	size_t n = strlen(f->text);

	if (n == 0)
		return f->ends ? 0 : -EAGAIN;
	n = n > cap ? cap : n;
	memcpy(buf, f->text, n);
	f->text += n;
	return (ssize_t)n;
}

static void on_routes(void *ctx, const struct feed_route *routes, size_t n)
{
	struct seen *seen = ctx;

	note_set(seen, routes, n);
	if (seen->close_in_routes)
		routes_feed_close(seen->feed);
}

static void on_end(void *ctx, enum client_exit why, const char *text)
{
	struct seen *seen = ctx;

	seen->n_ends++;
	seen->why = why;
	snprintf(seen->text, sizeof(seen->text), "%s", text);
}

static const struct routes_feed_events feed_events = {
	.on_routes = on_routes,
	.on_end = on_end,
};

static int set_up(void **state)
{
	const struct routes_feed_options opt = {.token = "adit_x.y", .network = "lab"};
	struct far *f = calloc(1, sizeof(*f));

	f->text = "";
	mem_pair_init(&f->pair, 7);
	mem_pair_pump(&f->pair);
	assert_int_equal(routes_feed_open(&f->seen.feed, f->pair.opener.session, &opt, &feed_events,
					  &f->seen),
			 0);
	mem_pair_pump(&f->pair);
	assert_int_equal(f->pair.acceptor.n_opened, 1);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct far *f = far_of(state);

	mem_pair_deinit(&f->pair);
	free(f);
	return 0;
}

static void answer(struct far *f, const char *status, const char *error)
{
	const struct h2_header headers[] = {{.name = ":status", .value = status},
					    {.name = HDR_ADIT_ERROR, .value = error}};

	h2_stream_set_events(f->pair.acceptor.opened, NULL, NULL);
	assert_int_equal(
		h2_stream_respond(f->pair.acceptor.opened, headers, error ? 2 : 1, error != NULL),
		0);
	if (!error)
		h2_stream_set_source(f->pair.acceptor.opened, far_read, f);
	mem_pair_pump(&f->pair);
}

static void far_send(struct far *f, const char *text)
{
	f->text = text;
	h2_stream_resume(f->pair.acceptor.opened);
	mem_pair_pump(&f->pair);
}

static void feed_shows_sets_until_the_end(void **state)
{
	struct far *f = far_of(state);

	answer(f, "200", NULL);
	far_send(f, RESET ADD("10.0.0.0/8", "lab", "true") COMMIT);
	assert_string_equal(f->seen.last, "10.0.0.0/8@lab ");
	far_send(f, DELETE("10.0.0.0/8", "lab"));
	assert_int_equal(f->seen.n_sets, 1);
	far_send(f, COMMIT);
	assert_string_equal(f->seen.last, "");
	assert_int_equal(f->seen.n_sets, 2);
	assert_int_equal(f->seen.n_ends, 0);
	f->ends = true;
	far_send(f, "");
	assert_int_equal(f->seen.n_ends, 1);
	assert_int_equal(f->seen.why, CLIENT_EXIT_CUT);
	assert_true(routes_feed_is_passing(f->seen.why));
}

static void refusals_are_told(void **state)
{
	struct far *f = far_of(state);

	answer(f, "404", "no-network");
	assert_int_equal(f->seen.n_ends, 1);
	assert_int_equal(f->seen.why, CLIENT_EXIT_NO_NETWORK);
	assert_false(routes_feed_is_passing(f->seen.why));
}

static void an_edge_that_shuts_down_is_asked_again(void **state)
{
	struct far *f = far_of(state);

	answer(f, "503", "draining");
	assert_int_equal(f->seen.n_ends, 1);
	assert_true(routes_feed_is_passing(f->seen.why));
}

static void an_old_edge_is_named(void **state)
{
	struct far *f = far_of(state);

	answer(f, "405", "unsupported");
	assert_int_equal(f->seen.n_ends, 1);
	assert_int_equal(f->seen.why, CLIENT_EXIT_EDGE_FAULT);
	assert_non_null(strstr(f->seen.text, "405"));
}

static void nonsense_ends_the_feed(void **state)
{
	struct far *f = far_of(state);

	answer(f, "200", NULL);
	far_send(f, RESET "junk\n");
	assert_int_equal(f->seen.n_ends, 1);
	assert_int_equal(f->seen.why, CLIENT_EXIT_EDGE_FAULT);
	assert_int_equal(h2_session_n_streams(f->pair.acceptor.session), 0);
}

static void the_owner_may_close_it_anywhere(void **state)
{
	struct far *f = far_of(state);

	f->seen.close_in_routes = true;
	answer(f, "200", NULL);
	far_send(f, RESET COMMIT COMMIT COMMIT);
	assert_int_equal(f->seen.n_sets, 1);
	assert_int_equal(f->seen.n_ends, 0);
	assert_int_equal(h2_session_n_streams(f->pair.acceptor.session), 0);
}

static void a_lost_session_ends_it(void **state)
{
	struct far *f = far_of(state);

	answer(f, "200", NULL);
	far_send(f, RESET COMMIT);
	f->pair.opener.session = h2_session_free(f->pair.opener.session);
	assert_int_equal(f->seen.n_ends, 1);
	assert_int_equal(f->seen.why, CLIENT_EXIT_CUT);
}

#define FEED_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sets_are_shown_at_commits),
		cmocka_unit_test(bad_lines_end_it),
		cmocka_unit_test(long_lines_are_refused),
		cmocka_unit_test(sizes_are_bounded),
		cmocka_unit_test(the_reader_may_stop),
		FEED_TEST(feed_shows_sets_until_the_end),
		FEED_TEST(refusals_are_told),
		FEED_TEST(an_edge_that_shuts_down_is_asked_again),
		FEED_TEST(an_old_edge_is_named),
		FEED_TEST(nonsense_ends_the_feed),
		FEED_TEST(the_owner_may_close_it_anywhere),
		FEED_TEST(a_lost_session_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
