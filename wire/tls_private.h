/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* tls_private - what tls.c needs of a context; for wire/tls*.c only */

#include <openssl/ssl.h>

struct tls_context;

SSL_CTX *tls_context_ssl(struct tls_context *ctx);
