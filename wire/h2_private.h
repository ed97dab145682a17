/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* h2_private - the bodies that h2_session.c, h2_stream.c and h2_callbacks.c share; nobody else */

#include <assert.h>
#include <nghttp2/nghttp2.h>

#include "base/list.h"
#include "wire/h2_frame_count.h"
#include "wire/h2_session.h"
#include "wire/h2_stream.h"

/* Senders leave this much of a connection window to urgent streams, so that RPC passes while bulk
 * is stalled. */
#define H2_URGENT_RESERVE (16 * 1024)

/* Owed credit is announced when it is this part of a window. nghttp2's own half of it would leave
 * only half of the window usable on long paths. */
#define H2_WINDOW_UPDATE_SHARE 8

/* A reader that holds this part of its window isn't slowed down by it. */
#define H2_WINDOW_HELD_SHARE 8

#define H2_FRAME_HEADER 9

/* Largest header block that we send; nothing of ours comes near. */
#define HEADER_BLOCK_MAX (64 * 1024)

/* A pull stops filling when less than this is left: one control frame of 16 KiB and one DATA frame.
 */
#define H2_PULL_SLACK (32 * 1024)

/* A pull has enough for one flush; what is larger keeps other streams waiting. A frame may fill it:
 * with 100 busy streams that saves the sender 12 and the receiver 25 % of CPU against 16 KiB, since
 * what one read brings is one stream's. */
#define H2_PULL_FILL (80 * 1024)

/* DATA frames fill whole TLS records with their headers: a short record costs as much as a full
 * one. 256 KiB instead of 16 KiB per read and write save 5 to 8 % of CPU, where the stream that
 * sends has sent the last few frames, too: another one that is busy would have had its turn. */
#define H2_RECORD	16384
#define H2_ALONE_FRAMES 8

/* Frames without payload that a peer may send at once, and per second after that. Each costs us
 * some 0.2 us, an honest peer with 1-byte windows sends one per byte. */
#define H2_NUISANCE_BURST 65536
#define H2_NUISANCE_PER_S 16384

/* One more for so many bytes of DATA that we sent: readers give credit for each read, twice, and
 * Go's HTTP/2 doesn't before it owes 4 KiB. */
#define H2_NUISANCE_SENT_BYTES 4096

/* Tokens come back with time; empty means the peer floods. */
struct h2_bucket {
	uint64_t filled_ms;
	uint32_t tokens;
	uint32_t burst;
	uint32_t per_s;
};

void h2_bucket_init(struct h2_bucket *b, uint32_t burst, uint32_t per_s);
/* Takes one token; false when there is none. */
bool h2_bucket_take(struct h2_bucket *b, uint64_t now_ms);
/* Puts @n back, as many as there is room for. */
void h2_bucket_give(struct h2_bucket *b, uint32_t n);

struct h2_session;

/* GOAWAY; @what for people. */
void h2_session_flooded(struct h2_session *s, const char *what);

enum h2_session_bit {
	H2_SESSION_IN_CALL = 1 << 0, /* feeding or pulling: neither may be entered again */
	H2_SESSION_GOT_SETTINGS = 1 << 1,
	H2_SESSION_PEER_GOAWAY = 1 << 2,
	H2_SESSION_DRAINING = 1 << 3,
	H2_SESSION_FLOODED = 1 << 4,
	H2_SESSION_BROKEN = 1 << 5, /* GOAWAY with an error went out: all input is ignored */
};

struct h2_session {
	nghttp2_session *ng;
	enum h2_role role;
	unsigned int bits;
	struct h2_limits limits;
	const struct h2_session_events *events;
	void *ctx;
	uint64_t now_ms;
	struct list streams;
	struct list touched; /* received DATA or an end in the running feed */
	struct list starved; /* have bytes, but the connection window is used up */
	size_t n_streams;
	struct {
		uint8_t *bytes;
		size_t cap;
		size_t len;
	} out;			     /* of the running pull */
	size_t conn_withheld_bytes;  /* received and held back by the budget */
	uint32_t grown_stream_bytes; /* what a stream's window grows to when it gives credit */
	struct {
		int32_t id;	       /* of the stream that sent DATA last ... */
		unsigned int n_frames; /* ... so many frames in a row */
	} sender;
	struct h2_bucket resets;
	struct h2_frame_count heads;
	struct h2_bucket nuisance;
	uint32_t unpaid_bytes; /* of DATA sent, for which nuisance got nothing yet */
	char error_text[160];
};

enum h2_stream_bit {
	H2_STREAM_WAITING = 1 << 0, /* for h2_stream_resume(): as a new one, or after -EAGAIN */
	H2_STREAM_PEER_ENDED = 1 << 1,
	H2_STREAM_EOF_TOLD = 1 << 2,
	H2_STREAM_ANSWERED = 1 << 3, /* response sent or received */
	H2_STREAM_RESET_AFTER_END = 1 << 4,
	H2_STREAM_RESET = 1 << 5, /* we sent RST_STREAM */
	H2_STREAM_URGENT = 1 << 6,
	H2_STREAM_END_SENT = 1 << 7,
	H2_STREAM_HEADERS_SENT = 1 << 8,
	H2_STREAM_SENDING = 1 << 9, /* nghttp2 has an item for its DATA */
};

struct h2_stream {
	struct list node;
	struct list touched;
	struct list starved;
	struct h2_session *session;
	const struct h2_stream_events *events; /* NULL: received bytes are dropped */
	void *ctx;
	h2_read_into read_into;
	void *source_ctx;
	struct h2_headers *hdrs; /* being received */
	uint32_t owed_bytes;	 /* taken by the far side, credit not yet announced */
	uint32_t held_bytes;	 /* received, and not yet taken */
	uint32_t in_flight_max;	 /* 0: as much as the peer's window allows */
	uint32_t window_bytes;	 /* our receive window */
	int32_t id;
	unsigned int bits;
};

static_assert(sizeof(struct h2_stream) <= 120, "thousands of them idle");

struct h2_headers {
	struct h2_field *fields;
	size_t n;
	size_t cap;
	size_t bytes; /* as RFC 9113 10.5.1 counts */
};

struct h2_field {
	char *name; /* one allocation holds name, NUL, value, NUL */
	char *value;
};

struct h2_headers *h2_headers_free(struct h2_headers *h);
/* 0, -EMSGSIZE over @max_bytes, or -ENOMEM. */
int h2_headers_add(struct h2_headers *h, const uint8_t *name, size_t n_name, const uint8_t *value,
		   size_t n_value, size_t max_bytes);

struct h2_stream *h2_stream_new(struct h2_session *s, int32_t id);
/* Last batch and end, then on_closed, then the memory. */
void h2_stream_finish(struct h2_stream *st, uint32_t h2_code);
/* on_batch, then on_eof if the peer's end came. */
void h2_stream_run_batch(struct h2_stream *st);
void h2_stream_received(struct h2_stream *st, const uint8_t *data, size_t n);
/* A window that the stream waited for may have room now. */
void h2_stream_refill(struct h2_stream *st);
/* Our HEADERS have gone out: DATA may follow. */
void h2_stream_headers_sent(struct h2_stream *st);

/* To be called after every submit. */
void h2_session_touch(struct h2_session *s);
/* Announces owed connection credit when it is worth a frame. */
void h2_session_credit(struct h2_session *s);
int h2_error(int nghttp2_code);

nghttp2_session_callbacks *h2_callbacks_new(void);
