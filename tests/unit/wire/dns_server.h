/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * dns_server - a name server on loopback for tests, on the test's own uv loop
 *
 * Answers from a table, UDP and TCP on one port. How it answers depends on the
 * last label of the name: see dns_quirks.
 */

#include <arpa/inet.h>
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum {
	DNS_A = 1,
	DNS_CNAME = 5,
	DNS_AAAA = 28,
	DNS_SRV = 33,
};

struct dns_record {
	const char *name;
	uint16_t type;
	const char *data; /* address, name, or "priority weight port target" */
};

enum dns_quirk {
	DNS_QUIRK_NONE,
	DNS_QUIRK_SERVFAIL,
	DNS_QUIRK_REFUSED,
	DNS_QUIRK_SILENT,    /* never answers */
	DNS_QUIRK_GARBAGE,   /* the right id, then rubbish */
	DNS_QUIRK_FORGED,    /* first an answer with a wrong id, then the right one */
	DNS_QUIRK_TRUNCATED, /* UDP says "too long", TCP has it */
};

static const struct {
	const char *label;
	enum dns_quirk quirk;
} dns_quirks[] = {
	{"servfail", DNS_QUIRK_SERVFAIL}, {"refused", DNS_QUIRK_REFUSED},
	{"silent", DNS_QUIRK_SILENT},	  {"garbage", DNS_QUIRK_GARBAGE},
	{"forged", DNS_QUIRK_FORGED},	  {"truncated", DNS_QUIRK_TRUNCATED},
};

struct dns_server {
	uv_udp_t udp;
	uv_tcp_t tcp;
	const struct dns_record *records; /* ended by name NULL */
	char address[64];		  /* "ip:port" for resolver_new() */
	unsigned int n_queries;
	unsigned int n_tcp_queries;
	char buf[2048];
};

struct dns_message {
	uint8_t bytes[4096];
	size_t n;
};

static void dns_put16(struct dns_message *m, unsigned int value)
{
	m->bytes[m->n++] = (uint8_t)(value >> 8);
	m->bytes[m->n++] = (uint8_t)value;
}

static void dns_put_name(struct dns_message *m, const char *name)
{
	while (*name && strcmp(name, ".") != 0) {
		size_t n = strcspn(name, ".");

		m->bytes[m->n++] = (uint8_t)n;
		memcpy(m->bytes + m->n, name, n);
		m->n += n;
		name += n + (name[n] == '.');
	}
	m->bytes[m->n++] = 0;
}

static void dns_put_data(struct dns_message *m, const struct dns_record *record)
{
	unsigned int priority, weight, port;
	char target[256];

	switch (record->type) {
	case DNS_A:
		m->n += inet_pton(AF_INET, record->data, m->bytes + m->n) == 1 ? 4 : 0;
		break;
	case DNS_AAAA:
		m->n += inet_pton(AF_INET6, record->data, m->bytes + m->n) == 1 ? 16 : 0;
		break;
	case DNS_CNAME:
		dns_put_name(m, record->data);
		break;
	default:
		assert(sscanf(record->data, "%u %u %u %255s", &priority, &weight, &port, target) ==
		       4);
		dns_put16(m, priority);
		dns_put16(m, weight);
		dns_put16(m, port);
		dns_put_name(m, target);
	}
}

static void dns_put_record(struct dns_message *m, const struct dns_record *record)
{
	size_t length_at;

	dns_put_name(m, record->name);
	dns_put16(m, record->type);
	dns_put16(m, 1);
	dns_put16(m, 0);
	dns_put16(m, 60);
	length_at = m->n;
	m->n += 2;
	dns_put_data(m, record);
	m->bytes[length_at] = (uint8_t)((m->n - length_at - 2) >> 8);
	m->bytes[length_at + 1] = (uint8_t)(m->n - length_at - 2);
}

/* The question's name as text; returns the bytes the question takes, behind the header. */
static size_t dns_read_question(const uint8_t *query, size_t n, char name[256], uint16_t *typep)
{
	size_t at = 12;
	size_t out = 0;

	while (at < n && query[at] != 0) {
		size_t label = query[at++];

		assert(at + label + 5 <= n && out + label + 2 < 256);
		memcpy(name + out, query + at, label);
		out += label;
		name[out++] = '.';
		at += label;
	}
	name[out ? out - 1 : 0] = '\0';
	*typep = (uint16_t)(query[at + 1] << 8 | query[at + 2]);
	return at + 5 - 12;
}

static enum dns_quirk dns_quirk_of(const char *name)
{
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; dot && i < sizeof(dns_quirks) / sizeof(dns_quirks[0]); i++) {
		if (strcmp(dot + 1, dns_quirks[i].label) == 0)
			return dns_quirks[i].quirk;
	}
	return DNS_QUIRK_NONE;
}

static unsigned int dns_put_answers(struct dns_message *m, const struct dns_record *records,
				    const char *name, uint16_t type, bool *knownp)
{
	unsigned int n = 0;

	for (const struct dns_record *r = records; r->name; r++) {
		if (strcasecmp(r->name, name) != 0)
			continue;
		*knownp = true;
		if (r->type != type && r->type != DNS_CNAME)
			continue;
		dns_put_record(m, r);
		n++;
		if (r->type == DNS_CNAME)
			n += dns_put_answers(m, records, r->data, type, knownp);
	}
	return n;
}

/* Builds the answer; its size is 0 when there is to be none. */
static enum dns_quirk dns_answer(struct dns_server *s, const uint8_t *query, size_t n, bool tcp,
				 struct dns_message *m)
{
	char name[256];
	uint16_t type;
	size_t n_question = dns_read_question(query, n, name, &type);
	enum dns_quirk quirk = dns_quirk_of(name);
	bool known = false;
	unsigned int n_answers;

