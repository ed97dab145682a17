/* SPDX-License-Identifier: Apache-2.0 */

/* Capsules cut at every octet and in random pieces, each limit on both sides, and the paths. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "wire/capsule.h"
#include "wire/datagram_path.h"

#define LOG_MAX 64

struct sink {
	size_t n;
	size_t sizes[LOG_MAX]; /* of datagrams; SIZE_MAX: an ICMP error */
	uint8_t first[LOG_MAX];
	uint8_t last[LOG_MAX];
};

static void on_datagram(void *ctx, const uint8_t *data, size_t n)
{
	struct sink *s = ctx;

	assert_true(s->n < LOG_MAX);
	s->sizes[s->n] = n;
	if (n > 0) {
		s->first[s->n] = data[0];
		s->last[s->n] = data[n - 1];
	}
	s->n++;
}

static void on_icmp_error(void *ctx, uint8_t type, uint8_t code)
{
	struct sink *s = ctx;

	assert_true(s->n < LOG_MAX);
	s->sizes[s->n] = SIZE_MAX;
	s->first[s->n] = type;
	s->last[s->n] = code;
	s->n++;
}

static const struct capsule_events events = {
	.on_datagram = on_datagram,
	.on_icmp_error = on_icmp_error,
};

/* Feeds a heap copy per piece, so that ASan sees a read beyond one. */
static int feed_pieces(struct capsule_reader *r, const uint8_t *data, size_t n, size_t piece)
{
	int e = 0;

	for (size_t at = 0; at < n && e == 0; at += piece) {
		size_t part = n - at < piece ? n - at : piece;
		uint8_t *copy = malloc(part);

		assert_non_null(copy);
		memcpy(copy, data + at, part);
		e = capsule_reader_feed(r, copy, part);
		free(copy);
	}
	return e;
}

static size_t put_raw(uint8_t *out, uint64_t type, uint64_t length, const void *value, size_t n)
{
	size_t at = varint_put(out, type);

	at += varint_put(out + at, length);
	if (n > 0)
		memcpy(out + at, value, n);
	return at + n;
}

/* ---- integers: the examples of RFC 9000 A.1 ---- */

static void test_varint(void **state)
{
	static const struct {
		uint64_t v;
		uint8_t text[8];
		size_t n;
	} rows[] = {
		{151288809941952652, {0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c}, 8},
		{494878333, {0x9d, 0x7f, 0x3e, 0x7d}, 4},
		{15293, {0x7b, 0xbd}, 2},
		{37, {0x25}, 1},
		{63, {0x3f}, 1},
		{64, {0x40, 0x40}, 2},
		{16383, {0x7f, 0xff}, 2},
		{16384, {0x80, 0x00, 0x40, 0x00}, 4},
		{(1u << 30) - 1, {0xbf, 0xff, 0xff, 0xff}, 4},
		{1u << 30, {0xc0, 0, 0, 0, 0x40, 0, 0, 0}, 8},
	};
	static const uint8_t two_octets[] = {0x40, 0x25};
	uint8_t out[8];
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(varint_put(out, rows[i].v), rows[i].n);
		assert_memory_equal(out, rows[i].text, rows[i].n);
		for (size_t cut = 0; cut < rows[i].n; cut++)
			assert_int_equal(varint_get(out, cut, &v), 0);
		assert_int_equal(varint_get(out, rows[i].n, &v), rows[i].n);
		assert_true(v == rows[i].v);
	}
	assert_int_equal(varint_get(two_octets, 2, &v), 2);
	assert_int_equal(v, 37);
}

/* ---- reading ---- */

/* A datagram, an empty one, another context, an unknown capsule with and without a value, an ICMP
 * error with room for more, a context id in a longer form. */
static size_t make_stream(uint8_t *out)
{
	static const uint8_t other_context[] = {2, 'n', 'o'};
	static const uint8_t long_context[] = {0x40, 0x00, 'x', 'y'};
	static const uint8_t icmp[] = {3, 1, 0xff, 0xff};
	size_t n = capsule_put_datagram(out, 3);

	memcpy(out + n, "abc", 3);
	n += 3;
	n += capsule_put_datagram(out + n, 0);
	n += put_raw(out + n, CAPSULE_DATAGRAM, sizeof(other_context), other_context, 3);
	n += put_raw(out + n, 0x1234, 5, "skip!", 5);
	n += put_raw(out + n, 0x3fffffffffffffff, 0, NULL, 0);
	n += capsule_put_icmp_error(out + n, 3, 3);
	n += put_raw(out + n, CAPSULE_ICMP_ERROR, sizeof(icmp), icmp, sizeof(icmp));
	n += put_raw(out + n, CAPSULE_DATAGRAM, sizeof(long_context), long_context, 4);
	return n;
}

