/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libyaml's events build the tree; the open lists and maps are a small array,
 * so that depth costs no recursion while reading. Events, not libyaml's own
 * documents, because those expand aliases and have no limits.
 */
#include "base/yaml_source.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "base/cleanup.h"
#include "base/diag.h"
#include "base/err.h"

struct reader {
	struct diag *diag;
	struct conf_node *root;
	struct conf_node *open[YAML_DEPTH_MAX];
	size_t depth;
	size_t n_nodes;
	char *key; /* read, its value is still to come */
	unsigned int key_line;
};

DEFINE_CLEANUP(struct conf_node *, conf_node_free);

/* The depth of a tree is bounded, so is this recursion. */
struct conf_node *conf_node_free(struct conf_node *node)
{
	while (node) {
		struct conf_node *next = node->next;

		conf_node_free(node->first);
		free(node->key);
		free(node->text);
		free(node);
		node = next;
	}
	return NULL;
}

const struct conf_node *conf_node_child(const struct conf_node *map, const char *key)
{
	const struct conf_node *child = map->kind == CONF_MAP ? map->first : NULL;

	while (child && strcmp(child->key, key) != 0)
		child = child->next;
	return child;
}

static int refuse(struct reader *rd, unsigned int line, const char *reason)
{
	diag_add(rd->diag, DIAG_ERROR, line, "%s", reason);
	return -EINVAL;
}

static struct conf_node *open_node(struct reader *rd)
{
	return rd->depth ? rd->open[rd->depth - 1] : NULL;
}

static bool wants_key(struct reader *rd)
{
	struct conf_node *parent = open_node(rd);

	return parent && parent->kind == CONF_MAP && !rd->key;
}

static int attach(struct reader *rd, struct conf_node *node)
{
	struct conf_node *parent = open_node(rd);

	if (!parent) {
		rd->root = node;
		return 0;
	}
	if (parent->kind == CONF_MAP) {
		if (conf_node_child(parent, rd->key))
			diag_add(rd->diag, DIAG_ERROR, rd->key_line,
				 "%s: given twice in the same place", rd->key);
		node->line = rd->key_line;
		node->key = steal_ptr(rd->key);
	}
	if (parent->last)
		parent->last->next = node;
	else
		parent->first = node;
	parent->last = node;
	parent->n_children++;
	return 0;
}

static int add_node(struct reader *rd, enum conf_kind kind, unsigned int line,
		    struct conf_node **nodep)
{
	struct conf_node *parent = open_node(rd), *node;

	if (rd->n_nodes == YAML_NODES_MAX)
		return refuse(rd, line, "too many values in this file");
	if (parent && parent->kind == CONF_MAP && parent->n_children == YAML_KEYS_MAX)
		return refuse(rd, line, "too many keys in one place");
	rd->n_nodes++;
	node = xnew(struct conf_node);
	node->kind = kind;
	node->line = line;
	*nodep = node;
	return attach(rd, node);
}

static unsigned int line_of(const yaml_event_t *event)
{
	return (unsigned int)event->start_mark.line + 1;
}

static void check_anchor(struct reader *rd, const yaml_event_t *event, const yaml_char_t *anchor,
			 const yaml_char_t *tag)
{
	if (anchor)
		refuse(rd, line_of(event), "anchors (&name) are not served: write the value out");
	if (tag && strcmp((const char *)tag, "!") != 0)
		refuse(rd, line_of(event), "tags (!name) are not served: remove the tag");
}

static bool is_null_word(const char *text)
{
	return !*text || strcmp(text, "~") == 0 || strcasecmp(text, "null") == 0;
}

static int on_scalar(struct reader *rd, const yaml_event_t *event)
{
	const char *text = (const char *)event->data.scalar.value;
	bool is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	struct conf_node *node;
	int r;

	check_anchor(rd, event, event->data.scalar.anchor, event->data.scalar.tag);
	if (strlen(text) != event->data.scalar.length)
		return refuse(rd, line_of(event), "a zero byte in a text");
	if (wants_key(rd)) {
		rd->key = xstrdup(text);
		rd->key_line = line_of(event);
		return 0;
	}
	r = add_node(rd, is_plain && is_null_word(text) ? CONF_NULL : CONF_TEXT, line_of(event),
		     &node);
	if (!r && node->kind == CONF_TEXT)
		node->text = xstrdup(text);
	return r;
}

