/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fault/sweep.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "base/compiler.h"
#include "base/log.h"
#include "edge/edge.h"
#include "tests/fault/fault.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#define LEAKS() __lsan_do_recoverable_leak_check()
#else
#define LEAKS() 0
#endif

#define CALLS_MAX 100000
/* Of its thousands of calls the next one that fails is a sixth later than the one before. */
#define OPENSSL_SHARE 6
#define PATIENCE_MS   300000
#define CALL_BYTES    70000

static unsigned int n_fds;

static bool fds_are_back(void)
{
	return site_count_fds() == n_fds;
}

static void check_left_over(void)
{
	call_hang_up();
	if (!site_until(fds_are_back, PATIENCE_MS))
		site_fail(site_count_fds() > n_fds ? "descriptors are left"
						   : "descriptors are gone");
}

/* False: there was no n-th call. */
static bool play(const struct scenario *s, enum fault_kind kind, unsigned int n)
{
	char note[128];
	bool struck;

	snprintf(note, sizeof(note), "%s, %s: call %u", s->name, fault_kind_name(kind), n);
	site_note(note);
	s->begin();
	(void)site_said_something();
	s->who->counts = true;
	fault_arm(kind, n);
	s->run();
	struck = fault_disarm();
	s->who->counts = false;
	s->check();
	check_left_over();
	return struck;
}

/* How many calls there are, each of which failed once. */
static unsigned int play_rounds(const struct scenario *s, enum fault_kind kind)
{
	const char *only = getenv("ADIT_FAULT_ONLY");
	unsigned int n = 1, n_rounds = 0;

	if (only) {
		if (!strncmp(only, fault_kind_name(kind), strcspn(only, ":")))
			(void)play(s, kind, (unsigned int)atoi(strchr(only, ':') + 1));
		return 0;
	}
	while (play(s, kind, n)) {
		n_rounds++;
		n += kind == FAULT_OPENSSL ? 1 + n / OPENSSL_SHARE : 1;
		if (n >= CALLS_MAX)
			site_fail("there is no end of calls");
	}
	return n_rounds;
}

/* Without threads nobody has memory that only a stack or a register knows. */
static unsigned int play_kind(const struct scenario *s, enum fault_kind kind)
{
	bool is_spared = kind == FAULT_OPENSSL && s->spares_openssl;
	unsigned int n = is_spared ? 0 : play_rounds(s, kind);

	end_daemon(&site_agent);
	end_daemon(&site_edge);
	call_hang_up();
	if (LEAKS())
		site_fail("memory is left by one of these rounds");
	return n;
}

int sweep(const struct scenario *scenarios, size_t n)
{
	if (!fault_take_openssl())
		return EXIT_FAILURE;
	site_set_up();
	n_fds = 0;
	printf("%-28s", "calls that failed");
	for (unsigned int k = 0; k < FAULT_KIND_N; k++)
		printf(" %8s", fault_kind_name(k));
	printf("\n");
	for (size_t i = 0; i < n; i++) {
		const struct scenario *s = &scenarios[i];

		fault_others = &site_agent.counts;
		/* A round without faults: what is made once and kept is there from then on. */
		site_note(s->name);
		s->begin();
		s->run();
		s->check();
		call_hang_up();
		for (unsigned int k = 0; k < 200; k++)
			site_turn();
		n_fds = site_count_fds();
		printf("%-28s", s->name);
		for (unsigned int k = 0; k < FAULT_KIND_N; k++) {
			printf(" %8u", play_kind(s, k));
			fflush(stdout);
		}
		printf("\n");
	}
	site_tear_down();
	return EXIT_SUCCESS;
}

/* ---- what scenarios share ---- */

static void must(bool (*condition)(void), const char *text)
{
	if (!site_until(condition, PATIENCE_MS))
		site_fail(text);
}

void begin_edge(void)
{
	if (!site_edge.is_up)
		daemon_start(&site_edge);
	must(site_edge_serves, "the edge doesn't start");
}

void begin_agent(void)
{
	begin_edge();
	if (!site_agent.is_up)
		daemon_start(&site_agent);
	must(site_is_healthy, "the agent doesn't become healthy");
}

void end_daemon(struct daemon *d)
{
	if (!d->is_up)
		return;
	d->signal = SIGTERM;
	must(d == &site_agent ? site_agent_ended : site_edge_ended, "it doesn't end");
	if (d->exit_code != 0)
		site_fail("another exit code than 0 after SIGTERM");
}

void check_early_end(const struct daemon *d)
{
	static const int codes[] = {AGENT_EXIT_FAILED, AGENT_EXIT_RUNNING, AGENT_EXIT_REFUSED,
				    AGENT_EXIT_CONFIG};
	bool is_known = false;

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		is_known |= d->exit_code == codes[i];
	if (!is_known)
		site_fail("it ended with an exit code that isn't documented");
	if (!site_said_something())
		site_fail("it ended without a word");
}

void check_call_works(void)
{
	begin_agent();
	/* The client's link may have been the one that broke. */
	call_hang_up();
	call_begin(CALL_BYTES, CALL_ENDS);
	must(call_is_over, "a stream hangs");
	if (call_state() != CALL_COMPLETE)
		site_fail("the next stream fails, too");
}