static void check_stream(const struct sink *s, const struct capsule_reader *r)
{
	assert_int_equal(s->n, 5);
	assert_int_equal(s->sizes[0], 3);
	assert_int_equal(s->first[0], 'a');
	assert_int_equal(s->last[0], 'c');
	assert_int_equal(s->sizes[1], 0);
	assert_true(s->sizes[2] == SIZE_MAX && s->first[2] == 3 && s->last[2] == 3);
	assert_true(s->sizes[3] == SIZE_MAX && s->first[3] == 3 && s->last[3] == 1);
	assert_int_equal(s->sizes[4], 2);
	assert_int_equal(s->last[4], 'y');
	assert_int_equal(r->n_skipped, 3);
	assert_true(capsule_reader_is_between(r));
	assert_int_equal(capsule_reader_buffered(r), 0);
}

static void test_cut_anywhere(void **state)
{
	uint8_t bytes[256];
	size_t n = make_stream(bytes);

	(void)state;
	for (size_t piece = 1; piece <= n; piece++) {
		struct sink sink = {.n = 0};
		struct capsule_reader r;

		capsule_reader_init(&r, &events, &sink);
		assert_int_equal(feed_pieces(&r, bytes, n, piece), CAPSULE_OK);
		check_stream(&sink, &r);
		capsule_reader_deinit(&r);
	}
	for (size_t cut = 0; cut <= n; cut++) {
		struct sink sink = {.n = 0};
		struct capsule_reader r;

		capsule_reader_init(&r, &events, &sink);
		assert_int_equal(capsule_reader_feed(&r, bytes, cut), CAPSULE_OK);
		assert_int_equal(capsule_reader_feed(&r, bytes + cut, n - cut), CAPSULE_OK);
		check_stream(&sink, &r);
		capsule_reader_deinit(&r);
	}
}

static void test_largest(void **state)
{
	static const size_t pieces[] = {1, 7, 16375, 65531, 70000};
	uint8_t *bytes = malloc(CAPSULE_PUT_MAX + DATAGRAM_MAX);
	size_t n;

	(void)state;
	assert_non_null(bytes);
	n = capsule_put_datagram(bytes, DATAGRAM_MAX);
	memset(bytes + n, 'z', DATAGRAM_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		struct sink sink = {.n = 0};
		struct capsule_reader r;

		capsule_reader_init(&r, &events, &sink);
		assert_int_equal(feed_pieces(&r, bytes, n + DATAGRAM_MAX, pieces[i]), CAPSULE_OK);
		assert_int_equal(sink.n, 1);
		assert_int_equal(sink.sizes[0], DATAGRAM_MAX);
		capsule_reader_deinit(&r);
	}
	free(bytes);
}

/* What is wrong is said before anything of the value was kept, and for ever. */
static void check_bad(const uint8_t *bytes, size_t n, int expected)
{
	for (size_t piece = 1; piece <= n; piece++) {
		struct sink sink = {.n = 0};
		struct capsule_reader r;

		capsule_reader_init(&r, &events, &sink);
		assert_int_equal(feed_pieces(&r, bytes, n, piece), expected);
		assert_int_equal(sink.n, 0);
		assert_int_equal(capsule_reader_buffered(&r), 0);
		assert_null(r.value.block);
		assert_false(capsule_reader_is_between(&r));
		assert_int_equal(capsule_reader_feed(&r, (const uint8_t *)"\0\2\0a", 4), expected);
		assert_int_equal(sink.n, 0);
		capsule_reader_deinit(&r);
	}
}

