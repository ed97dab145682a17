/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/commands.h"
#include "cmd/options.h"

#define WORDS_MAX 16

struct values {
	bool json;
	const char *socket;
	unsigned int count;
	struct option_list list;
};

static struct values values;
static const struct option_row rows[] = {
	{"json", NULL, OPTION_FLAG, &values.json, "print JSON", 0, 0},
	{"socket", "PATH", OPTION_TEXT, &values.socket, "control socket", 0, 0},
	{"count", "N", OPTION_COUNT, &values.count, "how many", 2, 10},
	{"edge", "HOST:PORT", OPTION_LIST, &values.list, "an edge", 0, 0},
};

/* What went to @fd while @run ran is compared by the caller through @out. */
static int with_output(int fd, int (*run)(void *arg), void *arg, char *out, size_t n_out)
{
	FILE *stream = fd == STDOUT_FILENO ? stdout : stderr;
	FILE *file = tmpfile();
	int saved = dup(fd), code;

	fflush(stream);
	assert_true(dup2(fileno(file), fd) == fd);
	code = run(arg);
	fflush(stream);
	assert_true(dup2(saved, fd) == fd);
	close(saved);
	rewind(file);
	out[fread(out, 1, n_out - 1, file)] = '\0';
	fclose(file);
	return code;
}

struct run {
	struct option_spec spec;
	int argc;
	char *argv[WORDS_MAX];
	char text[512];
};

/* Cuts @words at its spaces; "''" is an empty word. */
static void make_run(struct run *run, const char *words)
{
	char *save = NULL;

	values = (struct values){.count = 5};
	*run = (struct run){
		.spec = {.usage = "adit-edge tunnel create [OPTIONS] NAME",
			 .summary = "Makes a tunnel.",
			 OPTION_ROWS(rows),
			 .n_arguments_min = 0,
			 .n_arguments_max = 2},
	};
	snprintf(run->text, sizeof(run->text), "create %s", words);
	for (char *word = strtok_r(run->text, " ", &save); word; word = strtok_r(NULL, " ", &save))
		run->argv[run->argc++] = strcmp(word, "''") == 0 ? word + 2 : word;
}

static int parse(void *arg)
{
	struct run *run = arg;

	return options_parse(&run->spec, &run->argc, run->argv);
}

static void test_all_kinds(void **state)
{
	struct run run;

	(void)state;
	make_run(&run, "--json a --socket /x --count=7 --edge e1 b --edge=e2");
	assert_int_equal(parse(&run), OPTIONS_GO_ON);
	assert_true(values.json);
	assert_string_equal(values.socket, "/x");
	assert_int_equal(values.count, 7);
	assert_int_equal(values.list.n, 2);
	assert_string_equal(values.list.items[1], "e2");
	assert_int_equal(run.argc, 3);
	assert_string_equal(run.argv[1], "a");
	assert_string_equal(run.argv[2], "b");
}

static void test_defaults_stay(void **state)
{
	struct run run;

	(void)state;
	make_run(&run, "");
	assert_int_equal(parse(&run), OPTIONS_GO_ON);
	assert_int_equal(run.argc, 1);
	assert_int_equal(values.count, 5);
	assert_null(values.socket);
}

static void test_words_that_look_like_options(void **state)
{
	struct run run;

	(void)state;
	make_run(&run, "--socket --json -- --json");
	assert_int_equal(parse(&run), OPTIONS_GO_ON);
	assert_string_equal(values.socket, "--json");
	assert_false(values.json);
	assert_string_equal(run.argv[1], "--json");
	make_run(&run, "-");
	assert_int_equal(parse(&run), OPTIONS_GO_ON);
	assert_string_equal(run.argv[1], "-");
	make_run(&run, "--json cmd --count 99");
	run.spec.stop_at_argument = true;
	run.spec.n_arguments_max = 5;
	assert_int_equal(parse(&run), OPTIONS_GO_ON);
	assert_int_equal(run.argc, 4);
	assert_string_equal(run.argv[2], "--count");
}

