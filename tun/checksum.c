/* SPDX-License-Identifier: Apache-2.0 */
#include "tun/checksum.h"

#include <arpa/inet.h>
#include <string.h>

static uint16_t fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/*
 * Four bytes at a time: 2^16 and 2^32 are both 1 modulo 0xffff, so wider words add up to the same.
 * 64 bits can't overflow: a packet has fewer than 2^14 words.
 */
uint16_t checksum_add(uint16_t sum, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	uint64_t acc = sum;
	uint16_t half = 0;

	for (; n >= 16; p += 16, n -= 16) {
		uint32_t w[4];

		memcpy(w, p, sizeof(w));
		acc += (uint64_t)w[0] + w[1] + w[2] + w[3];
	}
	for (; n >= 2; p += 2, n -= 2) {
		memcpy(&half, p, sizeof(half));
		acc += half;
	}
	if (n) {
		half = 0;
		memcpy(&half, p, 1);
		acc += half;
	}
	return fold(acc);
}

uint16_t checksum_add_u16(uint16_t sum, uint16_t value)
{
	return fold((uint64_t)sum + htons(value));
}

uint16_t checksum_pseudo(const uint8_t *src, const uint8_t *dst, size_t n_addr, uint8_t transport,
			 uint32_t n_transport)
{
	uint16_t sum = checksum_add(0, src, n_addr);

	sum = checksum_add(sum, dst, n_addr);
	sum = checksum_add_u16(sum, (uint16_t)(n_transport >> 16));
	sum = checksum_add_u16(sum, (uint16_t)n_transport);
	return checksum_add_u16(sum, transport);
}

uint16_t checksum_change_sum(uint16_t sum, const void *before, const void *after, size_t n)
{
	uint16_t old = checksum_add(0, before, n);

	return checksum_add((uint16_t)fold((uint64_t)sum + (uint16_t)~old), after, n);
}

uint16_t checksum_change(uint16_t check, const void *before, const void *after, size_t n)
{
	return (uint16_t)~checksum_change_sum((uint16_t)~check, before, after, n);
}
