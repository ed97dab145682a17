/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/log_line.h"

/* The log goes to a file without a name; captured() returns what was added since. */
struct capture {
	int fd;
	off_t read;
	char text[65536];
};

static uint64_t now_ms;

static uint64_t fake_now_ms(void)
{
	return now_ms;
}

static int start_capture(void **state)
{
	struct capture *c = calloc(1, sizeof(*c));
	char path[] = "/tmp/adit-log-XXXXXX";

	c->fd = mkstemp(path);
	unlink(path);
	unsetenv("JOURNAL_STREAM");
	now_ms = 1000;
	log_to_fd(c->fd);
	log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
	log_set_clock(fake_now_ms);
	*state = c;
	return 0;
}

static int stop_capture(void **state)
{
	struct capture *c = *state;

	log_to_fd(STDERR_FILENO);
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	log_set_clock(NULL);
	close(c->fd);
	free(c);
	return 0;
}

static char *captured(struct capture *c)
{
	ssize_t n = pread(c->fd, c->text, sizeof(c->text) - 1, c->read);

	assert_true(n >= 0);
	c->text[n] = '\0';
	c->read += n;
	return c->text;
}

static size_t count_lines(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

/* One line, without its time stamp, whose form is checked. */
static const char *after_time(const char *line)
{
	assert_true(strlen(line) > 25);
	assert_int_equal(line[10], 'T');
	assert_int_equal(line[23], 'Z');
	assert_int_equal(line[24], ' ');
	return line + 25;
}

static void test_text(void **state)
{
	log_warn("connection lost", log_int("conn_index", 2), log_text("reason", "timed out"),
		 log_text("edge", "[::1]:7844"), log_text("name", NULL), log_text("empty", ""));
	assert_string_equal(after_time(captured(*state)),
			    "WRN connection lost conn_index=2 reason=\"timed out\" edge=[::1]:7844 "
			    "name=- empty=\"\"\n");
}

static void test_json(void **state)
{
	json_t *line;
	const char *time;

	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
	log_error("connection lost", log_int("conn_index", -2), log_text("reason", "a \"b\"\n"));
	line = json_loads(captured(*state), 0, NULL);
	assert_non_null(line);
	assert_int_equal(json_object_size(line), 5);
	time = json_string_value(json_object_get(line, "time"));
	assert_int_equal(strlen(time), 24);
	assert_string_equal(json_string_value(json_object_get(line, "level")), "error");
	assert_string_equal(json_string_value(json_object_get(line, "message")), "connection lost");
	assert_int_equal(json_integer_value(json_object_get(line, "conn_index")), -2);
	assert_string_equal(json_string_value(json_object_get(line, "reason")), "a \"b\"\n");
	json_decref(line);
}

static void test_levels(void **state)
{
	log_set_level(LOG_LEVEL_WARN);
	assert_false(log_is_enabled(LOG_LEVEL_INFO));
	assert_true(log_is_enabled(LOG_LEVEL_WARN));
	log_debug("a");
	log_info("b");
	assert_string_equal(captured(*state), "");
	errno = EBADF;
	log_warn("c");
	log_error("d");
	assert_int_equal(errno, EBADF);
	assert_int_equal(count_lines(captured(*state)), 2);
}

static void test_level_names(void **state)
{
	static const struct {
		const char *name;
		enum log_level level;
	} rows[] = {
		{"debug", LOG_LEVEL_DEBUG},  {"info", LOG_LEVEL_INFO},	 {"WARN", LOG_LEVEL_WARN},
		{"error", LOG_LEVEL_ERROR},  {"fatal", LOG_LEVEL_ERROR}, {"panic", LOG_LEVEL_ERROR},
		{"warning", LOG_LEVEL_WARN},
	};
	enum log_level level;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(log_level_parse(rows[i].name, &level), 0);
		assert_int_equal(level, rows[i].level);
	}
	assert_int_equal(log_level_parse("trace", &level), -EINVAL);
	assert_int_equal(log_level_parse("", &level), -EINVAL);
	assert_string_equal(log_level_name(LOG_LEVEL_WARN), "warn");
}

