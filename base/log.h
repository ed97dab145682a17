/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * log - one line per event: a constant message and key=value fields
 *
 *   log_warn("connection lost", log_int("conn_index", 2), log_text("reason", why));
 *
 * Text:  2026-11-22T17:02:37.120Z WRN connection lost conn_index=2 reason="..."
 * JSON:  {"time":"...","level":"warn","message":"connection lost","conn_index":2,...}
 * Under journald (JOURNAL_STREAM matches stderr) text lines get the <n> prefix
 * and no time stamp. A line that repeats the one before is counted, and the
 * count is written when another line comes or LOG_REPEAT_MS have passed.
 * Only agent, edge, ctrl, client and cmd log above debug level. Never pass a
 * secret. Control characters and quotes in values are escaped.
 */

#include <stdbool.h>
#include <stdint.h>

enum log_level {
	LOG_LEVEL_DEBUG,
	LOG_LEVEL_INFO,
	LOG_LEVEL_WARN,
	LOG_LEVEL_ERROR,
};

enum log_format {
	LOG_FORMAT_TEXT,
	LOG_FORMAT_JSON,
};

#define LOG_REPEAT_MS 30000

struct log_field {
	const char *key;  /* NULL ends the list */
	const char *text; /* NULL: a number */
	int64_t number;
};

#define LOG_END ((struct log_field){.key = (void *)0})

/* @value may be NULL: printed as "-". Both are borrowed for the call. */
static inline struct log_field log_text(const char *key, const char *value)
{
	return (struct log_field){.key = key, .text = value ? value : "-"};
}

static inline struct log_field log_int(const char *key, int64_t value)
{
	return (struct log_field){.key = key, .number = value};
}

/* Process-wide: the only global state of the program. */
void log_setup(enum log_level min_level, enum log_format format);
void log_set_level(enum log_level min_level);
/* "debug", "info", "warn", "error", and cloudflared's "fatal", "panic", "warning". 0 or -EINVAL. */
int log_level_parse(const char *name, enum log_level *levelp);
const char *log_level_name(enum log_level level);
/* False: a line of that level would be dropped; spares building costly fields. */
bool log_is_enabled(enum log_level level);
/* For tests: lines go to @fd instead of stderr. */
void log_to_fd(int fd);
/* For tests: the clock behind LOG_REPEAT_MS; NULL restores clock_boot_ms(). */
void log_set_clock(uint64_t (*now_ms)(void));
/* Writes a pending repeat count. Call before exit; a daemon also does now and then. */
void log_flush(void);

/* Any thread may call it; errno is kept. */
void log_write(enum log_level level, const char *message, const struct log_field *fields);

/*
 * For signal handlers: takes no lock, so the line may stand within another one's write, and repeats
 * of it aren't counted.
 */
void log_write_in_signal(enum log_level level, const char *message, const struct log_field *fields);

#define LOG_AT(level, message, ...)                                                                \
	log_write(level, message, (const struct log_field[]){__VA_ARGS__})
#define log_debug(...) LOG_AT(LOG_LEVEL_DEBUG, __VA_ARGS__, LOG_END)
#define log_info(...)  LOG_AT(LOG_LEVEL_INFO, __VA_ARGS__, LOG_END)
#define log_warn(...)  LOG_AT(LOG_LEVEL_WARN, __VA_ARGS__, LOG_END)
#define log_error(...) LOG_AT(LOG_LEVEL_ERROR, __VA_ARGS__, LOG_END)
