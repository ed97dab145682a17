/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * utf8 - reading text that a peer wrote, so that it can be shown safely
 *
 * Log lines and tables show names, reasons and comments from elsewhere. What could
 * move a cursor, end a line or turn the reading direction isn't printable here.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UTF8_INVALID UINT32_MAX

/*
 * Decodes the character at @s, of which @n > 0 bytes are there. Returns its length; for a
 * byte that isn't part of well-formed UTF-8 (RFC 3629), 1 with *@runep UTF8_INVALID.
 */
size_t utf8_next(const char *s, size_t n, uint32_t *runep);

/* False for control, format, bidirectional and line separator characters and UTF8_INVALID. */
bool utf8_is_printable(uint32_t rune);

/* Columns on a terminal: 0 (combining), 1, or 2 (wide). */
unsigned int utf8_width(uint32_t rune);
