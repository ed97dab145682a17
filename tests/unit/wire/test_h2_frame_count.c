/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/compiler.h"
#include "wire/h2_frame_count.h"

#define PREFACE 24

static const struct {
	uint8_t type;
	uint32_t length;
	size_t counts;
} frames[] = {
	{0, 5, 0},  {0, 0, 1}, {1, 70, 0},     {1, 0, 0},   {2, 5, 1}, {3, 4, 1}, {4, 0, 1},
	{4, 18, 1}, {5, 9, 0}, {6, 8, 1},      {7, 8, 1},   {8, 4, 1}, {9, 3, 0}, {10, 0, 1},
	{99, 7, 1}, {0, 1, 0}, {0xfa, 300, 1}, {1, 300, 0}, {8, 4, 1},
};

static size_t write_frames(uint8_t *out, size_t *n_countp)
{
	size_t at = PREFACE;

	*n_countp = 0;
	memset(out, 6, PREFACE);
	for (size_t i = 0; i < ARRAY_SIZE(frames); i++) {
		const uint8_t head[H2_FRAME_HEAD] = {0, (uint8_t)(frames[i].length >> 8),
						     (uint8_t)frames[i].length, frames[i].type};

		memcpy(out + at, head, sizeof(head));
		memset(out + at + sizeof(head), 6, frames[i].length);
		at += sizeof(head) + frames[i].length;
		*n_countp += frames[i].counts;
	}
	return at;
}

/* In pieces of any size it is the same. */
static void test_pieces(void **state UNUSED)
{
	uint8_t bytes[2048];
	size_t n_count;
	size_t n = write_frames(bytes, &n_count);

	for (size_t piece = 1; piece <= n; piece++) {
		struct h2_frame_count c;
		size_t sum = 0;

		h2_frame_count_init(&c, PREFACE);
		for (size_t at = 0; at < n; at += piece)
			sum += h2_frame_count_feed(&c, bytes + at, n - at < piece ? n - at : piece);
		assert_int_equal(sum, n_count);
		assert_int_equal(c.n_skip, 0);
		assert_int_equal(c.n_head, 0);
	}
}

static void test_longest_frame(void **state UNUSED)
{
	const uint8_t head[H2_FRAME_HEAD] = {0xff, 0xff, 0xff, 0};
	static const uint8_t payload[65536];
	struct h2_frame_count c;

	h2_frame_count_init(&c, 0);
	assert_int_equal(h2_frame_count_feed(&c, head, sizeof(head)), 0);
	for (unsigned int i = 0; i < 255; i++)
		assert_int_equal(h2_frame_count_feed(&c, payload, sizeof(payload)), 0);
	assert_int_equal(c.n_skip, 0xffff);
	assert_int_equal(h2_frame_count_feed(&c, payload, 0xffff), 0);
	assert_int_equal(h2_frame_count_feed(&c, payload, 18), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_longest_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
