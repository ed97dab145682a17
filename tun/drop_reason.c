/* SPDX-License-Identifier: Apache-2.0 */
#include "tun/drop_reason.h"

#define DROP_REASON_TEXT(name, text) [DROP_##name] = (text),
static const char *const texts[DROP_N] = {DROP_REASONS(DROP_REASON_TEXT)};

const char *drop_reason_text(enum drop_reason reason)
{
	return (unsigned int)reason < DROP_N ? texts[reason] : "unknown";
}
