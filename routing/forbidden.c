/* SPDX-License-Identifier: Apache-2.0 */
#include "routing/forbidden.h"

#include <assert.h>
#include <string.h>

#include "base/compiler.h"

struct range {
	struct prefix prefix;
	const char *name;
};

static const struct range ranges[] = {
	{PREFIX_V4(0, 0, 8), "this host"},
	{PREFIX_V4(127, 0, 8), "loopback"},
	{PREFIX_V4(169, 254, 16), "link-local"},
	{PREFIX_V4(224, 0, 4), "multicast"},
	{PREFIX_V4(240, 0, 4), "reserved"},
	{PREFIX_V6(0, 0, 128), "this host"},
	{{.ip = {.family = AF_INET6, .bytes = {[15] = 1}}, .bits = 128}, "loopback"},
	{PREFIX_V6(0xfe, 0x80, 10), "link-local"},
	{PREFIX_V6(0xff, 0, 8), "multicast"},
};

/* IPv6 prefixes whose next 32 bits are an IPv4 address: RFC 6052, RFC 3056. */
static const struct prefix embeddings[] = {
	{.ip = {.family = AF_INET6, .bytes = {0x00, 0x64, 0xff, 0x9b}}, .bits = 96},
	PREFIX_V6(0x20, 0x02, 16),
};

static_assert(ARRAY_SIZE(ranges) * (1 + ARRAY_SIZE(embeddings)) <= FORBIDDEN_RANGES_MAX,
	      "room for each range in each form");

static const char *range_of(const struct prefix *p)
{
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		if (prefix_contains(&ranges[i].prefix, p))
			return ranges[i].name;
	}
	return NULL;
}

static struct prefix embedded_in(const struct prefix *outer, const struct prefix *p)
{
	struct prefix v4 = {.ip.family = AF_INET};
	unsigned int bits = (unsigned int)p->bits - outer->bits;

	memcpy(v4.ip.bytes, p->ip.bytes + outer->bits / 8, 4);
	v4.bits = (uint8_t)(bits > 32 ? 32 : bits);
	return v4;
}

static struct prefix embed_in(const struct prefix *outer, const struct prefix *v4)
{
	struct prefix p = *outer;

	memcpy(p.ip.bytes + outer->bits / 8, v4->ip.bytes, 4);
	p.bits = (uint8_t)(outer->bits + v4->bits);
	return p;
}

size_t forbidden_ranges(struct prefix out[FORBIDDEN_RANGES_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		out[n++] = ranges[i].prefix;
		if (ranges[i].prefix.ip.family != AF_INET)
			continue;
		for (size_t k = 0; k < ARRAY_SIZE(embeddings); k++)
			out[n++] = embed_in(&embeddings[k], &ranges[i].prefix);
	}
	return n;
}

const char *forbidden_prefix(const struct prefix *p)
{
	for (size_t i = 0; i < ARRAY_SIZE(embeddings); i++) {
		if (prefix_contains(&embeddings[i], p)) {
			struct prefix v4 = embedded_in(&embeddings[i], p);

			return range_of(&v4);
		}
	}
	return range_of(p);
}

const char *forbidden_range(const struct ip_addr *ip)
{
	struct prefix single = prefix_of_ip(ip);

	return forbidden_prefix(&single);
}

bool ip_is_loopback(const struct ip_addr *ip)
{
	static const struct ip_addr v6_loopback = {.family = AF_INET6, .bytes = {[15] = 1}};
	struct ip_addr c = ip_canonical(ip);

	return (c.family == AF_INET && c.bytes[0] == 127) || ip_equal(&c, &v6_loopback);
}