static void test_bad(void **state)
{
	uint8_t bytes[64];

	(void)state;
	check_bad(bytes, put_raw(bytes, CAPSULE_DATAGRAM, 0, NULL, 0), CAPSULE_E_MALFORMED);
	check_bad(bytes, put_raw(bytes, CAPSULE_DATAGRAM, 1, "\x40", 1), CAPSULE_E_MALFORMED);
	check_bad(bytes, put_raw(bytes, CAPSULE_DATAGRAM, 3, "\xc0zz", 3), CAPSULE_E_MALFORMED);
	check_bad(bytes, put_raw(bytes, CAPSULE_ICMP_ERROR, 0, NULL, 0), CAPSULE_E_MALFORMED);
	check_bad(bytes, put_raw(bytes, CAPSULE_ICMP_ERROR, 1, "\3", 1), CAPSULE_E_MALFORMED);
	check_bad(bytes, put_raw(bytes, CAPSULE_ICMP_ERROR, 65, NULL, 0), CAPSULE_E_TOO_LARGE);
	check_bad(bytes, put_raw(bytes, CAPSULE_DATAGRAM, DATAGRAM_MAX + 9, NULL, 0),
		  CAPSULE_E_TOO_LARGE);
	check_bad(bytes, put_raw(bytes, CAPSULE_DATAGRAM, 0x3fffffffffffffff, NULL, 0),
		  CAPSULE_E_TOO_LARGE);
}

/* One octet too many behind a context id of one octet: seen only when it is there. */
static void test_one_too_many(void **state)
{
	uint8_t *bytes = calloc(1, CAPSULE_PUT_MAX + DATAGRAM_MAX + 2);
	struct sink sink = {.n = 0};
	struct capsule_reader r;
	size_t n;

	(void)state;
	assert_non_null(bytes);
	n = put_raw(bytes, CAPSULE_DATAGRAM, DATAGRAM_MAX + 2, NULL, 0);
	capsule_reader_init(&r, &events, &sink);
	assert_int_equal(feed_pieces(&r, bytes, n + DATAGRAM_MAX + 2, 1000), CAPSULE_E_TOO_LARGE);
	assert_int_equal(sink.n, 0);
	capsule_reader_deinit(&r);
	free(bytes);
}

/* An unknown capsule of any length is skipped without memory. */
static void test_endless_unknown(void **state)
{
	static uint8_t zeros[65536];
	struct sink sink = {.n = 0};
	struct capsule_reader r;
	uint8_t head[CAPSULE_HEADER_MAX];

	(void)state;
	capsule_reader_init(&r, &events, &sink);
	assert_int_equal(capsule_reader_feed(&r, head, put_raw(head, 77, 1ull << 40, NULL, 0)), 0);
	for (size_t i = 0; i < 100; i++)
		assert_int_equal(capsule_reader_feed(&r, zeros, sizeof(zeros)), CAPSULE_OK);
	assert_null(r.value.block);
	assert_int_equal(sink.n, 0);
	capsule_reader_deinit(&r);
}

/* Memory follows what has arrived, not what was announced. */
static void test_memory_follows_bytes(void **state)
{
	struct sink sink = {.n = 0};
	struct capsule_reader r;
	uint8_t bytes[CAPSULE_PUT_MAX + 1];
	size_t n = capsule_put_datagram(bytes, DATAGRAM_MAX);

	(void)state;
	capsule_reader_init(&r, &events, &sink);
	assert_int_equal(capsule_reader_feed(&r, bytes, n - 1), CAPSULE_OK);
	assert_null(r.value.block);
	assert_int_equal(capsule_reader_feed(&r, bytes + n - 1, 1), CAPSULE_OK);
	assert_int_equal(capsule_reader_buffered(&r), 1);
	assert_true(r.value.block->cap <= 1024);
	capsule_reader_deinit(&r);
}

/* ---- paths ---- */

