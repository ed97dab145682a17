/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * dns_message - the header and the question of DNS messages (RFC 1035, 4.1)
 *
 * A stub that forwards needs no more: records and EDNS (RFC 6891) pass as the octets that they
 * are. Pure, and nothing here allocates.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_HEADER_LEN	12
#define DNS_MESSAGE_MAX 65535
#define DNS_NAME_MAX	255 /* octets of a name, length octets and the root's included */
#define DNS_LABEL_MAX	63

/* A query's header and question, as an answer of ours quotes them. */
#define DNS_REPLY_MAX (DNS_HEADER_LEN + DNS_NAME_MAX + 4)

enum dns_rcode {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5,
};

enum dns_type {
	DNS_TYPE_IXFR = 251,
	DNS_TYPE_AXFR = 252,
};

struct dns_question {
	uint8_t name[DNS_NAME_MAX]; /* as on the wire, in lower case */
	size_t n_name;
	uint16_t type;
	uint16_t class;
};

/*
 * Reads a query: one question, opcode QUERY, no compression in its name. 0; or the rcode to
 * answer with, *@q then has n_name 0 if its question can't be quoted; or -EBADMSG for what is never
 * answered: less than a header, or itself an answer.
 */
int dns_query_parse(const void *data, size_t n, struct dns_question *q);

/* Reads the question of an answer. 0, or -EBADMSG: no answer to one question. */
int dns_answer_parse(const void *data, size_t n, struct dns_question *q);

bool dns_question_equal(const struct dns_question *a, const struct dns_question *b);

/* Of a message of at least two octets. */
uint16_t dns_id(const void *data);
void dns_set_id(void *data, uint16_t id);

/*
 * An answer without records to the query at @data (at least a header), its question @q quoted
 * unless n_name is 0. @truncated: "ask by TCP". Returns its octets.
 */
size_t dns_reply_build(const void *data, const struct dns_question *q, enum dns_rcode rcode,
		       bool truncated, uint8_t out[DNS_REPLY_MAX]);

/*
 * "corp.example" as on the wire, in lower case, with the root's octet. Returns the octets, or
 * -EINVAL: an empty or a long label, or a long name.
 */
int dns_name_from_text(const char *text, uint8_t out[DNS_NAME_MAX]);

/* True if the name is @domain or below it; both as on the wire in lower case. */
bool dns_name_is_below(const uint8_t *name, size_t n_name, const uint8_t *domain, size_t n_domain);
