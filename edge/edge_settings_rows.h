/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* edge_settings_rows - the keys of edge.yml. Part of edge_settings */

#include "base/schema.h"

extern const struct schema edge_settings_schema;
