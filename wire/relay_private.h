/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* relay_private - the bodies that relay.c and relay_fd.c share; nobody else */

#include <uv.h>

#include "base/buf.h"
#include "wire/h2_stream.h"
#include "wire/io_loop.h"
#include "wire/relay.h"

/*
 * Event bits of one side. IN is what comes from it, OUT what goes to it; the two
 * progress on their own, which is all that half-close is.
 */
enum side_bit {
	SIDE_IN_ENDED = 1 << 0,	  /* no more will come */
	SIDE_OUT_ENDED = 1 << 1,  /* was told the end, or is closed: takes no more */
	SIDE_FAILED = 1 << 2,	  /* ended by an error or a reset, not by its own will */
	SIDE_IN_DRAINED = 1 << 3, /* descriptor: the last read was short */
	SIDE_FILE = 1 << 4,	  /* descriptor: no poll, always ready */
};

/* Gathered slices of one batch; more are written out in between. */
#define RELAY_GATHER_MAX 32

struct relay_side {
	struct relay *relay;
	struct relay_side *other;
	struct h2_stream *stream; /* NULL: a descriptor, or closed */
	struct buf queue;	  /* came from this side, the other has not taken it yet */
	size_t taken_bytes;	  /* taken from here by the other, credit not yet given */
	uint64_t n_bytes;	  /* came from this side and was taken */
	unsigned int bits;
};

/* Polls of a descriptor side; `out` is used only if it is another descriptor. */
struct relay_fd {
	int in;
	int out;
	int in_armed; /* uv events asked for */
	int out_armed;
	uv_poll_t in_poll;
	uv_poll_t out_poll;
};

struct relay {
	struct io_loop *loop;
	enum relay_mode mode;
	relay_done done;
	void *ctx;
	struct io_task task;
	struct relay_side a;
	struct relay_side b;
	struct relay_fd fd;
	unsigned int n_handles;
	enum relay_end end;
	int error;
	bool finished;
	size_t n_gathered;
	struct {
		const uint8_t *data;
		size_t n;
	} gathered[RELAY_GATHER_MAX];
};

/* Something changed: the task looks at both sides. */
void relay_post(struct relay *r);
/* @n bytes that came from @side were taken by the other one. */
void relay_took(struct relay_side *side, size_t n);
/* Keeps @data in the side's queue. 0 or -errno. */
int relay_keep(struct relay_side *side, const uint8_t *data, size_t n);
/* What waits in the side's queue is given up; its credit will be given. */
void relay_drop_queue(struct relay_side *side);
/* @side ended by @error (negative errno, or 0 for a reset). */
void relay_fail(struct relay_side *side, int error);

/* ---- relay_fd.c: side A is a descriptor ---- */

int relay_fd_open(struct relay *r, int in_fd, int out_fd);
/* The source of B's outgoing bytes. */
ssize_t relay_fd_read(void *ctx, uint8_t *buf, size_t cap);
/* Writes the gathered slices, keeps what is not taken. */
void relay_fd_write_gathered(struct relay *r);
/* Writes B's queue; tells the end when it is empty and B has ended. */
void relay_fd_drain(struct relay *r);
/* Closes polls and descriptors; @reset: TCP RST instead of FIN. */
void relay_fd_close(struct relay *r, bool reset);
