/* SPDX-License-Identifier: Apache-2.0 */
#include "routing/transport.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const names[TRANSPORT_N] = {
	[TRANSPORT_TCP] = "tcp",
	[TRANSPORT_UDP] = "udp",
	[TRANSPORT_ICMP] = "icmp",
};

const char *transport_name(enum transport t)
{
	return names[t];
}

static int add_named(struct transports *set, const char *text, size_t n)
{
	for (unsigned int t = 0; t < TRANSPORT_N; t++) {
		if (strlen(names[t]) == n && strncmp(names[t], text, n) == 0) {
			set->bits |= (uint8_t)(1u << t);
			return 0;
		}
	}
	return -EINVAL;
}

int transports_parse(const char *text, struct transports *setp)
{
	struct transports set = {0};

	if (!*text || strcmp(text, "*") == 0) {
		*setp = set;
		return 0;
	}
	for (;;) {
		size_t n;

		text += strspn(text, " ");
		n = strcspn(text, ",");
		if (add_named(&set, text, n) < 0)
			return -EINVAL;
		if (!text[n])
			break;
		text += n + 1;
	}
	*setp = set;
	return 0;
}

const char *transports_format(struct transports set, char out[TRANSPORTS_TEXT_MAX])
{
	size_t used = 0;

	snprintf(out, TRANSPORTS_TEXT_MAX, "*");
	for (unsigned int t = 0; t < TRANSPORT_N; t++) {
		if (!transports_name(set, (enum transport)t))
			continue;
		used += (size_t)snprintf(out + used, TRANSPORTS_TEXT_MAX - used, "%s%s",
					 used ? "," : "", names[t]);
	}
	return out;
}

bool transports_name(struct transports set, enum transport t)
{
	return set.bits & (1u << t);
}

bool transports_contain(struct transports set, enum transport t)
{
	return set.bits == 0 || transports_name(set, t);
}
