/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* file - whole files: read within a limit, write by rename */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Reads @path (at most @max bytes, else -EFBIG) into a new NUL-terminated
 * buffer; *@n_datap excludes the NUL. The caller frees. Returns 0 or -errno.
 */
int file_read(const char *path, size_t max, char **datap, size_t *n_datap);

/* Likewise, and never waits for a peer: -EINVAL for what is not a regular file. */
int file_read_regular(const char *path, size_t max, char **datap, size_t *n_datap);

/*
 * Replaces @path by a new file with @mode: written beside it, synced, renamed.
 * On failure the old file is untouched. Returns 0 or -errno.
 */
int file_replace(const char *path, mode_t mode, const void *data, size_t n_data);

/* Writes @text to a file that is there, in one go: /proc, /sys. 0 or -errno. */
int file_set(const char *path, const char *text);

/* mkdir -p with @mode for the last component, 0755 for the others. 0 or -errno. */
int dir_make(const char *path, mode_t mode);
