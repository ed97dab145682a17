/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/log_line.h"

/* Indexed by level; the priorities are syslog's, which journald reads from <n>. */
static const struct {
	const char *name;
	int priority;
} levels[] = {
	[LOG_LEVEL_DEBUG] = {"debug", 7},
	[LOG_LEVEL_INFO] = {"info", 6},
	[LOG_LEVEL_WARN] = {"warn", 4},
	[LOG_LEVEL_ERROR] = {"error", 3},
};

/* cloudflared's, and what people type. */
static const struct {
	const char *name;
	enum log_level level;
} level_aliases[] = {
	{"warning", LOG_LEVEL_WARN},
	{"fatal", LOG_LEVEL_ERROR},
	{"panic", LOG_LEVEL_ERROR},
};

struct log_repeat {
	enum log_level level;
	unsigned int n; /* unwritten copies of `line` */
	uint64_t since_ms;
	struct log_line line;
};

/* The mutex is for the store's worker and libuv's pool: lines of two threads never mix. */
static struct {
	pthread_mutex_t lock;
	int fd;
	_Atomic enum log_level min_level; /* read without the lock */
	enum log_format format;
	bool to_journal;
	uint64_t (*now_ms)(void);
	struct log_repeat repeat;
} sink = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.fd = STDERR_FILENO,
	.min_level = LOG_LEVEL_INFO,
	.now_ms = clock_boot_ms,
};

/*
 * systemd.exec(5): compare with the device and inode of the stream, because a child may have
 * inherited the variable while its stderr goes elsewhere.
 */
static bool goes_to_journal(int fd)
{
	const char *text = getenv("JOURNAL_STREAM");
	unsigned long long dev, inode;
	struct stat st;
	int end = 0;

	if (!text || sscanf(text, "%llu:%llu%n", &dev, &inode, &end) != 2 || text[end])
		return false;
	return fstat(fd, &st) == 0 && st.st_dev == dev && st.st_ino == inode;
}

/* A reader that stalls or is gone costs us lines, never progress. */
static void write_all(const char *bytes, size_t n)
{
	while (n) {
		ssize_t written = write(sink.fd, bytes, n);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return;
		bytes += written;
		n -= (size_t)written;
	}
}

static void emit_at(const char *time, enum log_level level, const struct log_line *line)
{
	char bytes[LOG_LINE_MAX + 64];
	int n;

	if (sink.format == LOG_FORMAT_JSON)
		n = snprintf(bytes, sizeof(bytes), "{\"time\":\"%s\",%.*s\n", time, (int)line->n,
			     line->bytes);
	else if (sink.to_journal)
		n = snprintf(bytes, sizeof(bytes), "<%d>%.*s\n", levels[level].priority,
			     (int)line->n, line->bytes);
	else
		n = snprintf(bytes, sizeof(bytes), "%s %.*s\n", time, (int)line->n, line->bytes);
	write_all(bytes, (size_t)n);
}

static void emit(enum log_level level, const struct log_line *line)
{
	char time[CLOCK_TEXT_MAX];

	emit_at(clock_format_wall(clock_wall_ms(), time), level, line);
}

static void emit_repeats(void)
{
	struct log_line line;

	if (sink.repeat.n == 0)
		return;
	log_line_build(&line, sink.format, sink.repeat.level, "last line repeated",
		       (const struct log_field[]){log_int("count", sink.repeat.n), LOG_END});
	emit(sink.repeat.level, &line);
	sink.repeat.n = 0;
}

static bool is_repeat(const struct log_line *line)
{
	return line->n == sink.repeat.line.n &&
	       memcmp(line->bytes, sink.repeat.line.bytes, line->n) == 0;
}

static void count_repeat(uint64_t now_ms)
{
	sink.repeat.n++;
	if (now_ms - sink.repeat.since_ms >= LOG_REPEAT_MS) {
		emit_repeats();
		sink.repeat.since_ms = now_ms;
	}
}

