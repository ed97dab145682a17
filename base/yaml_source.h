/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * yaml_source - a YAML document as a tree of texts, lists and maps
 *
 * The only home of libyaml. Anchors, aliases, tags, duplicate keys and a second
 * document are refused. All limits hold before memory is taken.
 */

#include <stddef.h>

struct diag;

#define YAML_BYTES_MAX (1024 * 1024)
#define YAML_DEPTH_MAX 16
#define YAML_NODES_MAX 200000
#define YAML_KEYS_MAX  256 /* of one map */

enum conf_kind {
	CONF_NULL, /* nothing, "~" or "null" */
	CONF_TEXT,
	CONF_LIST,
	CONF_MAP,
};

struct conf_node {
	enum conf_kind kind;
	unsigned int line; /* of the key, or of the value in a list */
	char *key;	   /* NULL outside of a map */
	char *text;	   /* for CONF_TEXT: no zero byte inside */
	size_t n_children;
	struct conf_node *first; /* in the order of the file */
	struct conf_node *last;
	struct conf_node *next; /* sibling */
};

/*
 * Parses @n bytes. An empty document is an empty map. Returns 0 with the tree
 * (problems that leave it readable are in @diag), or -EINVAL with the reason
 * in @diag.
 */
int yaml_source_parse(const char *text, size_t n, struct diag *diag, struct conf_node **rootp);
struct conf_node *conf_node_free(struct conf_node *node);

/* The child of a map with that key, or NULL. */
const struct conf_node *conf_node_child(const struct conf_node *map, const char *key);
