/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * peer_text - text that a peer sent, made safe to log, to show and to store
 *
 * Safe is what base/utf8.h calls printable: well-formed, nothing that controls.
 */

#include <stdbool.h>
#include <stddef.h>

bool peer_text_is_safe(const char *text);

/*
 * Copies @text into @out (@cap bytes with the NUL, at least 1): '?' stands for
 * each unsafe character; too long a text is cut between characters. Returns @out.
 */
char *peer_text_copy(char *out, size_t cap, const char *text);
