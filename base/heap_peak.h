/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * heap_peak - memory goes back to the system after a peak
 *
 * glibc returns only what is free at the heap's end, where anything may be left of thousands of
 * streams that came and went. Whoever counts such things looks now and then, not from where they
 * end (what they own is freed a little later): when an eighth of a large peak is left, all free
 * pages are returned. That costs some ms per 10 MB, once per peak.
 */

#include <stddef.h>

/* Smaller peaks aren't worth it: some 1 MB. */
#define HEAP_PEAK_MIN 1024

struct heap_peak {
	size_t n_max; /* since the last time */
};

void heap_peak_rise(struct heap_peak *p, size_t n);
/* 1 when memory was returned, else 0. */
int heap_peak_fall(struct heap_peak *p, size_t n);
