/* SPDX-License-Identifier: Apache-2.0 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "wire/capnp.h"
#include "wire/capnp_build.h"

#define WORDS_MAX 4096

/* A message written by hand, word by word. */
struct raw {
	uint8_t bytes[8 + WORDS_MAX * 8];
	size_t n;
};

static struct raw raw_of(const uint64_t *words, uint32_t n)
{
	struct raw m = {.n = 8 + (size_t)n * 8};

	store_le(m.bytes + 4, n, 4);
	for (uint32_t i = 0; i < n; i++)
		store_le(m.bytes + 8 + (size_t)i * 8, words[i], 8);
	return m;
}

#define RAW(...)                                                                                   \
	raw_of((const uint64_t[]){__VA_ARGS__},                                                    \
	       (uint32_t)(sizeof((const uint64_t[]){__VA_ARGS__}) / 8))

static uint64_t ptr_struct(int32_t offset, uint64_t n_data, uint64_t n_ptrs)
{
	return (uint32_t)offset << 2 | n_data << 32 | n_ptrs << 48;
}

static uint64_t ptr_list(int32_t offset, uint64_t size, uint64_t count)
{
	return ((uint32_t)offset << 2 | 1) | size << 32 | count << 35;
}

static uint64_t ptr_far(uint32_t at, uint64_t segment, bool is_double)
{
	return (at << 3 | (is_double ? 4u : 0u) | 2) | segment << 32;
}

static struct capnp_struct open_root(struct capnp_message *m, const struct raw *raw)
{
	assert_int_equal(capnp_message_open(m, raw->bytes, raw->n), 0);
	return capnp_message_root(m);
}

static void test_build_and_read(void **state)
{
	const char *const texts[] = {"one", "", "three"};
	struct capnp_builder b;
	struct capnp_message m;
	struct capnp_struct root, inner;
	struct capnp_list list;
	const uint8_t *bytes;
	size_t n;
	uint32_t cap;

	(void)state;
	capnp_builder_init(&b, 4096);
	struct capnp_out out = capnp_new_root(&b, 2, 5);
	capnp_put_uint(out, 0, 4, 0x12345678);
	capnp_put_bool(out, 65, true);
	capnp_put_text(out, 0, "hello");
	capnp_put_data(out, 1, "\0\1\2", 3);
	capnp_put_text_list(out, 2, texts, 3);
	struct capnp_out_list items = capnp_new_list(out, 3, 2, 1, 1);
	for (uint32_t i = 0; i < 2; i++) {
		capnp_put_uint(capnp_out_list_at(items, i), 0, 8, 100 + i);
		capnp_put_text(capnp_out_list_at(items, i), 0, i ? "b" : "a");
	}
	capnp_put_cap(out, 4, 7);
	assert_int_equal(capnp_builder_finish(&b, &bytes, &n), 0);

	assert_int_equal(capnp_message_open(&m, bytes, n), 0);
	root = capnp_message_root(&m);
	assert_int_equal(capnp_get_uint(&root, 0, 4), 0x12345678);
	assert_true(capnp_get_bool(&root, 65));
	assert_false(capnp_get_bool(&root, 64));
	assert_int_equal(capnp_get_uint(&root, 16, 8), 0); /* beyond: the default */
	assert_string_equal(capnp_get_text(&root, 0), "hello");
	assert_memory_equal(capnp_get_data(&root, 1, &n), "\0\1\2", 3);
	assert_int_equal(n, 3);
	list = capnp_get_list(&root, 2);
	assert_int_equal(list.n, 3);
	for (uint32_t i = 0; i < 3; i++) {
		inner = capnp_list_get(&list, i);
		assert_string_equal(capnp_get_text(&inner, 0), texts[i]);
	}
	list = capnp_get_list(&root, 3);
	inner = capnp_list_get(&list, 1);
	assert_int_equal(capnp_get_uint(&inner, 0, 8), 101);
	assert_string_equal(capnp_get_text(&inner, 0), "b");
	inner = capnp_list_get(&list, 2);
	assert_true(capnp_struct_is_null(&inner));
	assert_true(capnp_get_cap(&root, 4, &cap));
	assert_int_equal(cap, 7);
	assert_string_equal(capnp_get_text(&root, 5), ""); /* no such pointer */
	assert_true(capnp_message_is_ok(&m));
	capnp_builder_deinit(&b);
}

