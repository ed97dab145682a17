/* SPDX-License-Identifier: Apache-2.0 */
/* `adit cidr ...`: sums with prefixes, for those who write routes and split tunnels by hand */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cmd/commands.h"
#include "cmd/options.h"
#include "routing/prefix_set.h"

/* Lines that a subtraction may print. A hole makes up to 128 of them. */
#define RESULT_MAX 65536

#define CONTAINS_NO 1

/* OPTIONS_GO_ON, or the exit code after a message that names the prefix that was meant. */
static int read_prefix(const struct option_spec *spec, const char *text, struct prefix *prefixp)
{
	char meant[PREFIX_TEXT_MAX];

	switch (prefix_parse(text, prefixp)) {
	case 0:
		return OPTIONS_GO_ON;
	case PREFIX_E_HOST_BITS:
		return options_refuse(spec, "'%s' has host bits set; %s is meant", text,
				      prefix_format(prefixp, meant));
	default:
		return options_refuse(spec, "'%s' is no prefix like 10.0.0.0/8 or fd00::/8", text);
	}
}

static int read_prefixes(const struct option_spec *spec, char **words, int n, struct prefix_set *s)
{
	for (int i = 0; i < n; i++) {
		struct prefix p;
		int r = read_prefix(spec, words[i], &p);

		if (r != OPTIONS_GO_ON)
			return r;
		r = prefix_set_add(s, &p, (size_t)n);
		if (r)
			return options_refuse(spec, "no memory for %d prefixes", n);
	}
	return OPTIONS_GO_ON;
}

static void print_set(const struct prefix_set *s)
{
	char text[PREFIX_TEXT_MAX];

	for (size_t i = 0; i < s->n; i++)
		puts(prefix_format(&s->items[i], text));
}

static int subtract(int argc, char **argv)
{
	static const struct option_spec spec = {
		.usage = "adit cidr subtract BASE HOLE...",
		.summary = "Prints the fewest prefixes that hold all of BASE but the HOLEs, "
			   "sorted, one "
			   "per line;\nnothing when the holes cover it. A bare address is a prefix "
			   "of one address.",
		.n_arguments_min = 2,
		.n_arguments_max = INT_MAX,
	};
	CLEANUP(prefix_set_deinit) struct prefix_set rest = {0};
	CLEANUP(prefix_set_deinit) struct prefix_set holes = {0};
	int r = options_parse(&spec, &argc, argv);

	if (r == OPTIONS_GO_ON)
		r = read_prefixes(&spec, argv + 1, 1, &rest);
	if (r == OPTIONS_GO_ON)
		r = read_prefixes(&spec, argv + 2, argc - 2, &holes);
	if (r != OPTIONS_GO_ON)
		return r;
	r = prefix_set_subtract(&rest, &holes, RESULT_MAX);
	if (r) {
		fprintf(stderr, "adit cidr subtract: %s\n",
			r < 0 ? strerror(-r) : "the result has more than 65536 prefixes");
		return EXIT_FAILURE;
	}
	print_set(&rest);
	return EXIT_SUCCESS;
}

static int contains(int argc, char **argv)
{
	static const struct option_spec spec = {
		.usage = "adit cidr contains PREFIX ADDRESS|PREFIX",
		.summary = "Tells by its exit status whether all of the second lies in the first: "
			   "0 yes, 1 no.",
		.n_arguments_min = 2,
		.n_arguments_max = 2,
	};
	struct prefix outer, inner;
	int r = options_parse(&spec, &argc, argv);

	if (r == OPTIONS_GO_ON)
		r = read_prefix(&spec, argv[1], &outer);
	if (r == OPTIONS_GO_ON)
		r = read_prefix(&spec, argv[2], &inner);
	if (r != OPTIONS_GO_ON)
		return r;
	return prefix_contains(&outer, &inner) ? EXIT_SUCCESS : CONTAINS_NO;
}

int cmd_cidr(int argc, char **argv)
{
	static const struct command rows[] = {
		{"contains", contains, "whether an address or a prefix lies in a prefix"},
		{"subtract", subtract, "a prefix without parts of it, as prefixes"},
	};
	static const struct command_set set = {
		.program = "adit cidr",
		.summary = "Does sums with prefixes; asks neither agent nor edge.",
		COMMAND_ROWS(rows),
	};

	return commands_run(&set, argc, argv);
}
