/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/unit/tun/frames.h"
#include "tun/checksum.h"

#define ROUNDS 20000

/* As it lies in memory. */
static uint16_t raw(uint16_t value)
{
	return htons(value);
}

static void fill(uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)random();
}

/* The example of RFC 1071 section 3. */
static void test_example(void **state)
{
	const uint8_t bytes[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};

	(void)state;
	assert_int_equal(checksum_add(0, bytes, sizeof(bytes)), raw(0xddf2));
	assert_int_equal(checksum_add_u16(raw(0xffff), 1), raw(1));
}

/* The example of RFC 1624 section 4: the older equation got 0xffff. */
static void test_rfc1624_corner(void **state)
{
	const uint16_t before = raw(0x5555), after = raw(0x3285);

	(void)state;
	assert_int_equal(checksum_change(raw(0xdd2f), &before, &after, 2), raw(0x0000));
}

static void test_any_length_from_scratch(void **state)
{
	static uint8_t bytes[65535];

	(void)state;
	fill(bytes, sizeof(bytes));
	for (size_t n = 0; n < 300; n++) {
		assert_int_equal(checksum_add(0, bytes + n % 3, n),
				 raw(scratch_sum(0, bytes + n % 3, n)));
		assert_int_equal(checksum_add(raw(0xfffe), bytes, n),
				 raw(scratch_sum(0xfffe, bytes, n)));
	}
	assert_int_equal(checksum_add(0, bytes, sizeof(bytes)),
			 raw(scratch_sum(0, bytes, sizeof(bytes))));
	memset(bytes, 0xff, sizeof(bytes));
	assert_int_equal(checksum_add(raw(0xffff), bytes, sizeof(bytes)),
			 raw(scratch_sum(0xffff, bytes, sizeof(bytes))));
}

static void test_change_is_from_scratch(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint8_t bytes[40], before[16];
		size_t n = (size_t)(random() % 8 + 1) * 2;
		size_t at = (size_t)(random() % 12) * 2;
		uint16_t check, sum;

		fill(bytes, sizeof(bytes));
		sum = checksum_add(0, bytes, sizeof(bytes));
		check = (uint16_t)~sum;
		memcpy(before, bytes + at, n);
		fill(bytes + at, n);
		check = checksum_change(check, before, bytes + at, n);
		sum = checksum_change_sum(sum, before, bytes + at, n);
		assert_int_equal(check, raw((uint16_t)~scratch_sum(0, bytes, sizeof(bytes))));
		assert_int_equal(sum, raw(scratch_sum(0, bytes, sizeof(bytes))));
	}
}

static void test_pseudo_header(void **state)
{
	struct frame f;
	const uint8_t *ip = f.bytes + PACKET_VNET_BYTES;

	(void)state;
	frame_make(&f, &(struct shape){.src = "10.0.0.1", .dst = "10.0.0.2", .n_payload = 77});
	assert_int_equal(checksum_pseudo(ip + 12, ip + 16, 4, IPPROTO_TCP, 97),
			 raw(scratch_pseudo(ip, IPPROTO_TCP, 97)));
	frame_make(&f, &(struct shape){.src = "fd00::1", .dst = "fd00::2", .n_payload = 77});
	assert_int_equal(checksum_pseudo(ip + 8, ip + 24, 16, IPPROTO_UDP, 70000),
			 raw(scratch_pseudo(ip, IPPROTO_UDP, 70000)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_example),
		cmocka_unit_test(test_rfc1624_corner),
		cmocka_unit_test(test_any_length_from_scratch),
		cmocka_unit_test(test_change_is_from_scratch),
		cmocka_unit_test(test_pseudo_header),
	};

	srandom(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
