/* SPDX-License-Identifier: Apache-2.0 */
#include "client/ssh_includes.h"

#include <ctype.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/file.h"

#define FOLDER	"/etc/ssh/"
#define KEYWORD "include"

/* ---- lines ---- */

struct cursor_text {
	const char *at;
	const char *end;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\f';
}

static void skip_blanks(struct cursor_text *c)
{
	while (c->at < c->end && is_blank(*c->at))
		c->at++;
}

static bool take_keyword(struct cursor_text *c)
{
	size_t n = strlen(KEYWORD);

	skip_blanks(c);
	if ((size_t)(c->end - c->at) <= n || strncasecmp(c->at, KEYWORD, n) != 0)
		return false;
	c->at += n;
	if (!is_blank(*c->at) && *c->at != '=')
		return false;
	skip_blanks(c);
	if (c->at < c->end && *c->at == '=')
		c->at++;
	return true;
}

/* A word, of which quotes may stand around any part. False at the end or a comment. */
static bool take_word(struct cursor_text *c, char out[SSH_INCLUDE_PATTERN_MAX], bool *fitsp)
{
	char quote = 0;
	size_t n = 0;

	skip_blanks(c);
	if (c->at == c->end || *c->at == '#')
		return false;
	for (; c->at < c->end && (quote || !is_blank(*c->at)); c->at++) {
		if (quote ? *c->at == quote : *c->at == '"' || *c->at == '\'')
			quote = quote ? 0 : *c->at;
		else if (n < SSH_INCLUDE_PATTERN_MAX)
			out[n++] = *c->at;
	}
	*fitsp = n < SSH_INCLUDE_PATTERN_MAX;
	out[*fitsp ? n : 0] = '\0';
	return true;
}

void ssh_include_parse(const char *line, size_t n, void (*fn)(void *ctx, const char *pattern),
		       void *ctx)
{
	struct cursor_text c = {line, line + n};
	char word[SSH_INCLUDE_PATTERN_MAX];
	bool fits;

	if (!take_keyword(&c))
		return;
	while (take_word(&c, word, &fits)) {
		if (fits && word[0])
			fn(ctx, word);
	}
}

/* ---- files ---- */

static bool is_known(const struct ssh_includes *s, const char *path)
{
	for (size_t i = 0; i < s->n; i++) {
		if (strcmp(s->items[i].path, path) == 0)
			return true;
	}
	return false;
}

/* One that isn't there is none for ssh, too. */
static void take_file(struct ssh_includes *s, const char *name)
{
	char *path = realpath(name, NULL);
	struct ssh_include *item;

	if (!path || is_known(s, path)) {
		free(path);
		return;
	}
	if (s->n == SSH_INCLUDES_MAX) {
		s->is_cut = true;
		free(path);
		return;
	}
	item = &s->items[s->n++];
	item->path = path;
	item->error = file_read_regular(path, SSH_INCLUDE_BYTES_MAX, &item->text, &item->n_text);
}

static void take_pattern(void *ctx, const char *pattern)
{
	char full[SSH_INCLUDE_PATTERN_MAX + sizeof(FOLDER)];
	struct ssh_includes *s = ctx;
	glob_t found = {0};

	snprintf(full, sizeof(full), "%s%s", pattern[0] == '/' ? "" : FOLDER, pattern);
	if (glob(full, 0, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++)
			take_file(s, found.gl_pathv[i]);
	}
	globfree(&found);
}

static void take_text(struct ssh_includes *s, const char *text, size_t n)
{
	const char *end = text + n;

	while (text < end) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));

		if (!stop)
			stop = end;
		ssh_include_parse(text, (size_t)(stop - text), take_pattern, s);
		text = stop + 1;
	}
}

void ssh_includes_find(const char *main_file, struct ssh_includes *includes)
{
	CLEANUP(free) char *text = NULL;
	size_t n = 0;

	*includes = (struct ssh_includes){0};
	if (file_read_regular(main_file, SSH_INCLUDE_BYTES_MAX, &text, &n) < 0)
		return;
	take_text(includes, text, n);
	/* Those that are found on the way are listed behind. */
	for (size_t i = 0; i < includes->n; i++) {
		if (includes->items[i].text)
			take_text(includes, includes->items[i].text, includes->items[i].n_text);
	}
}

void ssh_includes_deinit(struct ssh_includes *includes)
{
	for (size_t i = 0; i < includes->n; i++) {
		free(includes->items[i].path);
		free(includes->items[i].text);
	}
	includes->n = 0;
}
