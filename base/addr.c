/* SPDX-License-Identifier: Apache-2.0 */
#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define IPV4_BYTES	4
#define IPV6_BYTES	16
#define LABEL_MAX	63
#define PORT_DIGITS_MAX 5

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

static size_t ip_n_bytes(const struct ip_addr *ip)
{
	return ip->family == AF_INET ? IPV4_BYTES : ip->family == AF_INET6 ? IPV6_BYTES : 0;
}

int ip_parse(const char *text, struct ip_addr *ipp)
{
	struct ip_addr ip = {.family = strchr(text, ':') ? AF_INET6 : AF_INET};

	if (inet_pton(ip.family, text, ip.bytes) != 1)
		return -EINVAL;
	*ipp = ip;
	return 0;
}

const char *ip_format(const struct ip_addr *ip, char out[IP_TEXT_MAX])
{
	if (!ip_n_bytes(ip) || !inet_ntop(ip->family, ip->bytes, out, IP_TEXT_MAX))
		snprintf(out, IP_TEXT_MAX, "none");
	return out;
}

struct ip_addr ip_canonical(const struct ip_addr *ip)
{
	struct ip_addr v4 = {.family = AF_INET};

	if (ip->family != AF_INET6 || memcmp(ip->bytes, mapped_prefix, sizeof(mapped_prefix)) != 0)
		return *ip;
	memcpy(v4.bytes, ip->bytes + sizeof(mapped_prefix), IPV4_BYTES);
	return v4;
}

void ip_to_mapped(const struct ip_addr *ip, uint8_t out[16])
{
	if (ip->family == AF_INET6) {
		memcpy(out, ip->bytes, IPV6_BYTES);
		return;
	}
	memcpy(out, mapped_prefix, sizeof(mapped_prefix));
	memcpy(out + sizeof(mapped_prefix), ip->bytes, IPV4_BYTES);
}

unsigned int ip_bits(const struct ip_addr *ip)
{
	return 8 * (unsigned int)ip_n_bytes(ip);
}

bool ip_equal(const struct ip_addr *a, const struct ip_addr *b)
{
	return ip_compare(a, b) == 0;
}

int ip_compare(const struct ip_addr *a, const struct ip_addr *b)
{
	if (a->family != b->family)
		return ip_n_bytes(a) < ip_n_bytes(b) ? -1 : 1;
	return memcmp(a->bytes, b->bytes, ip_n_bytes(a));
}

int port_parse(const char *text, uint16_t *portp)
{
	uint32_t value = 0;
	size_t n = strspn(text, "0123456789");

	if (n == 0 || n > PORT_DIGITS_MAX || text[n] || text[0] == '0')
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		value = value * 10 + (uint32_t)(text[i] - '0');
	if (value > UINT16_MAX)
		return -EINVAL;
	*portp = (uint16_t)value;
	return 0;
}

/*
 * Splits at the last colon; brackets are taken off and noted. An unbracketed host
 * must not hold a colon: "::1:22" could be read in two ways.
 */
static int split_host_port(const char *text, char *host, size_t n_host, bool *bracketedp,
			   uint16_t *portp)
{
	const char *colon = strrchr(text, ':');
	size_t n;

	if (!colon || port_parse(colon + 1, portp) < 0)
		return -EINVAL;
	n = (size_t)(colon - text);
	*bracketedp = n >= 2 && text[0] == '[' && text[n - 1] == ']';
	if (*bracketedp) {
		text++;
		n -= 2;
	}
	if (n == 0 || n >= n_host || (!*bracketedp && memchr(text, ':', n)))
		return -EINVAL;
	memcpy(host, text, n);
	host[n] = '\0';
	return 0;
}

int endpoint_parse(const char *text, struct endpoint *epp)
{
	char host[IP_TEXT_MAX];
	struct endpoint ep = {0};
	bool bracketed;

	if (split_host_port(text, host, sizeof(host), &bracketed, &ep.port) < 0 ||
	    ip_parse(host, &ep.ip) < 0 || bracketed != (ep.ip.family == AF_INET6))
		return -EINVAL;
	*epp = ep;
	return 0;
}

