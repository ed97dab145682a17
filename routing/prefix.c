/* SPDX-License-Identifier: Apache-2.0 */
#include "routing/prefix.h"

#include <stdio.h>
#include <string.h>

#define MAPPED_BITS 96 /* ::ffff:0:0/96 holds the IPv4 addresses */

struct prefix prefix_of_ip(const struct ip_addr *ip)
{
	struct ip_addr c = ip_canonical(ip);

	return (struct prefix){.ip = c, .bits = (uint8_t)ip_bits(&c)};
}

/* Decimal 0..128 without sign, space or leading zero; -1 for anything else. */
static int parse_bits(const char *text)
{
	int bits = 0;

	if (text[0] == '0' && text[1])
		return -1;
	for (const char *p = text; *p; p++) {
		if (*p < '0' || *p > '9' || p - text == 3)
			return -1;
		bits = bits * 10 + (*p - '0');
	}
	return *text && bits <= 128 ? bits : -1;
}

static bool clear_host_bits(struct prefix *p)
{
	bool any = false;

	for (unsigned int i = p->bits / 8; i < ip_bits(&p->ip) / 8; i++) {
		uint8_t mask = (uint8_t)(i == p->bits / 8 ? 0xffu >> p->bits % 8 : 0xffu);

		any = any || (p->ip.bytes[i] & mask);
		p->ip.bytes[i] &= (uint8_t)~mask;
	}
	return any;
}

struct prefix prefix_around(const struct ip_addr *ip, uint8_t bits)
{
	struct prefix p = {.ip = *ip, .bits = bits};

	(void)clear_host_bits(&p);
	return p;
}

static int split_text(const char *text, struct prefix *prefixp)
{
	const char *slash = strchr(text, '/');
	char address[IP_TEXT_MAX];
	struct ip_addr ip, canonical;
	int bits;

	if ((size_t)snprintf(address, sizeof(address), "%.*s",
			     (int)(slash ? slash - text : IP_TEXT_MAX), text) >= sizeof(address))
		return PREFIX_E_SYNTAX;
	if (ip_parse(address, &ip) < 0)
		return PREFIX_E_SYNTAX;
	bits = slash ? parse_bits(slash + 1) : (int)ip_bits(&ip);
	if (bits < 0 || bits > (int)ip_bits(&ip))
		return PREFIX_E_SYNTAX;
	canonical = ip_canonical(&ip);
	if (canonical.family != ip.family && bits >= MAPPED_BITS) {
		ip = canonical;
		bits -= MAPPED_BITS;
	}
	*prefixp = (struct prefix){.ip = ip, .bits = (uint8_t)bits};
	return 0;
}

int prefix_parse(const char *text, struct prefix *prefixp)
{
	int r = split_text(text, prefixp);

	if (r)
		return r;
	return clear_host_bits(prefixp) ? PREFIX_E_HOST_BITS : 0;
}

const char *prefix_format(const struct prefix *p, char out[PREFIX_TEXT_MAX])
{
	char ip[IP_TEXT_MAX];

	snprintf(out, PREFIX_TEXT_MAX, "%s/%u", ip_format(&p->ip, ip), p->bits);
	return out;
}

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned int n_bits)
{
	unsigned int whole = n_bits / 8, rest = n_bits % 8;

	if (memcmp(a, b, whole) != 0)
		return false;
	return !rest || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

bool prefix_contains_ip(const struct prefix *p, const struct ip_addr *ip)
{
	return p->ip.family == ip->family && same_bits(p->ip.bytes, ip->bytes, p->bits);
}

bool prefix_contains(const struct prefix *outer, const struct prefix *inner)
{
	return outer->bits <= inner->bits && prefix_contains_ip(outer, &inner->ip);
}

bool prefix_equal(const struct prefix *a, const struct prefix *b)
{
	return a->bits == b->bits && ip_equal(&a->ip, &b->ip);
}

int prefix_compare(const struct prefix *a, const struct prefix *b)
{
	int r = ip_compare(&a->ip, &b->ip);

	return r ? r : (int)a->bits - (int)b->bits;
}

bool prefix_is_single(const struct prefix *p)
{
	return p->bits == ip_bits(&p->ip);
}

struct prefix prefix_half(const struct prefix *p, bool upper)
{
	struct prefix half = *p;

	if (upper)
		half.ip.bytes[p->bits / 8] |= (uint8_t)(0x80u >> (p->bits % 8));
	half.bits++;
	return half;
}

bool prefix_join(const struct prefix *lower, const struct prefix *upper, struct prefix *wholep)
{
	struct prefix whole = *lower;
	struct prefix other;

	if (lower->bits == 0)
		return false;
	whole.bits--;
	if (clear_host_bits(&whole))
		return false;
	other = prefix_half(&whole, true);
	if (!prefix_equal(&other, upper))
		return false;
	*wholep = whole;
	return true;
}
