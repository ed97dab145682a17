/* SPDX-License-Identifier: Apache-2.0 */
#include "base/heap_peak.h"

#include <malloc.h>

#define LEFT_SHARE 8

void heap_peak_rise(struct heap_peak *p, size_t n)
{
	if (n > p->n_max)
		p->n_max = n;
}

int heap_peak_fall(struct heap_peak *p, size_t n)
{
	if (p->n_max < HEAP_PEAK_MIN || n > p->n_max / LEFT_SHARE)
		return 0;
	p->n_max = n;
	malloc_trim(0);
	return 1;
}
