/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* relay_private - the bodies that relay.c and relay_fd.c share; nobody else */

#include <assert.h>
#include <sys/uio.h>
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
	SIDE_IS_B = 1 << 5,
};

/* Gathered slices of one batch; more are written out in between. */
#define RELAY_GATHER_MAX 32

/* From the first DATA of a batch to its end; an idle relay has none. */
struct relay_gather {
	size_t n;
	struct iovec slices[RELAY_GATHER_MAX]; /* in the receive buffer */
};

struct relay_side {
	struct h2_stream *stream; /* NULL: a descriptor, or closed */
	struct buf queue;	  /* came from this side, the other has not taken it yet */
	uint64_t n_bytes;	  /* came from this side and was taken */
	uint32_t taken_bytes;	  /* taken from here by the other, credit not yet given */
	unsigned int bits;
};

/* A descriptor and its poll. */
struct relay_poll {
	uv_poll_t poll;
	int fd;	   /* -1: closed */
	int armed; /* uv events asked for */
};

/* `out` is NULL where one socket is both. */
struct relay_fd {
	struct relay_poll *out;
	struct relay_poll in;
};

struct relay {
	struct io_loop *loop;
	relay_done done;
	void *ctx;
	struct io_task task;
	struct relay_side a;
	struct relay_side b;
	struct relay_gather *gather; /* NULL: nothing gathered */
	struct relay_fd *fd;	     /* of side A, in one block with the relay; NULL: a stream */
	int error;
	uint8_t mode; /* enum relay_mode */
	uint8_t end;  /* enum relay_end */
	uint8_t n_handles;
	bool finished;
	/* What was taken from either side at relay_mark(), in KiB and one more; 0: not marked. */
	uint32_t a_mark;
	uint32_t b_mark;
};

static_assert(sizeof(struct relay) <= 160, "thousands of them idle");
static_assert(sizeof(struct relay) + sizeof(struct relay_fd) <= 336, "thousands of them idle");

static inline struct relay *relay_of(struct relay_side *side)
{
	return side->bits & SIDE_IS_B ? container_of(side, struct relay, b)
				      : container_of(side, struct relay, a);
}

static inline struct relay_side *relay_other(struct relay_side *side)
{
	return side->bits & SIDE_IS_B ? &relay_of(side)->a : &relay_of(side)->b;
}

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

/* On failure the descriptors are the caller's, and @r is gone. */
int relay_fd_open(struct relay *r, int in_fd, int out_fd);
/* B has its source, which is asked when the descriptor is readable. */
void relay_fd_start(struct relay *r);
/* The source of B's outgoing bytes. */
ssize_t relay_fd_read(void *ctx, uint8_t *buf, size_t cap);
/* Keeps @data until the batch ends or there are too many slices; false: to be queued instead. */
bool relay_fd_gather(struct relay *r, const uint8_t *data, size_t n);
/* Writes the gathered slices, keeps what is not taken. */
void relay_fd_write_gathered(struct relay *r);
/* Writes B's queue; tells the end when it is empty and B has ended. */
void relay_fd_drain(struct relay *r);
/* Closes polls and descriptors; @reset: TCP RST instead of FIN. */
void relay_fd_close(struct relay *r, bool reset);
