/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * credentials - which tunnel we are and its secret
 *
 * Sources, first that exists: TUNNEL_TOKEN (wiped from the environment),
 * $CREDENTIALS_DIRECTORY/token, $CREDENTIALS_DIRECTORY/credentials.json, the
 * configured file (JSON or token). Formats are cloudflared's.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/uuid.h"

struct diag;
struct settings;

#define CREDENTIALS_SECRET_MAX 256

struct credentials {
	char account_tag[128];
	struct uuid tunnel_id;
	char endpoint[64]; /* region, "" for none */
	uint8_t secret[CREDENTIALS_SECRET_MAX];
	size_t n_secret;
};

/* 0; -EINVAL or -errno with the reason in @diag. */
NODISCARD int credentials_load(struct credentials *credp, const struct settings *settings,
			       struct diag *diag);
/* Parsers, for tests and fuzzing. 0 or -EINVAL. */
int credentials_parse_json(const char *text, size_t n, struct credentials *credp,
			   struct diag *diag);
int credentials_parse_token(const char *text, size_t n, struct credentials *credp,
			    struct diag *diag);
void credentials_wipe(struct credentials *c);
