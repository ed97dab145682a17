/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * log_line - one log line as text; pure, used by log.c and its tests
 *
 * The line has a fixed size. A value over LOG_VALUE_MAX bytes is cut and ends in "...";
 * fields that don't fit any more are left out whole and "truncated" is added, so that a
 * JSON line stays JSON whatever a peer makes us log.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/log.h"

#define LOG_LINE_MAX  4000 /* with the time stamp below PIPE_BUF: written in one piece */
#define LOG_VALUE_MAX 1024

struct log_line {
	size_t n;
	bool full;
	char bytes[LOG_LINE_MAX];
};

/* The line without time stamp and line end: "WRN message k=v" or "\"level\":...}". */
void log_line_build(struct log_line *line, enum log_format format, enum log_level level,
		    const char *message, const struct log_field *fields);