static void test_refusals(void **state)
{
	static const struct {
		const char *words, *message;
	} cases[] = {
		{"--jsn", "no option '--jsn'; did you mean '--json'?"},
		{"--xyzzy", "no option '--xyzzy'"},
		{"-j", "no option '-j'"},
		{"--json=yes", "--json takes no value"},
		{"--json --json", "--json is given twice"},
		{"--socket", "--socket needs a value: --socket PATH"},
		{"--socket=", "--socket needs a value that isn't empty"},
		{"--socket ''", "--socket needs a value that isn't empty"},
		{"--count 1", "--count takes a number from 2 to 10, not '1'"},
		{"--count 11", "--count takes a number from 2 to 10, not '11'"},
		{"--count -3", "--count takes a number from 2 to 10, not '-3'"},
		{"--count 3x", "--count takes a number from 2 to 10, not '3x'"},
		{"--count ''", "--count takes a number from 2 to 10, not ''"},
		{"--count 18446744073709551618",
		 "--count takes a number from 2 to 10, not '18446744073709551618'"},
		{"a b c", "'c' is one argument too many"},
	};
	char expected[256], out[512];
	struct run run;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		make_run(&run, cases[i].words);
		assert_int_equal(with_output(STDERR_FILENO, parse, &run, out, sizeof(out)),
				 COMMAND_EXIT_USAGE);
		snprintf(expected, sizeof(expected),
			 "adit-edge tunnel create: %s (see 'adit-edge tunnel create --help')\n",
			 cases[i].message);
		assert_string_equal(out, expected);
	}
	make_run(&run, "");
	run.spec.n_arguments_min = 1;
	assert_int_equal(with_output(STDERR_FILENO, parse, &run, out, sizeof(out)),
			 COMMAND_EXIT_USAGE);
	assert_non_null(strstr(out, "too few arguments; usage: adit-edge tunnel create"));
}

static void test_help(void **state)
{
	struct run run;
	char out[1024];

	(void)state;
	make_run(&run, "--count 3 --help --nonsense");
	assert_int_equal(with_output(STDOUT_FILENO, parse, &run, out, sizeof(out)), EXIT_SUCCESS);
	assert_string_equal(out, "Usage: adit-edge tunnel create [OPTIONS] NAME\n\n"
				 "Makes a tunnel.\n\nOptions:\n"
				 "  --json                  print JSON\n"
				 "  --socket PATH           control socket\n"
				 "  --count N               how many\n"
				 "  --edge HOST:PORT        an edge\n"
				 "  --help                  show this text\n");
}

static int run_inner(int argc, char **argv)
{
	assert_string_equal(argv[0], "inner");
	return 10 + argc;
}

static const struct command inner_rows[] = {{"inner", run_inner, "the inner one"}};
static const struct command_set set = {
	.program = "outer",
	.summary = "Outer.",
	COMMAND_ROWS(inner_rows),
};

static int run_set(void *arg)
{
	struct run *run = arg;

	return commands_run(&set, run->argc, run->argv);
}

static void test_commands(void **state)
{
	static const struct {
		const char *words;
		int fd, code;
		const char *text;
	} cases[] = {
		{"inner a b", STDERR_FILENO, 13, ""},
		{"innr", STDERR_FILENO, 64, "outer: no command 'innr'; did you mean 'inner'?\n"},
		{"xyzzy", STDERR_FILENO, 64,
		 "outer: no command 'xyzzy'; 'outer --help' lists them\n"},
		{"--version", STDOUT_FILENO, 0, "outer " ADIT_VERSION "\n"},
		{"", STDERR_FILENO, 64, "Usage: outer COMMAND"},
		{"--help", STDOUT_FILENO, 0, "Usage: outer COMMAND"},
		{"help", STDOUT_FILENO, 0, "Usage: outer COMMAND"},
		{"help inner", STDOUT_FILENO, 12, ""},
		{"help innr", STDERR_FILENO, 64,
		 "outer: no command 'innr'; did you mean 'inner'?\n"},
		{"help help", STDOUT_FILENO, 0, "Usage: outer COMMAND"},
		{"version", STDOUT_FILENO, 0, "outer " ADIT_VERSION "\n"},
		{"--json inner", STDERR_FILENO, 64,
		 "outer: options like '--json' stand behind the command"},
	};
	struct run run;
	char out[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		make_run(&run, cases[i].words);
		assert_int_equal(with_output(cases[i].fd, run_set, &run, out, sizeof(out)),
				 cases[i].code);
		assert_memory_equal(out, cases[i].text, strlen(cases[i].text));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_kinds),
		cmocka_unit_test(test_defaults_stay),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_words_that_look_like_options),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_commands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