/* What a peer may try: a second line, an escape sequence, a faked field, broken UTF-8. */
static const struct {
	const char *value;
	const char *text;
} hostile[] = {
	{"a\n2026-01-01T00:00:00.000Z ERR forged", "\"a\\n2026-01-01T00:00:00.000Z ERR forged\""},
	{"a\r\n", "\"a\\r\\n\""},
	{"x level=error", "\"x level=error\""},
	{"x\" level=\"error", "\"x\\\" level=\\\"error\""},
	{"back\\slash", "\"back\\\\slash\""},
	{"\x1b[2J", "\"\\u001b[2J\""},
	{"\xc2\x9b"
	 "31m",
	 "\"\\u009b31m\""},
	{"\xe2\x80\xae"
	 "evil",
	 "\"\\u202eevil\""},
	{"\xff\xfe", "\"\\xff\\xfe\""},
	{"\x7f", "\"\\u007f\""},
	{"a=b", "\"a=b\""},
	{"caf\xc3\xa9", "\"caf\xc3\xa9\""},
};

static void test_hostile_text(void **state)
{
	char expected[256];

	for (size_t i = 0; i < ARRAY_SIZE(hostile); i++) {
		log_info("peer said", log_text("what", hostile[i].value));
		snprintf(expected, sizeof(expected), "INF peer said what=%s\n", hostile[i].text);
		assert_string_equal(after_time(captured(*state)), expected);
	}
}

static void test_hostile_json(void **state)
{
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
	for (size_t i = 0; i < ARRAY_SIZE(hostile); i++) {
		const char *text;
		json_t *line;

		log_info("peer said", log_text("what", hostile[i].value), log_int("i", (int)i));
		text = captured(*state);
		assert_int_equal(count_lines(text), 1);
		assert_null(strchr(text, '\x1b'));
		line = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(line);
		if (strcmp(hostile[i].value, "\xff\xfe") != 0)
			assert_string_equal(json_string_value(json_object_get(line, "what")),
					    hostile[i].value);
		json_decref(line);
	}
}

/* However much a peer makes us say, the line stays one line, bounded, and JSON. */
static void test_long_values(void **state)
{
	struct log_field fields[12];
	struct log_line line;
	char value[5000];
	char text[LOG_LINE_MAX + 2];
	json_t *parsed;

	(void)state;
	memset(value, '\x01', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(fields) - 1; i++)
		fields[i] = log_text(i % 2 ? "short" : "long", i % 2 ? "x" : value);
	fields[ARRAY_SIZE(fields) - 1] = LOG_END;
	log_line_build(&line, LOG_FORMAT_JSON, LOG_LEVEL_INFO, "much", fields);
	assert_true(line.n <= LOG_LINE_MAX);
	snprintf(text, sizeof(text), "{%.*s", (int)line.n, line.bytes);
	parsed = json_loads(text, 0, NULL);
	assert_non_null(parsed);
	assert_true(json_is_true(json_object_get(parsed, "truncated")));
	json_decref(parsed);
	log_line_build(&line, LOG_FORMAT_TEXT, LOG_LEVEL_INFO, "much", fields);
	assert_memory_equal(line.bytes + line.n - 14, " truncated=yes", 14);
}

static void test_cut_value(void **state)
{
	char value[LOG_VALUE_MAX + 2];
	struct capture *c = *state;

	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	log_info("long", log_text("value", value));
	assert_non_null(strstr(captured(c), "vvv...\"\n"));
	value[LOG_VALUE_MAX] = '\0';
	log_info("long", log_text("value", value));
	assert_null(strstr(captured(c), "..."));
}

