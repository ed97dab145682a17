/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * ctrl_proto - lines of the control protocol to JSON and back; pure
 *
 * One JSON object per line, both ways (docs/control.md). Nesting is counted before the
 * parser runs, because jansson recurses. Unknown members are ignored, so that a newer
 * client may say more.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct json_t; /* jansson's */

#define CTRL_VERSION	 1
#define CTRL_REQUEST_MAX (64 * 1024)	   /* bytes of a request line, without its end */
#define CTRL_REPLY_MAX	 (8 * 1024 * 1024) /* bytes of a reply line */
#define CTRL_DEPTH_MAX	 16		   /* nested objects and arrays in either */

struct ctrl_error {
	char code[32];
	char text[4096]; /* may hold several lines: what a config check found */
};

struct ctrl_call {
	struct json_t *root; /* owns the two below; json_decref() it */
	const char *command;
	const struct json_t *args; /* an object; never NULL */
};

enum ctrl_proto_outcome {
	CTRL_PROTO_E_BAD = 1,	  /* not a message of this protocol; the error says why */
	CTRL_PROTO_E_REFUSED = 2, /* a reply that reports an error */
	CTRL_PROTO_E_EVENT = 3,	  /* a line of a stream: not the last; the event is the result */
};

/* @line without line end. 0, or CTRL_PROTO_E_BAD with @errp. */
NODISCARD int ctrl_call_parse(const char *line, size_t n, struct ctrl_call *callp,
			      struct ctrl_error *errp);

/* A request line with its end; @args may be NULL, both are borrowed. NULL: @args isn't JSON. */
char *ctrl_call_format(const char *command, struct json_t *args);

/*
 * On 0 and CTRL_PROTO_E_EVENT *@resultp is a new reference to an object; else an outcome
 * with @errp.
 */
NODISCARD int ctrl_reply_parse(const char *line, size_t n, struct json_t **resultp,
			       struct ctrl_error *errp);

/*
 * A reply line with its end, to be freed. @result is borrowed; NULL: an empty object. If it
 * can't be written or is over CTRL_REPLY_MAX, the line is an error "internal" or "too-large".
 */
char *ctrl_reply_format_ok(struct json_t *result);
/* A line of a stream, likewise. */
char *ctrl_reply_format_event(struct json_t *event);
/* Never NULL; bytes of @text that aren't UTF-8 become '?'. */
char *ctrl_reply_format_error(const char *code, const char *text);