static void test_builder_limit(void **state)
{
	struct capnp_builder b;
	const uint8_t *bytes;
	char *big = calloc(1, 1001);
	size_t n;

	(void)state;
	memset(big, 'x', 1000);
	capnp_builder_init(&b, 512);
	struct capnp_out out = capnp_new_root(&b, 1, 2);
	capnp_put_text(out, 0, big);
	capnp_put_text(out, 1, "small");
	capnp_put_uint(out, 0, 8, 1);
	capnp_put_uint(capnp_out_list_at(capnp_new_list(out, 1, 1000, 4, 4), 999), 0, 8, 1);
	assert_int_equal(capnp_builder_finish(&b, &bytes, &n), -EMSGSIZE);
	capnp_builder_deinit(&b);
	free(big);
}

/* Null in, null out: nothing is malformed about what is absent. */
static void test_nulls(void **state)
{
	struct capnp_struct null = {0};
	struct capnp_list list = capnp_get_list(&null, 3);
	struct capnp_struct inner = capnp_list_get(&list, 0);
	uint32_t cap;
	size_t n;

	(void)state;
	inner = capnp_get_struct(&inner, 0);
	assert_true(capnp_struct_is_null(&inner));
	assert_int_equal(capnp_get_uint(&inner, 0, 8), 0);
	assert_string_equal(capnp_get_text(&inner, 0), "");
	assert_null(capnp_get_data(&inner, 0, &n));
	assert_false(capnp_get_cap(&inner, 0, &cap));
}

static void test_empty_struct_is_not_null(void **state)
{
	struct raw raw = RAW(ptr_struct(0, 0, 1), 0x00000000fffffffcull);
	struct capnp_message m;
	struct capnp_struct root = open_root(&m, &raw);
	struct capnp_struct empty = capnp_get_struct(&root, 0);

	(void)state;
	assert_false(capnp_struct_is_null(&empty));
	assert_true(capnp_message_is_ok(&m));
}

static void test_frames(void **state)
{
	static const struct {
		uint8_t bytes[24];
		size_t n;
		int expected;
	} rows[] = {
		{{0}, 0, CAPNP_E_MALFORMED},
		{{0}, 4, CAPNP_E_MALFORMED},
		{{0}, 8, CAPNP_OK},
		{{[4] = 1}, 8, CAPNP_E_MALFORMED},
		{{[4] = 1}, 15, CAPNP_E_MALFORMED},
		{{[4] = 1}, 16, CAPNP_OK},
		{{[4] = 1}, 24, CAPNP_E_MALFORMED},
		{{[0] = 1, [4] = 1, [8] = 0}, 24, CAPNP_OK},
		{{[0] = 63}, 24, CAPNP_E_MALFORMED},
		{{[0] = 64}, 24, CAPNP_E_LIMIT},
		{{0xff, 0xff, 0xff, 0xff}, 24, CAPNP_E_LIMIT},
		{{[4] = 0xff, 0xff, 0xff, 0xff}, 24, CAPNP_E_MALFORMED},
	};
	struct capnp_message m;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(capnp_message_open(&m, rows[i].bytes, rows[i].n),
				 rows[i].expected);
}

