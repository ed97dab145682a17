/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/options.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "cmd/commands.h"

#define HELP_COLUMN 26

struct scan {
	const struct option_spec *spec;
	char **argv;
	int argc;
	int next;      /* index of the next word to read */
	int n_kept;    /* arguments moved to argv[1].. so far */
	uint64_t seen; /* bit per row */
};

/* The command's name as typed: the words of `usage` before its first placeholder. */
static int program_length(const struct option_spec *spec)
{
	size_t n = strcspn(spec->usage, "[<ABCDEFGHIJKLMNOPQRSTUVWXYZ-");

	/* A hyphen belongs to the name unless it starts a word. */
	while (spec->usage[n] == '-' && n > 0 && spec->usage[n - 1] != ' ')
		n += 1 + strcspn(spec->usage + n + 1, "[<ABCDEFGHIJKLMNOPQRSTUVWXYZ-");
	while (n > 0 && spec->usage[n - 1] == ' ')
		n--;
	return (int)n;
}

int options_refuse(const struct option_spec *spec, const char *fmt, ...)
{
	int n = program_length(spec);
	va_list ap;

	fprintf(stderr, "%.*s: ", n, spec->usage);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, " (see '%.*s --help')\n", n, spec->usage);
	return COMMAND_EXIT_USAGE;
}

static int print_help(const struct option_spec *spec)
{
	printf("Usage: %s\n\n%s\n\nOptions:\n", spec->usage, spec->summary);
	for (size_t i = 0; i < spec->n_rows; i++) {
		const struct option_row *row = &spec->rows[i];
		int n = printf("  --%s%s%s", row->name, row->argument ? " " : "",
			       row->argument ? row->argument : "");

		printf("%*s%s\n", n < HELP_COLUMN ? HELP_COLUMN - n : 1, "", row->help);
	}
	printf("%-*s%s\n", HELP_COLUMN, "  --help", "show this text");
	return EXIT_SUCCESS;
}

static int set_flag(const struct option_spec *spec, const struct option_row *row, const char *value)
{
	(void)spec;
	(void)value;
	*(bool *)row->target = true;
	return OPTIONS_GO_ON;
}

static int set_text(const struct option_spec *spec, const struct option_row *row, const char *value)
{
	if (value[0] == '\0')
		return options_refuse(spec, "--%s needs a value that isn't empty", row->name);
	*(const char **)row->target = value;
	return OPTIONS_GO_ON;
}

static int set_count(const struct option_spec *spec, const struct option_row *row,
		     const char *value)
{
	unsigned int max = row->max ? row->max : UINT_MAX;
	size_t n = strspn(value, "0123456789");
	unsigned long long number;

	errno = 0;
	number = strtoull(value, NULL, 10);
	if (n == 0 || value[n] || errno || number < row->min || number > max)
		return options_refuse(spec, "--%s takes a number from %u to %u, not '%s'",
				      row->name, row->min, max, value);
	*(unsigned int *)row->target = (unsigned int)number;
	return OPTIONS_GO_ON;
}

static int add_to_list(const struct option_spec *spec, const struct option_row *row,
		       const char *value)
{
	struct option_list *list = row->target;

	if (list->n == OPTION_LIST_MAX)
		return options_refuse(spec, "--%s is given more than %d times", row->name,
				      OPTION_LIST_MAX);
	list->items[list->n++] = value;
	return OPTIONS_GO_ON;
}

static int (*const setters[])(const struct option_spec *spec, const struct option_row *row,
			      const char *value) = {
	[OPTION_FLAG] = set_flag,
	[OPTION_TEXT] = set_text,
	[OPTION_COUNT] = set_count,
	[OPTION_LIST] = add_to_list,
};

static int refuse_name(const struct option_spec *spec, const char *name)
{
	struct nearest nearest = {.wanted = name};

	for (size_t i = 0; i < spec->n_rows; i++)
		nearest_offer(&nearest, spec->rows[i].name);
	if (nearest.best)
		return options_refuse(spec, "no option '--%s'; did you mean '--%s'?", name,
				      nearest.best);
	return options_refuse(spec, "no option '--%s'", name);
}

static const struct option_row *find_row(const struct option_spec *spec, const char *name)
{
	for (size_t i = 0; i < spec->n_rows; i++)
		if (strcmp(spec->rows[i].name, name) == 0)
			return &spec->rows[i];
	return NULL;
}

static bool mark_seen(struct scan *s, const struct option_row *row)
{
	uint64_t bit = UINT64_C(1) << (row - s->spec->rows);
	bool first = !(s->seen & bit);

	s->seen |= bit;
	return first || row->kind == OPTION_LIST;
}

/* @value: what stood behind '=', or NULL. */
static int take_option(struct scan *s, const char *name, const char *value)
{
	const struct option_row *row = find_row(s->spec, name);

	if (!row && strcmp(name, "help") == 0)
		return print_help(s->spec);
	if (!row)
		return refuse_name(s->spec, name);
	if (!mark_seen(s, row))
		return options_refuse(s->spec, "--%s is given twice", name);
	if (row->kind == OPTION_FLAG && value)
		return options_refuse(s->spec, "--%s takes no value", name);
	if (row->kind != OPTION_FLAG && !value) {
		if (s->next == s->argc)
			return options_refuse(s->spec, "--%s needs a value: --%s %s", name, name,
					      row->argument);
		value = s->argv[s->next++];
	}
	return setters[row->kind](s->spec, row, value);
}

static int take_word(struct scan *s)
{
	char *word = s->argv[s->next++];
	char *equals;

	if (strcmp(word, "-h") == 0)
		return print_help(s->spec);
	if (strncmp(word, "--", 2) == 0) {
		equals = strchr(word, '=');
		if (equals)
			*equals++ = '\0';
		return take_option(s, word + 2, equals);
	}
	if (word[0] == '-' && word[1])
		return options_refuse(s->spec, "no option '%s'", word);
	s->argv[++s->n_kept] = word;
	return OPTIONS_GO_ON;
}

static void take_rest(struct scan *s)
{
	while (s->next < s->argc)
		s->argv[++s->n_kept] = s->argv[s->next++];
}

static int check_arguments(const struct scan *s)
{
	if (s->n_kept < s->spec->n_arguments_min)
		return options_refuse(s->spec, "too few arguments; usage: %s", s->spec->usage);
	if (s->n_kept > s->spec->n_arguments_max)
		return options_refuse(s->spec, "'%s' is one argument too many",
				      s->argv[s->spec->n_arguments_max + 1]);
	return OPTIONS_GO_ON;
}

int options_parse(const struct option_spec *spec, int *argcp, char **argv)
{
	struct scan s = {.spec = spec, .argv = argv, .argc = *argcp, .next = 1};

	while (s.next < s.argc) {
		int r;

		if (strcmp(argv[s.next], "--") == 0) {
			s.next++;
			take_rest(&s);
			break;
		}
		r = take_word(&s);
		if (r != OPTIONS_GO_ON)
			return r;
		if (spec->stop_at_argument && s.n_kept)
			take_rest(&s);
	}
	*argcp = s.n_kept + 1;
	return check_arguments(&s);
}
