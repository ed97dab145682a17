/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

#define USEC_PER_SEC  1000000u
#define NSEC_PER_USEC 1000
#define NSEC_PER_MSEC 1000000

uint64_t clock_boot_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * MSEC_PER_SEC + (uint64_t)ts.tv_nsec / NSEC_PER_MSEC;
}

uint64_t clock_monotonic_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / NSEC_PER_USEC;
}

int64_t clock_wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * (int64_t)MSEC_PER_SEC + ts.tv_nsec / NSEC_PER_MSEC;
}

char *clock_format_wall(int64_t wall_ms, char out[CLOCK_TEXT_MAX])
{
	int64_t ms = wall_ms % (int64_t)MSEC_PER_SEC;
	time_t seconds = wall_ms / (int64_t)MSEC_PER_SEC;
	char day[24] = "";
	struct tm tm;

	/* C rounds towards zero: before 1970 the fraction would be negative. */
	if (ms < 0) {
		ms += (int64_t)MSEC_PER_SEC;
		seconds--;
	}
	/* The second test keeps the year at the four digits of RFC 3339. */
	if (!gmtime_r(&seconds, &tm) || tm.tm_year < -1900 || tm.tm_year > 9999 - 1900 ||
	    strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm) != 19)
		snprintf(day, sizeof(day), "0000-00-00T00:00:00");
	snprintf(out, CLOCK_TEXT_MAX, "%s.%03dZ", day, (int)ms);
	return out;
}
