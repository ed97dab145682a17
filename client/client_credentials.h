/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * client_credentials - a user's file, written by `adit-edge client add`
 *
 *   {"version": 1, "name": "...", "email": "...", "edges": ["host:port", ...],
 *    "ca": "PEM text", "token": "adit_<id>.<secret>", "server_name": "..."}
 *
 * "email" and "server_name" may be missing; unknown keys are ignored, so that a newer
 * edge can add some. Nothing from inside is ever quoted in a message.
 */

#include <stddef.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/compiler.h"

struct diag;

#define CLIENT_NAME_MAX	 256
#define CLIENT_TOKEN_MAX 256
#define CLIENT_EDGES_MAX 16
#define CLIENT_PATH_MAX	 4096

struct client_edge {
	char host[HOST_NAME_MAX_LEN + 1]; /* name or literal address, without brackets */
	uint16_t port;
};

struct client_credentials {
	char name[CLIENT_NAME_MAX];
	char email[CLIENT_NAME_MAX]; /* "" if not given */
	struct client_edge edges[CLIENT_EDGES_MAX];
	size_t n_edges;
	char *ca_pem;
	char token[CLIENT_TOKEN_MAX];
	char server_name[HOST_NAME_MAX_LEN + 1]; /* "": each edge's host */
};

/*
 * @path: a safe file (base/secret.h), or NULL for the default one. 0, or -EINVAL or
 * -errno with the reason in @diag, which names the file.
 */
NODISCARD int client_credentials_load(const char *path, struct client_credentials **credp,
				      struct diag *diag);
/* For tests and fuzzing. 0 or -EINVAL. */
NODISCARD int client_credentials_parse(const char *text, size_t n,
				       struct client_credentials **credp, struct diag *diag);
/* Wipes. NULL is fine. */
void client_credentials_free(struct client_credentials *c);
DEFINE_CLEANUP(struct client_credentials *, client_credentials_free);

/* $ADIT_CLIENT_CREDENTIALS, else ~/.config/adit/client.json. 0, or -ENOENT without $HOME. */
int client_credentials_path(char out[CLIENT_PATH_MAX]);

/* "host:port" into @edgep. 0 or -EINVAL. */
int client_edge_parse(const char *text, struct client_edge *edgep);