/* Each root has one pointer that must be refused when it is read as @kind. */
static void test_malformed(void **state)
{
	const struct raw rows[] = {
		RAW(ptr_struct(0, 0, 1), ptr_struct(1, 1, 0)),	/* behind the end */
		RAW(ptr_struct(0, 0, 1), ptr_struct(-3, 1, 0)), /* before the start */
		RAW(ptr_struct(0, 0, 1), ptr_struct(0, 0xffff, 0xffff)),
		RAW(ptr_struct(0, 0, 1), ptr_list(0, 2, 9), 0), /* 9 bytes in 8 */
		RAW(ptr_struct(0, 0, 1), ptr_list(0, 2, 0x1fffffff), 0),
		RAW(ptr_struct(0, 0, 1), ptr_list(0, 0, 0x1fffffff)), /* voids cost nothing */
		RAW(ptr_struct(0, 0, 1), ptr_list(0, 7, 1), ptr_struct(2, 1, 0), 0),
		RAW(ptr_struct(0, 0, 1), ptr_list(0, 7, 0), ptr_struct(0x1fffffff, 0, 0)),
		RAW(ptr_struct(0, 0, 1), ptr_list(0, 7, 0), ptr_list(0, 2, 0)), /* bad tag */
		RAW(ptr_struct(0, 0, 1), ptr_list(0, 7, 5)),
		RAW(ptr_struct(0, 0, 1), ptr_list(0, 1, 8), 0), /* bits */
		RAW(ptr_struct(0, 0, 1), ptr_far(9, 0, false)), /* pad outside */
		RAW(ptr_struct(0, 0, 1), ptr_far(0, 9, false)), /* segment outside */
		RAW(ptr_struct(0, 0, 1), ptr_far(1, 0, false)), /* itself */
		RAW(ptr_struct(0, 0, 1), ptr_far(2, 0, false), ptr_far(1, 0, false)),
		RAW(ptr_struct(0, 0, 1), ptr_far(1, 0, true), ptr_far(1, 0, true)),
		RAW(ptr_struct(0, 0, 1), ptr_far(2, 0, true), ptr_far(9, 9, false),
		    ptr_struct(0, 1, 0)),
		RAW(ptr_struct(0, 0, 1), ptr_far(2, 0, true), ptr_far(0, 0, true),
		    ptr_struct(0, 1, 0)),
		RAW(ptr_struct(0, 0, 1), ptr_far(2, 0, true), ptr_far(0, 0, false),
		    ptr_far(0, 0, false)),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct capnp_message m;
		struct capnp_struct root = open_root(&m, &rows[i]);
		bool is_struct = i < 3;

		assert_true(capnp_message_is_ok(&m));
		if (is_struct)
			(void)capnp_get_struct(&root, 0);
		else
			(void)capnp_get_list(&root, 0);
		if (capnp_message_is_ok(&m))
			fail_msg("row %zu was accepted", i);
	}
}

static void test_bad_text(void **state)
{
	const struct raw rows[] = {
		RAW(ptr_struct(0, 0, 1), ptr_list(0, 2, 3), 0x636261),	 /* no NUL in the count */
		RAW(ptr_struct(0, 0, 1), ptr_list(0, 2, 4), 0x00610061), /* a NUL inside */
		RAW(ptr_struct(0, 0, 1), ptr_list(0, 2, 0)),		 /* not even the NUL */
		RAW(ptr_struct(0, 0, 1), ptr_list(0, 3, 2), 0x61),	 /* 16-bit elements */
		RAW(ptr_struct(0, 0, 1), ptr_struct(0, 1, 0), 0x61),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct capnp_message m;
		struct capnp_struct root = open_root(&m, &rows[i]);

		assert_string_equal(capnp_get_text(&root, 0), "");
		assert_false(capnp_message_is_ok(&m));
	}
}

/* A struct whose pointer points at the struct itself: depth ends it. */
static void test_depth(void **state)
{
	struct raw raw = RAW(ptr_struct(0, 0, 1), ptr_struct(-1, 0, 1));
	struct capnp_message m;
	struct capnp_struct s = open_root(&m, &raw);
	unsigned int depth = 0;

	(void)state;
	m.budget_words = UINT32_MAX;
	for (; !capnp_struct_is_null(&s); depth++)
		s = capnp_get_struct(&s, 0);
	assert_int_equal(depth, CAPNP_DEPTH_MAX);
	assert_false(capnp_message_is_ok(&m));
}

/* Many pointers to one large list: reading them all costs more than the budget. */
static void test_amplification(void **state)
{
	uint64_t words[1 + 400 + 401] = {ptr_struct(0, 0, 400)};
	struct capnp_message m;
	struct capnp_struct root;
	struct raw raw;
	unsigned int n_read = 0;

	(void)state;
	for (int32_t i = 0; i < 400; i++)
		words[1 + i] = ptr_list(399 - i, 5, 400);
	raw = raw_of(words, 801);
	root = open_root(&m, &raw);
	while (n_read < 400 && capnp_message_is_ok(&m))
		(void)capnp_get_list(&root, n_read++);
	assert_in_range(n_read, 2, 32);
	assert_false(capnp_message_is_ok(&m));
}

