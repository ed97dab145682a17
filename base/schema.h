/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * schema - configuration keys as table rows
 *
 * A row says where in a struct a key's value lives, what is valid, what it is
 * when nobody gives it and what it means. Reading, printing, comparing and the
 * reference in docs/config.md all walk the same rows. Pure but for the file
 * and the environment.
 *
 *   static const struct schema_row rows[] = {
 *     { .key = "grace-period", .type = SCHEMA_DURATION, .flags = SCHEMA_RELOADABLE,
 *       .offset = offsetof(struct x, grace_ms), .max = 180000, .fallback = "30s",
 *       .doc = "How long ..." },
 *   };
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/compiler.h"

struct diag;
struct schema;

enum schema_type {
	SCHEMA_BOOL,	 /* bool: on/off, true/false, yes/no */
	SCHEMA_U32,	 /* uint32_t, min..max */
	SCHEMA_DURATION, /* uint32_t, ms, min..max */
	SCHEMA_SIZE,	 /* uint64_t, bytes, min..max */
	SCHEMA_STRING,	 /* char *, owned, NULL when absent; at most max characters */
	SCHEMA_PATH,	 /* char *, the same, a file or folder */
	SCHEMA_TEXT,	 /* char[max + 1] inside the struct */
	SCHEMA_ENUM,	 /* an enum (4 bytes); `names` */
	SCHEMA_STRINGS, /* char **, owned, count at count_offset; at most max; one text is a list of
			   one */
	SCHEMA_VALUE,	/* `codec` */
	SCHEMA_VALUES,	/* array of item_size, owned, count at count_offset; at most max; `codec`
			   each */
	SCHEMA_MAP,	/* struct inside the struct; `nested` */
	SCHEMA_LIST,	/* array of structs of item_size, owned, count at count_offset; `nested` */
	SCHEMA_FOREIGN, /* cloudflared's: accepted with one warning, `doc` says why */
	SCHEMA_TYPE_N,
};

enum schema_flag {
	SCHEMA_RELOADABLE = 1, /* takes effect at reload */
	SCHEMA_REQUIRED = 2,   /* in the entries of a list */
	SCHEMA_ALIAS = 4, /* another row's value under another name; wins over it, never shown */
	SCHEMA_JOIN = 8,  /* a list of texts is fine too: joined with commas */
};

#define SCHEMA_WHY_MAX 512

/* Writes the reason into @why (SCHEMA_WHY_MAX bytes) and returns -EINVAL. */
int schema_refuse(char *why, const char *fmt, ...) PRINTF(2, 3);

/* A value type of the caller's. */
struct schema_codec {
	const char *type_name; /* for the reference: "prefix" */
	/* Returns 0, or -EINVAL with the reason in @why (SCHEMA_WHY_MAX bytes). */
	int (*parse)(const char *text, void *field, char *why);
	/* The text that parse() reads, "" when absent. @n_out is SCHEMA_WHY_MAX. */
	void (*format)(const void *field, char *out);
};

/* Ends with a NULL name; the first name of a value is the one that is shown. */
struct schema_name {
	const char *name;
	unsigned int value;
};

struct schema_row {
	const char *key;
	enum schema_type type;
	unsigned int flags;
	size_t offset;
	size_t count_offset;
	size_t item_size;
	uint64_t min, max;
	const char *fallback;		 /* default as text, NULL: absent */
	const char *absent;		 /* what absence means, for the reference */
	const char *env;		 /* environment variable that beats the file */
	const struct schema_name *names; /* of ENUM; of STRING: the only valid texts */
	const struct schema_codec *codec;
	const struct schema *nested;
	/* Of STRING, PATH, TEXT, STRINGS: one more check. As schema_codec's parse(). */
	int (*check)(const char *text, char *why);
	const char *doc; /* one or more sentences */
};

struct schema {
	const struct schema_row *rows;
	size_t n_rows;
	size_t line_offset; /* of an `unsigned int line` in a list's struct, else 0 */
};

/* IP address (struct ip_addr) and literal endpoint (struct endpoint). */
extern const struct schema_codec schema_ip;
extern const struct schema_codec schema_endpoint;

/* Names of enum log_level ("fatal" is cloudflared's) and enum log_format. */
extern const struct schema_name schema_log_levels[];
extern const struct schema_name schema_log_formats[];

/*
 * @base is the zeroed struct that the rows describe. Fallbacks are the first
 * step: what follows beats them, in the order of the calls.
 */
void schema_set_fallbacks(const struct schema *s, void *base);
/*
 * All problems go to @diag as "key: reason" with their line. Returns 0 when the
 * values were read, some of them perhaps wrong; -EINVAL or -errno when nothing was.
 */
int schema_load_text(const struct schema *s, void *base, const char *text, size_t n,
		     struct diag *diag);
int schema_load_file(const struct schema *s, void *base, const char *path, struct diag *diag);
/* Rows with `env`, when that variable is set and not empty. */
void schema_load_env(const struct schema *s, void *base, struct diag *diag);
/*
 * One top-level value from a flag; @text may be NULL: nothing happens. Lists are
 * comma-separated. @origin ("--edge") stands for the place in messages.
 */
void schema_set(const struct schema *s, void *base, const char *key, const char *text,
		const char *origin, struct diag *diag);
/* The same from a flag that may be repeated; @n_texts 0: nothing happens. */
void schema_set_list(const struct schema *s, void *base, const char *key, const char *const *texts,
		     size_t n_texts, const char *origin, struct diag *diag);
/* Frees what the rows own; the struct stays and may be filled again. */
void schema_deinit(const struct schema *s, void *base);

/* As YAML that loads back to the same values; absent ones as comments. */
void schema_show(const struct schema *s, const void *base, FILE *out);
/*
 * The next top-level key whose values differ, in the order of the rows, or NULL. *@atp is 0 at
 * first. @reloadable: only keys that are SCHEMA_RELOADABLE, or only the others.
 */
const char *schema_next_difference(const struct schema *s, const void *old, const void *new_,
				   bool reloadable, size_t *atp);
/*
 * Keys that aren't SCHEMA_RELOADABLE and differ, comma-separated, cut to @n_out.
 * Returns how many.
 */
int schema_diff_restart(const struct schema *s, const void *old, const void *new_, char *out,
			size_t n_out);
/* Markdown tables, those of nested rows behind; @name: the file's. */
void schema_write_reference(const struct schema *s, const char *name, FILE *out);

/* The row whose key is nearest to @key, or NULL when none is near. */
const char *schema_nearest(const struct schema *s, const char *key);
