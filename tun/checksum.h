/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * checksum - the Internet checksum (RFC 1071) and its incremental change (RFC 1624)
 *
 * Sums and checksums are 16-bit values as they lie in the packet: store them with memcpy(), never
 * with htons(). One's complement addition doesn't care about byte order (RFC 1071 section 2), so
 * nothing is swapped. Pieces of a sum must have even lengths, but for the last.
 */

#include <stddef.h>
#include <stdint.h>

/* @sum plus @n bytes, folded, not inverted. An odd last byte counts as followed by zero. */
uint16_t checksum_add(uint16_t sum, const void *bytes, size_t n);

/* The same for one 16-bit number of the host's order. */
uint16_t checksum_add_u16(uint16_t sum, uint16_t value);

/*
 * Addresses of @n_addr bytes (4, 16), transport protocol and its length, folded, not inverted: what
 * a field holds whose checksum is left to the device.
 */
uint16_t checksum_pseudo(const uint8_t *src, const uint8_t *dst, size_t n_addr, uint8_t transport,
			 uint32_t n_transport);

/*
 * A full checksum after @n bytes (even) that it covers changed from @before to @after:
 * ~(~check + ~before + after), RFC 1624 equation 3.
 */
uint16_t checksum_change(uint16_t check, const void *before, const void *after, size_t n);

/* The same for a sum that isn't inverted. */
uint16_t checksum_change_sum(uint16_t sum, const void *before, const void *after, size_t n);
