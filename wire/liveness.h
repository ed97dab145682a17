/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * liveness - is the peer still there? Pure: time and facts in, verdict out
 *
 * The pinging side sends a PING every 5 s. No answer in 5 s: suspect. Dead:
 * suspect, and nothing was read in those 5 s, and the send queue has not
 * moved; or nothing was read for 30 s, whatever the queue does. While bytes
 * are read a link is not dead, but stalled if for 30 s something waits to be
 * sent and the peer's TCP takes none of it: TCP's own time-out for that
 * begins anew with each packet that the peer sends.
 * The listening side (the edge towards adit agents) sends no PING: suspect after
 * 10 s without a byte read, dead after 15 s.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum liveness_mode {
	LIVENESS_PINGS,	  /* we send PINGs */
	LIVENESS_LISTENS, /* the peer does */
};

enum liveness_verdict {
	LIVENESS_OK,
	LIVENESS_SUSPECT,
	LIVENESS_DEAD,
};

#define LIVENESS_PING_MS	   5000
#define LIVENESS_ANSWER_MS	   5000
#define LIVENESS_SILENT_MS	   30000
#define LIVENESS_SAMPLE_MS	   1000 /* while a PING is unanswered */
#define LIVENESS_LISTEN_SUSPECT_MS 10000
#define LIVENESS_LISTEN_DEAD_MS	   15000

struct liveness {
	enum liveness_mode mode;
	uint64_t last_read_ms;
	uint64_t next_ping_ms;
	uint64_t ping_sent_ms; /* of the PING that is not answered; 0: none */
	uint64_t bytes_acked;  /* as last seen */
	uint64_t moved_ms;     /* when it was last seen to change */
	uint64_t waits_ms;     /* since when output was seen to wait; 0: it doesn't */
	uint64_t rtt_us;       /* of the last answered PING; 0: none yet */
};

void liveness_init(struct liveness *l, enum liveness_mode mode, uint64_t now_ms);
void liveness_on_read(struct liveness *l, uint64_t now_ms);

/* True when a PING is due: send one now. Never two at a time. @bytes_acked as below. */
bool liveness_ping_due(struct liveness *l, uint64_t now_ms, uint64_t bytes_acked);
/* Something changed outside: the next PING is due now. No time-out becomes shorter. */
void liveness_hurry(struct liveness *l, uint64_t now_ms);
/* The answer to that PING (no other) came after @rtt_us. */
void liveness_on_ping_ack(struct liveness *l, uint64_t rtt_us);

/*
 * @bytes_acked: TCP_INFO's count of bytes acknowledged by the peer's TCP
 * (monotonic), so that "the send queue moved" is exact.
 */
enum liveness_verdict liveness_check(struct liveness *l, uint64_t now_ms, uint64_t bytes_acked);

/* To be asked after each check. @waits: there is output that the socket doesn't take. */
bool liveness_is_stalled(struct liveness *l, uint64_t now_ms, bool waits);

/* When to look again, in ms of the same clock. */
uint64_t liveness_deadline_ms(const struct liveness *l, uint64_t now_ms);
