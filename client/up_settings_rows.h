/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* up_settings_rows - the keys of client.yml. Part of up_settings */

#include "base/schema.h"

extern const struct schema up_settings_schema;