static void write_line(enum log_level level, const struct log_line *line)
{
	uint64_t now_ms = sink.now_ms();

	if (is_repeat(line)) {
		count_repeat(now_ms);
		return;
	}
	emit_repeats();
	emit(level, line);
	memcpy(sink.repeat.line.bytes, line->bytes, line->n);
	sink.repeat.line.n = line->n;
	sink.repeat.level = level;
	sink.repeat.since_ms = now_ms;
}

void log_write(enum log_level level, const char *message, const struct log_field *fields)
{
	int saved = errno;
	struct log_line line;

	if (!log_is_enabled(level))
		return;
	pthread_mutex_lock(&sink.lock);
	log_line_build(&line, sink.format, level, message, fields);
	write_line(level, &line);
	pthread_mutex_unlock(&sink.lock);
	errno = saved;
}

static bool is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* As clock_format_wall(), but without gmtime_r(), which takes a lock of the C library's. */
static char *format_time(uint64_t wall_ms, char out[CLOCK_TEXT_MAX])
{
	static const int days_of[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	uint64_t s = wall_ms / MSEC_PER_SEC;
	unsigned int of_day = (unsigned int)(s % 86400);
	int days = (int)(s / 86400), year = 1970, month = 0;

	for (; days >= 365 + is_leap(year); year++)
		days -= 365 + is_leap(year);
	for (; days >= days_of[month] + (month == 1 && is_leap(year)); month++)
		days -= days_of[month] + (month == 1 && is_leap(year));
	snprintf(out, CLOCK_TEXT_MAX, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
		 (unsigned int)year % 10000, (unsigned int)(month + 1) % 100,
		 (unsigned int)(days + 1) % 100, of_day / 3600 % 100, of_day / 60 % 60, of_day % 60,
		 (unsigned int)(wall_ms % MSEC_PER_SEC));
	return out;
}

/* Of snprintf() only integers and strings, for which the C library neither locks nor allocates. */
void log_write_in_signal(enum log_level level, const char *message, const struct log_field *fields)
{
	int saved = errno;
	struct log_line line;
	char time[CLOCK_TEXT_MAX];

	if (!log_is_enabled(level))
		return;
	log_line_build(&line, sink.format, level, message, fields);
	emit_at(format_time((uint64_t)clock_wall_ms(), time), level, &line);
	errno = saved;
}

static void forget_line(void)
{
	emit_repeats();
	sink.repeat.line.n = 0;
}

void log_flush(void)
{
	pthread_mutex_lock(&sink.lock);
	forget_line();
	pthread_mutex_unlock(&sink.lock);
}

bool log_is_enabled(enum log_level level)
{
	return level >= sink.min_level;
}

void log_setup(enum log_level min_level, enum log_format format)
{
	pthread_mutex_lock(&sink.lock);
	forget_line();
	sink.min_level = min_level;
	sink.format = format;
	sink.to_journal = goes_to_journal(sink.fd);
	pthread_mutex_unlock(&sink.lock);
}

void log_set_level(enum log_level min_level)
{
	sink.min_level = min_level;
}

void log_to_fd(int fd)
{
	pthread_mutex_lock(&sink.lock);
	forget_line();
	sink.fd = fd;
	sink.to_journal = goes_to_journal(fd);
	pthread_mutex_unlock(&sink.lock);
}

void log_set_clock(uint64_t (*now_ms)(void))
{
	sink.now_ms = now_ms ? now_ms : clock_boot_ms;
}

int log_level_parse(const char *name, enum log_level *levelp)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (strcasecmp(name, levels[i].name) == 0) {
			*levelp = (enum log_level)i;
			return 0;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(level_aliases); i++) {
		if (strcasecmp(name, level_aliases[i].name) == 0) {
			*levelp = level_aliases[i].level;
			return 0;
		}
	}
	return -EINVAL;
}

const char *log_level_name(enum log_level level)
{
	return levels[level].name;
}