const char *endpoint_format(const struct endpoint *ep, char out[ENDPOINT_TEXT_MAX])
{
	char ip[IP_TEXT_MAX];

	ip_format(&ep->ip, ip);
	if (ep->ip.family == AF_INET6)
		snprintf(out, ENDPOINT_TEXT_MAX, "[%s]:%u", ip, (unsigned int)ep->port);
	else
		snprintf(out, ENDPOINT_TEXT_MAX, "%s:%u", ip, (unsigned int)ep->port);
	return out;
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && ip_equal(&a->ip, &b->ip);
}

socklen_t endpoint_to_sockaddr(const struct endpoint *ep, struct sockaddr_storage *ss)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(ep->port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(ep->port)};

	memset(ss, 0, sizeof(*ss));
	if (ep->ip.family == AF_INET6) {
		memcpy(&v6.sin6_addr, ep->ip.bytes, IPV6_BYTES);
		memcpy(ss, &v6, sizeof(v6));
		return sizeof(v6);
	}
	memcpy(&v4.sin_addr, ep->ip.bytes, IPV4_BYTES);
	memcpy(ss, &v4, sizeof(v4));
	return sizeof(v4);
}

int endpoint_from_sockaddr(const struct sockaddr *sa, struct endpoint *epp)
{
	struct endpoint ep = {.ip.family = (uint8_t)sa->sa_family};
	struct sockaddr_in6 v6;
	struct sockaddr_in v4;

	/* Copied, because the caller's object may have any declared type. */
	if (sa->sa_family == AF_INET) {
		memcpy(&v4, sa, sizeof(v4));
		memcpy(ep.ip.bytes, &v4.sin_addr, IPV4_BYTES);
		ep.port = ntohs(v4.sin_port);
	} else if (sa->sa_family == AF_INET6) {
		memcpy(&v6, sa, sizeof(v6));
		memcpy(ep.ip.bytes, &v6.sin6_addr, IPV6_BYTES);
		ep.port = ntohs(v6.sin6_port);
	} else {
		return -EAFNOSUPPORT;
	}
	*epp = ep;
	return 0;
}

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Letters, digits and inner hyphens, 1 to 63 of them (RFC 1123, 2.1). */
static bool label_is_valid(const char *label, size_t n)
{
	if (n == 0 || n > LABEL_MAX || !is_alnum(label[0]) || !is_alnum(label[n - 1]))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!is_alnum(label[i]) && label[i] != '-')
			return false;
	return true;
}

/*
 * "127.1", "0177.0.0.1" and "0x7f000001" are addresses to a C resolver: a name whose
 * last label is a number never is a host name.
 */
static bool label_is_number(const char *label, size_t n)
{
	const char *digits = "0123456789";

	if (n > 2 && strncasecmp(label, "0x", 2) == 0) {
		digits = "0123456789abcdefABCDEF";
		label += 2;
		n -= 2;
	}
	return strspn(label, digits) >= n;
}

static bool host_name_is_valid(const char *host)
{
	const char *label = host;

	for (;;) {
		size_t n = strcspn(label, ".");

		if (!label_is_valid(label, n))
			return false;
		if (label[n] == '\0' || label[n + 1] == '\0')
			return !label_is_number(label, n);
		label += n + 1;
	}
}

int host_port_parse(const char *text, char host[HOST_NAME_MAX_LEN + 1], uint16_t *portp)
{
	char name[HOST_NAME_MAX_LEN + 1];
	struct ip_addr ip;
	bool bracketed;
	uint16_t port;
	bool is_ip;

	if (split_host_port(text, name, sizeof(name), &bracketed, &port) < 0)
		return -EINVAL;
	is_ip = ip_parse(name, &ip) == 0;
	if (bracketed ? !is_ip || ip.family != AF_INET6 : !is_ip && !host_name_is_valid(name))
		return -EINVAL;
	memcpy(host, name, strlen(name) + 1);
	*portp = port;
	return 0;
}
