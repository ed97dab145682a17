/* SPDX-License-Identifier: Apache-2.0 */

#include "wire/peer_text.h"

#include <string.h>

#include "base/utf8.h"

bool peer_text_is_safe(const char *text)
{
	size_t left = strlen(text);
	uint32_t rune;

	while (left) {
		size_t n = utf8_next(text, left, &rune);

		text += n;
		left -= n;
		if (!utf8_is_printable(rune))
			return false;
	}
	return true;
}

char *peer_text_copy(char *out, size_t cap, const char *text)
{
	size_t left = strlen(text);
	size_t used = 0;
	uint32_t rune;

	while (left) {
		size_t n = utf8_next(text, left, &rune);
		bool is_safe = utf8_is_printable(rune);
		size_t n_out = is_safe ? n : 1;

		if (used + n_out >= cap)
			break;
		memcpy(out + used, is_safe ? text : "?", n_out);
		used += n_out;
		text += n;
		left -= n;
	}
	out[used] = '\0';
	return out;
}
