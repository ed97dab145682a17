/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* compiler - the few attributes and macros that C lacks */

#include <stddef.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* The struct of @type whose @member is at @ptr. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define NODISCARD	  __attribute__((warn_unused_result))
#define COLD		  __attribute__((cold))
#define UNUSED		  __attribute__((unused))
