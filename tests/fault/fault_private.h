/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* fault_private - between fault.c and fault_calls.c */

#include "tests/fault/fault.h"

/* Counts a call of @name; true: let it fail. */
bool fault_strikes(enum fault_kind kind, const char *name);
