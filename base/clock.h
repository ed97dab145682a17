/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * clock - the one source of "now"
 *
 * Only the rim (loops, mains) asks the clock; everything below takes `now_ms`
 * as an argument, so that tests drive time. Boot time goes on during suspend.
 */

#include <stdint.h>

#define MSEC_PER_SEC 1000u

/* Milliseconds since boot, suspend included (CLOCK_BOOTTIME). */
uint64_t clock_boot_ms(void);

/* Microseconds of CLOCK_MONOTONIC, as systemd's MONOTONIC_USEC= wants them. */
uint64_t clock_monotonic_us(void);

/* Milliseconds since 1970 UTC; for records that people read, never for deadlines. */
int64_t clock_wall_ms(void);

#define CLOCK_TEXT_MAX 32

/* RFC 3339 UTC with milliseconds into @out, which is returned. */
char *clock_format_wall(int64_t wall_ms, char out[CLOCK_TEXT_MAX]);
