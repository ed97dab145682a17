/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * dns_frame - one DNS message behind its length, on a stream socket (RFC 1035, 4.2.2)
 *
 * Takes and gives what the socket has room for, and never an octet of the next message. Starts as
 * all zeroes.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define DNS_LENGTH_LEN 2

struct dns_frame {
	uint8_t head[DNS_LENGTH_LEN];
	uint8_t *bytes; /* head and message; NULL while the head isn't whole */
	size_t n;	/* octets that are there, or that went out */
};

/* Empty again. Any state, twice too. */
void dns_frame_deinit(struct dns_frame *f);

/* Copies a message (at most DNS_MESSAGE_MAX) to be written. 0 or -ENOMEM. */
NODISCARD int dns_frame_set(struct dns_frame *f, const void *data, size_t n);

/*
 * 1: the message is whole; 0: more must come; -EPIPE at the end of the stream; -EBADMSG for a
 * message shorter than a header; or another -errno.
 */
NODISCARD int dns_frame_read(struct dns_frame *f, int fd);
/* 1: all was written; 0: the socket is full; or -errno. */
NODISCARD int dns_frame_write(struct dns_frame *f, int fd);
/* From its beginning again. */
void dns_frame_rewind(struct dns_frame *f);

/* The message; valid once it is whole. */
uint8_t *dns_frame_data(struct dns_frame *f);
size_t dns_frame_size(const struct dns_frame *f);
