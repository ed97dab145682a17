/* SPDX-License-Identifier: Apache-2.0 */
#include "routing/prefix_codec.h"

#include <string.h>

#include "routing/prefix.h"

int prefix_codec_parse(const char *text, void *field, char *why)
{
	char meant[PREFIX_TEXT_MAX];
	struct prefix p;

	switch ((enum prefix_outcome)prefix_parse(text, &p)) {
	case PREFIX_E_SYNTAX:
		return schema_refuse(
			why, "must be an address or a prefix, like 10.116.0.3 or 10.0.0.0/8");
	case PREFIX_E_HOST_BITS:
		return schema_refuse(
			why,
			"%s has bits set behind the prefix: %s is meant, or the single "
			"address %.*s",
			text, prefix_format(&p, meant), (int)strcspn(text, "/"), text);
	}
	*(struct prefix *)field = p;
	return 0;
}

void prefix_codec_format(const void *field, char *out)
{
	const struct prefix *p = field;

	out[0] = '\0';
	if (p->ip.family)
		prefix_format(p, out);
}

const struct schema_codec prefix_codec = {"prefix or address", prefix_codec_parse,
					  prefix_codec_format};
