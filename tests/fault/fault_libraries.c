/* SPDX-License-Identifier: Apache-2.0 */

/* The memory of nghttp2's sessions and of OpenSSL, which both let their users provide it. */

#include <stddef.h>
#include <stdlib.h>

#include <nghttp2/nghttp2.h>
#include <openssl/crypto.h>

#include "base/compiler.h"
#include "tests/fault/fault_private.h"

/* libc's: what the program's own calls are led to. */
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);

/* ---- nghttp2 ---- */

static void *h2_malloc(size_t n, void *ctx UNUSED)
{
	return fault_strikes(FAULT_NGHTTP2, "malloc in nghttp2") ? NULL : __real_malloc(n);
}

static void *h2_calloc(size_t n, size_t size, void *ctx UNUSED)
{
	return fault_strikes(FAULT_NGHTTP2, "calloc in nghttp2") ? NULL : __real_calloc(n, size);
}

static void *h2_realloc(void *p, size_t n, void *ctx UNUSED)
{
	return fault_strikes(FAULT_NGHTTP2, "realloc in nghttp2") ? NULL : __real_realloc(p, n);
}

static void h2_free(void *p, void *ctx UNUSED)
{
	free(p);
}

static nghttp2_mem h2_memory = {NULL, h2_malloc, h2_free, h2_calloc, h2_realloc};

#define NEW_SESSION(role)                                                                          \
	int __wrap_nghttp2_session_##role##_new2(nghttp2_session **sessionp,                       \
						 const nghttp2_session_callbacks *callbacks,       \
						 void *ctx, const nghttp2_option *option);         \
	int __wrap_nghttp2_session_##role##_new2(nghttp2_session **sessionp,                       \
						 const nghttp2_session_callbacks *callbacks,       \
						 void *ctx, const nghttp2_option *option)          \
	{                                                                                          \
		return nghttp2_session_##role##_new3(sessionp, callbacks, ctx, option,             \
						     &h2_memory);                                  \
	}

NEW_SESSION(client)
NEW_SESSION(server)

/* ---- OpenSSL ---- */

static void *ssl_malloc(size_t n, const char *file UNUSED, int line UNUSED)
{
	/* As its own would have it. */
	if (n == 0)
		return NULL;
	return fault_strikes(FAULT_OPENSSL, "malloc in OpenSSL") ? NULL : __real_malloc(n);
}

static void *ssl_realloc(void *p, size_t n, const char *file UNUSED, int line UNUSED)
{
	if (n == 0) {
		free(p);
		return NULL;
	}
	return fault_strikes(FAULT_OPENSSL, "realloc in OpenSSL") ? NULL : __real_realloc(p, n);
}

static void ssl_free(void *p, const char *file UNUSED, int line UNUSED)
{
	free(p);
}

bool fault_take_openssl(void)
{
	return CRYPTO_set_mem_functions(ssl_malloc, ssl_realloc, ssl_free) == 1;
}
