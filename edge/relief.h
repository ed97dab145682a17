/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* relief - cuts the flows that hold the buffer budget while nobody reads (wire/pressure.h) */

#include <stdint.h>

struct edge;

/* Once a second. @now_ms: boot clock. */
void relief_tick(struct edge *e, uint64_t now_ms);