static int on_open(struct reader *rd, const yaml_event_t *event, enum conf_kind kind)
{
	struct conf_node *node;
	int r;

	if (wants_key(rd))
		return refuse(rd, line_of(event), "a key must be a plain text");
	if (rd->depth == YAML_DEPTH_MAX)
		return refuse(rd, line_of(event), "nested too deeply");
	r = add_node(rd, kind, line_of(event), &node);
	if (!r)
		rd->open[rd->depth++] = node;
	return r;
}

static int on_alias(struct reader *rd, const yaml_event_t *event)
{
	struct conf_node *node;

	refuse(rd, line_of(event), "aliases (*name) are not served: write the value out");
	if (wants_key(rd)) {
		rd->key = xstrdup("*");
		rd->key_line = line_of(event);
		return 0;
	}
	return add_node(rd, CONF_NULL, line_of(event), &node);
}

static int on_document(struct reader *rd, const yaml_event_t *event)
{
	if (rd->root)
		return refuse(rd, line_of(event), "a second document: only one is read");
	return 0;
}

static int on_event(struct reader *rd, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		return on_document(rd, event);
	case YAML_SCALAR_EVENT:
		return on_scalar(rd, event);
	case YAML_ALIAS_EVENT:
		return on_alias(rd, event);
	case YAML_SEQUENCE_START_EVENT:
		check_anchor(rd, event, event->data.sequence_start.anchor,
			     event->data.sequence_start.tag);
		return on_open(rd, event, CONF_LIST);
	case YAML_MAPPING_START_EVENT:
		check_anchor(rd, event, event->data.mapping_start.anchor,
			     event->data.mapping_start.tag);
		return on_open(rd, event, CONF_MAP);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		rd->depth--;
		return 0;
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_STREAM_END_EVENT:
	case YAML_DOCUMENT_END_EVENT:
		return 0;
	}
	return 0;
}

static int refuse_syntax(struct reader *rd, const yaml_parser_t *parser)
{
	const yaml_mark_t *mark =
		parser->error == YAML_READER_ERROR ? &parser->mark : &parser->problem_mark;

	diag_add(rd->diag, DIAG_ERROR, (unsigned int)mark->line + 1, "not valid YAML: %s",
		 parser->problem ? parser->problem : "out of memory");
	return -EINVAL;
}

static int read_events(struct reader *rd, yaml_parser_t *parser)
{
	bool is_end = false;
	int r = 0;

	while (!is_end && !r) {
		yaml_event_t event;

		if (!yaml_parser_parse(parser, &event))
			return refuse_syntax(rd, parser);
		is_end = event.type == YAML_STREAM_END_EVENT;
		r = on_event(rd, &event);
		yaml_event_delete(&event);
	}
	return r;
}

/* A file of comments only has no node, or a null one. */
static int as_map(struct reader *rd)
{
	if (!rd->root)
		rd->root = xnew(struct conf_node);
	if (rd->root->kind == CONF_NULL)
		rd->root->kind = CONF_MAP;
	if (rd->root->kind != CONF_MAP)
		return refuse(rd, rd->root->line, "must be a list of \"key: value\" lines");
	return 0;
}

int yaml_source_parse(const char *text, size_t n, struct diag *diag, struct conf_node **rootp)
{
	struct reader rd = {.diag = diag};
	yaml_parser_t parser;
	int r;

	if (n > YAML_BYTES_MAX)
		return refuse(&rd, 0, "larger than 1 MiB");
	if (!yaml_parser_initialize(&parser))
		return refuse(&rd, 0, "out of memory");
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
	r = read_events(&rd, &parser);
	yaml_parser_delete(&parser);
	free(rd.key);
	if (!r)
		r = as_map(&rd);
	if (r < 0) {
		conf_node_free(rd.root);
		return r;
	}
	*rootp = rd.root;
	return 0;
}
