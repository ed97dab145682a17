/* SPDX-License-Identifier: Apache-2.0 */
/* Digests and base64 against the vectors of FIPS 180-4 and RFC 4648. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/compiler.h"
#include "wire/tls_crypto.h"

static void sha256_matches_known_vectors(void **state)
{
	char hex[SHA256_HEX_MAX];

	(void)state;
	sha256_hex("abc", 3, hex);
	assert_string_equal(hex,
			    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	sha256_hex(NULL, 0, hex);
	assert_string_equal(hex,
			    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void base64_round_trip(void **state)
{
	static const char *const vectors[][2] = {
		{"", ""},
		{"f", "Zg=="},
		{"fo", "Zm8="},
		{"foo", "Zm9v"},
		{"foob", "Zm9vYg=="},
		{"fooba", "Zm9vYmE="},
		{"foobar", "Zm9vYmFy"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		size_t n = strlen(vectors[i][0]);
		char text[16];
		uint8_t bytes[16];

		base64_encode(vectors[i][0], n, text);
		assert_string_equal(text, vectors[i][1]);
		assert_int_equal(base64_encoded_size(n), strlen(text) + 1);
		assert_int_equal(base64_decode(text, bytes, sizeof(bytes)), n);
		assert_memory_equal(bytes, vectors[i][0], n);
	}
}

static void base64_is_strict(void **state)
{
	static const char *const bad[] = {
		"Z",	    "Zg",   "Zg=",	"Zh==",	    "Zm9=",
		"====",	    "Z===", "Zg==\n",	" Zg=",	    "Zm-_",
		"Zg==Zg==", "=Zg=", "Zm9vY===", "Zm9v!!!!", "Zm9vZm9vZm9v",
	};
	uint8_t bytes[8];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(base64_decode(bad[i], bytes, sizeof(bytes)), -EINVAL);
}

static void equality_and_random(void **state)
{
	uint8_t a[32] = {0};
	uint8_t b[32] = {0};

	(void)state;
	assert_true(bytes_equal_ct(a, b, sizeof(a)));
	assert_true(bytes_equal_ct(NULL, NULL, 0));
	b[31] = 1;
	assert_false(bytes_equal_ct(a, b, sizeof(a)));
	random_bytes(a, sizeof(a));
	random_bytes(b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sha256_matches_known_vectors),
		cmocka_unit_test(base64_round_trip),
		cmocka_unit_test(base64_is_strict),
		cmocka_unit_test(equality_and_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
