/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * access_log - one JSON line in a file for every decision (docs/access.md)
 *
 * Refused: a line at once. Allowed: a line when the stream has ended, with what it carried. A
 * line is written with one write(), on the loop: the page cache takes it. What can't be
 * written (disk full) is counted and said once in the log, and never stops the edge.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct access_log;
struct diag;

/* Texts may hold any bytes; NULL ones become null. */
struct access_line {
	int64_t time_ms;    /* wall clock */
	bool is_end;	    /* of an allowed stream; else it is a refusal */
	const char *client; /* name */
	const char *target; /* as "10.0.0.1:22", or what the client asked for */
	const char *protocol;
	const char *network; /* name */
	const char *tunnel;  /* name */
	const char *layer;   /* that decided */
	const char *rule;    /* of that layer */
	const char *policy;  /* that matched, whatever it said */
	uint64_t up_bytes;   /* from the client */
	uint64_t down_bytes; /* to the client */
	uint64_t duration_ms;
	const char *result; /* "ok", or why it ended or was refused */
};

/*
 * Appends to @path, which is made with mode 0640; it must be a regular file, not a symbolic
 * link. 0, or -errno with the reason in @diag.
 */
NODISCARD int access_log_open(struct access_log **logp, const char *path, struct diag *diag);
/* NULL is fine. Returns NULL. */
struct access_log *access_log_close(struct access_log *log);
/* @log NULL: nothing happens. */
void access_log_write(struct access_log *log, const struct access_line *line);
/* Lines that are lost since it was opened. */
uint64_t access_log_n_lost(const struct access_log *log);
