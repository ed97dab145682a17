/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * secret - bytes that are wiped after use and come only from safe files
 *
 * A secret file is regular, owned by us or root, has no group or other bits
 * (files below $CREDENTIALS_DIRECTORY may be group-readable: systemd made
 * them) and is opened with O_NOFOLLOW. Never logged, never in argv.
 */

#include <stddef.h>
#include <stdint.h>

struct diag;

#define SECRET_FILE_MAX 65536

struct secret {
	uint8_t *bytes; /* NUL behind the last byte; NULL when empty */
	size_t n;
};

/*
 * Reads @path. Returns 0 or -errno (-EPERM: unsafe owner, mode or type) with
 * the reason and the command that mends it in @diag (may be NULL).
 */
int secret_read_file(const char *path, struct secret *secretp, struct diag *diag);

/* Copies @n bytes (at most SECRET_FILE_MAX, else -EFBIG). */
int secret_set(struct secret *s, const void *bytes, size_t n);

/* Takes the variable out of the environment and wipes it there. -ENOENT when unset. */
int secret_from_env(const char *name, struct secret *secretp);

/* Wipes and frees; fine on an empty one. */
void secret_wipe(struct secret *s);
