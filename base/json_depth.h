/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * json_depth - bounds the nesting of JSON text before a recursive parser sees it
 *
 * jansson recurses once per level and has a limit of its own, of 2048: too many for a peer
 * to ask for.
 */

#include <stdbool.h>
#include <stddef.h>

/*
 * True if arrays and objects of @text are open more than @max deep somewhere. On text that isn't
 * JSON the count may be off, but never below what a parser would reach before it finds the mistake.
 */
bool json_is_deeper(const char *text, size_t n, unsigned int max);