	m->n = 0;
	s->n_queries++;
	if (quirk == DNS_QUIRK_SILENT)
		return quirk;
	memcpy(m->bytes, query, 12 + n_question);
	memcpy(m->bytes + 2, "\x81\x80\0\x01\0\0\0\0\0\0", 10);
	m->n = 12 + n_question;
	if (quirk == DNS_QUIRK_GARBAGE) {
		memset(m->bytes + 7, 0xff, 1);
		memset(m->bytes + m->n, 0xc0, 30);
		m->n += 30;
		return quirk;
	}
	n_answers = dns_put_answers(m, s->records, name, type, &known);
	if (quirk == DNS_QUIRK_TRUNCATED && !tcp) {
		m->bytes[2] |= 2;
		m->n = 12 + n_question;
		return quirk;
	}
	m->bytes[7] = (uint8_t)n_answers;
	if (quirk == DNS_QUIRK_SERVFAIL || quirk == DNS_QUIRK_REFUSED)
		m->bytes[3] = quirk == DNS_QUIRK_SERVFAIL ? 0x82 : 0x85;
	else if (!known)
		m->bytes[3] = 0x83;
	return quirk;
}

static void dns_udp_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
	struct dns_server *s = handle->data;

	(void)size;
	*buf = uv_buf_init(s->buf, sizeof(s->buf));
}

static void dns_udp_send(struct dns_server *s, struct dns_message *m, const struct sockaddr *to)
{
	uv_buf_t out = uv_buf_init((char *)m->bytes, (unsigned int)m->n);

	uv_udp_try_send(&s->udp, &out, 1, to);
}

static void dns_udp_read(uv_udp_t *udp, ssize_t n, const uv_buf_t *buf, const struct sockaddr *from,
			 unsigned int flags)
{
	struct dns_server *s = udp->data;
	struct dns_message m;

	(void)flags;
	if (n < 17 || !from)
		return;
	if (dns_answer(s, (uint8_t *)buf->base, (size_t)n, false, &m) == DNS_QUIRK_FORGED) {
		m.bytes[0] ^= 1;
		m.bytes[m.n - 1] ^= 0x40;
		dns_udp_send(s, &m, from);
		m.bytes[0] ^= 1;
		m.bytes[m.n - 1] ^= 0x40;
	}
	if (m.n > 0)
		dns_udp_send(s, &m, from);
}

static void dns_free_handle(uv_handle_t *handle)
{
	free(handle);
}

/* One query is small: it comes with one read, and its answer fits the socket's buffer. */
static void dns_tcp_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct dns_server *s = stream->data;
	struct dns_message m;
	uint8_t length[2];
	uv_buf_t out[2];

	if (n < 19) {
		if (n < 0)
			uv_close((uv_handle_t *)stream, dns_free_handle);
		return;
	}
	s->n_tcp_queries++;
	dns_answer(s, (uint8_t *)buf->base + 2, (size_t)n - 2, true, &m);
	length[0] = (uint8_t)(m.n >> 8);
	length[1] = (uint8_t)m.n;
	out[0] = uv_buf_init((char *)length, 2);
	out[1] = uv_buf_init((char *)m.bytes, (unsigned int)m.n);
	uv_try_write(stream, out, 2);
}

static void dns_tcp_accept(uv_stream_t *listener, int status)
{
	uv_tcp_t *tcp = calloc(1, sizeof(*tcp));

	assert(status == 0 && tcp);
	uv_tcp_init(listener->loop, tcp);
	tcp->data = listener->data;
	assert(uv_accept(listener, (uv_stream_t *)tcp) == 0);
	uv_read_start((uv_stream_t *)tcp, dns_udp_alloc, dns_tcp_read);
}

/* On "127.0.0.1" or "::1". False when there is no such address here. */
static inline bool dns_server_start(struct dns_server *s, uv_loop_t *uv, const char *ip,
				    const struct dns_record *records)
{
	struct sockaddr_storage ss = {0};
	struct sockaddr *sa = (struct sockaddr *)&ss;
	int n = sizeof(ss);
	bool v6 = strchr(ip, ':') != NULL;
	int r;

	memset(s, 0, sizeof(*s));
	s->records = records;
	assert((v6 ? uv_ip6_addr(ip, 0, (struct sockaddr_in6 *)&ss)
		   : uv_ip4_addr(ip, 0, (struct sockaddr_in *)&ss)) == 0);
	uv_udp_init(uv, &s->udp);
	uv_tcp_init(uv, &s->tcp);
	s->udp.data = s;
	s->tcp.data = s;
	/* TCP chooses the port: connections of other tests hold many TCP ports and few of UDP. */
	r = uv_tcp_bind(&s->tcp, sa, 0);
	if (r == 0)
		r = uv_listen((uv_stream_t *)&s->tcp, 4, dns_tcp_accept);
	if (r == 0)
		r = uv_tcp_getsockname(&s->tcp, sa, &n);
	if (r == 0)
		r = uv_udp_bind(&s->udp, sa, 0);
	if (r == 0)
		r = uv_udp_recv_start(&s->udp, dns_udp_alloc, dns_udp_read);
	/* The port is at the same place in both families. */
	snprintf(s->address, sizeof(s->address), v6 ? "[%s]:%u" : "%s:%u", ip,
		 ntohs(((struct sockaddr_in *)&ss)->sin_port));
	return r == 0;
}

static inline void dns_server_stop(struct dns_server *s)
{
	uv_close((uv_handle_t *)&s->udp, NULL);
	uv_close((uv_handle_t *)&s->tcp, NULL);
}