static void test_paths(void **state)
{
	static const struct {
		enum datagram_kind kind;
		const char *target;
		const char *path;
	} rows[] = {
		{DATAGRAM_UDP, "10.0.0.1:53", "/.well-known/masque/udp/10.0.0.1/53/"},
		{DATAGRAM_UDP, "[fd00::53]:65535", "/.well-known/masque/udp/fd00%3A%3A53/65535/"},
		{DATAGRAM_UDP, "[2001:db8:1:2:3:4:5:6]:1",
		 "/.well-known/masque/udp/2001%3Adb8%3A1%3A2%3A3%3A4%3A5%3A6/1/"},
	};
	struct endpoint echo = {.port = 0};
	char out[DATAGRAM_PATH_MAX];
	struct endpoint ep, again;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(endpoint_parse(rows[i].target, &ep), 0);
		assert_string_equal(datagram_path_format(rows[i].kind, &ep, out), rows[i].path);
		assert_int_equal(datagram_path_parse(rows[i].kind, out, &again), 0);
		assert_true(endpoint_equal(&ep, &again));
	}
	assert_int_equal(ip_parse("fd00::1", &echo.ip), 0);
	assert_string_equal(datagram_path_format(DATAGRAM_ECHO, &echo, out),
			    "/.well-known/adit/echo/fd00%3A%3A1/");
	assert_int_equal(datagram_path_parse(DATAGRAM_ECHO, out, &again), 0);
	assert_true(endpoint_equal(&echo, &again));
	/* An IPv4 target in IPv6 clothes is the IPv4 target. */
	assert_int_equal(datagram_path_parse(DATAGRAM_UDP,
					     "/.well-known/masque/udp/%3a%3affff%3a10.0.0.1/53/",
					     &again),
			 0);
	assert_int_equal(again.ip.family, AF_INET);
}

static void test_bad_paths(void **state)
{
	static const char *const paths[] = {
		"",
		"/",
		"/.well-known/masque/udp/",
		"/.well-known/masque/udp//53/",
		"/.well-known/masque/udp/10.0.0.1/",
		"/.well-known/masque/udp/10.0.0.1/53",
		"/.well-known/masque/udp/10.0.0.1/53/x",
		"/.well-known/masque/udp/10.0.0.1/53/?a=b",
		"/.well-known/masque/udp/10.0.0.1/0/",
		"/.well-known/masque/udp/10.0.0.1/65536/",
		"/.well-known/masque/udp/10.0.0.1/053/",
		"/.well-known/masque/udp/10.0.0.1/+53/",
		"/.well-known/masque/udp/10.0.0.1/%35%33/",
		"/.well-known/masque/udp/010.0.0.1/53/",
		"/.well-known/masque/udp/fd00::1/53/",
		"/.well-known/masque/udp/[fd00%3A%3A1]/53/",
		"/.well-known/masque/udp/fe80%3A%3A1%25eth0/53/",
		"/.well-known/masque/udp/fd00%3A%3A1%/53/",
		"/.well-known/masque/udp/fd00%3A%3A1%3/53/",
		"/.well-known/masque/udp/%31%30.0.0.1/53/",
		"/.well-known/masque/udp/localhost/53/",
		"/.well-known/masque/UDP/10.0.0.1/53/",
		"/.well-known/masque/udp/"
		"00000000000000000000000000000000000000000000000000000000000000000000000000000000"
		"000000000000000000000000000000000000000000000000/53/",
		"/.well-known/adit/echo/10.0.0.1/",
	};
	static const char *const echo_paths[] = {
		"/.well-known/adit/echo/10.0.0.1",
		"/.well-known/adit/echo/10.0.0.1/7/",
		"/.well-known/adit/echo//",
		"/.well-known/masque/udp/10.0.0.1/53/",
	};
	struct endpoint ep;

	(void)state;
	assert_true(datagram_path_parse(DATAGRAM_UDP, NULL, &ep) < 0);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		assert_true(datagram_path_parse(DATAGRAM_UDP, paths[i], &ep) < 0);
	for (size_t i = 0; i < ARRAY_SIZE(echo_paths); i++)
		assert_true(datagram_path_parse(DATAGRAM_ECHO, echo_paths[i], &ep) < 0);
}

static void test_protocols(void **state)
{
	enum datagram_kind kind;

	(void)state;
	for (size_t i = 0; i < DATAGRAM_KIND_N; i++) {
		assert_int_equal(
			datagram_kind_parse(datagram_protocol((enum datagram_kind)i), &kind), 0);
		assert_int_equal(kind, i);
	}
	assert_true(datagram_kind_parse("websocket", &kind) < 0);
	assert_true(datagram_kind_parse("", &kind) < 0);
	assert_true(datagram_kind_parse(NULL, &kind) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_varint),
		cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_one_too_many),
		cmocka_unit_test(test_endless_unknown),
		cmocka_unit_test(test_memory_follows_bytes),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_bad_paths),
		cmocka_unit_test(test_protocols),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
