/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * daemons - an agent and an edge, whole, in this process, one turn of one of them at a time
 *
 * Each has a thread that runs agent_run() or edge_run(). The linker leads their uv_run() through
 * daemons.c, which turns the loop once and hands the baton back: between two turns nothing of them
 * runs but workers. Time stands still while something goes on, and jumps when nobody has anything
 * to do, so that timers of minutes cost nothing and no deadline depends on the machine.
 */

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define DAEMON_SIGNALS_MAX 4

struct daemon_signal {
	uv_signal_t *handle;
	uv_signal_cb cb;
	int number;
};

struct daemon {
	const char *name;
	int (*run)(void);
	pthread_t thread;
	sem_t go, back;
	bool is_up; /* its thread runs */
	bool has_ended;
	int exit_code;
	bool counts;	  /* its calls count as faults' */
	uv_loop_t *loop;  /* that it turns; NULL: not yet, or no more */
	bool was_stopped; /* uv_stop() in the last turn */
	int signal;	  /* to be told at its next turn */
	struct daemon_signal signals[DAEMON_SIGNALS_MAX];
	unsigned int n_signals;
};

void daemon_start(struct daemon *d);
/* One turn; true if it has ended, and then its thread is gone. */
bool daemon_turn(struct daemon *d);
/* What its handlers have as data: the struct agent, the struct edge. NULL before it has them. */
void *daemon_owner(const struct daemon *d);
/* Nothing is ready on the loop @loop, and nothing is due at once. *@wait_msp: until its timer. */
bool loop_is_quiet(uv_loop_t *loop, uint64_t *wait_msp);

/* All clocks but the wall's go ahead. */
void time_jump(uint64_t ms);
/* Work that threads do meanwhile: libuv's, the store's, the test's. Time stands still for it. */
unsigned int work_out(void);
void work_begin(void);
void work_end(void);
