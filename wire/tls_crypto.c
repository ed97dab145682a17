/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/tls_crypto.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

/* A digest or a random byte that is missing can't be worked around: nothing secret may go on. */
static void require(int ok, const char *what)
{
	if (ok == 1)
		return;
	fprintf(stderr, "libcrypto: %s failed\n", what);
	abort();
}

void sha256(const void *data, size_t n, uint8_t out[SHA256_BYTES])
{
	/* EVP_Digest() wants a valid pointer for no bytes, too. */
	require(EVP_Digest(n ? data : "", n, out, NULL, EVP_sha256(), NULL), "SHA-256");
}

void sha256_hex(const void *data, size_t n, char out[SHA256_HEX_MAX])
{
	static const char digits[] = "0123456789abcdef";
	uint8_t digest[SHA256_BYTES];

	sha256(data, n, digest);
	for (size_t i = 0; i < SHA256_BYTES; i++) {
		out[2 * i] = digits[digest[i] >> 4];
		out[2 * i + 1] = digits[digest[i] & 15];
	}
	out[2 * SHA256_BYTES] = '\0';
}

bool bytes_equal_ct(const void *a, const void *b, size_t n)
{
	return n == 0 || CRYPTO_memcmp(a, b, n) == 0;
}

void random_bytes(void *out, size_t n)
{
	uint8_t *pos = out;

	while (n > 0) {
		size_t part = n < INT_MAX ? n : INT_MAX;

		require(RAND_bytes(pos, (int)part), "random generator");
		pos += part;
		n -= part;
	}
}

uint32_t random_u32(void)
{
	uint32_t v;

	random_bytes(&v, sizeof(v));
	return v;
}

size_t base64_encoded_size(size_t n)
{
	return (n + 2) / 3 * 4 + 1;
}

void base64_encode(const void *data, size_t n, char *out)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *in = data;

	for (size_t i = 0; i < n; i += 3) {
		size_t left = n - i;
		uint32_t v = (uint32_t)in[i] << 16;

		if (left > 1)
			v |= (uint32_t)in[i + 1] << 8;
		if (left > 2)
			v |= in[i + 2];
		*out++ = alphabet[v >> 18];
		*out++ = alphabet[v >> 12 & 63];
		*out++ = left > 1 ? alphabet[v >> 6 & 63] : '=';
		*out++ = left > 2 ? alphabet[v & 63] : '=';
	}
	*out = '\0';
}

/* The six bits of one character, or -1. */
static int sextet(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

/* Decodes one group of four characters with @n_pad '=' at its end. 0 or -EINVAL. */
static int decode_group(const char *text, unsigned int n_pad, uint8_t *out)
{
	uint32_t v = 0;

	for (unsigned int i = 0; i < 4; i++) {
		int bits = i < 4 - n_pad ? sextet(text[i]) : 0;

		if (bits < 0)
			return -EINVAL;
		v = v << 6 | (uint32_t)bits;
	}
	/* Bits that no byte uses must be zero, so that each value has one spelling. */
	if (v & ((1u << (8 * n_pad)) - 1))
		return -EINVAL;
	for (unsigned int i = 0; i < 3 - n_pad; i++)
		out[i] = (uint8_t)(v >> (16 - 8 * i));
	return 0;
}

long base64_decode(const char *text, uint8_t *out, size_t cap)
{
	size_t n_text = strlen(text);
	unsigned int n_pad = 0;
	size_t n_out;

	if (n_text % 4 != 0 || n_text > LONG_MAX)
		return -EINVAL;
	if (n_text > 0 && text[n_text - 1] == '=')
		n_pad = text[n_text - 2] == '=' ? 2 : 1;
	n_out = n_text / 4 * 3 - n_pad;
	if (n_out > cap)
		return -EINVAL;
	for (size_t i = 0; i < n_text; i += 4) {
		int r = decode_group(text + i, i + 4 == n_text ? n_pad : 0, out + i / 4 * 3);

		if (r < 0)
			return r;
	}
	return (long)n_out;
}
