/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * edge_secret_file - a new file, mode 0600, for a secret that is told only once
 *
 * The place is taken before the secret is made, so that it isn't made in vain.
 */

#include "base/compiler.h"

struct json_t; /* jansson's */

struct edge_secret_file {
	const char *path; /* borrowed */
	int fd;		  /* -1: not open */
};

/* Refuses to overwrite. 0, or EXIT_FAILURE after a message on stderr. */
NODISCARD int edge_secret_file_open(struct edge_secret_file *f, const char *path);
/* Writes @value as JSON and closes. 0, or EXIT_FAILURE after a message; then the file is gone. */
NODISCARD int edge_secret_file_write(struct edge_secret_file *f, const struct json_t *value);
/* Removes the file unless it was written. */
void edge_secret_file_abandon(struct edge_secret_file *f);
