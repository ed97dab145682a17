/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fault/fault.h"

#include <stdatomic.h>
#include <stddef.h>

#include "base/err.h"
#include "tests/fault/fault_private.h"
#include "wire/tls_crypto.h"

const bool fault_never;
const bool *fault_others = &fault_never;

static _Thread_local const bool *thread_counts;
static _Thread_local unsigned int infallible; /* depth */
static enum fault_kind armed_kind;
static _Atomic uint64_t n_left; /* calls up to and with the one that fails; 0: none */
static const char *_Atomic struck = "";

void fault_set_thread(const bool *countsp)
{
	thread_counts = countsp;
}

void fault_arm(enum fault_kind kind, uint64_t n)
{
	armed_kind = kind;
	n_left = n;
}

bool fault_disarm(void)
{
	return atomic_exchange(&n_left, 0) == 0;
}

const char *fault_name(void)
{
	return struck;
}

const char *fault_kind_name(enum fault_kind kind)
{
	static const char *const names[FAULT_KIND_N] = {
		[FAULT_MEMORY] = "memory", [FAULT_UV] = "libuv",	[FAULT_SOCKET] = "sockets",
		[FAULT_FILE] = "files",	   [FAULT_NGHTTP2] = "nghttp2", [FAULT_OPENSSL] = "openssl",
	};

	return names[kind];
}

bool fault_strikes(enum fault_kind kind, const char *name)
{
	uint64_t n = n_left;

	if (n == 0 || kind != armed_kind || infallible ||
	    !*(thread_counts ? thread_counts : fault_others))
		return false;
	while (n > 0 && !atomic_compare_exchange_weak(&n_left, &n, n - 1))
		;
	if (n != 1)
		return false;
	struck = name;
	return true;
}

/* ---- what aborts by design ---- */

void *__real_xzalloc(size_t size);
void *__wrap_xzalloc(size_t size);
void *__wrap_xzalloc(size_t size)
{
	void *p;

	infallible++;
	p = __real_xzalloc(size);
	infallible--;
	return p;
}

/* Without a digest nothing secret may go on (wire/tls_crypto.c). */
void __real_sha256(const void *data, size_t n, uint8_t out[SHA256_BYTES]);
void __wrap_sha256(const void *data, size_t n, uint8_t out[SHA256_BYTES]);
void __wrap_sha256(const void *data, size_t n, uint8_t out[SHA256_BYTES])
{
	infallible++;
	__real_sha256(data, n, out);
	infallible--;
}

void __real_random_bytes(void *out, size_t n);
void __wrap_random_bytes(void *out, size_t n);
void __wrap_random_bytes(void *out, size_t n)
{
	infallible++;
	__real_random_bytes(out, n);
	infallible--;
}

struct schema;

/* Of few and fixed values; what it allocates is as small as xnew()'s. */
void __real_schema_set_fallbacks(const struct schema *s, void *base);
void __wrap_schema_set_fallbacks(const struct schema *s, void *base);
void __wrap_schema_set_fallbacks(const struct schema *s, void *base)
{
	infallible++;
	__real_schema_set_fallbacks(s, base);
	infallible--;
}

char *__real_xstrdup(const char *s);
char *__wrap_xstrdup(const char *s);
char *__wrap_xstrdup(const char *s)
{
	char *copy;

	infallible++;
	copy = __real_xstrdup(s);
	infallible--;
	return copy;
}
