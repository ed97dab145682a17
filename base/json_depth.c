/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json_depth.h"

/* Brackets outside of strings are counted; whether they match is the parser's business. */
bool json_is_deeper(const char *text, size_t n, unsigned int max)
{
	unsigned int depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < n; i++) {
		if (in_string && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			in_string = !in_string;
		else if (!in_string && (text[i] == '{' || text[i] == '['))
			depth++;
		else if (!in_string && depth && (text[i] == '}' || text[i] == ']'))
			depth--;
		if (depth > max)
			return true;
	}
	return false;
}
