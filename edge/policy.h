/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * policy - one network policy: whom and what it speaks of, and what it says; pure
 *
 * Policies are asked in their order, before grants. The first that matches decides: `block`
 * refuses, `allow` ends the search and goes on to the grants. So a policy never gives anything.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/uuid.h"
#include "edge/names.h"
#include "routing/ports.h"
#include "routing/prefix.h"
#include "routing/transport.h"

enum policy_action {
	POLICY_ACTION_ALLOW,
	POLICY_ACTION_BLOCK,
	POLICY_ACTION_N,
};

/* Empty members don't restrict. */
struct policy {
	struct uuid id;
	char name[EDGE_NAME_MAX];
	uint32_t position; /* 1 is asked first */
	enum policy_action action;
	char client[EDGE_NAME_MAX]; /* name: also of one who comes back under it */
	char email[EDGE_EMAIL_MAX]; /* "user@host", or "*@host" for all of it; any case */
	struct uuid vnet;	    /* nil: all */
	struct prefix prefix;	    /* family 0: all */
	struct ports ports;
	struct transports transports;
	int64_t created_ms; /* wall clock */
};

/* "allow", "block". */
const char *policy_action_name(enum policy_action action);
/* 0 or -EINVAL. */
int policy_action_parse(const char *text, enum policy_action *actionp);

/* Why @text is no e-mail pattern, or NULL. */
const char *policy_email_problem(const char *text);
/* @email: of the user, "" when not known: then only patterns that don't restrict match. */
bool policy_speaks_of(const struct policy *p, const char *client, const char *email);

/*
 * Do @ports and @transports of a rule, policy or grant, cover @port of @transport? Echo requests
 * have no port: a rule that is limited to ports covers them only if it names icmp.
 */
bool rule_covers_port(const struct ports *ports, struct transports transports,
		      enum transport transport, uint16_t port);

/*
 * Does @p match @client (a name) with @email asking for @destination (canonical) in @vnet? An
 * `allow` without a single address doesn't match in the ranges of routing/forbidden.h; a `block`
 * does, so that both err on the strict side.
 */
bool policy_matches(const struct policy *p, const char *client, const char *email,
		    const struct uuid *vnet, const struct endpoint *destination,
		    enum transport transport);

/* True for a `block` without any restriction: what comes after it is never asked. */
bool policy_is_catch_all(const struct policy *p);
