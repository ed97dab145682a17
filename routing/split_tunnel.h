/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * split_tunnel - which addresses `adit up` takes into the tunnel
 *
 *   mode      captured
 *   include   the user's `include` list; without one, the routes that the edge shows
 *   exclude   everything but the `exclude` list (or the default one), and the `include` list
 *
 * An include entry wins over an exclude. In exclude mode the edge's routes change nothing: what
 * the edge can't serve fails there and doesn't leave by another way.
 *
 * The edge is trusted with little (design: a client accepts no more than 16,384 prefixes, none
 * shorter than /8 or, in IPv6, /16, none in a forbidden range): a route of the edge that breaks a
 * rule is left out and reported. The user's own lists may have any length of prefix.
 *
 * Forbidden ranges (routing/forbidden.h, with their NAT64 and 6to4 forms) are cut out of whatever
 * is captured, in both modes, also when a list of the user's replaces the default excludes. Only an
 * include entry that lies in such a range as a whole names it: 169.254.169.254 or 224.0.0.0/4
 * is captured when included, while 0.0.0.0/0 doesn't bring them along.
 *
 * The addresses of the TUN device (single ones out of 100.96.0.0/12, an IPv6 ULA) are no input:
 * they are neither added nor taken away, whatever range they come from. The edge's own addresses
 * aren't either; they stay outside by `throw` routes, which win over a capture.
 *
 * Pure: no I/O, no memory between calls. Which virtual network a route belongs to is the caller's
 * business; it hands over the prefixes of one network, or of several that don't overlap.
 */

#include <stddef.h>

#include "base/compiler.h"
#include "routing/prefix.h"
#include "routing/prefix_set.h"

#define SPLIT_TUNNEL_PREFIXES_MAX 16384 /* routes taken from the edge; prefixes in a result */
#define SPLIT_TUNNEL_BITS_MIN_V4  8
#define SPLIT_TUNNEL_BITS_MIN_V6  16

enum split_tunnel_mode {
	SPLIT_TUNNEL_INCLUDE,
	SPLIT_TUNNEL_EXCLUDE, /* only when the user asks for it */
};

/* What is wrong with a route of the edge. All but HOLED leave it out as a whole. */
enum split_tunnel_reason {
	SPLIT_TUNNEL_TOO_WIDE,	/* shorter than the minimum of its family */
	SPLIT_TUNNEL_FORBIDDEN, /* in a forbidden range */
	SPLIT_TUNNEL_TOO_MANY,	/* after SPLIT_TUNNEL_PREFIXES_MAX others */
	SPLIT_TUNNEL_HOLED,	/* captured without the forbidden range that it holds */
};

/* For people: what follows "10.0.0.0/7: ". */
const char *split_tunnel_reason_text(enum split_tunnel_reason reason);

/* @p is valid during the call. */
typedef void (*split_tunnel_report_fn)(void *ctx, const struct prefix *p,
				       enum split_tunnel_reason reason);

/* Everything is borrowed for the call. The sets may be in any state and are not changed. */
struct split_tunnel_input {
	enum split_tunnel_mode mode;
	const struct prefix_set *routes;  /* the edge's, in its order; NULL: none */
	const struct prefix_set *include; /* the user's; NULL or empty: none given */
	const struct prefix_set *exclude; /* the user's; NULL: the default list; empty: nothing */
	split_tunnel_report_fn report;	  /* NULL is fine; only used where @routes are */
	void *ctx;
};

enum split_tunnel_outcome {
	SPLIT_TUNNEL_E_LIMIT = 1, /* the result, or a list of the user's, is too long */
};

/*
 * Fills *@capturep, a set owned by the caller: its former content is replaced. The result is
 * minimal and sorted, IPv4 first (prefix_set_family() gives each family's routes), and merged:
 * neighbours among the edge's routes may become one that is shorter than the minimum. 0, an
 * outcome or -ENOMEM; then *@capturep is as it was, so that a live capture goes on.
 */
NODISCARD int split_tunnel_compute(const struct split_tunnel_input *in,
				   struct prefix_set *capturep);

/*
 * What turns the routes of @old into those of @new (both minimal, neither changed): *@addp and
 * *@deletep, owned by the caller, are replaced and get the prefixes that only @new or only @old
 * has, sorted. Add before deleting: a route that is split or merged then never leaves its
 * addresses uncaptured for a moment. 0 or -ENOMEM (then both are as they were).
 */
NODISCARD int split_tunnel_diff(const struct prefix_set *old, const struct prefix_set *new,
				struct prefix_set *addp, struct prefix_set *deletep);

/* The default excludes, for `adit up --help` and the docs; terminated by a NULL name. */
struct split_tunnel_exclude {
	struct prefix prefix;
	const char *name; /* "private (RFC 1918)" */
};

extern const struct split_tunnel_exclude split_tunnel_default_excludes[];
