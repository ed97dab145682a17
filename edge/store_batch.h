/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* store_batch - what store.c alone asks of a batch; the rest is in edge/store.h */

#include <stdbool.h>

struct store_batch;

/* Memory ran out while it was filled: it must not be committed. */
bool store_batch_is_incomplete(const struct store_batch *b);