static void test_far_pointers(void **state)
{
	/* Segment 0: root, far to 1; segment 1: pad, struct, text; segment 2: double pad. */
	static const uint64_t table[] = {2 | 3ull << 32, 4 | 2ull << 32};
	uint64_t words[2 + 9];
	struct capnp_message m;
	struct capnp_struct root, inner;

	(void)state;
	memcpy(words, table, sizeof(table));
	words[2] = ptr_struct(0, 0, 2);
	words[3] = ptr_far(0, 1, false);
	words[4] = ptr_far(0, 2, true);
	words[5] = ptr_struct(0, 1, 0); /* landing pad */
	words[6] = 4711;
	words[7] = 0;
	words[8] = 0x6261; /* "ab" */
	words[9] = ptr_far(3, 1, false);
	words[10] = ptr_list(0, 2, 3);
	assert_int_equal(capnp_message_open(&m, (const uint8_t *)words, sizeof(words)), 0);
	root = capnp_message_root(&m);
	inner = capnp_get_struct(&root, 0);
	assert_int_equal(capnp_get_uint(&inner, 0, 8), 4711);
	assert_string_equal(capnp_get_text(&root, 1), "ab");
	assert_true(capnp_message_is_ok(&m));
}

/* Lists may be read as lists of structs: a field was added to their elements. */
static void test_list_upgrade(void **state)
{
	struct raw raw = RAW(ptr_struct(0, 0, 2), ptr_list(1, 3, 3), ptr_list(1, 7, 2),
			     0x000300020001, ptr_struct(1, 1, 1), 5, 0);
	struct capnp_message m;
	struct capnp_struct root = open_root(&m, &raw), e;
	struct capnp_list l = capnp_get_list(&root, 0);

	(void)state;
	assert_int_equal(l.n, 3);
	e = capnp_list_get(&l, 2);
	assert_int_equal(capnp_get_uint(&e, 0, 2), 3);
	assert_int_equal(capnp_get_uint(&e, 0, 4), 0);
	l = capnp_get_list(&root, 1);
	e = capnp_list_get(&l, 0);
	assert_int_equal(capnp_get_uint(&e, 0, 8), 5);
	assert_string_equal(capnp_get_text(&e, 0), "");
	assert_true(capnp_message_is_ok(&m));
}

static void test_splitter(void **state)
{
	struct raw first = RAW(ptr_struct(0, 1, 0), 1), second = RAW(ptr_struct(0, 2, 0), 2, 3);
	struct capnp_splitter sp;
	uint8_t stream[64];
	size_t n_stream = first.n + second.n;

	(void)state;
	memcpy(stream, first.bytes, first.n);
	memcpy(stream + first.n, second.bytes, second.n);
	for (size_t step = 1; step <= n_stream; step++) {
		const uint8_t *msg = NULL;
		size_t n_msg = 0, n_found = 0;

		capnp_splitter_init(&sp, 1024);
		for (size_t at = 0; at < n_stream; at += step) {
			const uint8_t *data = stream + at;
			size_t n = n_stream - at < step ? n_stream - at : step;
			int r;

			while ((r = capnp_splitter_next(&sp, &data, &n, &msg, &n_msg)) ==
			       CAPNP_COMPLETE) {
				const struct raw *expected = n_found++ ? &second : &first;

				assert_int_equal(n_msg, expected->n);
				assert_memory_equal(msg, expected->bytes, n_msg);
			}
			assert_int_equal(r, 0);
		}
		assert_int_equal(n_found, 2);
		capnp_splitter_deinit(&sp);
	}
}

static void test_splitter_limits(void **state)
{
	static const struct {
		uint8_t bytes[8];
		bool is_refused;
	} rows[] = {
		{{[4] = 127}, false}, /* 1024 bytes with its frame */
		{{[4] = 128}, true},
		{{[4] = 0xff, 0xff, 0xff, 0xff}, true},
		{{[0] = 64}, true},
		{{0xff, 0xff, 0xff, 0xff}, true},
		{{0xff, 0xff, 0xff, 0x7f}, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct capnp_splitter sp;
		const uint8_t *data = rows[i].bytes, *msg;
		size_t n = sizeof(rows[i].bytes), n_msg;

		capnp_splitter_init(&sp, 1024);
		assert_int_equal(capnp_splitter_next(&sp, &data, &n, &msg, &n_msg),
				 rows[i].is_refused ? CAPNP_E_LIMIT : 0);
		/* A promise allocates nothing. */
		assert_true(sp.cap <= 512);
		capnp_splitter_deinit(&sp);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_build_and_read),
		cmocka_unit_test(test_builder_limit),
		cmocka_unit_test(test_nulls),
		cmocka_unit_test(test_empty_struct_is_not_null),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_bad_text),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_amplification),
		cmocka_unit_test(test_far_pointers),
		cmocka_unit_test(test_list_upgrade),
		cmocka_unit_test(test_splitter),
		cmocka_unit_test(test_splitter_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
