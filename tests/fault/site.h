/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * site - an agent, its edge, a client of it and an echo behind it, on loopback
 *
 * What a run of the whole looks like from outside: files, calls on the control socket, streams.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/fault/daemons.h"

struct agent;
struct h2_session;
struct io_loop;
struct edge;

extern struct daemon site_agent, site_edge;

/* Makes files, edge, tunnel, client and grants; the edge runs when it returns, the agent doesn't.
 */
void site_set_up(void);
/* Both must have ended. */
void site_tear_down(void);

/* One turn of everybody; when nobody has anything to do time goes on to the next timer. */
void site_turn(void);
/* Until @condition; false after @limit_ms of their time. */
bool site_until(bool (*condition)(void), uint64_t limit_ms);

bool site_agent_ended(void);
bool site_edge_ended(void);
bool site_edge_serves(void);
/* All connections are registered, and the edge has taken the routes, those of the last reload. */
bool site_is_healthy(void);
struct agent *site_agent_object(void);
struct edge *site_edge_object(void);

/* The next reload of either finds @version in it: other routes, another grace period. */
void site_write_configs(unsigned int version);
uint32_t site_grace_ms(unsigned int version);

/* Has the daemon ended, or not begun, without a word? What it said is forgotten here. */
bool site_said_something(void);
/* Comes first when the test fails. */
void site_note(const char *text);
/* To the real stderr: why the test fails. Does not return. */
_Noreturn void site_fail(const char *text);
unsigned int site_count_fds(void);

/* The client's link is up; dials if there is none. */
bool site_is_linked(void);
/* NULL: it isn't. */
struct h2_session *site_session(void);
struct io_loop *site_io(void);
const char *site_token(void);

/* ---- streams ---- */

enum call_end {
	CALL_RUNS,
	CALL_COMPLETE, /* all of it came back, and then the end */
	CALL_BROKEN,   /* refused, reset, or lost with its link */
	CALL_CUT_OFF,  /* the end came in order, but not all before it */
};

enum call_kind {
	CALL_ENDS,   /* after the last byte, and the echo does then */
	CALL_RESETS, /* when half of it has come back */
	CALL_STAYS,  /* open */
};

/* A stream that sends @n bytes to the echo, on the client's link, which is dialled if need be. */
void call_begin(size_t n, enum call_kind kind);
enum call_end call_state(void);
bool call_is_over(void);
/* All of it is back, or it is over. */
bool call_is_echoed(void);
/* Sees to it that no stream and no link of the client's is left. */
void call_hang_up(void);
