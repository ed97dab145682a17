/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* tls_crypto - digests, random bytes and base64 from libcrypto */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHA256_BYTES   32
#define SHA256_HEX_MAX 65

void sha256(const void *data, size_t n, uint8_t out[SHA256_BYTES]);
/* Lower-case hex with NUL. */
void sha256_hex(const void *data, size_t n, char out[SHA256_HEX_MAX]);
/* Compares in constant time. */
bool bytes_equal_ct(const void *a, const void *b, size_t n);
/* From libcrypto's generator; aborts when it has none to give. */
void random_bytes(void *out, size_t n);
uint32_t random_u32(void);

/* Standard alphabet with padding. @out needs base64_encoded_size(@n) bytes, NUL included. */
size_t base64_encoded_size(size_t n);
void base64_encode(const void *data, size_t n, char *out);
/*
 * Strict: standard alphabet, correct padding, no white space. @out needs
 * strlen(@text) / 4 * 3 bytes. Returns the decoded size or -EINVAL.
 */
long base64_decode(const char *text, uint8_t *out, size_t cap);
