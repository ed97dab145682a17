/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/policy.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "routing/forbidden.h"

static const char *const action_names[POLICY_ACTION_N] = {
	[POLICY_ACTION_ALLOW] = "allow",
	[POLICY_ACTION_BLOCK] = "block",
};

const char *policy_action_name(enum policy_action action)
{
	return action_names[action];
}

int policy_action_parse(const char *text, enum policy_action *actionp)
{
	for (unsigned int a = 0; a < POLICY_ACTION_N; a++) {
		if (strcmp(text, action_names[a]) == 0) {
			*actionp = (enum policy_action)a;
			return 0;
		}
	}
	return -EINVAL;
}

/* ---- whom ---- */

const char *policy_email_problem(const char *text)
{
	const char *at = strchr(text, '@');

	if (!at || at == text || !at[1] || strchr(at + 1, '@'))
		return "write user@example.com, or *@example.com for everybody there";
	if (strlen(text) >= EDGE_EMAIL_MAX)
		return "too long";
	if (strchr(text, '*') && (strncmp(text, "*@", 2) != 0 || strchr(text + 1, '*')))
		return "* stands only for the whole part before the @";
	return NULL;
}

static bool email_matches(const char *pattern, const char *email)
{
	const char *at = strrchr(email, '@');

	if (pattern[0] != '*')
		return strcasecmp(pattern, email) == 0;
	return at && at > email && strcasecmp(pattern + 1, at) == 0;
}

bool policy_speaks_of(const struct policy *p, const char *client, const char *email)
{
	if (p->client[0] && strcmp(p->client, client) != 0)
		return false;
	return !p->email[0] || email_matches(p->email, email);
}

/* ---- what ---- */

bool rule_covers_port(const struct ports *ports, struct transports transports,
		      enum transport transport, uint16_t port)
{
	if (!transports_contain(transports, transport))
		return false;
	if (transport == TRANSPORT_ICMP)
		return ports->n == 0 || transports_name(transports, transport);
	return ports_contain(ports, port);
}

static bool covers_ip(const struct policy *p, const struct ip_addr *ip)
{
	if (p->prefix.ip.family && !prefix_contains_ip(&p->prefix, ip))
		return false;
	if (p->action == POLICY_ACTION_BLOCK || !forbidden_range(ip))
		return true;
	return p->prefix.ip.family && prefix_is_single(&p->prefix);
}

bool policy_matches(const struct policy *p, const char *client, const char *email,
		    const struct uuid *vnet, const struct endpoint *destination,
		    enum transport transport)
{
	if (!uuid_is_nil(&p->vnet) && !uuid_equal(&p->vnet, vnet))
		return false;
	return policy_speaks_of(p, client, email) && covers_ip(p, &destination->ip) &&
	       rule_covers_port(&p->ports, p->transports, transport, destination->port);
}

bool policy_is_catch_all(const struct policy *p)
{
	return p->action == POLICY_ACTION_BLOCK && !p->client[0] && !p->email[0] &&
	       uuid_is_nil(&p->vnet) && !p->prefix.ip.family && p->ports.n == 0 &&
	       p->transports.bits == 0;
}
