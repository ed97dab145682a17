/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Capsules: the first octet seeds how the rest is cut. Whole and in pieces the same capsules come
 * out, and what is kept stays within its bound. The same octets as text are a path.
 */

#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "tests/fuzz/require.h"
#include "wire/capsule.h"
#include "wire/datagram_path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct digest {
	uint64_t n_capsules;
	uint64_t sum;
};

static void mix(struct digest *d, const uint8_t *data, size_t n)
{
	d->n_capsules++;
	d->sum = d->sum * 31 + n;
	for (size_t i = 0; i < n; i++)
		d->sum = d->sum * 31 + data[i];
}

static void on_datagram(void *ctx, const uint8_t *data, size_t n)
{
	require(n <= DATAGRAM_MAX);
	mix(ctx, data, n);
}

static void on_icmp_error(void *ctx, uint8_t type, uint8_t code)
{
	const uint8_t both[] = {type, code};

	mix(ctx, both, sizeof(both));
}

static const struct capsule_events events = {
	.on_datagram = on_datagram,
	.on_icmp_error = on_icmp_error,
};

static int read_in_pieces(struct digest *d, const uint8_t *data, size_t n, unsigned int seed)
{
	struct capsule_reader r;
	int e = 0;

	capsule_reader_init(&r, &events, d);
	while (n > 0) {
		size_t piece = seed ? 1 + (size_t)rand_r(&seed) % n : n;
		uint8_t *copy = malloc(piece);

		require(copy != NULL);
		memcpy(copy, data, piece);
		e = capsule_reader_feed(&r, copy, piece);
		free(copy);
		require(capsule_reader_buffered(&r) <= DATAGRAM_MAX + 8);
		data += piece;
		n -= piece;
	}
	capsule_reader_deinit(&r);
	return e;
}

static void try_path(enum datagram_kind kind, const uint8_t *data, size_t n)
{
	char text[256], printed[DATAGRAM_PATH_MAX];
	struct endpoint ep, again;

	if (n >= sizeof(text))
		n = sizeof(text) - 1;
	memcpy(text, data, n);
	text[n] = '\0';
	if (datagram_path_parse(kind, text, &ep) < 0)
		return;
	datagram_path_format(kind, &ep, printed);
	require(datagram_path_parse(kind, printed, &again) == 0 && endpoint_equal(&ep, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct digest whole = {.sum = 0}, pieces = {.sum = 0};

	if (n < 1)
		return 0;
	require(read_in_pieces(&whole, data + 1, n - 1, 0) ==
		read_in_pieces(&pieces, data + 1, n - 1, 1u + data[0]));
	require(whole.n_capsules == pieces.n_capsules && whole.sum == pieces.sum);
	try_path(DATAGRAM_UDP, data, n);
	try_path(DATAGRAM_ECHO, data, n);
	return 0;
}
