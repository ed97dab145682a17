/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/buf.h"

static void test_empty_holds_no_memory(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	assert_null(b.block);
	assert_int_equal(buf_append(&b, "", 0), 0);
	assert_null(b.block);
	assert_int_equal(buf_append(&b, "abc", 3), 0);
	assert_non_null(b.block);
	buf_consume(&b, 3);
	assert_null(b.block);
	assert_int_equal(b.max, 100);
	buf_deinit(&b);
}

static void test_maximum_is_tested_first(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 4);
	/* A length that could never be allocated: refused by its size, not by malloc(). */
	assert_int_equal(buf_append(&b, "", SIZE_MAX), -ENOBUFS);
	assert_int_equal(buf_append(&b, "12345", 5), -ENOBUFS);
	assert_null(b.block);
	assert_int_equal(buf_append(&b, "1234", 4), 0);
	assert_int_equal(b.block->cap, 4);
	assert_int_equal(buf_append(&b, "5", 1), -ENOBUFS);
	assert_int_equal(buf_append(&b, "5", SIZE_MAX - 2), -ENOBUFS);
	assert_memory_equal(buf_peek(&b), "1234", 4);
	buf_deinit(&b);
}

static void test_take(void **state)
{
	char out[8];
	struct buf b;

	(void)state;
	buf_init(&b, 8);
	assert_int_equal(buf_take(&b, out, sizeof(out)), 0);
	assert_int_equal(buf_append(&b, "abcdef", 6), 0);
	assert_int_equal(buf_take(&b, out, 4), 4);
	assert_memory_equal(out, "abcd", 4);
	assert_int_equal(buf_take(&b, out, 4), 2);
	assert_memory_equal(out, "ef", 2);
	assert_true(buf_is_empty(&b));
	assert_null(b.block);
}

/* Every split of appends and takes gives back the bytes in order, at any fill. */
static void test_order_is_kept(void **state)
{
	uint8_t next_in = 0, next_out = 0, piece[97];
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	for (unsigned int step = 1; step < 20000; step++) {
		size_t n_in = step * 31 % sizeof(piece), n_out = step * 17 % sizeof(piece);

		if (n_in <= b.max - buf_len(&b)) {
			for (size_t i = 0; i < n_in; i++)
				piece[i] = next_in++;
			assert_int_equal(buf_append(&b, piece, n_in), 0);
		}
		n_out = buf_take(&b, piece, n_out);
		for (size_t i = 0; i < n_out; i++)
			assert_int_equal(piece[i], next_out++);
		assert_true(!b.block || b.block->cap <= b.max);
	}
	buf_deinit(&b);
}

static void assert_wiped(const struct buf *b, size_t from, size_t n)
{
	for (size_t i = from; i < from + n; i++)
		assert_int_equal(b->block->bytes[i], 0);
}

static void test_secrets_leave_nothing(void **state)
{
	char out[8];
	struct buf b;

	(void)state;
	buf_init_secret(&b, 8);
	assert_int_equal(buf_append(&b, "abcdef", 6), 0);
	assert_int_equal(buf_take(&b, out, 4), 4);
	assert_memory_equal(out, "abcd", 4);
	assert_wiped(&b, 0, 4);
	/* Moved to the front to make room: where the rest was, nothing is. */
	assert_int_equal(buf_append(&b, "ghi", 3), 0);
	assert_memory_equal(buf_peek(&b), "efghi", 5);
	assert_wiped(&b, 5, 1);
	buf_consume(&b, 1);
	assert_wiped(&b, 0, 1);
	buf_deinit(&b);
	/* It stays one for secrets when it is used again. */
	assert_int_equal(buf_append(&b, "abcdef", 6), 0);
	buf_consume(&b, 2);
	assert_wiped(&b, 0, 2);
	buf_deinit(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty_holds_no_memory),
		cmocka_unit_test(test_maximum_is_tested_first),
		cmocka_unit_test(test_take),
		cmocka_unit_test(test_order_is_kept),
		cmocka_unit_test(test_secrets_leave_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
