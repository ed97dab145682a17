/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * capsule - datagrams inside a byte stream (RFC 9297 3.2, RFC 9298 5); pure
 *
 * A capsule is type, length, value; type and length are QUIC's variable-length integers
 * (RFC 9000 16). Known here: DATAGRAM, whose value is a context id (0: a UDP payload) and the
 * payload, and adit's own ICMP_ERROR (type, code). What is unknown is skipped, whatever its
 * length, and costs no memory.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"

#define CAPSULE_DATAGRAM 0x00
/* The first two octets of an ICMP or ICMPv6 header that the target, or a router on the way to it,
 * answered with: type and code. More octets may follow one day and are ignored. */
#define CAPSULE_ICMP_ERROR 0x0ad17e01

#define DATAGRAM_MAX	   65527 /* octets of payload in one datagram, RFC 9298 5 */
#define CAPSULE_HEADER_MAX 16	 /* type and length, 8 octets each */
/* What a capsule_put_*() writes at most besides a payload. */
#define CAPSULE_PUT_MAX 16

enum capsule_outcome {
	CAPSULE_OK = 0,
	CAPSULE_E_TOO_LARGE = 1, /* a datagram over DATAGRAM_MAX, or a capsule over its limit */
	CAPSULE_E_MALFORMED = 2, /* a value that ends before its fields do */
};

/* All must be set. @data is borrowed for the call. */
struct capsule_events {
	void (*on_datagram)(void *ctx, const uint8_t *data, size_t n);
	void (*on_icmp_error)(void *ctx, uint8_t type, uint8_t code);
};

enum capsule_state {
	CAPSULE_STATE_HEADER, /* type and length are being collected */
	CAPSULE_STATE_VALUE,  /* of a known capsule: handed out when complete */
	CAPSULE_STATE_SKIP,   /* of an unknown one */
	CAPSULE_STATE_FAILED, /* final */
};

/* The members are the reader's own, but for the counters. */
struct capsule_reader {
	const struct capsule_events *events;
	void *ctx;
	enum capsule_state state;
	int failure; /* what feed returns from now on */
	uint8_t header[CAPSULE_HEADER_MAX];
	size_t n_header;
	uint64_t type;
	uint64_t left;	    /* octets of the value still to come */
	struct buf value;   /* a known value that came in pieces */
	uint64_t n_skipped; /* unknown capsules, and datagrams of other contexts */
};

/* @events is borrowed (static const). Allocates nothing. */
void capsule_reader_init(struct capsule_reader *r, const struct capsule_events *events, void *ctx);
void capsule_reader_deinit(struct capsule_reader *r);

/*
 * Consumes all of @data, cut anywhere. Returns CAPSULE_OK, why the stream can't be read any further
 * (the same again from then on), or -ENOMEM (the same).
 */
NODISCARD int capsule_reader_feed(struct capsule_reader *r, const uint8_t *data, size_t n);

/* Octets of an incomplete capsule that are kept: at most DATAGRAM_MAX + 8. */
size_t capsule_reader_buffered(const struct capsule_reader *r);
/* True between two capsules: a stream may end here. */
bool capsule_reader_is_between(const struct capsule_reader *r);

/* Writes what goes before a payload of @n <= DATAGRAM_MAX octets; returns how many octets. */
size_t capsule_put_datagram(uint8_t out[CAPSULE_PUT_MAX], size_t n);
/* Writes a whole capsule; returns how many octets. */
size_t capsule_put_icmp_error(uint8_t out[CAPSULE_PUT_MAX], uint8_t type, uint8_t code);

/* RFC 9000 16. Writes @v < 2^62 in the shortest form into @out; returns 1, 2, 4 or 8. */
size_t varint_put(uint8_t out[8], uint64_t v);
/* Reads one from @n octets: its length, or 0 if they don't hold all of it. */
size_t varint_get(const uint8_t *data, size_t n, uint64_t *vp);