static void test_repeats_are_counted(void **state)
{
	const char *text;

	for (int i = 0; i < 6; i++)
		log_warn("flood", log_text("peer", "a"));
	assert_int_equal(count_lines(captured(*state)), 1);
	log_warn("flood", log_text("peer", "b"));
	text = captured(*state);
	assert_int_equal(count_lines(text), 2);
	assert_non_null(strstr(text, "WRN last line repeated count=5\n"));
	log_flush();
	assert_string_equal(captured(*state), "");
}

static void test_repeats_are_told_in_time(void **state)
{
	log_info("flood");
	log_info("flood");
	now_ms += LOG_REPEAT_MS - 1;
	log_info("flood");
	assert_int_equal(count_lines(captured(*state)), 1);
	now_ms += 1;
	log_info("flood");
	assert_non_null(strstr(captured(*state), "repeated count=3\n"));
	log_info("flood");
	log_flush();
	assert_non_null(strstr(captured(*state), "repeated count=1\n"));
}

static void test_single_lines_have_no_count(void **state)
{
	log_info("a");
	log_info("b");
	log_info("a");
	log_flush();
	assert_int_equal(count_lines(captured(*state)), 3);
}

static void set_journal(int fd, long inode_offset)
{
	char text[64];
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	snprintf(text, sizeof(text), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino + (unsigned long long)inode_offset);
	setenv("JOURNAL_STREAM", text, 1);
	log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
}

static void test_journal_prefix(void **state)
{
	struct capture *c = *state;

	set_journal(c->fd, 0);
	log_debug("a");
	log_info("b");
	log_warn("c");
	log_error("d", log_int("n", 1));
	assert_string_equal(captured(c), "<7>DBG a\n<6>INF b\n<4>WRN c\n<3>ERR d n=1\n");
}

static void test_journal_of_another_stream(void **state)
{
	static const char *const bad[] = {"", "x", "1:", "1:2:3", ":"};
	struct capture *c = *state;

	set_journal(c->fd, 1);
	log_info("a");
	assert_string_equal(after_time(captured(c)), "INF a\n");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		setenv("JOURNAL_STREAM", bad[i], 1);
		log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
		log_info("a", log_int("i", (int)i));
		after_time(captured(c));
	}
}

/* As a signal's handler that interrupts a write: the lock is taken. */
static uint64_t interrupted_ms(void)
{
	log_write_in_signal(LOG_LEVEL_ERROR, "within",
			    (const struct log_field[]){log_int("number", 7), LOG_END});
	return now_ms;
}

static void test_in_signal(void **state)
{
	char before[CLOCK_TEXT_MAX], after[CLOCK_TEXT_MAX];
	const char *text;

	log_set_clock(interrupted_ms);
	clock_format_wall(clock_wall_ms(), before);
	log_info("outer", log_int("i", 1));
	clock_format_wall(clock_wall_ms(), after);
	text = captured(*state);
	assert_true(strncmp(before, text, strlen(before)) <= 0);
	assert_true(strncmp(after, text, strlen(after)) >= 0);
	assert_true(strncmp(after_time(text), "ERR within number=7\n", 20) == 0);
	assert_non_null(strstr(text, "INF outer i=1\n"));
}

#define CAPTURED_TEST(test) cmocka_unit_test_setup_teardown(test, start_capture, stop_capture)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CAPTURED_TEST(test_text),
		CAPTURED_TEST(test_json),
		CAPTURED_TEST(test_levels),
		CAPTURED_TEST(test_level_names),
		CAPTURED_TEST(test_hostile_text),
		CAPTURED_TEST(test_hostile_json),
		CAPTURED_TEST(test_long_values),
		CAPTURED_TEST(test_cut_value),
		CAPTURED_TEST(test_repeats_are_counted),
		CAPTURED_TEST(test_repeats_are_told_in_time),
		CAPTURED_TEST(test_single_lines_have_no_count),
		CAPTURED_TEST(test_in_signal),
		CAPTURED_TEST(test_journal_prefix),
		CAPTURED_TEST(test_journal_of_another_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
