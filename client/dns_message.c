/* SPDX-License-Identifier: Apache-2.0 */
#include "client/dns_message.h"

#include <errno.h>
#include <string.h>

/* Octets of the header, and bits of the two with flags (RFC 1035, 4.1.1). */
#define AT_FLAGS     2
#define AT_QUESTIONS 4
#define FLAG_QR	     0x80 /* of the first */
#define OPCODE	     0x78
#define FLAG_TC	     0x02
#define FLAG_RD	     0x01
#define FLAG_RA	     0x80 /* of the second */
#define FLAG_CD	     0x10 /* RFC 4035, 3.2.2: copied */

static uint16_t load16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void store16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* ASCII only, whatever the locale (RFC 4343). Length octets are below 'A'. */
static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
}

/* Copies the name at @p; octets, or 0 if it is none. A pointer in it is none: nothing is before. */
static size_t read_name(const uint8_t *p, size_t n, uint8_t out[DNS_NAME_MAX])
{
	size_t at = 0;

	while (at < n && at < DNS_NAME_MAX) {
		size_t n_label = p[at];

		if (n_label > DNS_LABEL_MAX)
			return 0;
		out[at] = p[at];
		at++;
		if (n_label == 0)
			return at;
		/* A root's octet has to follow it. */
		if (n - at <= n_label || DNS_NAME_MAX - at <= n_label)
			return 0;
		for (size_t stop = at + n_label; at < stop; at++)
			out[at] = lower(p[at]);
	}
	return 0;
}

static bool read_question(const uint8_t *p, size_t n, struct dns_question *q)
{
	const uint8_t *at = p + DNS_HEADER_LEN;
	size_t left = n - DNS_HEADER_LEN;
	size_t n_name = load16(p + AT_QUESTIONS) == 1 ? read_name(at, left, q->name) : 0;

	q->n_name = 0;
	if (n_name == 0 || left - n_name < 4)
		return false;
	q->n_name = n_name;
	q->type = load16(at + n_name);
	q->class = load16(at + n_name + 2);
	return true;
}

int dns_query_parse(const void *data, size_t n, struct dns_question *q)
{
	const uint8_t *p = data;
	bool is_good;

	*q = (struct dns_question){.n_name = 0};
	if (n < DNS_HEADER_LEN || p[AT_FLAGS] & FLAG_QR)
		return -EBADMSG;
	is_good = read_question(p, n, q);
	if (p[AT_FLAGS] & OPCODE)
		return DNS_NOTIMP;
	return is_good ? 0 : DNS_FORMERR;
}

int dns_answer_parse(const void *data, size_t n, struct dns_question *q)
{
	const uint8_t *p = data;

	*q = (struct dns_question){.n_name = 0};
	if (n < DNS_HEADER_LEN || !(p[AT_FLAGS] & FLAG_QR) || p[AT_FLAGS] & OPCODE)
		return -EBADMSG;
	return read_question(p, n, q) ? 0 : -EBADMSG;
}

bool dns_question_equal(const struct dns_question *a, const struct dns_question *b)
{
	return a->n_name == b->n_name && a->type == b->type && a->class == b->class &&
	       memcmp(a->name, b->name, a->n_name) == 0;
}

uint16_t dns_id(const void *data)
{
	return load16(data);
}

void dns_set_id(void *data, uint16_t id)
{
	store16(data, id);
}

/* The question goes back as it was written, capitals and all: resolvers compare it. */
size_t dns_reply_build(const void *data, const struct dns_question *q, enum dns_rcode rcode,
		       bool truncated, uint8_t out[DNS_REPLY_MAX])
{
	const uint8_t *p = data;
	size_t n_question = q->n_name > 0 ? q->n_name + 4 : 0;

	memset(out, 0, DNS_HEADER_LEN);
	memcpy(out, p, 2);
	out[AT_FLAGS] =
		(uint8_t)(FLAG_QR | (p[AT_FLAGS] & (OPCODE | FLAG_RD)) | (truncated ? FLAG_TC : 0));
	out[AT_FLAGS + 1] = (uint8_t)(FLAG_RA | (p[AT_FLAGS + 1] & FLAG_CD) | rcode);
	store16(out + AT_QUESTIONS, n_question > 0);
	memcpy(out + DNS_HEADER_LEN, p + DNS_HEADER_LEN, n_question);
	return DNS_HEADER_LEN + n_question;
}

int dns_name_from_text(const char *text, uint8_t out[DNS_NAME_MAX])
{
	size_t at = 0;

	for (;;) {
		size_t n_label = strcspn(text, ".");

		if (n_label == 0 || n_label > DNS_LABEL_MAX || DNS_NAME_MAX - at < n_label + 2)
			return -EINVAL;
		out[at++] = (uint8_t)n_label;
		for (size_t i = 0; i < n_label; i++)
			out[at++] = lower((uint8_t)text[i]);
		if (!text[n_label])
			break;
		text += n_label + 1;
	}
	out[at++] = 0;
	return (int)at;
}

/* From label to label: "xcorp.example" is not below "corp.example". */
bool dns_name_is_below(const uint8_t *name, size_t n_name, const uint8_t *domain, size_t n_domain)
{
	size_t at = 0;

	while (n_name - at > n_domain)
		at += (size_t)name[at] + 1;
	return n_name - at == n_domain && memcmp(name + at, domain, n_domain) == 0;
}
