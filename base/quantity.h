/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* quantity - durations as Go writes them ("1m30s") and sizes ("64MiB") */

#include <stdint.h>

#define QUANTITY_TEXT_MAX 48

/*
 * Numbers with ns, us, ms, s, m or h, e.g. "1m30s", "1.5s", "300ms"; "0" needs no
 * unit. Fractions of a millisecond round up. 0; -EINVAL; -ERANGE above INT64_MAX ns.
 */
int duration_parse(const char *text, uint64_t *msp);
/* The shortest of these: 90000 is "1m30s", 0 is "0s". */
const char *duration_format(uint64_t ms, char out[QUANTITY_TEXT_MAX]);

/* A whole number with B, KiB, MiB, GiB or nothing (bytes). 0; -EINVAL; -ERANGE above UINT64_MAX. */
int size_parse(const char *text, uint64_t *bytesp);
/* In the largest unit that divides it: 65536 is "64KiB". */
const char *size_format(uint64_t bytes, char out[QUANTITY_TEXT_MAX]);
